#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf_shares [--quick] [--seconds S] [--rounds N] PROGRAM ASH_TRACE: this tree's sampler on Linux
beside perf record.

PROGRAM (prof_shares.c) has three functions that take 60, 30 and 10 of 100 of its time. Both
samplers look at it at 1000 Hz, one after the other, in rounds: a share is that of all rounds.
Prints the shares of each round, how they differ, and the rates that were asked for and delivered.
Status 1 if a share differs by 2 points or more from perf's. Without perf, or where it may not
measure, only this tree's figures are printed."""

import argparse
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

EXPECTED = {'share_60': 60.0, 'share_30': 30.0, 'share_10': 10.0}
BAR_POINTS = 2.0
HZ, HZ_MAX = 1000, 20000


def run(command, folder):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          cwd=folder, check=False)
    if done.returncode != 0:
        sys.exit(f'perf_shares: {" ".join(map(str, command))} ended with {done.returncode}:\n'
                 f'{done.stdout}{done.stderr}')
    return done.stdout


def ours(options, hz, folder):
    """Weights of the innermost functions, and the summary's rates (asked, delivered)."""
    run([options.program, options.seconds, hz, 'shares.ash'], folder)
    summary = run([options.ash_trace, 'shares.ash', '--symbols', options.program,
                   '--folded', 'shares.folded', '--summary'], folder)
    weights = collections.Counter()
    for line in (folder / 'shares.folded').read_text().splitlines():
        stack, weight = line.rsplit(' ', 1)
        weights[stack.split(';')[-1].removesuffix('_[k]')] += int(weight)
    return weights, rates(summary)


def rates(summary):
    found = re.search(r'asked for (\d+) Hz, delivered ([0-9.]+) Hz', summary)
    if found is None:
        sys.exit(f'perf_shares: no rates in the summary:\n{summary}')
    return int(found[1]), float(found[2])


def perfs(options, folder):
    """Samples by function; None where perf cannot measure: it has been said why."""
    if shutil.which('perf') is None:
        print('perf is not installed (Debian: linux-perf): nothing to compare with')
        return None
    command = ['perf', 'record', '--quiet', '-e', 'cpu-clock', '-F', str(HZ), '-o', 'perf.data',
               '--', options.program, str(options.seconds)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ['no reason given'])[0]
        print(f'perf may not measure here: nothing to compare with ({reason})')
        return None
    symbols = run(['perf', 'script', '-i', 'perf.data', '-F', 'ip,sym'], folder)
    return collections.Counter(line.split()[1] for line in symbols.splitlines() if line.strip())


def shares(weights):
    whole = sum(weights.values()) or 1
    return {name: 100 * weights[name] / whole for name in EXPECTED}


def row(label, count, values):
    cells = ''.join(f'{values[name]:10.2f}' for name in EXPECTED)
    print(f'{label:<24}{count:>9}{cells}', flush=True)


def compare(options, folder):
    both = (collections.Counter(), collections.Counter())
    print(f'{"":<24}{"samples":>9}' + ''.join(f'{name:>10}' for name in EXPECTED))
    row('what they do', '', EXPECTED)
    for number in range(1, options.rounds + 1):
        weights, _ = ours(options, HZ, folder)
        row(f'round {number}, ours', sum(weights.values()), shares(weights))
        both[0].update(weights)
        weights = perfs(options, folder)
        if weights is None:
            return None
        row(f'round {number}, perf', sum(weights.values()), shares(weights))
        both[1].update(weights)
    mine, theirs = shares(both[0]), shares(both[1])
    row('all rounds, ours', sum(both[0].values()), mine)
    row('all rounds, perf', sum(both[1].values()), theirs)
    return max(abs(mine[name] - theirs[name]) for name in EXPECTED)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--seconds', type=float, default=2.0)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('program', metavar='PROGRAM', type=os.path.abspath)
    parser.add_argument('ash_trace', metavar='ASH_TRACE', type=os.path.abspath)
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    with tempfile.TemporaryDirectory(prefix='ashlar-') as name:
        folder = pathlib.Path(name)
        worst = compare(options, folder)
        for hz in (HZ, HZ_MAX):
            _, (asked, delivered) = ours(options, hz, folder)
            print(f'asked for {asked} Hz, delivered {delivered} Hz')
    if worst is None:
        return 0
    verdict = 'met' if worst < BAR_POINTS else 'NOT MET'
    print(f'the largest difference to perf: {worst:.2f} points (bar: {BAR_POINTS:g}): {verdict}')
    return 0 if worst < BAR_POINTS else 1


sys.exit(main())
