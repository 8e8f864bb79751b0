#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""threads: what somebody at a terminal sees of threads: top, live, and a shell that answers.

    threads.py KERNEL [WORD...]
"""
import re
import sys

from machine import Machine
import tap

KERNEL = sys.argv[1]
FRAME = r'\x1b\[Htop: up ([^,]+), (?s:.*?)\x1b\[J'
CLEAR = '\x1b[2J'


def frames(machine, count):
    """What top drew until so many frames were whole."""
    return machine.until('(?s:.*?)'.join([FRAME] * count))


@tap.case('threads.top_redraws_in_place_until_q')
def _():
    with Machine(KERNEL, [], '--smp', '4') as machine:
        machine.run('spawn hog --cpu 2')
        machine.send('top 0.05\r')
        seen = frames(machine, 4)
        machine.send('q')
        seen += machine.until('> $')
        tap.equal(seen.count(CLEAR), 1, 'times that it cleared the screen')
        lines = re.findall(r'^  2   2 running   fair 0 +([0-9.]+)% .* hog1\x1b\[K$', seen,
                           re.MULTILINE)
        if len(lines) < 3 or max(float(line) for line in lines) < 50:
            tap.fail(f'the hog has {lines} of a CPU in {seen!r}')
        tap.contains(seen, 'CPU 2   0.0% idle')
        tap.contains(machine.run('kill all'), 'hog1: ')


@tap.case('threads.top_ends_by_ctrl_c_at_once')
def _():
    with Machine(KERNEL, [], '--smp', '1') as machine:
        machine.send('top 3600\r')
        frames(machine, 1)
        machine.send('\x03')
        machine.until('> $')
        tap.contains(machine.run('echo typed'), 'typed\n')


@tap.case('threads.the_shell_answers_beside_hogs_of_every_kind')
def _():
    with Machine(KERNEL, [], '--smp', '1') as machine:
        for words in ('hog', 'hog --nice -5', 'hog --inter', 'hog --idle', 'rt 90ms 100ms'):
            machine.run(f'spawn {words}')
        tap.contains(machine.run('ps'), ' main\n')
        tap.contains(machine.run('echo typed'), 'typed\n')
        machine.run('kill all')
        tap.equal(len(re.findall('^ +[0-9]', machine.run('ps'), re.MULTILINE)), 1, 'threads')


sys.exit(tap.run(sys.argv[2:]))
