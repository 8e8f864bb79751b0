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

# Of a budget: the way from the timer to the decision, 0.3 us; and where the timer's interrupt found
# a pinned context it comes again, 0.26 us later.
OVERRUN_NS_MAX = 1200
OVERRUN_NS_MEAN = 400
# A release wakes a thread before that. The end of a job costs a switch, looks at the CPU time and a
# wait; jobs that queue behind each other are late together.
RELEASE_NS_MAX = 3000
JOB_NS_MAX = 4000


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


@tap.case('sched.a_budget_is_overrun_by_the_way_to_a_decision')
def _():
    for options in (['--cpu', 'cortex-a57', '--gic', '2'], ['--cpu', 'max', '--gic', '3']):
        _, text = boot(KERNEL, 'test _budget', *options, qemu=ICOUNT)
        found = re.search(r'# SKIP 300 us and (\d+) ns at most, (\d+) on average', text)
        tap.equal(found is not None, True, f'a result in {text}')
        tap.equal(int(found[1]) <= OVERRUN_NS_MAX and int(found[2]) <= OVERRUN_NS_MEAN, True,
                  f'at most {OVERRUN_NS_MAX} ns, {OVERRUN_NS_MEAN} on average: {found[0]}')


sys.exit(tap.run(sys.argv[2:]))
