#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fake_disk: the program ashlar-fake-disk, met by a front end in Python.

    fake_disk.py FAKE_DISK [WORD...]

Only cases whose name holds a WORD are run, if there are any.
"""
import array
import mmap
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

FAKE_DISK = os.path.abspath(sys.argv[1])
LIMIT_S = 20
SECTORS = 64
MEMORY_BYTES = 1 << 16
DESC, AVAIL, USED, HEADER, STATUS, DATA = 0, 0x1000, 0x2000, 0x3000, 0x3010, 0x4000
QUEUE_SIZE = 8
NEXT, WRITE = 1, 2
IN, OUT = 0, 1
OK, IO_ERROR = 0, 1
VERSION_1, PROTOCOL_FEATURES = 1 << 32, 1 << 30
(GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR) = 1, 2, 3, 5, 8, 9, 10, 12, 13, 14
SET_VRING_ENABLE = 18

folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
SOCKET = str(ROOT / 'socket')
DISK = ROOT / 'disk'
DISK.write_bytes(b''.join(bytes([n]) * 512 for n in range(SECTORS)))


def run(*options):
    return subprocess.run([FAKE_DISK, *options], capture_output=True, text=True, timeout=LIMIT_S)


class Served:
    """The program while it serves; ends with its status and what it said."""

    def __init__(self, *options):
        self.process = subprocess.Popen([FAKE_DISK, '--socket', SOCKET, *options, str(DISK)],
                                        stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + LIMIT_S
        while not os.path.exists(SOCKET):
            if self.process.poll() is not None or time.monotonic() > until:
                tap.fail('it does not start')
            time.sleep(0.005)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        pathlib.Path(SOCKET).unlink(missing_ok=True)

    def end(self, status):
        said = self.process.communicate(timeout=LIMIT_S)[1]
        tap.equal(self.process.returncode, status, f'the status, after {said!r}')
        if os.path.exists(SOCKET):
            tap.fail('its socket is still there')
        return said


def wait_for(eventfd):
    if not select.select([eventfd], [], [], LIMIT_S)[0]:
        tap.fail('the device signals nothing')
    os.eventfd_read(eventfd)


class Front:
    """A driver and its front end: a queue in a memfd, addresses from 0 on both sides."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(SOCKET)
        self.memory_fd = os.memfd_create('front')
        os.ftruncate(self.memory_fd, MEMORY_BYTES)
        self.memory = mmap.mmap(self.memory_fd, MEMORY_BYTES)
        self.asked = 0
        self.kick, self.call, self.error = (os.eventfd(0) for _ in range(3))

    def send(self, request, payload=b'', fds=()):
        message = struct.pack('<III', request, 1, len(payload)) + payload
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.socket.sendmsg([message], rights)

    def start(self):
        state = struct.Struct('<II')
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack('<Q', VERSION_1 | PROTOCOL_FEATURES))
        self.send(SET_MEM_TABLE, struct.pack('<IIQQQQ', 1, 0, 0, MEMORY_BYTES, 0, 0),
                  [self.memory_fd])
        self.send(SET_VRING_NUM, state.pack(0, QUEUE_SIZE))
        self.send(SET_VRING_BASE, state.pack(0, 0))
        self.send(SET_VRING_ADDR, struct.pack('<IIQQQQ', 0, 0, DESC, USED, AVAIL, 0))
        self.send(SET_VRING_CALL, struct.pack('<Q', 0), [self.call])
        self.send(SET_VRING_ERR, struct.pack('<Q', 0), [self.error])
        self.send(SET_VRING_KICK, struct.pack('<Q', 0), [self.kick])
        self.send(SET_VRING_ENABLE, state.pack(0, 1))

    def ask(self, kind, sector, head=0):
        """One request for one sector: the queue's only one."""
        into = WRITE if kind == IN else 0
        chain = [(HEADER, 16, NEXT, 1), (DATA, 512, NEXT | into, 2), (STATUS, 1, WRITE, 0)]
        for index, descriptor in enumerate(chain):
            struct.pack_into('<QIHH', self.memory, DESC + 16 * index, *descriptor)
        struct.pack_into('<IIQ', self.memory, HEADER, kind, 0, sector)
        self.memory[STATUS] = 0xff
        struct.pack_into('<H', self.memory, AVAIL + 4 + 2 * (self.asked % QUEUE_SIZE), head)
        self.asked += 1
        struct.pack_into('<H', self.memory, AVAIL + 2, self.asked)
        os.eventfd_write(self.kick, 1)

    def await_call(self):
        wait_for(self.call)

    def close(self):
        self.socket.close()


def check_read(front, sector, data):
    front.ask(IN, sector)
    front.await_call()
    tap.equal(front.memory[STATUS], OK, 'the status byte')
    tap.equal(front.memory[DATA:DATA + 512], data, 'the sector')


def read_one(sector=7):
    front = Front()
    front.start()
    check_read(front, sector, bytes([sector]) * 512)
    return front


@tap.case('fake_disk.help_and_faults_are_told')
def _():
    tap.contains(run('--help').stdout, '--socket PATH')
    faults = run('--faults')
    tap.equal(faults.returncode, 0)
    tap.contains(faults.stdout.splitlines(), 'device.death')


@tap.case('fake_disk.wrong_words_are_refused_by_name')
def _():
    disk, place = str(DISK), ('--socket', SOCKET)
    for options, word in [
            ((), '--socket'), ((disk,), '--socket'), (place, 'FILE'),
            ((*place, disk, 'another'), 'another'), ((*place, '--what', disk), 'disk'),
            ((*place, disk, '--order'), '--order'), ((*place, '--order', 'odd', disk), 'odd'),
            ((*place, '--latency', '-1', disk), '-1'), ((*place, '--queues', '0', disk), '0'),
            ((*place, '--queues', '5', disk), '5'),
            ((*place, '--fault', 'device.deth@1', disk), 'nearest is "death"'),
            ((*place, '--fault', 'alloc.fail@1', disk), 'nobody here is called "alloc"'),
            ((*place, str(ROOT / 'none')), 'none'), ((*place, str(ROOT)), 'directory'),
            (('--socket', str(ROOT / 'no/s'), disk), 'no/s'),
            (('--socket', disk, disk), 'exists'),
            (('--socket', '/' + 'x' * 200, disk), 'too long')]:
        done = run(*options)
        tap.equal(done.returncode, 2, f'the status of {options}')
        tap.contains(done.stderr, word, f'what is said to {options}')
        tap.equal(DISK.stat().st_size, SECTORS * 512, 'the size of the disk')


@tap.case('fake_disk.front_end_that_comes_and_goes_is_no_fault')
def _():
    with Served() as served:
        Front().close()
        tap.contains(served.end(0), '0 starts')


@tap.case('fake_disk.a_sector_is_read')
def _():
    with Served() as served:
        read_one().close()
        tap.contains(served.end(0), '1 starts, 1 reads')


def write_one(front, sector, data, expected):
    front.memory[DATA:DATA + 512] = data
    front.ask(OUT, sector)
    front.await_call()
    tap.equal(front.memory[STATUS], expected, 'the status byte')


@tap.case('fake_disk.writes_are_kept_until_the_end_where_they_are_taken')
def _():
    old, new = bytes([9]) * 512, bytes([200]) * 512
    for options, expected, data in ((), IO_ERROR, old), (('--writable',), OK, new):
        with Served(*options) as served:
            front = read_one(9)
            write_one(front, 9, new, expected)
            check_read(front, 9, data)
            front.close()
            tap.contains(served.end(0), '2 reads, 1 writes')
        tap.equal(DISK.read_bytes()[9 * 512:10 * 512], old, 'the file')


@tap.case('fake_disk.broken_rule_is_named_and_makes_the_status_1')
def _():
    with Served() as served:
        front = Front()
        front.start()
        front.ask(IN, 0, head=99)
        wait_for(front.error)
        front.close()
        tap.contains(served.end(1), 'HEAD_RANGE (virtio 1.2, 2.7.6)')


@tap.case('fake_disk.broken_protocol_makes_the_status_1')
def _():
    with Served() as served:
        front = Front()
        front.send(SET_VRING_NUM, struct.pack('<II', 9, 8))
        tap.equal(front.socket.recv(1), b'', 'the answer')
        said = served.end(1)
        tap.contains(said, 'SET_VRING_NUM for ring 9')
        tap.contains(said, 'broke the protocol')


@tap.case('fake_disk.memory_that_is_taken_away_ends_it_with_a_word')
def _():
    with Served() as served:
        front = read_one()
        front.memory.close()
        os.ftruncate(front.memory_fd, 0)
        os.eventfd_write(front.kick, 1)
        front.socket.settimeout(LIMIT_S)
        tap.equal(front.socket.recv(1), b'', 'the answer')
        served.process.wait(LIMIT_S)
        os.unlink(SOCKET)
        tap.contains(served.end(1), 'took its memory away')


@tap.case('fake_disk.signal_ends_it_with_its_report')
def _():
    with Served() as served:
        front = read_one()
        served.process.send_signal(signal.SIGTERM)
        tap.contains(served.end(0), '1 reads')
        front.close()
    with Served() as served:  # nobody came yet
        served.process.send_signal(signal.SIGINT)
        tap.contains(served.end(0), '0 starts')


@tap.case('fake_disk.kept_one_serves_the_next')
def _():
    with Served('--keep') as served:
        for sector in (1, 2, 3):
            read_one(sector).close()
        served.process.send_signal(signal.SIGTERM)
        tap.contains(served.end(0), '3 starts, 3 reads')


status = tap.run(sys.argv[2:])
folder.cleanup()
sys.exit(status)
