#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cache: when what is written reaches a disk, and what is said when it does not.

    cache.py KERNEL [WORD...]
"""
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time

from boot import LIMIT_S, SOURCE, boot
from machine import Machine
import tap

KERNEL = sys.argv[1]
MIB = 1 << 20
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)


def raw_disk(name, size=MIB):
    path = ROOT / name
    path.write_bytes(bytes(size))
    return path


def wait_for(path, offset, data):
    """Until the file has the data."""
    end = time.monotonic() + LIMIT_S
    while path.read_bytes()[offset:offset + len(data)] != data:
        if time.monotonic() > end:
            tap.fail(f'{data} is not on the disk')
        time.sleep(0.02)


@tap.case('cache.dirty_blocks_are_written_when_nobody_types')
def _():
    second = raw_disk('second')
    with Machine(KERNEL, [raw_disk('first'), second], '--args', 'cache-age=3600') as machine:
        machine.run('write 700 typed')
        wait_for(second, 700, b'typed')
        tap.contains(machine.run('cache'), ' clean, 0 dirty, ')
        machine.run('write 900 again')
        wait_for(second, 900, b'again')
        tap.contains(machine.run('sync'), 'all is safe: 0 blocks written, in ')


@tap.case('cache.dirty_blocks_are_written_after_their_age')
def _():
    second = raw_disk('second')
    command = [SOURCE / 'tools/qemu-run', '--timeout', str(LIMIT_S), '--smp', '4', '--args',
               'cache-age=1', '--disk', raw_disk('first'), '--disk', second, KERNEL]
    machine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    machine.stdin.write(b'write 700 piped\n')
    machine.stdin.flush()
    wait_for(second, 700, b'piped')  # there is no more to read, and no end of it
    text = machine.communicate(b'check\nsync\npoweroff 7\n')[0].decode()
    tap.equal(machine.returncode, 7, f'status, after {text}')
    tap.contains(text, 'cache    ok')
    tap.contains(text, 'all is safe: 0 blocks written, in ')


@tap.case('cache.an_age_that_is_none_is_refused')
def _():
    for age in ('', 'x', '3601', '00000000000000000005'):
        status, text = boot(KERNEL, f'cache-age={age}')
        tap.equal(status, 2, f'status of {age!r}')
        tap.contains(text, 'known: [heap=plain|hardened|debug] [cache-age=SECONDS] '
                      '[sched=balanced|latency|throughput] [aslr=SEED] [trace=EVENTS] [test ')


@tap.case('cache.what_a_disk_never_takes_is_told_and_another_goes_on')
def _():
    rules = ROOT / 'rules'
    rules.write_text('[inject-error]\nevent = "write_aio"\nerrno = "5"\nonce = "off"\n')
    bad, good = raw_disk('bad'), raw_disk('good')
    qemu = []
    for name, file in (('d0', raw_disk('first')), ('d1', f'blkdebug:{rules}:{bad}'), ('d2', good)):
        qemu += ['-drive', f'if=none,id={name},format=raw,file={file},werror=report,rerror=report',
                 '-device', f'virtio-blk-device,drive={name}']
    writes = ''.join(f'write --disk 1 {8192 * n} kept\n' for n in range(12))
    status, text = boot(KERNEL, '', '--smp', '4', qemu=qemu, stdin=(
        writes + 'write --disk 2 0 other\nsync\ncache\ncache drop\nhexdump -d 1 -s 8192 -n 4\n'
        'write --disk 2 4096 later\ncheck\npoweroff\n').encode())
    tap.equal(status, 1, f'status, after {text}')
    why = '12 blocks (48 KiB) not written: the device reported an error\n'
    tap.contains(text, 'sync: disk 1: ' + why + 'of other disks, 1 block is safe\n')
    tap.contains(text, '12 of them dirty\n           ' + why)
    tap.contains(text, '00002000  6b 65 70 74')
    tap.contains(text, 'cache    ok\n')
    tap.contains(text, 'ashlar: disk 1: lost: ' + why)
    tap.equal(good.read_bytes()[:5] + good.read_bytes()[4096:4101], b'otherlater')


def archive(name, files):
    path = ROOT / name
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as tar:
        for file, data in files.items():
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@tap.case('cache.disks_of_large_blocks_are_cached')
def _():
    text = b'a line of text\n' * 400
    for size in (1024, 4096):
        first, second = archive('tar', {'small': b'x', 'text': text}), raw_disk('second')
        tap.equal(os.path.getsize(first) % 4096, 2048, 'what is beyond the last whole block')
        qemu = []
        for name, file, access in (('d0', first, 'on'), ('d1', second, 'off')):
            qemu += ['-drive', f'if=none,id={name},format=raw,readonly={access},file={file}',
                     '-device', f'virtio-blk-device,drive={name},logical_block_size={size},'
                     f'physical_block_size={size}']
        status, out = boot(KERNEL, '', '--smp', '4', qemu=qemu, stdin=(
            b'cat text\ncache drop\ncksum text\nblk\ncksum text\nblk\nwrite 8190 across\n'
            b'hexdump -d 1 -s 8190 -n 6\nsync\ncache\ncheck\npoweroff 7\n'))
        tap.equal(status, 7, f'status, after {out}')
        tap.equal(text.decode() in out, True, 'the file is as it is')
        tap.contains(out, 'all is safe: 2 blocks written, in ')
        tap.contains(out, f'blocks of {size}')
        tap.contains(out, 'disk 1     ')
        tap.equal('not cached' in out, False, 'some disk is not cached')
        reads = [line for line in out.splitlines() if line.startswith('requests ')]
        tap.equal(reads[2], reads[0], 'requests before and after the second cksum')
        tap.contains(out, 'cache    ok\n')
        tap.equal(second.read_bytes()[8190:8196], b'across')


status = tap.run(sys.argv[2:])
folder.cleanup()
sys.exit(status)
