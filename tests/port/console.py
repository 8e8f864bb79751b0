#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""console: the hosted kernel at a pipe, at a terminal, and told wrong options.

    console.py ASHLAR_HOSTED
"""
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

KERNEL = sys.argv[1]
LIMIT_S = 20


def run(options, text=b''):
    done = subprocess.run([KERNEL, *options], input=text, capture_output=True, timeout=LIMIT_S,
                          check=False)
    return done.returncode, done.stdout, done.stderr.decode()


class Terminal:
    """The kernel on a terminal of its own; `before` are that terminal's settings."""

    def __init__(self, *options):
        self.master, slave = tap.terminal()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen([KERNEL, *options], stdin=slave, stdout=slave,
                                        stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.seen = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def read_until(self, mark):
        end = time.monotonic() + LIMIT_S
        os.set_blocking(self.master, False)
        while mark not in self.seen:
            if time.monotonic() > end:
                tap.fail(f'no {mark!r} came: {self.seen[-300:]!r}')
            try:
                self.seen += os.read(self.master, 4096)
            except BlockingIOError:
                time.sleep(0.01)

    def until_it_reads(self):
        """The kernel takes the terminal over at its first read, after the first prompt: a ^C that
        comes earlier is the terminal's own and ends the process."""
        self.read_until(b'help')
        end = time.monotonic() + LIMIT_S
        while self.settings()[3] & (termios.ICANON | termios.ECHO):
            if time.monotonic() > end or self.process.poll() is not None:
                tap.fail('the terminal is not in raw mode')
            time.sleep(0.01)

    def write(self, data):
        os.write(self.master, data)

    def wait(self):
        return self.process.wait(LIMIT_S)

    def settings(self):
        return termios.tcgetattr(self.slave)


@tap.case('console.pipe_loses_no_byte')
def _():
    lines = [f'echo {n} {"x" * (n % 61)}' for n in range(3000)]
    status, output, _ = run([], ('\n'.join(lines) + '\npoweroff 7\n').encode())
    tap.equal(status, 7, 'status')
    tap.equal(output.decode().splitlines(), [line[5:].rstrip() for line in lines], 'output')


@tap.case('console.end_of_input_ends_the_kernel')
def _():
    status, output, _ = run([], b'echo last without a newline')
    tap.equal(status, 0, 'status')
    tap.equal(output, b'last without a newline\n', 'output')


@tap.case('console.output_survives_a_pipe_that_is_full_and_non_blocking')
def _():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text = b''.join(b'echo %d %s\n' % (n, b'y' * 200) for n in range(2000)) + b'poweroff\n'
    with subprocess.Popen([KERNEL], stdin=subprocess.PIPE, stdout=writer) as process:
        os.close(writer)
        feeder = os.fork()
        if feeder == 0:
            os.close(reader)
            process.stdin.write(text)
            process.stdin.close()
            os._exit(0)
        process.stdin.close()
        time.sleep(0.2)  # the pipe fills up
        output = b''
        while chunk := os.read(reader, 65536):
            output += chunk
        os.waitpid(feeder, 0)
    os.close(reader)
    tap.equal(process.returncode, 0, 'status')
    tap.equal(output.count(b'\n'), 2000, 'lines')
    tap.equal(len(output), sum(len(f'{n} ') + 201 for n in range(2000)), 'bytes')


@tap.case('console.output_that_is_lost_is_an_error')
def _():
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([KERNEL], input=b'echo x\npoweroff\n', stdout=full,
                              stderr=subprocess.PIPE, timeout=LIMIT_S, check=False)
    tap.equal(done.returncode, 1, 'status')
    tap.contains(done.stderr.decode(), 'output was lost')


@tap.case('console.deterministic_machine_answers_the_same')
def _():
    text = b'cpu\nuptime\necho done\npoweroff 3\n'
    first = run(['--deterministic', '--seed', '5'], text)
    tap.equal(first[0], 3, 'status')
    tap.equal(run(['--deterministic', '--seed', '5'], text), first)


@tap.case('terminal.settings_come_back_at_the_end')
def _():
    with Terminal() as terminal:
        terminal.until_it_reads()
        terminal.write(b'poweroff 4\r')
        tap.equal(terminal.wait(), 4, 'status')
        tap.equal(terminal.settings(), terminal.before, 'settings')


@tap.case('terminal.control_bracket_ends_the_process')
def _():
    with Terminal() as terminal:
        terminal.until_it_reads()
        terminal.write(b'\x1d')
        tap.equal(terminal.wait(), 0, 'status')
        tap.equal(terminal.settings(), terminal.before, 'settings')


@tap.case('terminal.control_c_reaches_the_kernel')
def _():
    with Terminal() as terminal:
        terminal.until_it_reads()
        terminal.write(b'nonsense\x03echo here$$\r')
        terminal.read_until(b'here$$')
        terminal.write(b'\x15poweroff 5\r')
        tap.equal(terminal.wait(), 5, 'status')


@tap.case('terminal.settings_come_back_when_it_is_killed')
def _():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        with Terminal() as terminal:
            terminal.until_it_reads()
            terminal.process.send_signal(number)
            tap.equal(terminal.wait(), -number, 'status')
            tap.equal(terminal.settings(), terminal.before, 'settings')


@tap.case('terminal.settings_come_back_after_a_panic')
def _():
    with Terminal() as terminal:
        terminal.until_it_reads()
        terminal.write(b'panic\r')
        tap.equal(terminal.wait(), -signal.SIGABRT, 'status')
        terminal.read_until(b'panic at ')
        tap.equal(terminal.settings(), terminal.before, 'settings')


@tap.case('terminal.idle_kernel_uses_no_processor_time')
def _():
    with Terminal() as terminal:
        terminal.until_it_reads()
        time.sleep(0.3)
        fields = pathlib.Path(f'/proc/{terminal.process.pid}/stat').read_text().split()
        before = int(fields[13]) + int(fields[14])
        time.sleep(0.5)
        fields = pathlib.Path(f'/proc/{terminal.process.pid}/stat').read_text().split()
        ticks = int(fields[13]) + int(fields[14]) - before
        if ticks > 10:
            tap.fail(f'{ticks} of 50 ticks')


@tap.case('options.wrong_ones_end_with_status_2_and_say_what_to_do')
def _():
    for options, part in ((['--mem', '16Q'], '256M'), (['--smp', '99'], 'from 1 to 8'),
                          (['--nonsense'], '--help'), (['--disk'], 'needs a value'),
                          (['--disk', '/no/such/file'], '/no/such/file'),
                          (['--disk', '/'], 'directory')):
        status, output, errors = run(options)
        tap.equal(status, 2, f'status for {options}')
        tap.equal(output, b'', 'standard output')
        tap.contains(errors, part, 'message')


@tap.case('options.a_disk_that_cannot_be_one_is_said_at_once')
def _():
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(folder + '/fifo')
        for path in (folder, folder + '/fifo', folder + '/absent'):
            done = subprocess.run([KERNEL, '--disk', path], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=LIMIT_S, check=False)
            tap.equal(done.returncode, 2, 'status with ' + path)
            tap.contains(done.stderr.decode(), f'cannot open the disk {path}: ')


@tap.case('options.help_lists_every_option')
def _():
    status, output, _ = run(['--help'])
    tap.equal(status, 0, 'status')
    for option in ('--disk', '--mem', '--smp', '--clock', '--deterministic', '--seed'):
        tap.contains(output.decode(), option)


tap.run()
