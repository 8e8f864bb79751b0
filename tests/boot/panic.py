#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""panic: the last words of a kernel that nobody saves, and its status.

    panic.py KERNEL
"""
import os
import re
import sys
import tempfile

from boot import boot
import tap

KERNEL = os.path.abspath(sys.argv[1])  # from wherever it is started
STATUS = 70  # EXIT_PANIC


def panic(case, *options, qemu=()):
    status, text = boot(KERNEL, f'test _fatal.{case}', *options, qemu=qemu)
    tap.equal(status, STATUS, 'status')
    tap.equal(len(re.findall('^panic', text, re.MULTILINE)), 1, 'number of panics')
    return text


def check_backtrace(text, *names):
    """These functions, in this order, each with its offset, though not only these."""
    places = re.findall(r'^  #\d+ +0x[0-9a-f]{16} (\w+)\+0x[0-9a-f]+$', text, re.MULTILINE)
    rest = iter(places)
    missing = [name for name in names if name not in rest]
    if missing:
        tap.fail(f'no {missing[0]} in its place in the backtrace {places}')


@tap.case('panic.names_its_place_and_its_callers')
def _():
    text = panic('panic_without_hook')
    tap.contains(text, 'panic: selftest: no hook took this, depth 0 (')
    tap.contains(text, 'selftest.c:')
    tap.contains(text, 'on CPU 0')
    check_backtrace(text, 'inner', 'inner', 'inner', 'test_run_case', 'tap_run', 'kernel_main')


@tap.case('panic.leaves_the_trace')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'ashlar-panic.ash')
        before = os.getcwd()
        os.chdir(folder)
        try:
            for cpus in '14':
                status, text = boot(KERNEL, 'trace=256 test _fatal.panic_without_hook',
                                    '--smp', cpus)
                tap.equal(status, STATUS, 'status')
                tap.contains(text, 'trace: the last events are in ashlar-panic.ash (')
                with open(path, 'rb') as file:
                    tap.equal(file.read(8), b'ASRCH\x1a\r\n', 'the container begins')
                os.remove(path)
        finally:
            os.chdir(before)


@tap.case('panic.of_a_fault_shows_the_registers')
def _():
    text = panic('null_store_without_hook')
    tap.contains(text, 'panic: data abort: NULL store at FAR 0x8')
    for register in [f'x{n}' for n in range(31)] + ['sp', 'elr', 'spsr', 'esr', 'far']:
        if not re.search(rf'(^|\s){register}\s+0x[0-9a-f]{{8,16}}', text):
            tap.fail(f'no register {register} in {text}')
    check_backtrace(text, 'test__fatal_null_store_without_hook', 'test_run_case')


@tap.case('panic.of_a_stack_overflow_is_reported_on_another_stack')
def _():
    text = panic('stack_overflow_without_hook')
    tap.contains(text, 'panic: stack overflow: store at FAR')
    check_backtrace(text, 'recurse', 'recurse', 'recurse')


@tap.case('panic.in_an_interrupt_handler_is_not_taken_by_the_hook')
def _():
    for gic in '23':
        text = panic('null_store_in_interrupt', '--gic', gic)
        check_backtrace(text, 'store_in_interrupt', 'exception_save', 'tap_run')


@tap.case('panic.stops_the_other_cpus')
def _():
    for gic in '23':
        text = panic('panic_while_another_cpu_talks', '--smp', '2', '--gic', gic)
        before, after = text.split('panic: selftest', 1)
        tap.contains(before, 'talk\n')
        if 'talk\n' in after:
            tap.fail(f'another CPU talks on after the panic: {text}')
    panic('panic_without_hook', '--smp', '8')


@tap.case('exit.on_two_cpus_at_once_ends_the_machine')
def _():
    for gic in '232323':  # a race: one time in six, each CPU stopped the other
        status, _ = boot(KERNEL, 'test _fatal.exit_on_two_cpus_at_once', '--smp', '2', '--gic', gic)
        tap.equal(status, 30, 'status')


@tap.case('panic.without_semihosting_ends_once')
def _():
    status, text = boot(KERNEL, '', qemu=['-semihosting-config', 'enable=off',
                                          '-append', 'test _fatal.panic_without_hook'])
    tap.equal(status, 0, 'status')  # PSCI has no other
    tap.equal(len(re.findall('^panic', text, re.MULTILINE)), 1, 'number of panics')
    tap.contains(text, f'exit status {STATUS} cannot be handed over')


sys.exit(tap.run(sys.argv[2:]))
