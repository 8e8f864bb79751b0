#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""emulated: the programs of user/ under Linux's own calls, as qemu-aarch64 has them: what they want
of a kernel is what Linux gives.

    emulated.py PROGRAM... [-- WORD...]

Not here: callstorm, whose calls would be done; and isolation, memory and execlow, which meet what
that emulator (7.2) does otherwise than Linux: it keeps pages that brk has given back, maps at
addresses that it should refuse, and starts no programs of another processor.
"""
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / 'tests/harness'))
import tap  # noqa: E402

LIMIT_S = 60
words = sys.argv[1:]
names = words[words.index('--') + 1:] if '--' in words else []
PROGRAMS = {pathlib.Path(word).name: pathlib.Path(word).resolve()
            for word in (words[:words.index('--')] if '--' in words else words)}
EMULATOR = shutil.which('qemu-aarch64') or shutil.which('qemu-aarch64-static')


def run(name, *arguments, stdin=b''):
    """(status, standard output)"""
    if not EMULATOR:
        tap.skip('qemu-aarch64 is not installed (Debian: qemu-user)')
    done = subprocess.run(['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh', EMULATOR, PROGRAMS[name],
                           *arguments], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=LIMIT_S, cwd=SOURCE, check=False)
    return done.returncode, done.stdout


def says(expected, name, *arguments, stdin=b''):
    tap.equal(run(name, *arguments, stdin=stdin), (0, expected.encode()), name)


@tap.case('emulated.small_programs_are_what_they_are_elsewhere')
def _():
    text = (SOURCE / 'LICENSE').read_bytes()
    for name in ('hello', 'hello-pie'):
        says('Hello, a\nHello, b c\n', name, 'a', 'b c')
    says('a  b\n', 'echo', 'a', '', 'b')
    says(text.decode() * 2, 'cat', 'LICENSE', '-', stdin=text)
    says(text.decode(), 'mapcat', 'LICENSE')
    says(f'{text.count(10)} {len(text.split())} {len(text)} LICENSE\n', 'wc', 'LICENSE')
    listed = sorted(path.name for path in (SOURCE / 'user').iterdir())
    says(''.join(f'{name}\n' for name in listed), 'ls', 'user')
    says('', 'sleep', '0.01')


@tap.case('emulated.programs_that_check_something_find_nothing_wrong')
def _():
    for suffix in ('', '-pie'):
        says('auxv: all as it should be\n', 'auxv' + suffix)
        says('forktest: 17 generations, 64 pages each\n', 'forktest' + suffix)
    says('waits: all rules hold\n', 'waits')
    says('pipe: 5242880 bytes, all as written\n', 'pipe', '5')
    says('touch: 8 MiB, 2048 pages\n', 'touch', '8')
    says('fptest: 4 processes, 80 rounds each\n', 'fptest')
    says('signals: 4 processes, 200 each answered, and a storm\n', 'signals')
    says('crash: 15 kinds, each by its signal\n', 'crash', 'all')
    says("cowcheck: 12 ways to write, and nobody else's memory has changed\n", 'cowcheck')
    says('forkbomb: 5 children, then: enough\n' * 3, 'forkbomb', '3', '10', '5')


@tap.case('emulated.wrong_calls_have_the_errors_of_linux')
def _():
    status, said = run('calls')
    said = said.decode()
    # The emulator does not look whether it could read the time.
    known = 'nanosleep of nowhere returned -22 (invalid argument), not -14 (bad address)\n'
    tap.equal((status, said.replace(known, '')),
              (known in said, f'calls: 113 wrong ones, {int(known in said)} without their error\n'))


sys.exit(tap.run(names))
