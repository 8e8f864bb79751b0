#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cfi: the rows that lib/prof reads out of call frame information, against readelf's.

    cfi.py ROWS ELF...

ROWS is the program of cfi_rows.c. Each ELF file is compared, and those of the system's that are
there: its C library, its compiler. A file too large to be read by readelf in a test is left out.
"""
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

ROWS, FILES = sys.argv[1], sys.argv[2:]
SYSTEM = ['/bin/sh', '/bin/bash', '/lib/x86_64-linux-gnu/libc.so.6',
          '/lib/x86_64-linux-gnu/libm.so.6', '/usr/lib/x86_64-linux-gnu/libstdc++.so.6',
          '/usr/aarch64-linux-gnu/lib/libc.so.6', '/usr/aarch64-linux-gnu/lib/libm.so.6']
BYTES_MAX = 4 << 20
NAMES = {'x86_64': {'rsp': 'sp', 'rbp': 'fp'}, 'aarch64': {'sp': 'sp', 'x29': 'fp'}}
RETURN = {'x86_64': 16, 'aarch64': 30}
FRAME = {'x86_64': 'rbp', 'aarch64': 'x29'}


def machine_of(path):
    head = pathlib.Path(path).read_bytes()[:20]
    return {62: 'x86_64', 183: 'aarch64'}.get(head[18] if head[:4] == b'\x7fELF' else None)


def section(path):
    """(bytes, address) of .eh_frame; None: it has none."""
    text = subprocess.run(['readelf', '-SW', path], capture_output=True, text=True,
                          check=True).stdout
    found = re.search(r'\.eh_frame +\w+ +(\w+) (\w+) (\w+)', text)
    if not found:
        return None
    address, offset, size = (int(word, 16) for word in found.groups())
    return pathlib.Path(path).read_bytes()[offset:offset + size], address


def ours(path, machine):
    found = section(path)
    if found is None:
        tap.skip(f'{path} has no .eh_frame')
    with tempfile.NamedTemporaryFile() as file:
        file.write(found[0])
        file.flush()
        done = subprocess.run([ROWS, file.name, f'{found[1]:x}', machine], capture_output=True,
                              text=True, check=False)
    if done.returncode != 0:
        tap.fail(f'status {done.returncode}: {done.stderr}')
    return [tuple(line.split()) for line in done.stdout.splitlines()]


def place(rule, cfa, names, otherwise):
    """What we say of a register's rule in readelf's words."""
    if rule == 'u' or rule == 's':
        return otherwise
    saved = re.fullmatch(r'c([+-]\d+)', rule)
    based = re.fullmatch(r'(\w+)([+-]\d+)', cfa)
    if not saved or not based or based.group(1) not in names:
        return 'unknown'
    return f'{names[based.group(1)]}{int(based.group(2)) + int(saved.group(1)):+d}'


def entries(text):
    """Each CIE and FDE as (head, columns, rows)."""
    for block in re.split(r'\n\n', text):
        lines = block.strip('\n').splitlines()
        while lines and not re.match(r'[0-9a-f]{8} ', lines[0]):
            lines.pop(0)
        if not lines or 'ZERO' in lines[0]:
            continue
        columns = lines[1].split() if len(lines) > 1 else []
        lines[2:] = [re.sub(r' \(\w+\)', '', line) for line in lines[2:]]  # "r10 (r10)"
        yield lines[0], columns, [dict(zip(columns, line.split())) for line in lines[2:]]


def frames(path, how):
    # Its status is that of a missing debug link, too.
    text = subprocess.run(['readelf', f'--debug-dump={how}', path], capture_output=True,
                          text=True, check=False).stdout
    return text.split('Contents of the .eh_frame section', 1)[1].split('Contents of the')[0]


def outermost(path, machine):
    """The FDEs that have no caller: rows call that "u", as they do what has not been changed."""
    blocks = re.split(r'\n\n', frames(path, 'frames'))
    return {block.split()[0] for block in blocks
            if re.search(rf'DW_CFA_undefined: r{RETURN[machine]} ', block)}


def theirs(path, machine):
    """(start, end, link, frame) of every row, in their order."""
    text, ends = frames(path, 'frames-interp'), outermost(path, machine)
    commons, foreign, names = {}, set(), NAMES[machine]
    for head, _, rows in entries(text):
        if ' CIE ' in head:
            commons[head.split()[0]] = rows[0] if rows else {}
            if not head.endswith(f'ra={RETURN[machine]}'):
                foreign.add(head.split()[0])  # a return address in a register of its own choice
            continue
        cie = re.search(r'cie=(\w+)', head).group(1)
        common = commons[cie]
        start, end = (int(word, 16) for word in re.search(r'pc=(\w+)\.\.(\w+)', head).groups())
        if cie in foreign:
            yield start, end, 'unknown', 'unknown'
            continue
        rows = rows or [dict(common, LOC=f'{start:x}')]
        starts = [int(row['LOC'], 16) for row in rows] + [end]
        for row, first, last in zip(rows, starts, starts[1:]):
            if first < min(last, end):
                is_link = machine == 'aarch64' and head.split()[0] not in ends
                yield (first, min(last, end),
                       place(row.get('ra', 'u'), row['CFA'], names,
                             'register' if is_link else 'unknown'),
                       place(row.get(FRAME[machine], 'u'), row['CFA'], names, 'register'))


def joined(rows):
    """Without borders between rows that say the same: readelf and we put some elsewhere."""
    out = []
    for start, end, *rest in rows:
        if out and out[-1][1] == start and out[-1][2] == rest:
            out[-1][1] = end
        else:
            out.append([start, end, rest])
    return out


def compare(path):
    machine = machine_of(path)
    want = joined(theirs(path, machine))
    rows = [(int(start, 16), int(end, 16), link, frame)
            for start, end, link, frame in ours(path, machine)]
    if machine == 'x86_64':  # there "the same as before" is no place of a return address
        rows = [(start, end, 'unknown' if link == 'register' else link, frame)
                for start, end, link, frame in rows]
    have = joined(rows)
    for mine, other in zip(have, want):
        if mine != other:
            tap.fail(f'{path}: {mine[0]:x}: {mine}, readelf {other}')
    tap.equal(len(have), len(want), f'{path}: rows')
    tap.equal(len(have) != 0, True, 'there are some')


def register(path):
    name = os.path.basename(path).replace('+', 'p')

    @tap.case(f'cfi.rows_of_{name}_{machine_of(path)}_are_readelfs')
    def _():
        if shutil.which('readelf') is None:
            tap.skip('readelf is not installed')
        compare(path)


for one in FILES + [name for pattern in SYSTEM for name in glob.glob(pattern)]:
    if os.path.exists(one) and os.path.getsize(one) <= BYTES_MAX and machine_of(one):
        register(one)
sys.exit(tap.run())
