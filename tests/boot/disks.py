#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""disks: what may happen to a disk while the kernel uses it: another size, an error, Ctrl-C.

    disks.py KERNEL [WORD...]
"""
import pathlib
import sys
import tempfile
import time

from boot import LIMIT_S, boot
from machine import Machine
import tap

KERNEL = sys.argv[1]
MIB = 1 << 20
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)


def raw_disk(name, size):
    path = ROOT / name
    with open(path, 'wb') as file:
        file.truncate(size)
    return path


def two_disks():
    return Machine(KERNEL, [raw_disk('first', MIB), raw_disk('second', MIB)], '--smp', '4')


def knows(machine, size):
    """Waits until the kernel has the size of disk 1: QEMU tells of it when it comes to that."""
    end = time.monotonic() + LIMIT_S
    while f'\ndisk 1     virtio slot 30, {size} bytes' not in (out := machine.run('blk')):
        if time.monotonic() > end:
            tap.fail(f'disk 1 is not of {size} bytes: {out!r}')


def resize(machine, size):
    machine.ask('block_resize', device='disk1', size=size)
    knows(machine, size)


@tap.case('disks.another_size_is_seen_while_the_kernel_runs')
def _():
    with two_disks() as machine:
        tap.contains(machine.run('blk write 1048576 beyond'), 'disk 1: past the end of the disk')
        resize(machine, 2 * MIB)
        tap.contains(machine.run('hexdump -d 1 -n 16 -s 3M'), '\n00200000\n')
        machine.run('blk write 1048576 beyond')
        tap.contains(machine.run('hexdump -d 1 -s 1M -n 16'), '|beyond..........|')
        resize(machine, MIB // 2)
        tap.contains(machine.run('hexdump -d 1 -s 1M -n 16'), '00080000\n')
        tap.contains(machine.run('blk write 512K beyond'), 'disk 1: past the end of the disk')
        out = machine.run('blk bench --disk 1 --queues 4 --depth 8 --count 1000')
        tap.contains(out, '\n    8 ')


@tap.case('disks.one_that_shrinks_under_load_ends_the_benchmark_with_an_error')
def _():
    with two_disks() as machine:
        for queues in (1, 4):
            resize(machine, MIB)
            machine.send(f'blk bench --disk 1 --depth 8 --queues {queues} --seconds 3600\r')
            machine.until('irqs/IO')
            machine.ask('block_resize', device='disk1', size=4096)
            tap.contains(machine.until('> $'), 'disk 1: the device reported an error')
            knows(machine, 4096)
            tap.contains(machine.run('check'), 'virtq    ok')
            tap.contains(machine.run('blk bench --disk 1 --count 10 --depth 2'), '\n    2 ')


@tap.case('disks.ctrl_c_ends_a_benchmark_on_all_cpus')
def _():
    with two_disks() as machine:
        for words in ('--depth 4', '--depth 4 --queues 4', '--queues 3', '--write --queues 2',
                      '--policy poll --queues 2 --depth 32'):
            machine.send(f'blk bench --disk 1 --seconds 3600 {words}\r')
            machine.until('irqs/IO')
            machine.send('\x03')
            tap.contains(machine.until('> $'), '^C\n')
        tap.contains(machine.run('check'), 'virtq    ok')
        tap.contains(machine.run('blk bench --disk 1 --count 10 --depth 2'), '\n    2 ')


@tap.case('disks.errors_of_the_host_are_errors_here')
def _():
    path = raw_disk('broken', MIB)
    rules = ROOT / 'rules'
    rules.write_text('[inject-error]\nevent = "read_aio"\nerrno = "5"\nonce = "off"\n'
                     'sector = "8"\n')
    qemu = ['-drive', f'if=none,id=bad,format=raw,file=blkdebug:{rules}:{path},werror=report,'
            'rerror=report', '-device', 'virtio-blk-device,drive=bad,num-queues=4']
    status, text = boot(KERNEL, '', '--smp', '4', qemu=qemu, stdin=(
        b'hexdump -d 0 -n 4096\nhexdump -d 0 -s 4096 -n 1\nhexdump -d 0 -s 8192 -n 1\n'
        b'blk bench --queues 4 --depth 32 --count 100000\ncheck\npoweroff 7\n'))
    tap.equal(status, 7, f'status, after {text}')
    tap.contains(text, '00001000\nhexdump: the device reported an error\n00002000  00 ')
    tap.contains(text, 'blk: disk 0: the device reported an error\n')
    tap.contains(text, 'virtq    ok\n')


status = tap.run(sys.argv[2:])
folder.cleanup()
sys.exit(status)
