#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""flame.py: flame graphs, read back by an XML parser. TAP.

    flame.py PROGRAM           PROGRAM is ashlar-flame-scene (tests/trace/flame_scene.c)
    flame.py --check SVG       looks at the boxes of any flame graph

The boxes of a graph are held against the tree that folded stacks make by themselves. Graphs that
are wrong by hand must be seen to be wrong.
"""
import os
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

SVG = '{http://www.w3.org/2000/svg}'
XHTML = 'http://www.w3.org/1999/xhtml'
ROW = 19
SHARES = 10**8  # of the width: what the file's decimals stand for
WIDTH = 1200 - 2 * 16

KERNEL = ('tarfs;_start;main;read;call_[k];vfs_read_[k];cache_read_[k];blk_wait_[k]',
          'tarfs;_start;main;read;call_[k];vfs_read_[k];copy_to_user_[k]',
          'sort;_start;main;quick_sort;quick_sort;quick_sort;compare',
          'sort;_start;main;quick_sort;quick_sort;compare',
          'sort;_start;main;quick_sort;page_fault_[k];vm_fault_[k];buddy_alloc_[k]',
          'sort;_start;main;parse<line>',
          'flusher;flush_[k];cache_write_[k];virtqueue_kick_[k]',
          'flusher;flush_[k];cache_evict_[k]',
          '[idle];thread_idle_[k]')


class Wrong(Exception):
    pass


class Box:
    def __init__(self, element):
        titles = element.findall(SVG + 'title')
        if len(titles) != 1:
            raise Wrong(f'a box has {len(titles)} titles')
        self.name, self.figures = titles[0].text.split('\n')
        self.left, self.width = (share(element.get(key)) for key in ('x', 'width'))
        self.right = self.left + self.width
        self.y = int(element.get('y'))
        found = re.fullmatch(r'(?:\S+ \S+, )?(\d+\.\d\d) %, (\d+) samples?', self.figures)
        if found is None:
            raise Wrong(f'{self.name}: figures "{self.figures}"')
        self.percent, self.weight = float(found[1]), int(found[2])
        self.narrow = re.fullmatch(r'\[(\d+) narrow ones\]', self.name)
        self.children = []


def share(text):
    if re.fullmatch(r'\d+\.\d{6}%', text) is None:
        raise Wrong(f'"{text}" is no share')
    return int(text[:-1].replace('.', ''))


def outside(text):
    """What a file refers to, but names of its languages."""
    text = text.replace(f'xmlns="{SVG[1:-1]}"', '').replace(f'xmlns="{XHTML}"', '')
    return re.findall(r'\w+://[^"\s]*|href\s*=|url\(|@import|src\s*=', text)


def read(path):
    """The box of all; each box has its children from left to right. Wrong: how it is wrong."""
    with open(path, encoding='utf-8') as stream:
        text = stream.read()
    if outside(text):
        raise Wrong(f'it refers to {outside(text)[0]}')
    try:
        page = xml.fromstring(text)
    except xml.ParseError as error:
        raise Wrong(f'it is no XML: {error}') from error
    boxes = [Box(element) for element in page.iter(SVG + 'svg')
             if (element.get('class') or '').startswith('frame')]
    last = {}
    for box in boxes:
        if box is not boxes[0]:
            parent = last.get(box.y + ROW)
            if parent is None or box.left < parent.left or box.right > parent.right:
                raise Wrong(f'{box.name} is not inside what is below it')
            if parent.children and box.left < parent.children[-1].right:
                raise Wrong(f'{box.name} lies on {parent.children[-1].name}')
            parent.children.append(box)
        last[box.y] = box
    return boxes


def check(boxes):
    every = boxes[0]
    if (every.left, every.right, every.name) != (0, SHARES, 'all'):
        raise Wrong('the box of all is not as wide as all')
    for box in boxes:
        if abs(box.width * every.weight - box.weight * SHARES) > every.weight:
            raise Wrong(f'{box.name}: {box.weight} samples, but {box.width} wide')
        if abs(box.percent - 100 * box.weight / every.weight) > 0.0051:
            raise Wrong(f'{box.name}: {box.percent} % are not {box.weight} of {every.weight}')
        if sum(child.weight for child in box.children) > box.weight:
            raise Wrong(f'{box.name} has less than what is above it')


def tree_of(folded):
    """Folded stacks as {name: [weight, {...}]}."""
    root = [0, {}]
    for line in folded.splitlines():
        stack, weight = line.rsplit(' ', 1)
        node = root
        node[0] += int(weight)
        for name in stack.split(';'):
            node = node[1].setdefault(name, [0, {}])
            node[0] += int(weight)
    return root


def is_tree(box, node, whole):
    """Are the boxes those of the tree, with narrow ones put together?"""
    if box.weight != node[0]:
        return False
    wide = {name: child for name, child in node[1].items()
            if child[0] * WIDTH * 10 >= whole}
    boxes = {child.name: child for child in box.children if child.name in wide}
    rest = [child for child in box.children if child.name not in wide]
    alone = sum(1 for child in rest if child.narrow is None)
    count = sum(int(child.narrow[1]) for child in rest if child.narrow) + alone
    return (len(boxes) == len(wide) and count == len(node[1]) - len(wide)
            and all(not child.children for child in rest)
            and sum(child.weight for child in rest)
            == sum(child[0] for name, child in node[1].items() if name not in wide)
            and all(is_tree(boxes[name], child, whole) for name, child in wide.items()))


def scene(stacks):
    return ''.join(f'{stack} {weight}\n' for stack, weight in stacks)


def scenes():
    rng = random.Random(8)
    yield 'kernel', scene((stack, 100 * (i + 3)) for i, stack in enumerate(KERNEL))
    yield 'one_sample', 'init;_start 1\n'
    yield 'task_alone', '[idle];wait_[k] 3\n'
    yield 'narrow', scene([('wide;f', 60000)] + [(f'thin;g;h{i};i', 1) for i in range(40)])
    yield 'deep', scene((';'.join(['deep'] + [f'f{rng.randrange(3)}' for _ in range(16)]),
                         rng.randrange(1, 50)) for _ in range(300))
    yield 'many', scene((';'.join([f't{rng.randrange(5)}']
                                  + [f'f{rng.randrange(40)}' for _ in range(rng.randrange(1, 7))]
                                  + [f'k{rng.randrange(40)}_[k]' for _ in range(rng.randrange(4))]),
                         rng.randrange(1, 9)) for _ in range(900))


def draw(program, folder, name, folded):
    svg, again = (os.path.join(folder, name + end) for end in ('.svg', '.folded'))
    subprocess.run([program, svg, again], input=folded.encode(), check=True, timeout=60)
    with open(again, encoding='utf-8') as stream:
        return svg, stream.read()


def is_refused(path, old, new):
    """Is the graph, with the first `old` of it replaced, seen to be wrong?"""
    with open(path, encoding='utf-8') as stream:
        text = stream.read()
    with open(path + '.bad', 'w', encoding='utf-8') as stream:
        stream.write(re.sub(old, new, text, count=1))
    if re.search(old, text) is None:
        return False
    try:
        check(read(path + '.bad'))
    except Wrong:
        return True
    return False


DAMAGE = {
    'a box outside its parent': (r'(class="frame k\d" x=")\d+', r'\g<1>99'),
    'a box that is too wide': (r'(class="frame u\d" [^>]*width=")\d', r'\g<1>9'),
    'a box that is too narrow': (r'(class="frame [uk]\d" [^>]*width=")\d+', r'\g<1>0'),
    'samples that are wrong': (r'\d+ samples</title><rect width="100%" height="100%"/><text x="4" '
                               r'y="13">sort', '9 samples</title><rect/><text>sort'),
    'a box without a title': (r'<title>quick_sort\n[^<]*</title>', ''),
    'a box two rows up': (r'(class="frame root t\d" x="[^"]*" y=")\d+', r'\g<1>0'),
    'a reference to another file': (r'<rect class="page"', '<image href="x.png"/><rect'),
    'half a file': (r'(?s)quick_sort.*', ''),
}


def results(program):
    with tempfile.TemporaryDirectory() as folder:
        for name, folded in scenes():
            svg, again = draw(program, folder, name, folded)
            yield f'folded stacks of {name} come back', tree_of(again) == tree_of(folded)
            try:
                boxes = read(svg)
                check(boxes)
                whole = tree_of(folded)
                yield f'boxes of {name} are the tree', is_tree(boxes[0], whole, whole[0])
            except Wrong as error:
                print(f'# {error}')
                yield f'boxes of {name} are the tree', False
        for what, (old, new) in DAMAGE.items():
            yield f'{what} is seen', is_refused(os.path.join(folder, 'kernel.svg'), old, new)


def main():
    if sys.argv[1] == '--check':
        boxes = read(sys.argv[2])
        check(boxes)
        print(f'boxes {len(boxes)}\nsamples {boxes[0].weight}')
        return 0
    passed = 0
    count = 0
    for name, is_right in results(sys.argv[1]):
        count += 1
        passed += is_right
        print(f'{"ok" if is_right else "not ok"} {count} - {name}', flush=True)
    print(f'1..{count}')
    return 0 if passed == count else 1


if __name__ == '__main__':
    sys.exit(main())
