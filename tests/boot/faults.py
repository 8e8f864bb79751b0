#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""faults: a case that faults says how and where, fails, and the next one runs.

    faults.py KERNEL
"""
import re
import sys

from boot import boot, tap_results
import tap

KERNEL = sys.argv[1]
HEX = '0x[0-9a-f]+'
PLACE = rf'ELR {HEX} \(\w+\+{HEX}\), ESR {HEX}'

# What each failing case of `_selftest` must say.
SAYS = {
    'failing_check': r'selftest\.c:\d+: address_8 is 8 .* expected 9',
    'panic': r'selftest\.c:\d+: panic: selftest: the address is 0',
    'null_store': rf'data abort: NULL store at FAR 0x8, .*, {PLACE}',
    'null_call': rf'instruction abort: NULL call at FAR 0x0, .*, ELR 0x0 .* ESR {HEX}',
    'stack_overflow': rf'stack overflow: store at FAR {HEX}, .*\(recurse\+{HEX}\), ESR {HEX}',
    'write_to_text': rf'data abort: store at FAR {HEX}, the page\'s permissions forbid it, {PLACE}',
    'write_to_constant':
        rf'data abort: store at FAR {HEX}, the page\'s permissions forbid it, {PLACE}',
    'call_of_data': rf'instruction abort: execution at FAR {HEX}, the page\'s permissions forbid',
    'undefined_instruction': rf'undefined instruction, {PLACE}',
    'misaligned_stack_pointer': rf'misaligned stack pointer, {PLACE}',
    'illegal_execution_state': rf'illegal execution state, {PLACE}',
    'floating_point': rf'FP/SIMD instruction, .*, {PLACE}',
    'null_store_with_interrupts_masked': rf'NULL store at FAR 0x8, .*, {PLACE}',
    'null_store_on_another_cpu': rf'on CPU 1: .*NULL store at FAR 0x8, .*, {PLACE}',
}
SAYS['stack_overflow_on_another_cpu'] = 'on CPU 1: .*' + SAYS['stack_overflow']
PASS = ['passes_at_this_end', 'passes_at_that_end']

for gic, cpu in (('2', 'cortex-a57'), ('3', 'max')):
    @tap.case(f'faults.fail_their_case_alone_on_{cpu}_with_gicv{gic}')
    def _(gic=gic, cpu=cpu):
        status, text = boot(KERNEL, 'test _selftest', '--gic', gic, '--cpu', cpu, '--smp', '2')
        tap.equal(status, 0, 'status')
        results = tap_results(text)
        tap.equal(sorted(results), sorted('_selftest.' + name for name in [*SAYS, *PASS]), 'cases')
        for name, pattern in SAYS.items():
            passed, said = results['_selftest.' + name]
            if passed or not re.search(pattern, said):
                tap.fail(f'{name}: passed: {passed}, said {said!r}, expected {pattern!r}')
        for name in PASS:
            tap.equal(results['_selftest.' + name], (True, ''), name)


@tap.case('faults.do_not_end_other_suites')
def _():
    _, text = boot(KERNEL, 'test _selftest list', '--smp', '2')
    results = tap_results(text)
    tap.equal({name for name, (passed, _) in results.items() if passed and '_selftest' not in name},
              {name for name in results if name.startswith('list.')}, 'passed cases of list')


sys.exit(tap.run(sys.argv[2:]))
