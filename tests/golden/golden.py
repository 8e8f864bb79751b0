#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""golden: the instructions of each operation of a part, against those recorded beside this file.

    golden.py BUILD
"""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'harness'))
import tap  # noqa: E402

TOOL = HERE.parent.parent / 'tools/golden'
BUILD = pathlib.Path(sys.argv[1])
NOTHING_RECORDED = 4


def load_tool():
    sys.dont_write_bytecode = True  # it would lie in tools/
    loader = importlib.machinery.SourceFileLoader('golden_tool', str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('golden_tool', loader))
    loader.exec_module(module)
    return module


golden = load_tool()


@tap.case('golden.operations_take_the_recorded_number_of_instructions')
def _():
    done = subprocess.run([TOOL, BUILD], capture_output=True, text=True, check=False)
    if done.returncode == NOTHING_RECORDED:
        tap.skip(done.stderr.strip())
    if done.returncode != 0:
        tap.fail(done.stdout + done.stderr)


@tap.case('golden.counts_do_not_depend_on_the_machine')
def _():
    small = golden.counts_of(golden.count(BUILD))
    machine = ['--cpu', 'max', '--gic', '3', '--smp', '4', '--mem', '1G']
    large = golden.counts_of(golden.count(BUILD, machine=machine))
    tap.equal(len(small) > 10, True, 'enough operations')
    tap.equal(golden.differences(small, large), [], 'differences')


@tap.case('golden.counts_do_not_depend_on_what_was_done_before')
def _():
    script = b'mem; slab; bench buddy\nbench golden\nbench slab; check\nbench golden\n'
    text = golden.run(BUILD, words='', script=script)
    tap.contains(text, '\nunit: instructions\n')
    _, first, second = text.split('# compiled by')
    tap.equal(golden.differences(golden.counts_of(first), golden.counts_of(second)), [],
              'differences of the second in one machine')
    fresh = golden.counts_of(golden.count(BUILD))
    tap.equal(golden.differences(fresh, golden.counts_of(first)), [], 'differences of the first')


@tap.case('golden.a_change_is_said_with_its_size')
def _():
    before = {'slab.pair': (8000, 64), 'slab.gone': (64, 64), 'slab.same': (1, 64)}
    now = {'slab.pair': (4000, 64), 'slab.same': (1, 64), 'slab.new': (128, 64)}
    lines = [line.split() for line in golden.differences(before, now)[1:]]
    tap.equal(lines, [['slab.pair', '125.00', '62.50', '-62.50', '(-50.0', '%)'],
                      ['slab.new', '-', '2.00', 'new'], ['slab.gone', '1.00', '-', 'gone']])


sys.exit(tap.run(sys.argv[2:]))
