#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""preempt: interrupts between any two instructions, and how late the one-shot timer's come.

    preempt.py KERNEL
"""
import re
import sys

from boot import boot, tap_results
import tap

KERNEL = sys.argv[1]
ICOUNT = ['-icount', 'shift=0,sleep=off']  # an instruction is a nanosecond
LATE_NS_MAX = 300


# The emulator takes interrupts between its blocks of instructions: here each is a block.
@tap.case('preempt.between_any_two_instructions')
def _():
    for cases, options in (('preempt_qemu', ['--gic', '2']),
                           ('preempt.contexts_that_migrate_keep_pins_and_masks',
                            ['--cpu', 'max', '--gic', '3', '--smp', '4'])):
        status, text = boot(KERNEL, f'test {cases}', *options, qemu=['-singlestep'])
        tap.equal(status, 0, f'status of {cases}')
        failed = [name for name, (passed, _) in tap_results(text).items() if not passed]
        tap.equal(failed, [], 'failed cases')


def check_lateness(case, *options):
    _, text = boot(KERNEL, f'test _lateness.{case}', *options, qemu=ICOUNT)
    found = re.search(r'# SKIP late by (\d+) to (\d+) ns', text)
    tap.equal(found is not None, True, f'a result in {text}')
    tap.equal(int(found[2]) <= LATE_NS_MAX, True, f'at most {LATE_NS_MAX} ns: {found[0]}')


@tap.case('timer.is_late_by_the_way_to_its_handler')
def _():
    for case in ('of_who_computes', 'of_who_waits'):
        for options in (['--cpu', 'cortex-a57', '--gic', '2'], ['--cpu', 'max', '--gic', '3']):
            check_lateness(case, *options)


sys.exit(tap.run(sys.argv[2:]))
