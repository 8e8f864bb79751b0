#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sessions: what a user does with the kernel: a disk, lines through a pipe, answers, a status.

    sessions.py qemu QEMU_RUN KERNEL [WORD...]      in QEMU
    sessions.py hosted KERNEL [WORD...]             as a process

Only cases whose name holds a WORD are run, if there are any. Answers are compared with what this
machine's own cksum and hexdump say, and disks are made by Python's tarfile and by hand.
"""
import io
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

WORLD = sys.argv[1]
PROGRAM = [os.path.abspath(path) for path in sys.argv[2:4 if WORLD == 'qemu' else 3]]
WORDS = sys.argv[4:] if WORLD == 'qemu' else sys.argv[3:]
LIMIT_S = 60
CAP_BYTES = 4 << 20
BLOCK = 512
UNKNOWN_COMMAND = 127

folder = tempfile.TemporaryDirectory()
ROOT = pathlib.Path(folder.name)


class Result:
    def __init__(self, done):
        self.status, self.out, self.messages = done.returncode, done.stdout, done.stderr


def start(script, disk=None, arguments='', extra=(), **machine):
    """Runs the kernel with `script` (text or bytes) as its input; disk: a file, or a list of them;
    extra: words for QEMU; machine: mem, smp, cpu, gic."""
    command = list(PROGRAM[:1])
    if WORLD == 'qemu':
        command += ['--timeout', str(LIMIT_S), '--cap', str(CAP_BYTES)]
    elif not set(machine) <= {'mem', 'smp'}:
        tap.skip('a process has no such machine')
    for option, value in machine.items():
        command += [f'--{option}', str(value)]
    for one in disk if isinstance(disk, list) else [disk]:
        command += [] if one is None else ['--disk', str(one)]
    data = script.encode() if isinstance(script, str) else script
    try:
        if WORLD == 'qemu':
            command += ['--args', arguments] + PROGRAM[1:] + (['--', *extra] if extra else [])
        else:
            command += arguments.split()
        done = subprocess.run(command, input=data, capture_output=True,
                              timeout=LIMIT_S + 5, cwd=ROOT)
    except subprocess.TimeoutExpired:
        tap.fail(f'no end after {LIMIT_S + 5} s')
    result = Result(done)
    if result.status in (124, 125):
        tap.fail(f'{result.messages.decode()} after {tap.shorten(result.out)}')
    return result


def archive(name, files, format=tarfile.USTAR_FORMAT):
    """A tar file; files: {name: bytes, or None for a directory}."""
    path = ROOT / name
    with tarfile.open(path, 'w', format=format) as tar:
        for file, data in files.items():
            entry = tarfile.TarInfo(file)
            if data is None:
                entry.type, data = tarfile.DIRTYPE, b''
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def some_bytes(count, seed=1):
    return random.Random(seed).randbytes(count)


TEXT = b''.join(b'line %d of a file that spans many blocks\n' % i for i in range(4000))
FILES = {
    'gpl': TEXT, 'empty': b'', 'one': b'x', 'block': some_bytes(BLOCK),
    'every': bytes(range(256)) * 5, 'big.bin': some_bytes(700001), 'zeros': bytes(5000),
    'b': None, 'b/deep': None, 'b/deep/file': b'found\n', 'A upper': b'blank in the name\n',
}
DISK = archive('disk.tar', FILES)


def host_answer(command, file):
    """What this machine's command says about the same bytes under the same name."""
    if shutil.which(command[0]) is None:
        tap.skip(f'{command[0]} is not installed')
    (ROOT / 'host').mkdir(exist_ok=True)
    (ROOT / 'host' / file).write_bytes(FILES[file])
    return subprocess.run(command + [file], cwd=ROOT / 'host', check=True,
                          capture_output=True).stdout


def answer(script, disk=DISK, status=0, arguments='', **machine):
    """The output of a session that must end with `status`."""
    result = start(script, disk, arguments, **machine)
    if result.status != status:
        tap.fail(f'status {result.status}, expected {status}; output {tap.shorten(result.out)}; '
                 f'messages {tap.shorten(result.messages)}')
    return result.out


# Files.

@tap.case('session.cksum_says_what_this_machine_says')
def _():
    names = [name for name, data in FILES.items()
             if data is not None and '/' not in name and ' ' not in name]
    expected = b''.join(host_answer(['cksum'], name) for name in names)
    tap.equal(answer(''.join(f'cksum {name}\n' for name in names) + 'poweroff\n'), expected)


@tap.case('session.cat_gives_the_bytes')
def _():
    for name in ('every', 'gpl', 'big.bin'):
        if answer(f'cat {name}\npoweroff\n') != FILES[name]:
            tap.fail(f'other bytes than those of {name}')


@tap.case('session.hexdump_says_what_this_machine_says')
def _():
    for name in ('every', 'zeros', 'block', 'one', 'empty'):
        expected = host_answer(['hexdump', '-C'], name)
        tap.equal(answer(f'hexdump {name}\npoweroff\n'), expected, name)


@tap.case('session.ls_sorts_one_name_a_line_with_a_slash_for_directories')
def _():
    expected = sorted(name + '/' if data is None else name
                      for name, data in FILES.items() if '/' not in name)
    tap.equal(answer('ls\npoweroff\n').decode().splitlines(), expected)
    tap.equal(answer('ls b\npoweroff\n'), b'deep/\n')


@tap.case('session.quotes_make_one_word_of_a_name_with_blanks')
def _():
    tap.equal(answer("cat 'A upper'\npoweroff\n"), FILES['A upper'])


@tap.case('session.long_names_are_read_from_gnu_and_pax_archives')
def _():
    name = 'long/' * 40 + 'name'
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        disk = archive('long.tar', {name: b'read\n'}, format=form)
        tap.equal(answer(f'cat {name}\npoweroff\n', disk), b'read\n')


# Disks as such.

def raw_disk(name, data):
    path = ROOT / name
    path.write_bytes(data)
    return path


@tap.case('session.disks_are_counted_in_the_order_in_which_they_were_named')
def _():
    sizes = [4096, 8192, 12288]
    disks = [raw_disk(f'raw{at}', bytes([at]) * size) for at, size in enumerate(sizes)]
    out = answer('blk\npoweroff\n', [DISK, *disks]).decode()
    for number, size in enumerate([DISK.stat().st_size, *sizes]):
        tap.equal(len(re.findall(rf'^disk {number} .*, {size} bytes, ', out, re.MULTILINE)), 1,
                  f'disk {number} of {size} bytes in {out}')
    tap.contains(out, 'archive    on disk 0: ')
    tap.equal(len(re.findall(', read-only', out)), 1, 'disks that are read-only')


@tap.case('session.the_archive_is_found_on_a_later_disk')
def _():
    out = answer('cat one\nblk\npoweroff\n', [raw_disk('junk', some_bytes(9000)), DISK])
    tap.contains(out, b'\nx')
    tap.contains(out, b'archive    on disk 1: ')


@tap.case('session.the_second_disk_is_written_to_and_read_back')
def _():
    before = some_bytes(40000 // BLOCK * BLOCK, 5)
    disk = raw_disk('writable', before)
    out = answer('blk write 1000 "written by hand"\nblk write 4090 "across two pages"\n'
                 'hexdump -d 1 -s 1000 -n 15\npoweroff\n', [DISK, disk])
    tap.contains(out, b'|written by hand|')
    expected = bytearray(before)
    expected[1000:1015] = b'written by hand'
    expected[4090:4106] = b'across two pages'
    tap.equal(disk.read_bytes() == bytes(expected), True, 'the file has just what was written')


@tap.case('session.what_is_written_is_safe_after_sync')
def _():
    before = some_bytes(40000 // BLOCK * BLOCK, 6)
    disk = raw_disk('writable', before)
    out = answer('write 4090 across two pages\nhexdump -d 1 -s 4090 -n 16\nsync\n'
                 'write 20000 later\npoweroff\n', [DISK, disk]).decode()
    tap.contains(out, '|across two pages|')
    tap.contains(out, '\nall is safe: 2 blocks written, in ')
    expected = bytearray(before)
    expected[4090:4106] = b'across two pages'
    expected[20000:20005] = b'later'
    tap.equal(disk.read_bytes() == bytes(expected), True, 'the file has just what was written')


@tap.case('session.a_file_is_read_from_the_disk_once')
def _():
    out = answer('cksum gpl\ncache\ncksum gpl\ncache\ncache drop\ncksum gpl\ncheck\n')
    sums = [line for line in out.splitlines(True) if line.endswith(b' gpl\n')]
    tap.equal(sums, [host_answer(['cksum'], 'gpl')] * 3)
    reads = re.findall(rb'^I/Os +(\d+) reads of (\d+) blocks', out, re.MULTILINE)
    tap.equal(reads[1], reads[0], 'I/Os before and after the second time')
    tap.contains(out, b' blocks forgotten, 0 stay\n')
    tap.contains(out, b'cache    ok\n')


@tap.case('session.a_cache_that_finds_no_memory_is_said_and_files_are_read')
def _():
    if WORLD != 'hosted':
        tap.skip('the image alone is larger')
    out = answer('cat one\nsync\npoweroff 1\n', status=1, mem='1M').decode()
    tap.contains(out, 'no block cache: there is no memory for 16 blocks; start the machine with ')
    tap.contains(out, '\nx')
    tap.contains(out, 'sync: no cache: there is no memory for 16 blocks')


@tap.case('session.hexdump_of_a_disk_says_what_this_machine_says')
def _():
    FILES['disk'] = DISK.read_bytes()
    expected = host_answer(['hexdump', '-C', '-s', '1000', '-n', '9000'], 'disk')
    del FILES['disk']
    tap.equal(answer('hexdump -d 0 -s 1000 -n 9000\npoweroff\n'), expected)


@tap.case('session.blk_bench_measures_with_every_policy')
def _():
    disk = raw_disk('bench', bytes(1 << 20))
    policies = ['poll', 'interrupt', 'delayed', 'delayed:4', 'hybrid', 'hybrid:10']
    script = ''.join(f'blk bench --disk 1 --depth {depth} --count 300 --policy {policy}\n'
                     for policy in policies for depth in (1, 32))
    out = answer(script + 'blk bench --count 100 --size 16K --segments 4\ncheck\npoweroff\n',
                 [DISK, disk]).decode()
    rows = re.findall(r'^ +(\d+) +\d+\.\d +\d+ +\d+\.\d ', out, re.MULTILINE)
    curve = ['1', '2', '4', '8', '16', '32', '32']  # the last one again, with a copy
    tap.equal(rows, ['1', '32'] * len(policies) + curve, 'rows')
    tap.contains(out, ' us a block, 0 of 1638400 bytes copied\n')
    tap.contains(out, ' us a block, 1638400 of 1638400 bytes copied\n')
    for policy in policies:
        tap.contains(out, f'; policy {policy}')
    tap.equal(disk.read_bytes() == bytes(1 << 20), True, 'reading leaves the disk alone')


@tap.case('session.blk_bench_drives_each_queue_from_a_cpu_of_its_own')
def _():
    disk = raw_disk('bench', bytes(1 << 20))
    policies = ['poll', 'interrupt', 'delayed', 'hybrid:3']
    script = ''.join(f'blk bench --disk 1 --depth 8 --queues {queues} --count 400 --policy {policy}'
                     f'\n' for policy in policies for queues in (2, 4))
    out = answer(script + 'blk bench --queues 4 --disk 1 --write --seq --depth 3 --count 256\n'
                 'blk bench --queues 5 --depth 8\nblk\ncheck\npoweroff\n', [DISK, disk],
                 smp=4).decode()
    tap.equal(len(re.findall(r'^    8 ', out, re.MULTILINE)), 2 * len(policies), f'rows of {out}')
    tap.contains(out, ', 4 queues; policy hybrid:3\n')
    tap.contains(out, 'blk: disk 0: it has 4 queues: one a CPU, as far as the device has them\n')
    rows = re.findall(r'^ {7}(\d) +0 +(\d+) +(\d+) +0 +0 +\d+$', out, re.MULTILINE)
    tap.equal([row[0] for row in rows], list('01230123'), f'queues of {out}')
    tap.equal(rows[5:], [(n, str(count), str(count)) for n, count in
                         [('1', 4 * 300 + 64), ('2', 4 * 100 + 64), ('3', 4 * 100 + 64)]], 'shares')
    tap.equal(disk.read_bytes() == b'ashlar blk bench' * (1 << 16), True, 'each wrote its share')


@tap.case('session.no_cpu_misses_the_interrupt_of_its_queue')
def _():
    # Here time passes only while all CPUs sleep: that nothing takes any is that none slept in vain.
    if WORLD != 'hosted':
        tap.skip('the turns of its CPUs are not drawn from a seed')
    disk = raw_disk('bench', bytes(1 << 20))
    script = ''.join(f'blk bench --disk 1 --depth {depth} --queues {queues} --count 300 '
                     f'--policy {policy}\n' for policy in ('interrupt', 'delayed:3', 'hybrid:2')
                     for depth, queues in ((1, 4), (8, 4), (5, 2)))
    for seed in range(1, 9):
        out = answer(script + 'check\npoweroff\n', [DISK, disk], smp=4,
                     arguments=f'--deterministic --seed {seed}').decode()
        rows = re.findall(r'^ +\d+ +\d+\.\d +\d+ +\d+\.\d +\d+\.\d +(\d+\.\d) ', out, re.MULTILINE)
        tap.equal(rows, ['0.0'] * 9, f'the longest waits with seed {seed}')


@tap.case('session.eight_disks_fit_into_little_memory')
def _():
    disks = [DISK] + [raw_disk(f'small{n}', bytes([n]) * 4096) for n in range(1, 8)]
    mem = '8M' if WORLD == 'qemu' else '2M'
    out = answer('blk\n' + ''.join(f'hexdump -d {n} -n 16\n' for n in range(8)) + 'cksum block\n'
                 'blk bench --count 100 --depth 4 --disk 7\ncheck\npoweroff\n', disks, mem=mem,
                 smp=4).decode()
    tap.equal(re.findall(r'^disk (\d) ', out, re.MULTILINE), list('01234567'), f'disks of {out}')
    for n in range(1, 8):
        tap.contains(out, '00000000  ' + f'{n:02x} ' * 7 + f'{n:02x}  ')
    tap.contains(out, host_answer(['cksum'], 'block').decode())


@tap.case('session.too_little_memory_for_a_disk_is_said_and_the_others_work')
def _():
    if WORLD != 'hosted':
        tap.skip('the image alone is larger')
    disks = [DISK] + [raw_disk(f'small{n}', bytes([n]) * 4096) for n in range(1, 8)]
    out = answer('cat one\npoweroff\n', disks, mem='1M', smp=4).decode()
    tap.contains(out, 'no memory for its queue and buffers; start the machine with more')
    tap.contains(out, '\nx')


@tap.case('session.blk_bench_writes_to_the_second_disk_only')
def _():
    first = DISK.read_bytes()
    disk = raw_disk('bench', bytes(1 << 16))
    out = answer('blk bench --write --seq --count 64 --depth 4 --result\n'
                 'blk bench --write --disk 0 --count 10\ncat one\npoweroff\n', [DISK, disk])
    tap.equal(re.search(rb'^result write 4096 4 sequential \d+ IOPS$', out, re.MULTILINE) is None,
              False, 'a result')
    tap.contains(out, b'blk: disk 0: the disk is read-only\n')
    tap.equal(disk.read_bytes() == b'ashlar blk bench' * 4096, True, 'the pattern is on the disk')
    tap.equal(DISK.read_bytes() == first, True, 'the first disk is as it was')


NULL_DISK = ['-blockdev', 'driver=null-co,node-name=d0,size=536870912,read-zeroes=off',
             '-device', 'virtio-blk-device,drive=d0']


@tap.case('session.one_kick_and_one_interrupt_serve_many_requests')
def _():
    if WORLD != 'qemu':
        tap.skip('a process has no interrupts to save')
    out = answer('blk bench --depth 32 --count 20000 --policy interrupt\n'
                 'blk bench --depth 32 --count 20000\npoweroff\n', None,
                 extra=[*NULL_DISK, '-icount', 'shift=0,sleep=off']).decode()
    rows = re.findall(r'^   32 (.*)$', out, re.MULTILINE)
    tap.equal(len(rows), 2, f'rows of {out}')
    for row in rows:
        kicks, interrupts, instructions = (float(word) for word in row.split()[-3:])
        if kicks > 0.04 or interrupts > 0.04 or instructions > 450:
            tap.fail(f'kicks, interrupts and instructions for a request: {row}')


@tap.case('session.blk_without_a_disk_says_so')
def _():
    out = answer('blk\nblk bench\nhexdump -d 0\npoweroff\n', None).decode()
    for command in ('blk', 'blk', 'hexdump'):
        tap.contains(out, f'{command}: there is no disk; start with --disk FILE.tar\n')


@tap.case('session.a_legacy_device_is_refused_with_the_option_that_it_needs')
def _():
    if WORLD != 'qemu':
        tap.skip('a process has no such device')
    out = answer('blk\npoweroff\n', None, extra=['-global', 'virtio-mmio.force-legacy=true',
                 '-drive', f'if=none,id=old,format=raw,readonly=on,file={DISK}',
                 '-device', 'virtio-blk-device,drive=old']).decode()
    tap.contains(out, 'force-legacy=false')
    tap.contains(out, 'blk: there is a virtio device, but no disk that works\n')


# Input and status.

@tap.case('session.every_byte_arrives_as_it_was_sent')
def _():
    # A name of every byte that a name in a line can have; 0x10 is the one that the runner escapes.
    name = bytes(set(range(1, 256)) - set(b"\n\r/'"))
    disk = ROOT / 'bytes.tar'
    header = bytearray(tarfile.TarInfo('x' * 10).tobuf(tarfile.GNU_FORMAT))
    long_name = tarfile.TarInfo('././@LongLink')
    long_name.type, long_name.size = b'L', len(name) + 1
    name_block = (name + b'\0').ljust(BLOCK, b'\0')
    disk.write_bytes(long_name.tobuf(tarfile.GNU_FORMAT) + name_block + bytes(header)
                     + bytes(2 * BLOCK))
    out = answer(b"cksum '" + name + b"'\npoweroff\n", disk)
    tap.equal(out, b'4294967295 0 ' + name + b'\n')


@tap.case('session.poweroff_ends_with_its_status')
def _():
    tap.equal(start('poweroff 7\nls\n', DISK).status, 7, 'status')
    tap.equal(start('cat absent\npoweroff 0\n', DISK).status, 0, 'status')


@tap.case('session.end_of_input_ends_with_the_last_status')
def _():
    tap.equal(start('', DISK).status, 0, 'status of no input at all')
    tap.equal(start('ls\n', DISK).status, 0, 'status')
    tap.equal(start('cat absent\n', DISK).status, 1, 'status')
    tap.equal(start('nonsense', DISK).status, UNKNOWN_COMMAND,
              'status of a last line without its end')


@tap.case('session.a_script_in_the_arguments_is_all_that_is_run')
def _():
    script = 'script "cat one; frobnicate; echo \'a  b\'; cat absent"'
    result = start('echo not this\n', DISK, script)
    tap.equal(result.status, 1, 'status, that of the last command')
    tap.contains(result.out, b'xfrobnicate: no such command; help lists all\na b\ncat: absent: ')
    tap.equal(b'not this' in result.out, False, 'input was read')
    tap.equal(start('', DISK, 'script poweroff 9; echo no').status, 9, 'status')
    result = start('', DISK, 'script "echo \'a"')
    tap.equal((result.status, result.out),
              (2, b'shell: a quote is not closed; nothing was run\n'), 'an open quote')
    tap.equal(start('', DISK, 'scripts').status, 2, 'status of another word')


@tap.case('session.a_thousand_lines_run_in_order')
def _():
    count = 1000
    names = [f'n{i:04}' for i in range(count)]
    disk = archive('many.tar', {name: name.encode() + b'\n' for name in names})
    order = names[:]
    random.Random(7).shuffle(order)
    out = answer(''.join(f'cat {name}\n' for name in order) + 'poweroff\n', disk)
    tap.equal(out.decode().split(), order)


@tap.case('session.an_unknown_command_is_named_and_the_shell_goes_on')
def _():
    out = answer('frobnicate\ncat one\npoweroff\n')
    tap.contains(out, b'frobnicate')
    tap.equal(out[-1:], b'x', 'the answer of the next command')


@tap.case('session.a_line_of_10000_characters_is_refused_and_the_shell_goes_on')
def _():
    out = answer('x' * 10000 + '\ncat one\npoweroff\n')
    tap.equal(out[-1:], b'x', 'the answer of the next command')
    tap.equal(out[:-1].count(b'\n'), 1, 'lines of the message')
    if len(out) > 300:
        tap.fail(f'a message of {len(out)} bytes')


@tap.case('session.the_allocators_show_what_they_hold_and_cost')
def _():
    out = answer('slab\nslab file-node\nbuddy\nbench slab\nbench buddy\ncheck\n').decode()
    tap.contains(out, f'\nfile-node     144 {NODES:7} {NODES:7} ')
    for part in ('cache file-node: objects of 144 bytes', 'order  block KiB', 'unit: ',
                 '\nbuddy, one frame: pair ', '\nheap     ok\n'):
        tap.contains(out, part)


NODES = len(FILES) + 1  # the directories are among the files; and the root


@tap.case('session.the_heap_has_the_profile_that_was_asked_for')
def _():
    expected = host_answer(['cksum'], 'big.bin')
    for profile in ('plain', 'hardened', 'debug'):
        out = answer('cksum big.bin\nslab\nslab file-node\nls\ncheck\n',
                     arguments=f'heap={profile}')
        tap.equal(out[:len(expected)], expected, f'the sum with heap={profile}')
        for part in (f' KiB in magazines; profile {profile}\n', f' apart\nprofile    {profile}\n',
                     '\nheap     ok\n'):
            tap.contains(out.decode(), part)
    tap.contains(answer('slab\n').decode(), '; profile plain\n')


@tap.case('session.a_debug_heap_says_who_holds_its_objects')
def _():
    out = answer('slab kmalloc-512\nslab file-node\n', arguments='heap=debug').decode()
    empty, full = out.split('cache file-node:')
    head = '\n objects  one of them         allocated in < called from\n'
    tap.contains(empty, head + '       0  nothing is allocated\n')
    holders = [line.split() for line in full.split(head)[1].splitlines()]
    tap.equal(sum(int(holder[0]) for holder in holders), NODES, 'objects of all holders')
    for holder in holders:
        tap.contains(holder[1], '0x')
        tap.contains(holder[2], 'tarfs_' if WORLD == 'qemu' else 'ashlar-hosted+0x')


@tap.case('session.unknown_arguments_end_the_machine_and_say_which_there_are')
def _():
    for words in ('heap=', 'heap=hard', 'heap=debugdebugdebugdebug', 'heap=debug nonsense',
                  'nonsense'):
        result = start('', DISK, words)
        tap.equal(result.status, 2, f'status of {words}')
        tap.contains(result.out + result.messages, f'unknown arguments "{words}"; known: [heap='
                     .encode())


@tap.case('session.a_wrong_word_to_them_says_what_there_is')
def _():
    out = answer('slab nosuch\nbench nosuch\n', status=2).decode()
    tap.contains(out, 'slab: nosuch: no such cache; there are:\n  kmalloc-16\n')
    tap.contains(out, '  file-node\n')
    tap.contains(out, 'bench: nosuch: there are slab, buddy, cache, sched, ')


# Disks that are not as they should be. `sound` is a file before the damage.

def check_bad_disk(data, *parts, name='bad.tar'):
    path = ROOT / name
    path.write_bytes(data)
    out = answer('cat sound\nls\nhelp\npoweroff 9\n', path, status=9)
    tap.contains(out, b'poweroff', 'the help after it')
    for part in parts:
        tap.contains(out.lower(), part)
    return out


def entry(name, data=b'', **fields):
    """A header with `fields` forced into it, {offset: bytes} below, and its data."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    for field, value in fields.items():
        offset, length = {'size': (124, 12), 'mode': (100, 8)}[field]
        header[offset:offset + length] = value.ljust(length, b'\0')
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    return bytes(header) + data + bytes(-len(data) % BLOCK)


SOUND = entry('sound', b'sound\n')
END = bytes(2 * BLOCK)


@tap.case('session.no_disk_leaves_a_shell_that_says_so')
def _():
    out = answer('ls\nmem\npoweroff 9\n', None, status=9)
    tap.contains(out.lower(), b'disk')


@tap.case('session.what_is_no_archive_is_refused_with_the_reason')
def _():
    check_bad_disk(some_bytes(20000), b'tar')
    check_bad_disk(b'#!/bin/sh\n' * 200, b'tar')
    check_bad_disk(b'\x1f\x8b\x08' + some_bytes(5000), b'gzip')


@tap.case('session.an_empty_disk_is_no_archive')
def _():
    check_bad_disk(b'')
    check_bad_disk(b'short')


@tap.case('session.a_truncated_archive_keeps_what_is_whole')
def _():
    whole = SOUND + entry('cut', some_bytes(5000)) + END
    for length in (len(SOUND) + BLOCK + 1000, len(SOUND) + 100, len(SOUND)):
        out = check_bad_disk(whole[:length])
        tap.contains(out, b'sound\n')


@tap.case('session.a_disk_that_ends_inside_a_sector_is_said_to')
def _():
    path = ROOT / 'inside.tar'
    for cut, said in ((100, True), (512, False)):
        path.write_bytes(SOUND[:-cut])
        result = start('cat sound\npoweroff\n', path)
        tap.equal(b'not whole sectors' in result.messages, said, f'{cut} bytes cut')


@tap.case('session.a_hostile_size_is_refused_and_nothing_hangs')
def _():
    sizes = {'past the end': b'00000100000', '10 GB': b'12000000000', 'letters': b'9x9!garbage',
             'base 256': b'\x80' + b'\0' * 2 + b'\xff' * 9, 'negative': b'\xff' * 12}
    for what, size in sizes.items():
        out = check_bad_disk(SOUND + entry('hostile', b'data', size=size) + END)
        tap.contains(out, b'sound\n', what)


@tap.case('session.paths_that_climb_out_are_refused')
def _():
    out = check_bad_disk(SOUND + entry('../../etc/passwd', b'root') + entry('/abs', b'absolute\n')
                         + END)
    tap.contains(out, b'sound\n')


@tap.case('session.random_damage_never_hangs_or_faults')
def _():
    files = {'sound': b'sound\n', 'd': None, 'd/x': some_bytes(3000), 'y': b'y' * 2000}
    base = bytearray(archive('base.tar', files).read_bytes()[:16 * BLOCK])
    dice = random.Random(3)
    for _ in range(4):
        data = bytearray(base)
        for _ in range(12):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path = ROOT / 'damaged.tar'
        path.write_bytes(data)
        out = answer('ls\ncat sound\ncksum d/x y\npoweroff 9\n', path, status=9)
        for word in (b'panic', b'PANIC'):
            if word in out:
                tap.fail(f'{word} in {tap.shorten(out)}')


# Threads.

@tap.case('session.threads_are_spawned_listed_niced_and_killed')
def _():
    script = ('spawn hog\nspawn hog --nice 5\nspawn rt 2ms 20ms\nspawn rt 95ms 100ms --cpu 0\n'
              'nice 10 2\nps\ntop -n 2 0.3\nsched\nkill 4\nkill all\nps\ncheck\npoweroff\n')
    for smp in (1, 4):
        out = answer(script, None, smp=smp).decode()
        listed, *_, last = out.split(' ID CPU STATE ')[1:]
        for number, name, kind in ((1, 'main', r'inter \d'), (2, 'hog1', 'fair 10'),
                                   (3, 'hog2', 'fair 5'), (4, 'rt1', 'rt 2ms/20ms')):
            tap.equal(len(re.findall(rf'^  {number}   [0-{smp - 1}] +[a-z]+ +{kind} .* {name}$',
                                     listed, re.MULTILINE)), 1, f'thread {number} in {listed}')
        tap.contains(out, 'spawn: the sum of runtime / period would exceed 1: with what others '
                          'have it is 110.0% of the CPU\n')
        tap.equal(len(re.findall(r'^top: up .* 4 threads: ', out, re.MULTILINE)), 2, f'of {out}')
        tap.equal(len(re.findall(rf'^  {smp - 1} +\d+\.\d% ', out, re.MULTILINE)), 1,
                  f'rows of the last CPU in {out}')
        tap.equal(len(re.findall(r'^rt1: [1-9]\d* jobs, ', out, re.MULTILINE)), 1, f'jobs in {out}')
        tap.equal(len(re.findall(r'^hog[12]: [1-9]\d* rounds$', out, re.MULTILINE)), 2, out)
        tap.equal(re.findall(r'^ +\d+ .* (\w+)$', last, re.MULTILINE), ['main'], 'who is left')


@tap.case('session.a_machine_ends_while_threads_run')
def _():
    busy = 'spawn hog\n' * 5 + 'spawn rt 9ms 10ms\nspawn hog --idle\nspawn io --pause 0s\n'
    for smp in (1, 4):
        answer(busy + 'poweroff 5\n', status=5, smp=smp)
        answer(busy, smp=smp)


@tap.case('session.a_disk_is_read_by_threads_while_its_files_are')
def _():
    script = ('spawn io --pause 0s\nspawn io\nspawn io --nice 5 --disk 1\ncksum gpl big.bin\n'
              'write 700 typed\nsync\nhexdump -d 1 -s 700 -n 5\nps\ntop 0.1\ncksum gpl\n'
              'kill all\ncheck\n')
    sums = [host_answer(['cksum'], name).decode() for name in ('gpl', 'big.bin')]
    for smp in (1, 4):
        out = answer(script, [DISK, raw_disk('second', bytes(1 << 16))], smp=smp).decode()
        tap.contains(out, sums[0] + sums[1])
        tap.equal(out.count(sums[0]), 2, f'sums in {out}')
        tap.contains(out, '|typed|')
        tap.equal(len(re.findall(r'^io[123]: [1-9]\d* reads, 0 failed; the longest ', out,
                                 re.MULTILINE)), 3, f'readers in {out}')


@tap.case('session.files_are_read_beside_hogs')
def _():
    out = answer('spawn hog\nspawn hog\nspawn rt 1ms 5ms\ncksum gpl big.bin\ncheck\n', smp=2)
    tap.contains(out, host_answer(['cksum'], 'gpl') + host_answer(['cksum'], 'big.bin'))
    tap.contains(out, b'\nthreads  ok\n')


# Machines.

@tap.case('session.little_memory_is_enough_or_said')
def _():
    expected = host_answer(['cksum'], 'gpl')
    tap.equal(answer('cksum gpl\npoweroff\n', mem='16M'), expected)


@tap.case('session.too_little_memory_for_the_kernel_itself_is_said')
def _():
    for mem in ('1M', '2M'):
        result = start('poweroff 9\n', DISK, mem=mem)
        if result.status != 9:  # a kernel that is smaller than that just runs
            tap.equal(result.status, 1, f'status with {mem}')
            tap.contains((result.out + result.messages).lower(), b'mem',
                         f'what was said with {mem}')


@tap.case('session.other_machines_run_the_same')
def _():
    expected = host_answer(['cksum'], 'big.bin')
    for machine in ({'smp': 4}, {'gic': 3}, {'cpu': 'max'},
                    {'cpu': 'max', 'gic': 3, 'smp': 8, 'mem': '1G'}):
        if WORLD != 'qemu' and not set(machine) <= {'mem', 'smp'}:
            continue
        tap.equal(answer('cksum big.bin\npoweroff\n', **machine), expected, str(machine))


@tap.case('session.a_disk_named_with_blanks_and_commas_is_mounted')
def _():
    disk = ROOT / 'a disk, two: three.tar'
    shutil.copy(DISK, disk)
    tap.equal(answer('cat one\npoweroff\n', disk), b'x')


@tap.case('session.check_finds_nothing_wrong_after_work')
def _():
    out = answer('cksum big.bin\ncheck\n')
    tap.contains(out, b'big.bin')


status = tap.run(WORDS)
folder.cleanup()
sys.exit(status)
