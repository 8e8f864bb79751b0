#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""host_file: what the kernel writes to files of its host.

    host_file.py COMMAND...    the hosted kernel, or qemu-run and the kernel
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

COMMAND = [str(pathlib.Path(word).resolve()) for word in sys.argv[1:]]
IS_QEMU = 'qemu-run' in COMMAND[0]
LIMIT_S = 60


def case(name, folder, *after):
    words = f'test _host_file.{name}'
    command = [*COMMAND[:-1], '--args', words, COMMAND[-1]] if IS_QEMU else \
        [*COMMAND, *words.split()]
    done = subprocess.run([*command, *after], cwd=folder, capture_output=True, timeout=LIMIT_S,
                          check=False)
    tap.contains(done.stdout.decode(), f'ok 1 - _host_file.{name}')


@tap.case('host_file.has_every_byte')
def _():
    with tempfile.TemporaryDirectory() as folder:
        case('of_two_megabytes', folder)
        data = (pathlib.Path(folder) / 'out.bin').read_bytes()
        tap.equal(len(data), 20 * 100003, 'bytes')
        tap.equal(data == bytes(i % 251 for i in range(len(data))), True, 'same bytes')


@tap.case('host_file.is_emptied_by_the_next_open')
def _():
    with tempfile.TemporaryDirectory() as folder:
        case('is_emptied_by_the_next_open', folder)
        tap.equal((pathlib.Path(folder) / 'out.bin').read_bytes(), b'second')


@tap.case('host_file.what_goes_wrong_is_told')
def _():
    with tempfile.TemporaryDirectory() as folder:
        case('without_room_says_so', folder)
        case('that_cannot_be_made_says_so', folder)


@tap.case('host_file.without_semihosting_is_refused')
def _():
    if not IS_QEMU:
        tap.skip('a process is always its own host')
    with tempfile.TemporaryDirectory() as folder:
        case('is_refused_where_nobody_serves_it', folder, '--', '-semihosting-config',
             'enable=off', '-append', 'test _host_file.is_refused_where_nobody_serves_it')
        tap.equal(list(pathlib.Path(folder).iterdir()), [], 'files')


sys.exit(tap.run())
