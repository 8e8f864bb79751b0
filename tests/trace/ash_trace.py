#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ash_trace: the program ash-trace over made containers: good ones, damaged ones, bad outputs.

    ash_trace.py ASH_TRACE MAKE_TRACE [WORD...]

Only cases whose name holds a WORD are run, if there are any.
"""
import base64
import gzip
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

PROGRAM, MAKER = map(os.path.abspath, sys.argv[1:3])
LIMIT_S = 60
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
NAMES = ['full', 'wrapped', 'dropped', 'trace', 'profile', 'strange', 'empty']
for made in NAMES:
    subprocess.run([MAKER, made, ROOT / f'{made}.ash'], check=True, timeout=LIMIT_S)


def run(*options, data=None, limit_bytes=None):
    def limit():
        if limit_bytes is not None:
            import resource
            import signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    result = subprocess.run([PROGRAM, *map(str, options)], input=data or b'', timeout=LIMIT_S,
                            capture_output=True, cwd=ROOT, preexec_fn=limit)
    if result.returncode not in (0, 1, 2):
        tap.fail(f'status {result.returncode} of {options}: {result.stderr.decode()[-2000:]}')
    return result


def good(*options, data=None):
    result = run(*options, data=data)
    if result.returncode != 0 or result.stderr:
        tap.fail(f'status {result.returncode} of {options}: {result.stderr.decode()}')
    return result.stdout


def bad(part, *options, status=1, **more):
    """It fails, and says why."""
    result = run(*options, **more)
    tap.equal(result.returncode, status, f'status of {options}')
    tap.contains(result.stderr.decode(), part, 'the message')
    tap.equal(result.stdout, b'', 'standard output')


def file_of(name):
    return (ROOT / f'{name}.ash').read_bytes()


def write(name, data):
    path = ROOT / name
    path.write_bytes(data)
    return path


def strays():
    """Temporary files that somebody has left."""
    return sorted(path.name for path in ROOT.rglob('*') if path.name.count('.') > 1 and
                  not path.name.endswith(('.pb.gz', '.json.gz')))


@tap.case('ash_trace.all_outputs_of_one_run')
def _():
    good('full.ash', '--chrome', 'a.json', '--ctf', 'a-ctf', '--pprof', 'a.pb.gz', '--folded',
         'a.txt', '--flame', 'a.svg')
    events = json.loads((ROOT / 'a.json').read_text(encoding='utf-8'))['traceEvents']
    tap.equal(sum(event['ph'] == 'b' for event in events), 20, 'async begins')
    tap.equal(sorted(path.name for path in (ROOT / 'a-ctf').iterdir())[-1], 'metadata')
    if len(gzip.decompress((ROOT / 'a.pb.gz').read_bytes())) < 100:
        tap.fail('a profile of a few bytes')
    lines = (ROOT / 'a.txt').read_text(encoding='utf-8').splitlines()
    tap.equal(sum(int(line.rsplit(' ', 1)[1]) for line in lines), 92, 'weight of all stacks')
    xml.etree.ElementTree.parse(ROOT / 'a.svg')
    tap.equal(strays(), [], 'temporary files')


@tap.case('ash_trace.strange_names_break_no_format')
def _():
    good('strange.ash', '--chrome', 'b.json', '--flame', 'b.svg', '--folded', 'b.txt', '--summary')
    json.loads((ROOT / 'b.json').read_text(encoding='utf-8'))
    xml.etree.ElementTree.parse(ROOT / 'b.svg')
    (ROOT / 'b.txt').read_text(encoding='utf-8')


@tap.case('ash_trace.the_same_file_gives_the_same_bytes')
def _():
    for option in ('--chrome', '--pprof', '--folded', '--flame'):
        first = good('full.ash', option, '-')
        tap.equal(good('full.ash', option, '-'), first, option)


@tap.case('ash_trace.summary_says_what_was_lost')
def _():
    text = good('wrapped.ash').decode()
    tap.contains(text, '    0         300          64         236           0\n')
    text = good('dropped.ash', '--summary').decode()
    tap.contains(text, '    0         300          64           0         236\n')
    tap.contains(good('empty.ash').decode(), 'machine     made up')


@tap.case('ash_trace.packed_by_its_name')
def _():
    good('full.ash', '--chrome', 'c.json.gz', '--pprof', 'c.pb', '--chrome', 'c.json')
    tap.equal(gzip.decompress((ROOT / 'c.json.gz').read_bytes()),
              (ROOT / 'c.json').read_bytes(), 'unpacked')
    packed = good('full.ash', '--pprof', '-')
    tap.equal(gzip.decompress(packed), (ROOT / 'c.pb').read_bytes(), 'unpacked profile')


@tap.case('ash_trace.standard_input_is_a_file_like_others')
def _():
    tap.equal(good('-', data=file_of('full')), good('full.ash'), 'summary')


@tap.case('ash_trace.every_shorter_file_is_refused')
def _():
    whole = file_of('empty')
    for size in range(len(whole)):
        bad('-: ', '-', data=whole[:size])
    bad(f'cut short: 4096 of {len(file_of("full"))} bytes', '-', data=file_of('full')[:4096])


@tap.case('ash_trace.foreign_files_are_named_so')
def _():
    bad('not an Ashlar trace', '-', data=b'\x7fELF' + bytes(100))
    bad('not an Ashlar trace', '-', data=b'hello\n')
    bad('empty', '-', data=b'')
    bad('version 9', '-', data=file_of('full')[:8] + struct.pack('<I', 9) + file_of('full')[12:])
    bad('bytes, where its header says', '-', data=file_of('full') + b'x')


@tap.case('ash_trace.no_flipped_bit_goes_unsaid')
def _():
    whole = file_of('profile')
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        bad('-: ', '-', '--folded', '-', data=bytes(data))


@tap.case('ash_trace.damaged_contents_only_when_asked_for')
def _():
    data = bytearray(file_of('full'))
    data[-100] ^= 1
    bad('--damaged', '-', '--summary', data=bytes(data))
    result = run('-', '--damaged', data=bytes(data))
    tap.equal(result.returncode, 1, 'status')
    tap.contains(result.stdout.decode(), 'DAMAGED')


@tap.case('ash_trace.sections_that_lie_are_refused')
def _():
    """Each field of the table, with a check sum made good again."""
    whole = file_of('full')
    count = struct.unpack_from('<I', whole, 24)[0]
    for section in range(count):
        for offset, size, value in ((0, 4, 0xffff), (4, 4, 999), (8, 8, 1 << 63), (8, 8, 8),
                                    (16, 8, 1 << 40), (24, 4, 7)):
            data = bytearray(whole)
            at = 64 + 32 * section + offset
            data[at:at + size] = value.to_bytes(size, 'little')
            data[56:60] = bytes(4)
            crc = zlib.crc32(data[:64 + 32 * count])
            data[56:60] = crc.to_bytes(4, 'little')
            result = run('-', '--summary', data=bytes(data))
            if offset != 0 and (result.returncode != 1 or not result.stderr):
                tap.fail(f'section {section}, field {offset}: status {result.returncode}')


def console(data, before=b'boot\r\n# trace dump\r\n', after=b'# \r\n', end=b'\r\n'):
    text = base64.b64encode(data)
    lines = end.join(text[at:at + 76] for at in range(0, len(text), 76))
    return (before + b'-----BEGIN ASHLAR TRACE-----' + end + lines + end +
            b'-----END ASHLAR TRACE-----' + end + after)


@tap.case('ash_trace.a_dump_in_the_log_of_a_console')
def _():
    expected = good('full.ash')
    tap.equal(good('-', data=console(file_of('full'))), expected, 'summary')
    tap.equal(good('-', data=console(file_of('full'), end=b'\n')), expected, 'summary')
    log = console(file_of('empty')) + console(file_of('full'))
    result = run('-', data=log)
    tap.equal((result.returncode, result.stdout), (0, expected), 'the last of two')
    tap.contains(result.stderr.decode(), '2 traces in this log')


def stop_at_once(part, feed, *options):
    """It refuses what has no end, before much of it has been read."""
    process = subprocess.Popen([PROGRAM, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=ROOT)
    sent = 0
    try:
        while sent < 64 << 20:
            process.stdin.write(feed(sent))
            process.stdin.flush()
            sent += 1 << 16
    except BrokenPipeError:
        pass
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass
    out, said = process.stdout.read(), process.stderr.read().decode()
    tap.equal(process.wait(LIMIT_S), 1, f'status, {said}')
    tap.contains(said, part)
    tap.equal(out, b'', 'standard output')
    tap.equal(sent <= 1 << 20, True, f'{sent} bytes were read')


@tap.case('ash_trace.what_has_no_end_is_refused_by_its_beginning')
def _():
    chance = random.Random(1)
    for feed in (lambda _: bytes(1 << 16), lambda _: chance.randbytes(1 << 16)):
        stop_at_once('not an Ashlar trace', feed, '-')
        stop_at_once('no ELF file', feed, 'full.ash', '--symbols', '-', '--folded', 'e.txt')
    whole = file_of('full')
    size = len(whole)
    stop_at_once(f'{size + 1} bytes, where its header says {size}',
                 lambda sent: whole[sent:sent + (1 << 16)].ljust(1 << 16, b'\0'), '-')
    stop_at_once('version 9', lambda _: (whole[:8] + struct.pack('<I', 9)).ljust(1 << 16, b'\0'),
                 '-')
    bad('not an Ashlar trace', '/dev/zero', '--summary')
    bad('not an Ashlar trace', '/dev/urandom', '--folded', '-')
    bad('no ELF file', 'profile.ash', '--symbols', '/dev/zero', '--folded', 'e.txt')


@tap.case('ash_trace.what_never_ends_is_given_up')
def _():
    """Text may be a log, and what a header says may be a lie."""
    header = file_of('full')[:16] + struct.pack('<Q', 1 << 50) + file_of('full')[24:4096]
    write('liar', header)
    for endless in (['yes'], ['cat', ROOT / 'liar', '/dev/zero']):
        feeder = subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        result = subprocess.run([PROGRAM, '-'], stdin=feeder.stdout, capture_output=True, cwd=ROOT,
                                timeout=LIMIT_S, check=False)
        feeder.stdout.close()
        feeder.wait(LIMIT_S)
        tap.equal(result.returncode, 1)
        tap.contains(result.stderr.decode(),
                     'standard input: no end of it after 256 MiB; what is longer must be a file\n')


@tap.case('ash_trace.what_is_no_plain_file')
def _():
    (ROOT / 'a folder').mkdir()
    write('nothing', b'')
    bad('a folder: Is a directory', 'a folder', '--summary')
    bad('nothing: empty', 'nothing')
    bad('/dev/null: empty', '/dev/null')
    bad('x.ash: No such file', 'x.ash')
    with open(ROOT / 'holes', 'wb') as holes:
        holes.truncate(1 << 40)
    bad('holes: not an Ashlar trace', 'holes')
    os.mkfifo(ROOT / 'fifo')
    for name in ('full', 'empty'):
        feeder = subprocess.Popen(['cp', ROOT / f'{name}.ash', ROOT / 'fifo'])
        tap.equal(good('fifo'), good(f'{name}.ash'), 'summary')
        tap.equal(feeder.wait(LIMIT_S), 0)


@tap.case('ash_trace.a_log_with_noise_is_read_from_a_pipe')
def _():
    noise = b'\0\x7f\xff\x01' + b'booting ...\r\n' * 1000
    tap.equal(good('-', data=console(file_of('full'), before=noise)), good('full.ash'))


@tap.case('ash_trace.a_log_that_was_disturbed_says_so')
def _():
    log = console(file_of('full'))
    bad('line 3 of its text is no base64', '-', data=disturb(log, 3))
    bad('there is no line', '-', data=log[:len(log) // 2])
    bad('cut short', '-', data=b'\n'.join(log.split(b'\n')[:40] + log.split(b'\n')[60:]))


def disturb(log, line):
    lines = log.split(b'\r\n')
    lines[2 + line] = b'[cpu 1] hello'
    return b'\r\n'.join(lines)


@tap.case('ash_trace.outputs_that_cannot_be_written')
def _():
    (ROOT / 'folder').mkdir()
    (ROOT / 'folder/kept').write_text('kept', encoding='utf-8')
    for option in ('--chrome', '--pprof', '--folded', '--flame'):
        bad('/dev/full: No space left', 'full.ash', option, '/dev/full')
        bad('folder: Is a directory', 'full.ash', option, 'folder')
        bad('nowhere/x: No such file', 'full.ash', option, 'nowhere/x')
    bad('something in this folder already', 'full.ash', '--ctf', 'folder')
    before = (ROOT / 'full.ash').read_bytes()
    for same in ('full.ash', './full.ash', str(ROOT / 'full.ash')):
        bad('is what is read; --chrome needs another file', 'full.ash', '--chrome', same)
    tap.equal((ROOT / 'full.ash').read_bytes() == before, True, 'the dump is as it was')
    tap.equal((ROOT / 'folder/kept').read_text(encoding='utf-8'), 'kept')
    tap.equal(strays(), [], 'temporary files')


@tap.case('ash_trace.an_output_is_whole_or_as_it_was')
def _():
    path = write('old.json', b'old')
    bad('old.json: File too large', 'full.ash', '--chrome', 'old.json', limit_bytes=1000)
    tap.equal(path.read_bytes(), b'old')
    bad('new: File too large', 'full.ash', '--ctf', 'new', limit_bytes=1000)
    tap.equal((ROOT / 'new').exists(), False)
    tap.equal(strays(), [], 'temporary files')
    good('full.ash', '--chrome', 'old.json')
    json.loads(path.read_text(encoding='utf-8'))


@tap.case('ash_trace.standard_output_that_is_full')
def _():
    with open('/dev/full', 'wb') as full:
        result = subprocess.run([PROGRAM, ROOT / 'full.ash'], stdout=full, stderr=subprocess.PIPE,
                                timeout=LIMIT_S, check=False)
    tap.equal(result.returncode, 1, 'status')
    tap.contains(result.stderr.decode(), 'ash-trace: standard output: No space left')


@tap.case('ash_trace.what_is_not_in_the_file_is_said')
def _():
    bad('the trace has no samples', 'trace.ash', '--flame', 'd.svg')
    bad('the trace has no events', 'profile.ash', '--chrome', 'd.json')
    tap.equal((ROOT / 'd.json').exists(), False)


@tap.case('ash_trace.files_that_cannot_be_read')
def _():
    bad('No such file', 'absent.ash')
    bad('Is a directory', '.')


@tap.case('ash_trace.wrong_options_have_status_2')
def _():
    bad('which file?', status=2)
    bad('one file at a time', 'a', 'b', status=2)
    bad('--wrong', 'full.ash', '--wrong', status=2)
    bad('both write to x', 'full.ash', '--chrome', 'x', '--flame', 'x', status=2)
    bad('name a folder', 'full.ash', '--ctf', '-', status=2)
    tap.contains(good('--help').decode(), 'usage: ash-trace FILE')


def elf(build_id, symbols, strings=None, sections=5):
    """A 64-bit ELF file with a note, a table of symbols and code from 0x40080000 on."""
    names = b'\0' + b'\0'.join(name for name, _, _ in symbols) + b'\0'
    table, at = bytes(24), 1
    for name, start, size in symbols:
        table += struct.pack('<IBBHQQ', at, 2, 0, 1, start, size)
        at += len(name) + 1
    names = names if strings is None else strings
    note = struct.pack('<III', 4, len(build_id), 3) + b'GNU\0' + build_id
    parts, offset, headers = [], 64, bytes(64)
    for kind, flags, link, data in ((1, 6, 0, bytes(4)), (7, 2, 0, note), (2, 0, 4, table),
                                    (3, 0, 0, names)):
        headers += struct.pack('<IIQQQQIIQQ', 0, kind, flags, 0, offset, len(data), link, 0, 8, 0)
        parts.append(data + bytes(-len(data) % 8))
        offset += len(parts[-1])
    return (b'\x7fELF\2\1\1' + bytes(9) +
            struct.pack('<HHIQQQIHHHHHH', 2, 183, 1, 0, 0, offset, 0, 64, 0, 0, 64, sections, 0) +
            b''.join(parts) + headers)


BUILD_ID = bytes([0xa5, 0x1a]) + bytes(18)
SYMBOLS = [(b'read_block', 0x40082000, 0x100), (b'enter', 0x40081000, 0x100),
           (b'wait', 0x40083000, 0), (b'begin', 0x40080000, 0x4000)]


@tap.case('ash_trace.symbols_of_the_same_build')
def _():
    write('good.elf', elf(BUILD_ID, SYMBOLS))
    text = good('full.ash', '--symbols', 'good.elf', '--folded', '-').decode()
    tap.contains(text, 'enter_[k];read_block_[k]')
    tap.contains(text, 'main;parse')
    tap.equal('tarfs_read' in text, False, 'old names')


@tap.case('ash_trace.symbols_of_another_build_are_refused')
def _():
    write('other.elf', elf(b'\x01' * 20, SYMBOLS))
    result = run('full.ash', '--symbols', 'other.elf', '--folded', '-')
    tap.equal(result.returncode, 1, 'status')
    tap.contains(result.stderr.decode(), 'symbols of another build: its build-id is 0101')
    tap.contains(result.stdout.decode(), 'tarfs_read')
    for data, part in ((b'hello', 'no ELF file'), (elf(b'', SYMBOLS), 'no build-id'),
                       (elf(BUILD_ID, []), 'no symbols'),
                       (b'\x7fELF\1\1\1' + bytes(100), 'not one of 64 bits')):
        write('wrong.elf', data)
        tap.contains(run('full.ash', '--symbols', 'wrong.elf').stderr.decode(), part)


@tap.case('ash_trace.damaged_elf_files_do_no_harm')
def _():
    whole = elf(BUILD_ID, SYMBOLS)
    variants = [whole[:size] for size in range(0, len(whole), 7)]
    for at in range(16, len(whole), 5):
        data = bytearray(whole)
        data[at] ^= 0xff
        variants.append(bytes(data))
    for data in variants[:200]:
        write('strange.elf', data)
        result = run('full.ash', '--symbols', 'strange.elf', '--folded', '-')
        if result.returncode != 0 and not result.stderr:
            tap.fail('it failed without a word')


sys.exit(tap.run(sys.argv[3:]))
