# SPDX-License-Identifier: MIT
"""plot.py: the slab allocator against the page allocator, drawn as SVG."""

from html import escape

from results import SIZES, Row

PANELS = (('pair', 'allocate and free'), ('fifo1000', 'ring of 1000'),
          ('replace10k', 'replace one of 10,000'))
BARS = (('slab', 'slab'), ('buddy', 'buddy (a page an object)'),
        ('list', "textbook's buddy (a page an object)"), ('glibc', 'glibc malloc'))
WIDTH, HEIGHT = 960, 430
LEFT, TOP, BOTTOM, GAP = 58, 88, 62, 48  # of the panels; a gap holds the next one's axis
STYLE = '''
  svg { color-scheme: light dark; font-family: system-ui, sans-serif; font-size: 12px; }
  .back { fill: #ffffff; } .ink { fill: #1f2328; } .faint { fill: #59636e; }
  .grid { stroke: #d1d9e0; } .title { font-size: 16px; font-weight: 600; }
  .slab { fill: #0969da; } .buddy { fill: #bc4c00; } .list { fill: #d4a72c; }
  .glibc { fill: #8c959f; }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; } .ink { fill: #f0f6fc; } .faint { fill: #9198a1; }
    .grid { stroke: #3d444d; } .slab { fill: #4493f8; } .buddy { fill: #f0883e; }
    .list { fill: #d29922; } .glibc { fill: #656c76; }
  }
'''


def text(x, y, words, kind='ink', anchor='middle', more=''):
    return (f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{more}>'
            f'{escape(words)}</text>')


class Scale:
    """Linear, from 0: a bar is as long as the time."""

    def __init__(self, values):
        self.step = next(step for decade in range(-1, 9) for step in (10.0 ** decade,
                         2 * 10.0 ** decade, 5 * 10.0 ** decade) if step * 7 >= max(values))
        self.high = max(values) * 1.05

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.high * (HEIGHT - TOP - BOTTOM)

    def ticks(self):
        return [index * self.step for index in range(int(self.high / self.step) + 1)]


def legend(peers):
    parts, x = [], LEFT
    for peer, words in BARS:
        if peer in peers:
            parts.append(f'<rect x="{x}" y="46" width="12" height="12" class="{peer}"/>')
            parts.append(text(x + 17, 56, words, anchor='start'))
            x += 40 + 6.6 * len(words)
    return parts


def panel(left, width, title, rows, peers):
    """rows: [(size, {peer: ns})]. Each panel has its own scale."""
    scale = Scale([value for _, times in rows for value in times.values() if value])
    parts = [text(left + width / 2, TOP - 12, title)]
    for tick in scale.ticks():
        y = scale.y(tick)
        parts.append(f'<line x1="{left:.1f}" x2="{left + width:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                     'class="grid"/>')
        parts.append(text(left - 6, y + 4, f'{tick:g}', 'faint', 'end'))
    slot = width / len(rows)
    bar = slot * 0.8 / len(peers)
    for index, (size, times) in enumerate(rows):
        x = left + index * slot + slot * 0.1
        for peer in peers:
            if times.get(peer):
                y = scale.y(times[peer])
                parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar - 1:.1f}" '
                             f'height="{HEIGHT - BOTTOM - y:.1f}" class="{peer}">'
                             f'<title>{peer}, {size} bytes: {times[peer]:.2f} ns</title></rect>')
            x += bar
        middle = left + (index + 0.5) * slot
        parts.append(text(middle, HEIGHT - BOTTOM + 16, str(size)))
        if times.get('slab') and times.get('buddy'):
            longer = f'{times["buddy"] / times["slab"]:.1f}x'
            parts.append(text(middle, HEIGHT - BOTTOM + 31, longer, 'faint'))
    return parts


def slab_against_buddy(results, machine):
    """The drawing, or None when it was not measured."""
    panels = []
    for workload, title in PANELS:
        rows = []
        for size in SIZES:
            times = {peer: results.median(Row('objects', f'{workload}/{size}', 'ns'), peer)
                     for peer, _ in BARS}
            if times['slab'] and times['buddy']:
                rows.append((size, times))
        if rows:
            panels.append((title, rows))
    if not panels:
        return None
    peers = [peer for peer, _ in BARS
             if any(times[peer] for _, rows in panels for _, times in rows)]
    right = 20
    width = (WIDTH - LEFT - right - GAP * (len(panels) - 1)) / len(panels)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             f'role="img" aria-label="Slab against buddy: time of one allocation and free">',
             f'<style>{STYLE}</style>',
             f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
             text(LEFT, 28, 'One allocation with its free: slab against buddy', 'ink title',
                  'start'),
             text(WIDTH - right, 28, f'{machine}; median of the rounds', 'faint', 'end')]
    parts += legend(peers)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(text(16, middle, 'ns', 'faint',
                      more=f' transform="rotate(-90 16 {middle:.0f})"'))
    for index, (title, rows) in enumerate(panels):
        parts += panel(LEFT + index * (width + GAP), width, title, rows, peers)
    parts.append(text(WIDTH / 2, HEIGHT - 10,
                      'bytes of the object; below it how many times longer the buddy takes',
                      'faint'))
    parts.append('</svg>\n')
    return '\n'.join(parts)
