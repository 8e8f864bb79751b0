#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""machines: the same image on every machine that it promises to run on, and on some too small.

    machines.py KERNEL
"""
import re
import subprocess
import sys
import tempfile

from boot import LIMIT_S, boot, tap_results
import tap

KERNEL = sys.argv[1]


def check_runs(*options, qemu=()):
    status, text = boot(KERNEL, 'test list board', *options, qemu=qemu)
    tap.equal(status, 0, 'status')
    failed = [name for name, (passed, _) in tap_results(text).items() if not passed]
    tap.equal(failed, [], 'failed cases')


@tap.case('machine.eight_cpus_with_either_gic')
def _():
    for gic in '23':
        status, text = boot(KERNEL, 'test port', '--smp', '8', '--gic', gic)
        tap.equal(status, 0, 'status')
        failed = [name for name, (passed, _) in tap_results(text).items() if not passed]
        tap.equal(failed, [], 'failed cases')
        if '# SKIP' in text:
            tap.fail(f'cases were skipped with 8 CPUs: {text}')


@tap.case('machine.other_cpus')
def _():
    for cpu in ('cortex-a53', 'cortex-a72', 'neoverse-n1', 'max'):
        check_runs('--cpu', cpu, '--smp', '2')


@tap.case('machine.entered_at_el2')
def _():
    for gic in '23':
        check_runs('--gic', gic, '--smp', '2', qemu=['-machine', 'virtualization=on'])


@tap.case('machine.sizes_of_memory')
def _():
    for mem in ('16M', '32M', '100M', '2G'):
        status, text = boot(KERNEL, '', '--mem', mem, '--smp', '8', stdin=b'mem\npoweroff\n')
        tap.equal(status, 0, f'status with {mem}')
        top = 0x40000000 + int(mem[:-1]) * (1 << 20 if mem[-1] == 'M' else 1 << 30)
        tap.contains(text, f'.. {top:#x}\n')


@tap.case('machine.too_little_memory_for_the_cases_is_said')
def _():
    for mem in ('16M', '32M'):
        status, text = boot(KERNEL, 'test list', '--mem', mem)
        tap.equal(status, 1, f'status with {mem}')
        tap.contains(text, 'with more')


def least_mib():
    """What the runner asks for: the image, rounded up."""
    status, text = boot(KERNEL, '', '--mem', '2M')
    tap.equal(status, 1, 'status with 2M')
    tap.equal(len(text.splitlines()), 1, 'lines')
    least = re.search('give it ([0-9]+)M or more', text)
    tap.equal(least is not None, True, 'it says how much')
    return int(least[1])


@tap.case('machine.less_memory_than_the_image_is_said')
def _():
    # The runner would not start QEMU with so little; its last words to QEMU are not looked at.
    status, text = boot(KERNEL, 'test list', '--smp', '8', qemu=['-m', f'{least_mib() - 1}M'])
    tap.equal(status, 1, 'status')
    tap.contains(text, 'too little memory: the kernel needs 0x40200000..')


@tap.case('machine.the_least_memory_that_the_runner_asks_for_is_enough')
def _():
    least = f'{least_mib()}M'
    for cpus in ('1', '8'):
        status, text = boot(KERNEL, '', '--mem', least, '--smp', cpus,
                            stdin=b'mem\npoweroff 7\n')
        tap.equal(status, 7, f'status with {cpus} CPUs')


@tap.case('machine.more_cpus_than_it_takes_are_left_out')
def _():
    status, text = boot(KERNEL, 'test list', '--smp', '10', '--gic', '3')
    tap.equal(status, 0, 'status')
    tap.contains(text, 'ashlar: 2 things of the device tree are more than this kernel takes')


@tap.case('machine.qemu_sees_no_mistake')
def _():
    for gic in '23':
        with tempfile.NamedTemporaryFile() as log:
            check_runs('--gic', gic, '--smp', '4', qemu=['-d', 'guest_errors', '-D', log.name])
            tap.equal(log.read().decode(), '', 'log of guest errors')


def boot_deterministic(case):
    """Without tools/qemu-run, whose end of input arrives at a time of the host's."""
    with tempfile.NamedTemporaryFile() as console:
        subprocess.run(['qemu-system-aarch64', '-M', 'virt,gic-version=3', '-cpu', 'cortex-a57',
                        '-smp', '2', '-nodefaults', '-no-reboot', '-display', 'none',
                        '-monitor', 'none', '-serial', f'file:{console.name}',
                        '-icount', 'shift=0,sleep=off', '-semihosting-config',
                        f'enable=on,target=native,arg=ashlar,arg=test,arg={case}',
                        '-kernel', KERNEL],
                       stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
        return console.read().decode()


@tap.case('machine.is_the_same_twice_under_icount')
def _():
    texts = [boot_deterministic('_fatal.null_store_without_hook') for _ in range(2)]
    tap.contains(texts[0], ' us after boot')
    tap.equal(texts[0], texts[1], 'second run')


@tap.case('machine.arguments_without_semihosting')
def _():
    status, text = boot(KERNEL, '', qemu=['-semihosting-config', 'enable=off',
                                          '-append', 'test list'])
    tap.equal(status, 0, 'status')
    tap.equal({passed for passed, _ in tap_results(text).values()}, {True}, 'verdicts')


sys.exit(tap.run(sys.argv[2:]))
