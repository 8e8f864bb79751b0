#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plug: the plug is pulled in the middle of writes: nothing is lost that was synced.

    plug.py KERNEL FAKE_DISK [--rounds N] [WORD...]

A session writes records through the kernel's cache and syncs now and then. Each record says which
one it is, which version, and the checksum of both, and lies within one sector. QEMU is killed at
any moment; then every record on the disk must be a version that was written, and at least the one
that the last successful sync before had: by the file, and as a second boot reads it. Once with a
disk of QEMU, which keeps all that it was given, and once with ashlar-fake-disk, whose write cache
forgets what was not flushed. --rounds: so often each, not three times.
"""
import os
import pathlib
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import zlib

from boot import LIMIT_S, SOURCE, boot
import tap

KERNEL, FAKE_DISK = (os.path.abspath(path) for path in sys.argv[1:3])
WORDS = sys.argv[3:]
ROUNDS = 3
if WORDS[:1] == ['--rounds']:
    ROUNDS = int(WORDS[1])
    WORDS = WORDS[2:]
RECORDS, STRIDE, LEN = 96, 4096 - 512, 128  # so that some share a block, each in its own sector
WRITES = 4000
MEM = '16M'  # for a cache so small that blocks are written between two syncs, too
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
(ROOT / 'first').write_bytes(bytes(10240))


def place(number):
    return number * STRIDE // 512 * 512


def record(number, version):
    head = f'{number}:{version}'
    text = f'{head}:{zlib.crc32(head.encode()):08x}:'
    return (text * LEN)[:LEN]


def version_of(number, data):
    """The version in a record's bytes, 0 for none yet; anything else is an error."""
    if data == bytes(len(data)):
        return 0
    found = re.match(rb'(\d+):(\d+):', data)
    if not found or data[:LEN].decode(errors='replace') != record(number, int(found[2])) \
            or int(found[1]) != number:
        tap.fail(f'record {number} is torn, or never was written: {tap.shorten(data)}')
    return int(found[2])


class Session:
    """Lines for the kernel: writes and syncs in any order, and what each sync makes safe."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = ['echo begun']
        self.written = [0] * RECORDS  # the last version
        self.synced = []  # by sync, from the first: the versions that it covers
        while len(self.lines) < WRITES:
            self.add()

    def add(self):
        if self.random.random() < 0.05:
            self.lines.append('sync')
            self.synced.append(list(self.written))
            return
        number = self.random.randrange(RECORDS)
        self.written[number] += 1
        self.lines.append(f'write {place(number)} {record(number, self.written[number])}')

    def text(self):
        return ('\n'.join(self.lines) + '\n').encode()


def pull_the_plug(session, syncs, delay_s, *options, qemu=()):
    """Runs the session until it has begun and so many syncs have been reported, and kills QEMU a
    little later. The number of syncs that were."""
    age_s = session.random.choice((0, 1, 5))  # of blocks that are written between two syncs, too
    command = [SOURCE / 'tools/qemu-run', '--timeout', str(LIMIT_S), '--disk', ROOT / 'first',
               '--args', f'cache-age={age_s}', *options, KERNEL, *(['--', *qemu] if qemu else [])]
    script = ROOT / 'script'
    script.write_bytes(session.text())
    with open(script, 'rb') as lines:
        machine = subprocess.Popen(command, stdin=lines, stdout=subprocess.PIPE,
                                   start_new_session=True)
    said = b''
    end = time.monotonic() + LIMIT_S
    while b'begun' not in said or said.count(b'all is safe: ') < syncs:
        if not select.select([machine.stdout], [], [], max(0, end - time.monotonic()))[0]:
            break
        data = os.read(machine.stdout.fileno(), 65536)
        if not data:
            break
        said += data
    time.sleep(delay_s)
    os.killpg(machine.pid, signal.SIGKILL)  # the group has the runner and QEMU, and nobody else
    said += machine.stdout.read()
    machine.wait()
    if b'write:' in said or b'sync:' in said:
        tap.fail(f'an error: {tap.shorten(said)}')
    return len(re.findall(rb'^all is safe: \d+ blocks? written, in \d+\.\d+ ms$', said,
                          re.MULTILINE))


def check_versions(session, syncs, versions, what):
    least = session.synced[syncs - 1] if syncs else [0] * RECORDS
    for number, version in enumerate(versions):
        if not least[number] <= version <= session.written[number]:
            tap.fail(f'{what}: record {number} has version {version}; sync {syncs} had reported '
                     f'{least[number]} safe')


def on_disk(disk):
    data = disk.read_bytes()
    return [version_of(n, data[place(n):place(n) + LEN]) for n in range(RECORDS)]


def as_booted(disk):
    """The same by a new boot."""
    script = ''.join(f'hexdump -v -d 1 -s {place(n)} -n {LEN}\n' for n in range(RECORDS))
    status, text = boot(KERNEL, '', '--disk', ROOT / 'first', '--disk', disk,
                        stdin=(script + 'check\npoweroff 7\n').encode())
    tap.equal(status, 7, 'status of the second boot')
    tap.contains(text, 'cache    ok\n')
    data = {}
    for line in re.findall(r'^([0-9a-f]{8})((?:  ?[0-9a-f]{2})+) ', text, re.MULTILINE):
        data[int(line[0], 16)] = bytes.fromhex(line[1])
    return [version_of(n, b''.join(data[at] for at in range(place(n), place(n) + LEN, 16)))
            for n in range(RECORDS)]


def check_after(disk, session, syncs, what):
    versions = on_disk(disk)
    check_versions(session, syncs, versions, what)
    tap.equal(as_booted(disk), versions, f'{what}: what the second boot reads')


# When it is pulled is up to the machine's mood: again, until it was a moment worth looking at.
ROUNDS_MAX = ROUNDS + 20
SYNCS_MAX = 20


def empty_disk():
    disk = ROOT / 'disk'
    disk.write_bytes(bytes(1 << 20))
    return disk


@tap.case('plug.what_was_synced_is_there_after_the_plug_was_pulled')
def _():
    chance = random.Random(1)
    reached = []
    for seed in range(ROUNDS_MAX):
        if seed >= ROUNDS and max(reached) >= 2 and min(reached) < max(reached):
            return
        disk, session = empty_disk(), Session(seed)
        syncs = pull_the_plug(session, chance.randrange(SYNCS_MAX), chance.random() * 0.3,
                              '--mem', MEM, '--disk', disk)
        check_after(disk, session, syncs, f'seed {seed}')
        reached.append(syncs)
    tap.fail(f'the plug was pulled after {reached} syncs: never in the middle')


@tap.case('plug.what_was_flushed_is_there_after_the_disk_forgot_the_rest')
def _():
    chance = random.Random(2)
    forgot = 0
    for seed in range(100, 100 + ROUNDS_MAX):
        if seed >= 100 + ROUNDS and forgot != 0:
            return
        disk, session, path = empty_disk(), Session(seed), str(ROOT / f'socket{seed}')
        fake = subprocess.Popen([FAKE_DISK, '--socket', path, '--volatile', '--seed', str(seed),
                                 disk], stderr=subprocess.PIPE)
        end = time.monotonic() + LIMIT_S
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.01)
        syncs = pull_the_plug(
            session, chance.randrange(SYNCS_MAX), chance.random() * 0.3, '--mem', MEM,
            qemu=['-machine', 'memory-backend=m0',
                  '-object', f'memory-backend-memfd,id=m0,size={MEM},share=on',
                  '-chardev', f'socket,id=c0,path={path}',
                  '-device', 'vhost-user-blk,chardev=c0,num-queues=1'])
        said = fake.communicate(timeout=LIMIT_S)[1].decode()
        tap.equal(fake.returncode, 0, f'status of the fake disk, which says {said}')
        forgot += int(re.search('power fails with ([0-9]+) dirty sectors', said)[1])
        check_after(disk, session, syncs, f'seed {seed}')
    tap.fail('the disk never had anything to forget')


@tap.case('plug.an_orderly_end_writes_what_is_dirty')
def _():
    disk = empty_disk()
    status, _ = boot(KERNEL, '', '--disk', ROOT / 'first', '--disk', disk,
                     stdin=f'write 700 {record(3, 9)}\npoweroff 5\n'.encode())
    tap.equal(status, 5, 'status')
    tap.equal(disk.read_bytes()[700:700 + LEN].decode(), record(3, 9))


status = tap.run(WORDS)
folder.cleanup()
sys.exit(status)
