#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""console: every byte of standard input reaches the kernel, and its end does too.

    console.py KERNEL
"""
import os
import random
import subprocess
import sys

from boot import LIMIT_S, SOURCE, boot
import tap

KERNEL = sys.argv[1]


def fnv(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xffffffff
    return value


def check_input(data):
    status, text = boot(KERNEL, 'test _console.input_arrives_whole', stdin=data)
    tap.equal(status, 0, 'status')
    tap.contains(text, f'# SKIP {len(data)} bytes, hash {fnv(data):08x}\n')


@tap.case('console.no_input_is_its_end')
def _():
    check_input(b'')


@tap.case('console.every_byte_value_arrives')
def _():
    check_input(bytes(range(256)) + b'\x10\x10\x04\x10t\x10')


@tap.case('console.more_than_the_ring_holds_arrives_whole_and_in_order')
def _():
    check_input(random.Random(1).randbytes(100000))


@tap.case('console.a_break_on_the_line_is_no_byte')
def _():
    # Without tools/qemu-run: of Ctrl-A b, QEMU's multiplexed console makes a break.
    done = subprocess.run(['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a57', '-nodefaults',
                           '-no-reboot', '-display', 'none', '-monitor', 'none',
                           '-chardev', 'stdio,id=line,mux=on', '-serial', 'chardev:line',
                           '-semihosting-config', 'enable=on,target=native,arg=ashlar,arg=test,'
                           'arg=_console.input_arrives_whole', '-kernel', KERNEL],
                          input=b'\x10\x00one\x01btwo\x10\x04', stdout=subprocess.PIPE,
                          timeout=LIMIT_S, check=False)
    tap.contains(done.stdout.decode(), f'# SKIP 6 bytes, hash {fnv(b"onetwo"):08x}')


@tap.case('console.a_pipe_is_no_terminal')
def _():
    _, text = boot(KERNEL, 'test _console.terminal_is_told', stdin=b'x')
    tap.contains(text, '# SKIP no terminal, then 120\n')


@tap.case('console.a_terminal_is_one')
def _():
    for gic in '23':
        ours, theirs = tap.terminal()
        command = [SOURCE / 'tools/qemu-run', '--timeout', str(LIMIT_S), '--gic', gic,
                   '--args', 'test _console.terminal_is_told', KERNEL]
        done = subprocess.run(command, stdin=theirs, stdout=subprocess.PIPE, timeout=LIMIT_S + 10,
                              check=False)
        os.close(theirs)
        os.close(ours)
        tap.contains(done.stdout.decode().replace('\r', ''), '# SKIP terminal, then -11\n')


sys.exit(tap.run(sys.argv[2:]))
