#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kernel: the fake device, served to QEMU, attacks the booted kernel.

    kernel.py QEMU_RUN KERNEL FAKE_DISK [WORD...]

The kernel must say what is wrong within its time-outs and stay alive, and the fake device, which
knows the rules of virtio, must have seen none broken. Only cases whose name holds a WORD are run,
if there are any.
"""
import concurrent.futures
import io
import itertools
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

QEMU_RUN, KERNEL, FAKE_DISK = (os.path.abspath(path) for path in sys.argv[1:4])
WORDS = sys.argv[4:]
LIMIT_S = 60
CAP_BYTES = 1 << 20
START_S = 20
MEM = '256M'

folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
FILES = {'small': b'a few bytes\n', 'large': random.Random(1).randbytes(1200001),
         'last': random.Random(2).randbytes(70000)}


def make_disk():
    path = ROOT / 'disk.tar'
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as tar:
        for name, data in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


DISK = make_disk()


def cksum(name):
    """What this machine's cksum says; every machine has one."""
    (ROOT / name).write_bytes(FILES[name])
    return subprocess.run(['cksum', name], cwd=ROOT, check=True, capture_output=True).stdout


SUMS = {name: cksum(name) for name in FILES}


def start_fake(number, options):
    """The device's process, once somebody can connect to it, and its socket."""
    socket = str(ROOT / f'socket{number}')
    fake = subprocess.Popen([FAKE_DISK, '--socket', socket, *options, str(DISK)],
                            stderr=subprocess.PIPE)
    until = time.monotonic() + START_S
    while not os.path.exists(socket):
        if fake.poll() is not None or time.monotonic() > until:
            fake.kill()
            tap.fail(f'the device does not start: {fake.communicate()[1]}')
        time.sleep(0.01)
    return fake, socket


def qemu_command(socket, fake_options=()):
    ring = ',packed=on' if '--packed' in fake_options else ''
    queues = '1'
    if '--queues' in fake_options:
        queues = fake_options[fake_options.index('--queues') + 1]
    return [QEMU_RUN, '--timeout', str(LIMIT_S), '--cap', str(CAP_BYTES), '--mem', MEM,
            '--smp', queues, KERNEL, '--', '-machine', 'memory-backend=m0',
            '-object', f'memory-backend-memfd,id=m0,size={MEM},share=on',
            '-chardev', f'socket,id=c0,path={socket}',
            '-device', f'vhost-user-blk,chardev=c0,num-queues={queues}{ring}',
            '-d', 'guest_errors', '-D', f'{socket}.log']


class Run:
    """A session of the kernel with a served disk: its output, and what the device says."""

    def __init__(self, number, fake_options, script):
        fake, socket = start_fake(number, fake_options)
        try:
            done = subprocess.run(qemu_command(socket, fake_options),
                                  input=script.encode(), capture_output=True, timeout=LIMIT_S + 5)
            self.status, self.messages = done.returncode, done.stderr
            self.lines = done.stdout.decode(errors='replace').splitlines()
            log = pathlib.Path(f'{socket}.log')
            self.guest_errors = log.read_text() if log.exists() else ''
            fake.wait(START_S)
        finally:
            if fake.poll() is None:
                fake.terminate()
        self.report = fake.communicate(timeout=START_S)[1].decode()
        self.fake_status = fake.returncode


def run(*fake_options, script):
    if shutil.which('qemu-system-aarch64') is None:
        tap.skip('no qemu-system-aarch64')
    return Run(next(numbers), fake_options, script)


numbers = itertools.count()


def check_alive(done, what):
    """The kernel ended by its shell's command, and the device has nothing to say against it."""
    if done.status != 7:
        tap.fail(f'{what}: status {done.status}, not the 7 of poweroff: '
                 f'{tap.shorten(done.lines)} {tap.shorten(done.messages)}')
    tap.equal(done.fake_status, 0, f'{what}: the status of the device, which says {done.report}')
    tap.equal(done.guest_errors, '', f'{what}: what QEMU says against the kernel')


SCRIPT = 'ls\n' + ''.join(f'cksum {name}\n' for name in FILES) + 'poweroff 7\n'
EXPECTED = sorted(FILES) + [SUMS[name].decode().rstrip('\n') for name in FILES]


def check_correct(*fake_options):
    done = run(*fake_options, script=SCRIPT)
    check_alive(done, fake_options)
    tap.equal(done.lines, EXPECTED, f'{fake_options}: the output')


@tap.case('served_disk.kernel_reads_a_correct_device')
def _():
    check_correct()


@tap.case('served_disk.kernel_reads_a_device_of_any_order_and_pace')
def _():
    check_correct('--order', 'lifo', '--batch', '8', '--latency', '50')
    check_correct('--order', 'random', '--spread', '500', '--batch', '3', '--seed', '7')
    check_correct('--shuffle', '--notify-always', '--order', 'random', '--seed', '3')


@tap.case('served_disk.kernel_reads_a_device_with_packed_rings')
def _():
    check_correct('--packed')
    check_correct('--packed', '--order', 'random', '--spread', '500', '--batch', '3')


BENCH = ('blk bench --write --force --depth 32 --count 2000\n'
         'blk bench --segments 8 --depth 32 --count 2000\n'
         'blk write --force 5120 words\nblk discard --force 0 4096\npoweroff 7\n')


def check_bench(*fake_options, told=()):
    """Writes, scattered reads, a flush and a discard, many in flight, under the referee's eyes."""
    done = run('--writable', *fake_options, script=BENCH)
    check_alive(done, fake_options)
    errors = [line for line in done.lines if line.startswith('blk:')]
    tap.equal(len(errors), len(told), f'{fake_options}: the errors {errors}')
    for error, part in zip(errors, told):
        tap.contains(error, part, f'{fake_options}: the output')
    return done


@tap.case('served_disk.kernel_writes_and_scatters_at_depth_32')
def _():
    for rings in ([], ['--packed']):
        done = check_bench('--order', 'random', '--spread', '50', '--batch', '4', *rings)
        tap.contains(done.report, '2001 writes, 1 flushes', 'what the device says')


@tap.case('served_disk.kernel_survives_lies_at_depth_32')
def _():
    # Which lie it is seen as depends on what the kernel does meanwhile.
    for lie in ('id_not_in_flight@500', 'id_swapped@500', 'len_too_large@700', 'idx_jump@40=100'):
        check_bench('--fault', 'device.' + lie, told=['disk 0: the device'])
    check_bench('--fault', 'device.status_error@900=1', told=['the device reported an error'])


# Most lies are told while the kernel mounts the archive. One may be seen at the next read only.
SEEN = re.compile(r'^failures   (?!0 errors, 0 time-outs, 0 resets)', re.MULTILINE)
BROKE = 'the device reported an error, or broke its protocol'
AGAIN = 'cksum small\ncache drop\ncksum small\nls\nblk\npoweroff 7\n'


def check_told(fault, message, *sums, rings=()):
    """The lie costs the kernel a request, not its life: what it reads next is right."""
    done = run('--fault', fault, *rings, script=AGAIN)
    check_alive(done, fault)
    text = '\n'.join(done.lines)
    if message == BROKE and SEEN.search(text):  # a block that was read ahead: nobody asked for it
        message = ''
    for expected in (message, *sums):
        tap.contains(text, expected, f'{fault}: the output')
    if 'panic' in text.lower():
        tap.fail(f'{fault}: a panic in {tap.shorten(text)}')


SMALL = SUMS['small'].decode().strip()
LIES = ['id_out_of_range@2', 'id_out_of_range@2=4294967295', 'id_not_a_head@2',
        'id_not_in_flight@2', 'duplicate@2', 'used_unoffered@2', 'used_misplaced@2',
        'len_too_large@2', 'len_too_large@2=4294967295', 'idx_jump@2=20', 'idx_jump@2=0x8000',
        'status_error@2=1', 'status_error@2=77', 'status_unwritten@2']
for lie in LIES:
    tap.case(f'served_disk.kernel_survives_{lie}')(
        lambda lie=lie: check_told('device.' + lie, BROKE, SMALL))
for lie in ['id_out_of_range@2', 'id_not_in_flight@2', 'duplicate@2', 'used_unoffered@2',
            'len_too_large@2']:
    tap.case(f'served_disk.kernel_survives_{lie}_in_packed_rings')(
        lambda lie=lie: check_told('device.' + lie, BROKE, SMALL, rings=['--packed']))


@tap.case('served_disk.kernel_survives_used_early@0')
def _():
    check_told('device.used_early@0', BROKE)  # the first read of all: there is nothing to mount


# These show by silence alone, which takes the kernel its time-out to see: all at once, from now on.
# After a reset the kernel asks once more, and nobody notices, but of a device that died for ever.
LATE = 'timed out'
SILENT = 'disk 0: the device was silent'
SILENCES = {'death@2': (SMALL,), 'death@2=1': (LATE,), 'needs_reset@2': (SMALL,),
            'notification_lost@2': (SMALL,), 'interrupt_lost@2': (SMALL,)}
PACKED_SILENCES = {'used_misplaced@2': (SMALL,), 'wrong_wrap@2': (SMALL,)}
pool = concurrent.futures.ThreadPoolExecutor(len(SILENCES) + len(PACKED_SILENCES) + 2)


def check_killed():
    """The device's process is killed between two reads of a kernel that runs."""
    if shutil.which('qemu-system-aarch64') is None:
        tap.skip('no qemu-system-aarch64')
    fake, socket = start_fake(next(numbers), [])
    qemu = subprocess.Popen(qemu_command(socket), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    try:
        qemu.stdin.write(b'cksum small\n')
        qemu.stdin.flush()
        tap.equal(qemu.stdout.readline(), SUMS['small'], 'the sum before')
        fake.kill()
        script = b'cache drop\ncksum small\nls\npoweroff 7\n'
        out = qemu.communicate(script, timeout=LIMIT_S + 5)[0].decode()
    finally:
        for process in (fake, qemu):
            process.kill()
            process.communicate()
    tap.equal(qemu.returncode, 7, f'the status after {out!r}')
    tap.contains(out, LATE, 'the output')
    tap.contains(out, '\n'.join(sorted(FILES)), 'the output')


def add_silence(name, check, *words, **rings):
    if not WORDS or any(word in name for word in WORDS):
        tap.case(name)(pool.submit(check, *words, **rings).result)


# Four CPUs, each with a queue of its own and all of it in flight, when one of them is lied to: all
# of them end, and the device is reset once nobody uses it. Afterwards four of them work again.
LOAD = 'blk bench --queues 4 --depth 32 --count 4000 --write --force\n'
QUEUES = LOAD * 2 + 'blk bench --queues 4 --depth 8 --count 400\nblk\ncheck\npoweroff 7\n'


def check_queues(fault, *errors, rings=()):
    faults = [] if fault is None else ['--fault', 'device.' + fault]
    done = run('--queues', '4', '--writable', '--order', 'random', *faults, *rings, script=QUEUES)
    check_alive(done, fault)
    said = [line for line in done.lines if line.startswith('blk:')]
    tap.equal(len(said), len(errors), f'{fault}: the errors of {done.lines}')
    for line, part in zip(said, errors):
        tap.contains(line, part, f'{fault}: the output')
    tap.contains('\n'.join(done.lines), '\n    8 ', f'{fault}: the last benchmark')
    if [line for line in done.lines if line.startswith('virtq')] != ['virtq    ok']:
        tap.fail(f'{fault}: the check in {done.lines}')


@tap.case('served_disk.kernel_drives_four_queues')
def _():
    check_queues(None)
    check_queues(None, rings=['--packed'])


@tap.case('served_disk.kernel_survives_lies_in_one_of_four_queues')
def _():
    for lie in ('id_not_in_flight@1500', 'len_too_large@2700', 'duplicate@900'):
        check_queues(lie, 'disk 0: the device')
        check_queues(lie, 'disk 0: the device', rings=['--packed'])
    check_queues('status_error@900=1', 'disk 0: the device reported an error')
    # What is seen first, the wish for a reset or a request of another queue that is late, is a
    # matter of time.
    check_queues('needs_reset@900', 'blk: disk 0: ')


KILLED = 'served_disk.kernel_survives_a_device_whose_process_is_killed'
add_silence(KILLED, check_killed)
add_silence('served_disk.kernel_survives_death_of_four_queues', check_queues, 'death@2500', SILENT)
for lie, expected in SILENCES.items():
    add_silence(f'served_disk.kernel_survives_{lie}', check_told, 'device.' + lie, *expected)
for lie, expected in PACKED_SILENCES.items():
    add_silence(f'served_disk.kernel_survives_{lie}_in_packed_rings', check_told, 'device.' + lie,
                *expected, rings=['--packed'])


@tap.case('served_disk.kernel_survives_a_device_that_lies_ever_and_again')
def _():
    faults = []
    for at, lie in enumerate(['id_not_in_flight', 'duplicate', 'len_too_large', 'idx_jump']):
        for first in range(2 + at, 60, 9):
            faults += ['--fault', f'device.{lie}@{first}']
    script = ''.join(f'cksum {name}\n' for name in FILES) * 4 + 'poweroff 7\n'
    done = run(*faults, '--order', 'random', '--seed', '11', script=script)
    check_alive(done, 'lies')
    for line in done.lines:
        if line.split(' ', 1)[0].isdigit() and line.encode() + b'\n' not in SUMS.values():
            tap.fail(f'a wrong sum: {line}')


status = tap.run(WORDS)
folder.cleanup()
sys.exit(status)
