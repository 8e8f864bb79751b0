#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sched: threads on the machine's clock do what the scheduler does on a simulated one.

    sched.py KERNEL
"""
import re
import sys

from boot import boot
import tap

KERNEL = sys.argv[1]
ICOUNT = ['-icount', 'shift=0,sleep=off']  # an instruction is a nanosecond
UNITS = {'ns': 1, 'us': 1000, 'ms': 1000000, 's': 1000000000}

# A timer's handler is late by 0.3 us at most (preempt.py), and where it finds a pinned context it
# comes again, 1 us later and then 2; until the decision it is as much again as the handler.
RELEASE_NS_MAX = 6000
# So late begins a job, and then its end costs a switch, two looks at the CPU time and a wait. Jobs
# that queue behind each other are late together.
JOB_NS_MAX = 6000
OVERRUN_NS_MAX = 5000


def nanoseconds(text):
    number, unit = re.fullmatch(r'([0-9.]+)([a-z]*)', text).groups()
    return float(number) * UNITS[unit or 'ns']


def play(*options):
    """What `sched demo 1` says: (of control, of runaway, of the order)."""
    status, text = boot(KERNEL, '', *options, stdin=b'sched demo 1\n', qemu=ICOUNT)
    tap.equal(status, 0, 'status')
    control = re.search(r'^control: (\d+) jobs, (\d+) missed;', text, re.MULTILINE)
    runaway = re.search(r'^runaway: (\d+) jobs, (\d+) missed, (\S+) late at most; (\d+) throttles, '
                        r'a budget overrun by (\S+) at most', text, re.MULTILINE)
    order = re.search(r"^order: (\d+) of the first second's (\d+) events .*; control's at most "
                      r"(\S+) apart, the others' (\S+)$", text, re.MULTILINE)
    tap.equal(None in (control, runaway, order), False, f'something missing in {text}')
    tap.contains(text, 'verdict: control kept every deadline\n')
    return control.groups(), runaway.groups(), order.groups()


@tap.case('sched.demo_under_icount_is_what_is_simulated')
def _():
    for options in (['--smp', '1', '--gic', '2'], ['--smp', '1', '--cpu', 'max', '--gic', '3']):
        control, runaway, order = play(*options)
        tap.equal(control, ('100', '0'), "control's jobs and misses")
        tap.equal(runaway[:2], ('16', '17'), "runaway's jobs and misses")
        tap.equal(runaway[3], '67', "runaway's throttles")
        tap.equal(order[0], order[1], 'events as simulated')
        for what, text, most in (
                ('budget overrun', runaway[4], OVERRUN_NS_MAX),
                ("control's times", order[2], RELEASE_NS_MAX + JOB_NS_MAX),
                ("the others' times", order[3], RELEASE_NS_MAX + 16 * JOB_NS_MAX)):
            if nanoseconds(text) > most:
                tap.fail(f'{what}: {text}, more than {most} ns')


@tap.case('sched.demo_on_a_cpu_of_its_own_is_the_same')
def _():
    control, runaway, order = play('--smp', '4', '--gic', '3', '--cpu', 'max')
    tap.equal(control, ('100', '0'), "control's jobs and misses")
    tap.equal(runaway[:2], ('16', '17'), "runaway's jobs and misses")
    tap.equal(order[0], order[1], 'events as simulated')


sys.exit(tap.run(sys.argv[2:]))
