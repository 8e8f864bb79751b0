#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""archives: the kernel's shell over archives of Python's tarfile, against the host's tools.

    archives.py COMMAND [ARG...]

COMMAND starts the kernel with its console on standard input and output; an argument {} stands for
the archive's file: `archives.py build/kernel/ashlar-hosted --disk {}`, or
`archives.py tools/qemu-run --disk {} build/kernel/ashlar.elf`.
"""
import gzip
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

COMMAND = sys.argv[1:]
LIMIT_S = 60
FOLDER = tempfile.TemporaryDirectory()
HOST = pathlib.Path(FOLDER.name)
LONG = 'd' * 120 + '/' + 'n' * 130
FORMATS = {'ustar': tarfile.USTAR_FORMAT, 'gnu': tarfile.GNU_FORMAT, 'pax': tarfile.PAX_FORMAT}


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def contents():
    """Names and bytes: sizes around the block, long and odd names, rows that repeat or do not."""
    files = {f'size/{n}': noise(n, n) for n in (0, 1, 15, 16, 17, 511, 512, 513, 1023, 1024, 65537)}
    files.update({
        'gpl': b'GNU GENERAL PUBLIC LICENSE\n' * 50,
        'zeros': bytes(5000),
        'large': noise(700001, 1),
        'rows': b'0123456789abcdef' * 20 + b'tail',
        'with space': b'space\n',
        "quote'it": b'quote\n',
        'caf\u00e9-\u65e5\u672c': b'unicode\n',
        'deep/er/and/deeper/file': b'deep\n',
        LONG: b'long name\n',
    })
    return files


def archive(files, kind, links=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=FORMATS[kind]) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for link_type, name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = link_type, target
            tar.addfile(info)
    return buffer.getvalue()


def quoted(name):
    return '"' + name.replace('\\', '\\\\').replace('"', '\\"') + '"'


def shell(disk, script, status=0):
    """What the kernel prints for the script, as bytes; its exit status is checked."""
    path = HOST / 'disk'
    path.write_bytes(disk)
    command = [word.replace('{}', str(path)) for word in COMMAND]
    done = subprocess.run(command, input=script.encode(), stdout=subprocess.PIPE, timeout=LIMIT_S,
                          check=False)
    if done.returncode != status:
        tap.fail(f'status {done.returncode}, expected {status}: {tap.shorten(done.stdout)}')
    return done.stdout


def same(actual, expected, what):
    if actual == expected:
        return
    at = next((i for i, (a, b) in enumerate(zip(actual, expected)) if a != b),
              min(len(actual), len(expected)))
    tap.fail(f'{what}: differs at byte {at} of {len(actual)} and {len(expected)}: '
             f'{actual[at:at + 60]!r}, expected {expected[at:at + 60]!r}')


def host(*command, data=None, cwd=None):
    environment = dict(os.environ, LC_ALL='C')
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, cwd=cwd,
                          env=environment).stdout


def listing(files, folder=''):
    """`ls folder`, from the names alone."""
    prefix = folder + '/' if folder else ''
    names = {}
    for name in files:
        if name.startswith(prefix):
            first, slash, _ = name[len(prefix):].partition('/')
            names[first.encode()] = slash.encode()
    return b''.join(name + names[name] + b'\n' for name in sorted(names))


def cases_of_format(kind):
    files = contents()
    if kind == 'ustar':  # has room for 100 bytes behind the last slash
        files[LONG[:-40]] = files.pop(LONG)
    disk = archive(files, kind)

    @tap.case(f'archives.{kind}_cat_gives_the_bytes')
    def _():
        script = ''.join(f'cat {quoted(name)}\n' for name in files)
        same(shell(disk, script), b''.join(files.values()), 'cat')

    @tap.case(f'archives.{kind}_cksum_prints_the_hosts_line')
    def _():
        extracted = HOST / kind
        with tarfile.open(fileobj=io.BytesIO(disk)) as tar:
            tar.extractall(extracted)
        script = ''.join(f'cksum {quoted(name)}\n' for name in files)
        same(shell(disk, script), host('cksum', *files, cwd=extracted), 'cksum')

    @tap.case(f'archives.{kind}_ls_prints_sorted_names')
    def _():
        folders = ('', 'size', 'deep', 'deep/er')
        same(shell(disk, ''.join(f'ls {folder}\n' for folder in folders)),
             b''.join(listing(files, folder) for folder in folders), 'ls')


for kind in FORMATS:
    cases_of_format(kind)


@tap.case('archives.hexdump_prints_what_the_hosts_does')
def _():
    if shutil.which('hexdump') is None:
        tap.skip('no hexdump on this host (Debian: bsdextrautils)')
    files = contents()
    disk = archive(files, 'pax')
    with tarfile.open(fileobj=io.BytesIO(disk)) as tar:
        tar.extractall(HOST / 'hexdump')
    options = [[], ['-n', '17'], ['-s', '5', '-n', '100'], ['-s', '512'], ['-n', '0'], ['-v']]
    script, expected = '', b''
    for name in ('size/0', 'size/1', 'size/17', 'size/513', 'zeros', 'rows', 'size/65537'):
        for words in options:
            script += f'hexdump {" ".join(words)} {quoted(name)}\n'
            expected += host('hexdump', '-C', *words, name, cwd=HOST / 'hexdump')
    same(shell(disk, script), expected, 'hexdump')


@tap.case('archives.links_are_followed')
def _():
    links = [(tarfile.LNKTYPE, 'hard', 'gpl'), (tarfile.SYMTYPE, 'soft', 'gpl'),
             (tarfile.SYMTYPE, 'folder', 'size'), (tarfile.SYMTYPE, 'to-' + 'l' * 120, LONG),
             (tarfile.SYMTYPE, 'loop', 'loop'), (tarfile.LNKTYPE, 'dangling', 'nosuch')]
    files = contents()
    for kind in ('gnu', 'pax'):
        disk = archive(files, kind, links)
        same(shell(disk, f'cat hard soft folder/17 to-{"l" * 120}\n'),
             files['gpl'] * 2 + files['size/17'] + files[LONG], kind)
        tap.contains(shell(disk, 'cat loop\n', 1), b'too many levels')
        tap.contains(shell(disk, 'cat dangling\n', 1), b'a hard link to nosuch')


@tap.case('archives.random_archives_read_back')
def _():
    draw = random.Random(7)
    for kind in ('gnu', 'pax'):
        files = {}
        for number in range(60):
            depth = draw.randrange(1, 4)
            folder = '/'.join('d%d' % draw.randrange(4) for _ in range(depth))
            name = f'{folder}/f{number}' + 'x' * draw.choice((0, 10, 90, 200))
            files[name] = noise(draw.choice((0, 1, 100, 511, 512, 513, 5000, 40000)), number)
        disk = archive(files, kind)
        script = ''.join(f'cat {quoted(name)}\n' for name in files)
        same(shell(disk, script), b''.join(files.values()), kind)


@tap.case('archives.sparse_files_are_refused_with_the_reason')
def _():
    path = HOST / 'sparse-source'
    with open(path, 'wb') as sparse:
        sparse.truncate(4 << 20)
        sparse.seek(3 << 20)
        sparse.write(b'data')
    for kind in ('gnu', 'posix'):
        disk = host('tar', '--sparse', f'--format={kind}', '-cf', '-', '-C', str(HOST),
                    'sparse-source')
        output = shell(disk, 'ls\ncat sparse-source\n', 1)
        refused = b'cat: sparse-source: a sparse file, which this kernel does not expand\n'
        same(output, b'sparse-source\n' + refused, kind)


@tap.case('archives.disks_without_an_archive_are_named')
def _():
    good = archive({'a': b'data'}, 'ustar')
    for disk, part in ((gzip.compress(good) + bytes(1024), b'a gzip file'),
                       (bytes(1 << 20), b'zeros'), (b'PK\3\4' + bytes(5000), b'a zip file'),
                       (noise(4096, 3), b'something else')):
        output = shell(disk, 'ls\necho on\n')
        tap.contains(output, part)
        tap.contains(output, b'ls: no file system: the disk holds no tar archive\non\n')


@tap.case('archives.damaged_archives_keep_what_is_whole')
def _():
    whole = archive({'a': b'first\n', 'b': noise(5000, 1), 'c': b'third\n'}, 'ustar')
    for disk, part in ((whole[:2048], b'claims 5000 bytes, 512 are left'),
                       (whole[:1024], b'without end-of-archive blocks'),
                       (whole[:1024] + b'X' + whole[1025:], b'checksum is wrong')):
        output = shell(disk, 'cat a\ncat c\n', 1)
        tap.contains(output, part)
        tap.contains(output, b'first\ncat: c: no such file')


@tap.case('archives.bad_lines_do_not_stop_the_shell')
def _():
    disk = archive({'a': b'data\n'}, 'ustar')
    output = shell(disk, 'x' * 10000 + '\ncat a\n')
    same(output, b'shell: a line of more than 4096 bytes; it was dropped, nothing was run\ndata\n',
         'a long line')
    same(shell(disk, 'kcat a\n', 127), b'kcat: no such command; did you mean cat?\n', 'unknown')


@tap.case('archives.statuses_reach_the_host')
def _():
    disk = archive({'a': b'data\n'}, 'ustar')
    for script, status in (('poweroff 7\n', 7), ('cat nosuch\n', 1), ('cat nosuch\npoweroff\n', 0),
                           ('nosuch', 127), ('', 0), ('help\n', 0), ('poweroff x\n', 2)):
        shell(disk, script, status)


@tap.case('archives.every_part_checks_out_after_work')
def _():
    disk = archive(contents(), 'pax')
    output = shell(disk, 'cksum large zeros\ncheck\n')
    for part in (b'buddy    ok', b'heap     ok', b'virtq    ok', b'tarfs    ok'):
        tap.contains(output, part)


@tap.case('archives.a_disk_is_not_needed')
def _():
    command = [word for word in COMMAND if word not in ('--disk', '{}')]
    done = subprocess.run(command, input=b'ls\necho on\n', stdout=subprocess.PIPE, timeout=LIMIT_S,
                          check=False)
    same(done.stdout,
         b'ls: no file system: there is no disk; start with --disk FILE.tar\non\n', 'ls')


@tap.case('archives.more_entries_than_memory_holds_leave_a_shell')
def _():
    files = {f'{number:07d}-' + 'x' * 60: b'' for number in range(40000)}
    disk = archive(files, 'ustar')
    command = list(COMMAND)
    command[command.index('--disk'):command.index('--disk')] = ['--mem', '8M']
    (HOST / 'disk').write_bytes(disk)
    command = [word.replace('{}', str(HOST / 'disk')) for word in command]
    done = subprocess.run(command, input=b'cksum 0000000-' + b'x' * 60 + b'\necho on\ncheck\n',
                          stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    tap.equal(done.returncode, 0, 'status')
    tap.contains(done.stdout, b'no memory for more of the index')
    tap.contains(done.stdout, b'\n4294967295 0 0000000-')
    tap.contains(done.stdout, b'\non\n')


sys.exit(tap.run())
