#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""programs: those of user/, three over glibc, and Debian's busybox, run by the kernel's shell.

    programs.py KERNEL BUILD PROGRAM... [-- WORD...]

BUILD is a folder where busybox is kept; a PROGRAM whose name begins with glibc- is one of the
three. What they say is compared with what the host's tools say of the same files.
"""
import bz2
import gzip
import io
import lzma
import pathlib
import random
import re
import shlex
import struct
import subprocess
import sys
import tarfile
import tempfile

from boot import SOURCE, boot
from machine import Machine
import tap

sys.path.insert(0, str(SOURCE / 'tests/programs'))
import busybox  # noqa: E402

words = sys.argv[1:]
cases = words[words.index('--') + 1:] if '--' in words else []
words = words[:words.index('--')] if '--' in words else words
KERNEL, BUILD, PROGRAMS = words[0], words[1], [pathlib.Path(word) for word in words[2:]]
MARK = '--- next ---'
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)


# The disk


def random_lines():
    draw = random.Random(7)
    letters = 'abcdefghijklmnopqrstuvwxyz      '
    return ''.join(''.join(draw.choice(letters) for _ in range(draw.randrange(60))) + '\n'
                   for _ in range(1500)).encode()


def interpreted(program):
    """The program with a header that asks for a dynamic linker, as bytes."""
    data = bytearray(program)
    headers, count = int.from_bytes(data[32:40], 'little'), int.from_bytes(data[56:58], 'little')
    at = headers + 56 * (count - 1)
    data[at:at + 4] = (3).to_bytes(4, 'little')
    return bytes(data)


def lying(program):
    """The program, in whose symbols each function says that it is all there is."""
    data = bytearray(program)
    sections, count = struct.unpack_from('<Q', data, 40)[0], struct.unpack_from('<H', data, 60)[0]
    for at in range(sections, sections + 64 * count, 64):
        if struct.unpack_from('<I', data, at + 4)[0] == 2:
            offset, size = struct.unpack_from('<QQ', data, at + 24)
            for symbol in range(offset, offset + size, 24):
                struct.pack_into('<QQ', data, symbol + 8, 0, (1 << 64) - 1)
        elif struct.unpack_from('<I', data, at + 4)[0] == 3:
            offset, size = struct.unpack_from('<QQ', data, at + 24)
            data[offset + 1:offset + size] = b'\x1b[2J' * ((size - 1) // 4) + bytes((size - 1) % 4)
    return bytes(data)


def contents():
    files = {'text/license': (SOURCE / 'LICENSE').read_bytes(), 'text/lines': random_lines(),
             'text/readme': (SOURCE / 'README.md').read_bytes(), 'text/empty': b'',
             'text/bytes': random.Random(8).randbytes(200001),
             'text/large': random.Random(9).randbytes((5 << 20) + 77),
             'text/page': b'p' * 8192,
             'text/script': b'#!/bin/sh\necho no\n',
             'text/loop.sh': b'for i in $(seq 1 $1); do echo "line $i"; done\n'}
    files['text/license.gz'] = gzip.compress(files['text/license'], mtime=0)
    files['text/license.bz2'] = bz2.compress(files['text/license'])
    files['text/license.xz'] = lzma.compress(files['text/license'])
    for path in PROGRAMS:
        files[f'bin/{path.name}'] = path.read_bytes()
    crash = files['bin/crash']
    files['bin/crash-bare'] = crash[:40] + bytes(8) + crash[48:60] + bytes(4) + crash[64:]
    files['bin/crash-lies'] = lying(crash)
    files['bin/interpreted'] = interpreted(files['bin/hello'])
    return files


FILES = contents()


def write_disk(name, files, links=None):
    path = ROOT / name
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive:
        for where in sorted(files):
            entry = tarfile.TarInfo(where)
            entry.size = len(files[where])
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(files[where]))
            (ROOT / where).parent.mkdir(exist_ok=True)
            (ROOT / where).write_bytes(files[where])
        for where, target in (links or {}).items():
            entry = tarfile.TarInfo(where)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


DISK = write_disk('disk.tar', FILES)


# Sessions


def session(*lines, smp=1, mem='256M', arguments='', disk=DISK, machine=()):
    """What each line was answered, and the status of the last."""
    script = f'echo {MARK}\n' + f'\necho {MARK}\n'.join(lines) + '\n'
    status, text = boot(KERNEL, arguments, '--smp', str(smp), '--mem', mem, '--disk', str(disk),
                        *machine, stdin=script.encode())
    answers = text.split(MARK + '\n')[1:]
    if len(answers) != len(lines):
        tap.fail(f'{len(answers)} answers to {len(lines)} lines, status {status}: {text!r}')
    return answers, status


def without_reports(answer):
    """Without what the kernel says of programs that it ends, or that ask for what there is not."""
    return re.sub(r'^\S+ \(pid \d+\): .*\n(  called from .*\n)*', '', answer, flags=re.MULTILINE)


def check(expected, **options):
    """The lines of a dict are answered by its values, and the last one's status is 0."""
    answers, status = session(*expected, **options)
    for (line, text), answer in zip(expected.items(), answers):
        tap.equal(without_reports(answer), text, line)
    tap.equal(status, 0, 'status')


def host(*command, stdin=b''):
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, cwd=ROOT, check=True,
                          env={'LC_ALL': 'C', 'PATH': '/usr/bin:/bin:/usr/sbin:/sbin'}
                          ).stdout.decode()


CHECKED = {
    'run auxv': 'auxv: all as it should be\n',
    'run auxv-pie': 'auxv: all as it should be\n',
    'run calls': 'calls: 113 wrong ones, 0 without their error\n',
    'run memory': 'memory: what is writable and executable is refused\n'
                  'memory: all as it should be\n',
    'run forktest': 'forktest: 17 generations, 64 pages each\n',
    'run forktest-pie 30 16': 'forktest: 31 generations, 16 pages each\n',
    'run waits': 'waits: all rules hold\n',
    'run cowcheck': "cowcheck: 12 ways to write, and nobody else's memory has changed\n",
    'run touch 32': 'touch: 32 MiB, 8192 pages\n',
    'run fptest': 'fptest: 4 processes, 80 rounds each\n',
    'run signals': 'signals: 4 processes, 200 each answered, and a storm\n',
}


@tap.case('programs.small_ones_say_what_they_say_elsewhere')
def _():
    text = FILES['text/license']
    for smp in (1, 4):
        check({'run hello a "b c"': 'Hello, a\nHello, b c\n',
               'run hello-pie x': 'Hello, x\n',
               'run /bin/echo a "" b': 'a  b\n',
               'run cat text/license text/empty text/license': text.decode() * 2,
               'run mapcat text/license': text.decode(),
               'run mapcat -s text/page text/empty': 'p' * 8192,
               'run wc text/license': host('wc', 'text/license').replace('  ', ' ').lstrip(),
               'run ls text': ''.join(f'{name}\n' for name in sorted(
                   name[5:] for name in FILES if name.startswith('text/'))),
               'run sleep 0.05': ''}, smp=smp)


@tap.case('programs.those_that_check_something_find_nothing_wrong')
def _():
    check(CHECKED)


@tap.case('programs.those_that_check_something_find_nothing_wrong_on_4_cpus')
def _():
    check(CHECKED, smp=4)
    check(CHECKED, smp=4, machine=('--cpu', 'max', '--gic', '3'))


@tap.case('programs.none_reaches_the_kernel_or_another')
def _():
    for smp in (1, 4):
        answers, status = session('run isolation', smp=smp)
        if not re.fullmatch(r'isolation: \d{3,} tries, none got through\n',
                            without_reports(answers[0])):
            tap.fail(f'it says {answers[0]!r}')
        tap.equal(status, 0, 'status')


@tap.case('programs.what_would_take_a_call_forever_ends_when_it_is_killed')
def _():
    for smp in (1, 4):
        answers, status = session('run hostile', 'check', smp=smp)
        tap.contains(answers[0], 'hostile: all end\n')
        tap.equal(status, 0, 'status of check')


@tap.case('programs.random_calls_harm_nobody')
def _():
    for smp in (1, 4):
        answers, status = session('run callstorm 40 500 1', 'run callstorm 40 1000 1000',
                                  'run hello x', 'check', smp=smp)
        for answer in answers[:2]:
            tap.contains(without_reports(answer), 'callstorm: 40 processes: ')
        tap.equal(answers[2], 'Hello, x\n')
        tap.equal(status, 0, 'status of check')


@tap.case('programs.each_crash_ends_one_program_with_a_report')
def _():
    answers, status = session('run crash all', 'run crash write', 'run hello x', smp=4)
    tap.contains(answers[0], 'crash: 15 kinds, each by its signal\n')
    tap.contains(answers[1], 'SIGSEGV')
    tap.contains(answers[1], '0x10')
    tap.equal(answers[2], 'Hello, x\n')
    tap.equal(status, 0, 'status')
    tap.equal(session('run crash undefined')[1], 128 + 4, 'status of an undefined instruction')


@tap.case('programs.a_crash_names_the_functions_that_it_happened_in')
def _():
    answers, status = session('run crash write', 'run crash-bare write', 'run crash-lies write',
                              'run hello x')
    place = r'0x[0-9a-f]+ \(%s\+0x[0-9a-f]+\)'
    for answer, where, caller in (
            (answers[0], place % 'crash_write', place % 'start_program'),
            (answers[1], '0x[0-9a-f]+', '0x[0-9a-f]+'),
            (answers[2], place % r'[ -~]{1,127}', place % r'[ -~]{1,127}')):
        if not re.match(rf'crash\S* \(pid \d+\): SIGSEGV: write to 0x10, .* at pc {where}\n'
                        rf'  called from {caller}\n', answer):
            tap.fail(answer)
    tap.equal(status, 0)


@tap.case('programs.what_is_no_program_is_refused_with_its_reason')
def _():
    answers, status = session('run text/license', 'run text/script', 'run interpreted',
                              'run nothing', 'run /text')
    for answer, reason in zip(answers, ('is not an ELF file', 'is a script', 'dynamic linker',
                                        'no such program', 'permission denied')):
        tap.contains(answer, reason)
    if status == 0:
        tap.fail('status 0')


@tap.case('programs.pipes_carry_100_mb_whole')
def _():
    for smp in (1, 4):
        check({'run pipe 100': 'pipe: 104857600 bytes, all as written\n'}, smp=smp)


def counts(data):
    return f'{data.count(10)} {len(data.split())} {len(data)}'


@tap.case('programs.the_shell_joins_them_by_pipes')
def _():
    for smp in (1, 4):
        check({'run cat text/license | wc': counts(FILES['text/license']) + '\n',
               'run cat text/bytes | cat | cat | cat | wc': counts(FILES['text/bytes']) + '\n',
               'run wc < text/license': counts(FILES['text/license']) + '\n',
               'run cat text/empty | wc': '0 0 0\n',
               'run yes | echo over': 'over\n'}, smp=smp)


@tap.case('programs.one_runs_beside_the_shell_until_it_is_killed')
def _():
    for smp in (1, 4):
        answers, _ = session('run spin &', 'jobs', 'run hello x', smp=smp)
        tap.contains(answers[0], '[1] ')
        tap.contains(answers[1], 'spin')
        tap.equal(answers[2], 'Hello, x\n')
        process = re.search(r'\[1\] (\d+)', answers[0])[1]
        answers, _ = session('run spin &', f'run kill -9 {process}', 'run sleep 0.2', 'jobs',
                             smp=smp)
        tap.contains(''.join(answers[1:]), '[1] SIGKILL: spin\n')


@tap.case('programs.ctrl_c_ends_the_one_that_the_shell_waits_for')
def _():
    for smp in '14':
        with Machine(KERNEL, [DISK], '--smp', smp) as machine:
            machine.send('run yes | cat\r')
            machine.until('y\ny\ny\n')
            machine.send('\x03')
            machine.until('> $')
            machine.send('run spin\r')
            machine.until('\n')
            machine.send('\x03')
            machine.until('> $')
            tap.contains(machine.run('run hello typed'), 'Hello, typed\n')


@tap.case('programs.what_is_typed_is_theirs_while_they_read')
def _():
    with Machine(KERNEL, [DISK], '--smp', '4') as machine:
        machine.send('run wc\r')
        machine.until('\n')
        machine.send('one two\rthree\r\x04')
        tap.contains(machine.until('> $'), '2 3 14\n')


# Memory


def free_bytes(mem, slab):
    """What `mem` and `slab` tell. A slab is free but for its objects: whether an empty one is kept
    depends on which CPU a thread happened to end on."""
    kib = [int(re.search(pattern, answer, re.MULTILINE)[1])
           for pattern, answer in ((r'^free +(\d+) KiB', mem), (r'^all: (\d+) KiB in slabs', slab))]
    objects = re.findall(r'^\S+ +(\d+) +(\d+) +\d', slab, re.MULTILINE)
    return (sum(kib) << 10) - sum(int(size) * int(used) for size, used in objects)


def rounds(count, *lines, differs_kib=0, **options):
    """The answers of so many rounds of the lines, which leave as much memory free each time, once
    caches of objects and stacks are full: so it is the last two that are compared."""
    asked = (*lines, 'mem', 'slab')
    answers, status = session(*asked * count, 'check', **options)
    tap.equal(status, 0, 'status of check')
    answers = [answers[i:i + len(asked)] for i in range(0, len(answers) - 1, len(asked))]
    free = [free_bytes(mem, slab) for *_, mem, slab in answers]
    if abs(free[-1] - free[-2]) > differs_kib << 10:
        tap.fail(f'bytes free after each round: {free}')
    return answers


@tap.case('programs.ten_thousand_forks_leave_every_page_free')
def _():
    # Every fork wakes other CPUs, which takes an emulator some milliseconds: fewer there.
    for smp, count in ((1, 2500), (4, 400)):
        for answer in rounds(4, f'run forktest -n {count}', smp=smp):
            tap.equal(answer[0], f'forktest: {count} children\n')


@tap.case('programs.a_fork_bomb_ends_at_a_limit_and_all_is_free_again')
def _():
    # Stacks of threads that have just ended are kept, more or fewer of them.
    for smp in (1, 4):
        for answer in rounds(3, 'run forkbomb 2', 'run forkbomb 2 1024', smp=smp, mem='128M',
                             differs_kib=256):
            for said, end in zip(answer, ('again later', 'memory')):
                found = re.findall(f'^forkbomb: \\d+ children, then: .*{end}', said, re.MULTILINE)
                tap.equal(len(found), 2, f'rounds that end so in {said!r}')


@tap.case('programs.a_start_without_memory_harms_nobody')
def _():
    for smp in (1, 4):
        answers, status = session('run execlow', 'run hello x', 'check', smp=smp, mem='64M')
        tap.contains(answers[0], '; then all is well\n')
        tap.equal(answers[1], 'Hello, x\n')
        tap.equal(status, 0, 'status')


@tap.case('programs.a_position_independent_one_is_elsewhere_each_time')
def _():
    answers, _ = session('run auxv-pie -a', 'run auxv-pie -a', 'run auxv-pie -a')
    places = [re.search(r'code (\S+) stack (\S+) memory (\S+)', answer).groups()
              for answer in answers]
    for kind, where in zip(('code', 'stack', 'memory'), zip(*places)):
        if len(set(where)) != len(where):
            tap.fail(f'{kind} is at {where}')


# What nobody here wrote


@tap.case('programs.over_glibc_say_what_the_hosts_tools_say')
def _():
    if 'bin/glibc-sort' not in FILES:
        tap.skip('there is no glibc for aarch64 (Debian: libc6-dev-arm64-cross)')
    for smp in (1, 4):
        check({'run glibc-sort text/lines': host('sort', 'text/lines'),
               'run glibc-sort -r < text/lines': host('sort', '-r', 'text/lines'),
               'run cat text/lines | glibc-sort -r | glibc-sort': host('sort', 'text/lines'),
               'run glibc-cksum text/bytes text/lines': host('cksum', 'text/bytes', 'text/lines')},
              smp=smp)
        answers, status = session('run glibc-hello a "b c"', smp=smp)
        tap.equal(without_reports(answers[0]), 'on standard error\nhello: 2 arguments, root '
                  '2.000000, pi 3.1415926536\na\nb c\n')
        tap.equal(status, 7, 'status')


@tap.case('programs.a_mapped_file_is_what_cat_reads')
def _():
    if 'bin/glibc-cksum' not in FILES:
        tap.skip('there is no glibc for aarch64 (Debian: libc6-dev-arm64-cross)')
    sums = {name: host('cksum', stdin=FILES[name]) for name in ('text/bytes', 'text/large')}
    for smp in (1, 4):
        check({f'run {how} {name} | glibc-cksum': value for name, value in sums.items()
               for how in ('cat', 'mapcat', 'mapcat -s')}, smp=smp)


def expected_of(line, reference):
    if isinstance(reference, str):
        return reference
    return host(*(reference or shlex.split(line)))


@tap.case('programs.applets_of_busybox_say_what_the_hosts_tools_say')
def _():
    try:
        program = busybox.fetch(BUILD)
    except busybox.Missing as reason:
        tap.skip(str(reason))
    files = {name: data for name, data in FILES.items() if name.startswith('text/')}
    disk = write_disk('busybox.tar', files | {'bin/busybox': program.read_bytes()},
                      {f'bin/{name}': 'busybox' for name in busybox.LINKS})
    lines = [f'run {line}' for line, _ in busybox.APPLETS]
    answers, _ = session(*lines, 'check', smp=4, disk=disk)
    wrong = [f'{line}: {tap.shorten(answer)}, expected {tap.shorten(expected)}'
             for (line, reference), answer in zip(busybox.APPLETS, answers)
             for expected in [expected_of(line, reference)]
             if without_reports(answer) != expected]
    if wrong:
        tap.fail(f'{len(wrong)} of {len(lines)} are wrong:\n' + '\n'.join(wrong))


sys.exit(tap.run(cases))
