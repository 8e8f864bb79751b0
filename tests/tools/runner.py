#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""runner: cases of tools/qemu-run, against a program that stands in for QEMU.

    runner.py SOURCE_DIR
"""
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import termios

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

SOURCE = pathlib.Path(sys.argv[1]).resolve()
RUNNER = SOURCE / 'tools/qemu-run'
LIMIT_S = 20

# Each stands in for QEMU; python3 is named by its path, because PATH is replaced.
ECHO = r'''
seen = bytearray()
while not seen.endswith(b'\x10\x04'):
    data = os.read(0, 4096)
    assert data, 'the pipe ended without the mark'
    seen += data
    os.write(1, data)
sys.exit(7)
'''
HANG = r'''
print('up', os.getpid(), flush=True)
while os.read(0, 4096):
    pass
signal.pause()
'''
FLOOD = r'''
for _ in range(1000):
    os.write(1, b'0123456789' * 100)
'''
SHOW_ARGUMENTS = r'''
print('\n'.join(sys.argv[1:]))
'''
TERMINAL = r'''
import time
print('head', os.read(0, 4), flush=True)
print('key', os.read(0, 1), flush=True)
sys.exit(5)
'''


class Sandbox:
    """A folder whose only command is the stand-in, with a kernel file that nobody looks into."""

    def __init__(self, stand_in):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.bin = self.path / 'bin'
        self.bin.mkdir()
        (self.path / 'kernel').write_bytes(b'kernel')
        if stand_in is not None:
            program = self.bin / 'qemu-system-aarch64'
            program.write_text(f'#!{sys.executable}\nimport os, signal, sys\n{stand_in}')
            program.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def command(self, *words):
        return [sys.executable, str(RUNNER), *words, str(self.path / 'kernel')]

    def run(self, *words, stdin=b''):
        return subprocess.run(self.command(*words), input=stdin, capture_output=True,
                              timeout=LIMIT_S, env=self.environment(), cwd=self.path)

    def environment(self):
        return dict(os.environ, PATH=str(self.bin))


@tap.case('runner.input_is_stuffed_and_its_end_is_marked')
def _():
    every_byte = bytes(range(256)) * 3
    with Sandbox(ECHO) as box:
        result = box.run(stdin=every_byte)
    stuffed = every_byte.replace(b'\x10', b'\x10\x10')
    tap.equal(result.stdout, b'\x10\x00' + stuffed + b'\x10\x04', 'the echo')
    tap.equal(result.returncode, 7, 'status')


@tap.case('runner.a_megabyte_comes_back_whole')
def _():
    data = bytes(i * 7 % 251 for i in range(1 << 20)).replace(b'\x10', b'.')
    with Sandbox(ECHO) as box:
        result = box.run(stdin=data)
    if result.stdout != b'\x10\x00' + data + b'\x10\x04':
        tap.fail(f'{len(result.stdout)} bytes came back of {len(data)}, or others')


@tap.case('runner.output_that_is_lost_is_one_line_and_status_1')
def _():
    with Sandbox(FLOOD) as box, open('/dev/full', 'wb') as full:
        result = subprocess.run(box.command(), stdin=subprocess.DEVNULL, stdout=full,
                                stderr=subprocess.PIPE, timeout=LIMIT_S, env=box.environment())
    tap.equal(result.returncode, 1, 'status')
    tap.equal(len(result.stderr.splitlines()), 1, 'lines')
    tap.contains(result.stderr, b'standard output cannot be written')


@tap.case('runner.time_limit_ends_with_124')
def _():
    with Sandbox(HANG) as box:
        result = box.run('--timeout', '0.5')
    tap.equal(result.returncode, 124, 'status')
    tap.contains(result.stderr, b'--timeout')


@tap.case('runner.output_limit_shows_so_much_and_ends_with_125')
def _():
    with Sandbox(FLOOD) as box:
        result = box.run('--cap', '1234')
    tap.equal(result.returncode, 125, 'status')
    tap.equal(len(result.stdout), 1234, 'output')
    tap.contains(result.stderr, b'--cap')


@tap.case('runner.all_output_arrives_before_the_end')
def _():
    with Sandbox(FLOOD) as box:
        result = box.run()
    tap.equal(len(result.stdout), 1000 * 1000, 'output')
    tap.equal(result.returncode, 0, 'status')


@tap.case('runner.commas_are_doubled_and_paths_absolute')
def _():
    with Sandbox(SHOW_ARGUMENTS) as box:
        (box.path / 'a, b:c.tar').write_bytes(b'')
        result = box.run('--disk', 'a, b:c.tar', '--args', 'test a,b', '--gic', '3', '--smp', '4')
        words = result.stdout.decode().splitlines()
        path = os.path.realpath(box.path) + '/a,, b:c.tar'
    tap.equal(words[words.index('-drive') + 1],
              f'if=none,id=disk0,format=raw,readonly=on,file={path}')
    tap.equal(words[words.index('-semihosting-config') + 1],
              'enable=on,target=native,arg=ashlar,arg=test,arg=a,,b')
    tap.equal(words[words.index('-M') + 1], 'virt,gic-version=3')
    tap.equal(words[words.index('-smp') + 1], '4')


@tap.case('runner.the_first_disk_is_read_only_and_the_next_ones_are_not')
def _():
    with Sandbox(SHOW_ARGUMENTS) as box:
        for name in ('a', 'b', 'c'):
            (box.path / name).write_bytes(bytes(512))
        (box.path / 'c').chmod(0o400)
        result = box.run('--disk', 'a', '--disk', 'b', '--disk', 'c')
        words = result.stdout.decode().splitlines()
        path = os.path.realpath(box.path)
        last = 'off' if os.access(box.path / 'c', os.W_OK) else 'on'
    access = {'a': 'on', 'b': 'off', 'c': last}
    tap.equal([words[at + 1] for at, word in enumerate(words) if word == '-drive'],
              [f'if=none,id=disk{number},format=raw,readonly={access[name]},file={path}/{name}'
               for number, name in enumerate(access)])
    tap.equal([words[at + 1] for at, word in enumerate(words) if word == '-device'],
              [f'virtio-blk-device,drive=disk{number}' for number in range(3)])


@tap.case('runner.disks_have_as_many_queues_as_there_are_cpus')
def _():
    def device(*options):
        words = box.run('--disk', 'a', *options).stdout.decode().splitlines()
        return words[words.index('-device') + 1]

    with Sandbox(SHOW_ARGUMENTS) as box:
        (box.path / 'a').write_bytes(bytes(512))
        tap.equal(device(), 'virtio-blk-device,drive=disk0')
        tap.equal(device('--smp', '4'), 'virtio-blk-device,drive=disk0,num-queues=4')
        tap.equal(device('--smp', '12'), 'virtio-blk-device,drive=disk0,num-queues=8')
        tap.equal(device('--smp', '4', '--queues', '1'), 'virtio-blk-device,drive=disk0')
        tap.equal(device('--queues', '2'), 'virtio-blk-device,drive=disk0,num-queues=2')


@tap.case('runner.a_ninth_disk_is_refused')
def _():
    with Sandbox(ECHO) as box:
        (box.path / 'a').write_bytes(bytes(512))
        result = box.run(*['--disk', 'a'] * 9)
    tap.equal(result.returncode, 2, 'status')
    tap.contains(result.stderr, b'one too many')


@tap.case('runner.words_after_two_dashes_go_to_qemu')
def _():
    with Sandbox(SHOW_ARGUMENTS) as box:
        command = box.command() + ['--', '-icount', 'shift=0,sleep=off']
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=LIMIT_S, env=box.environment())
    tap.equal(result.stdout.decode().splitlines()[-2:], ['-icount', 'shift=0,sleep=off'])


@tap.case('runner.without_qemu_it_names_the_package_and_ends_with_3')
def _():
    with Sandbox(None) as box:
        result = box.run()
    tap.equal(result.returncode, 3, 'status')
    tap.contains(result.stderr, b'qemu-system-arm')


@tap.case('runner.a_bad_disk_is_one_line_and_status_1')
def _():
    with Sandbox(ECHO) as box:
        for name in ('absent.tar', 'bin'):
            result = box.run('--disk', name)
            tap.equal(result.returncode, 1, 'status')
            tap.equal(len(result.stderr.splitlines()), 1, 'lines')
            tap.contains(result.stderr, name.encode())


def elf(segments):
    """The headers of an ELF file for aarch64: (type, physical address, size in memory) each."""
    header = struct.pack('<4sBBB9xHHIQQQIHHHHHH', b'\x7fELF', 2, 1, 1, 2, 183, 1, 0x40200000, 64,
                         0, 0, 64, 56, len(segments), 64, 0, 0)
    return header + b''.join(struct.pack('<IIQQQQQQ', kind, 5, 0, 0, address, 0, size, 4096)
                             for kind, address, size in segments)


@tap.case('runner.a_kernel_that_does_not_fit_into_memory_is_said')
def _():
    load, note = 1, 4
    with Sandbox(SHOW_ARGUMENTS) as box:
        (box.path / 'kernel').write_bytes(
            elf([(load, 0x40200000, 0x1000), (load, 0x40300000, 0x80001), (note, 0, 1 << 40)]))
        for size in ('1', '3M', '3584k', '3.49m', '3670016b'):
            result = box.run('--mem', size)
            tap.equal(result.returncode, 1, f'status with {size}')
            tap.equal(result.stderr.decode(), f'qemu-run: --mem {size} is too little for the '
                      'kernel\'s image: give it 4M or more\n')
        for size in ('3670017B', '3585K', '3.51M', '4', '0.5g', '1T'):
            result = box.run('--mem', size)
            tap.equal(result.returncode, 0, f'status with {size}')
            words = result.stdout.decode().splitlines()
            tap.equal(words[words.index('-m') + 1], size, 'what QEMU gets')


@tap.case('runner.a_cut_elf_file_is_said')
def _():
    with Sandbox(SHOW_ARGUMENTS) as box:
        whole = elf([(1, 0x40200000, 0x1000)])
        for length in (6, 20, 60, len(whole) - 1):
            (box.path / 'kernel').write_bytes(whole[:length])
            result = box.run()
            tap.equal(result.returncode, 1, f'status with {length} bytes')
            tap.contains(result.stderr, b'damaged')


@tap.case('runner.sizes_and_counts_that_qemu_would_misread_are_refused')
def _():
    # QEMU takes 0 and nothing for its defaults, and what follows a comma for options.
    with Sandbox(SHOW_ARGUMENTS) as box:
        sizes = ('', '0', '0k', '0.0M', '-1', 'abc', '1X', '1e9', '1M,slots=2')
        bad = ['--mem=' + size for size in sizes]
        bad += ['--smp=' + count for count in ('', '0', '00', '-1', 'x', '1.5', '2,cores=2')]
        bad += ['--queues=' + count for count in ('', '0', '-1', 'x', '1,packed=on', '1000')]
        for option in bad:
            result = box.run(option)
            tap.equal(result.returncode, 2, f'status with {option}')
            tap.equal(len(result.stderr.splitlines()), 1, 'lines')
            tap.contains(result.stderr, option[:5].encode())


@tap.case('runner.sigterm_ends_qemu_too')
def _():
    with Sandbox(HANG) as box:
        runner = subprocess.Popen(box.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=box.environment())
        child = int(runner.stdout.readline().split()[1])
        runner.send_signal(signal.SIGTERM)
        tap.equal(runner.wait(LIMIT_S), 128 + signal.SIGTERM, 'status')
        runner.stdout.close()
        runner.stderr.close()
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
    tap.fail('QEMU is still there')


@tap.case('runner.a_reader_that_leaves_ends_the_run')
def _():
    with Sandbox(FLOOD) as box:
        runner = subprocess.Popen(box.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  env=box.environment())
        runner.stdout.read(10)
        runner.stdout.close()
        tap.equal(runner.wait(LIMIT_S), 128 + signal.SIGPIPE, 'status')


def in_terminal(box, keys):
    """What a person at a terminal sees, the status, and whether the terminal is as it was."""
    leader, follower = tap.terminal()
    before = termios.tcgetattr(follower)
    runner = subprocess.Popen(box.command(), stdin=follower, stdout=follower, stderr=follower,
                              env=box.environment(), start_new_session=True)
    shown = b''
    while b'head' not in shown:
        shown += os.read(leader, 1000)
    os.write(leader, keys)
    status = runner.wait(LIMIT_S)
    same = termios.tcgetattr(follower) == before
    os.set_blocking(leader, False)
    try:
        while data := os.read(leader, 1000):
            shown += data
    except OSError:
        pass
    os.close(leader)
    os.close(follower)
    return shown, status, same


@tap.case('runner.a_terminal_is_announced_gives_every_key_and_comes_back_as_it_was')
def _():
    with Sandbox(TERMINAL) as box:
        shown, status, same = in_terminal(box, b'\x03')
    tap.contains(shown, b"head b'\\x10\\x00\\x10t'")
    tap.contains(shown, b"key b'\\x03'")
    tap.equal(status, 5, 'status')
    tap.equal(same, True, 'the terminal restored')


@tap.case('runner.ctrl_bracket_ends_the_emulator')
def _():
    with Sandbox(TERMINAL) as box:
        shown, status, same = in_terminal(box, b'\x1d')
    tap.contains(shown, b'ended by Ctrl-]')
    tap.equal(status, 130, 'status')
    tap.equal(same, True, 'the terminal restored')


sys.exit(tap.run(sys.argv[2:]))
