#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cachesim: the program ash-cachesim, against the models of models.py and against the oracles.

    cachesim.py PROGRAM SOURCE_DIR [WORD...]

Only cases whose name holds a WORD are run, if there are any.
"""
import csv
import gzip
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402
import models  # noqa: E402
import traces  # noqa: E402
from models import FLUSH, READ, WRITE  # noqa: E402

PROGRAM = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2]).resolve()
ORACLES = SOURCE / 'tests/oracles/cache'
MORE_ORACLES = SOURCE.parent / 'shared/oracles/cache'
LIMIT_S = 100
KEYS = ['trace', 'policy', 'blocks', 'accesses', 'hits', 'misses', 'disk_reads', 'disk_writes']
SEED = int(os.environ.get('ASHLAR_SEED', '1'))

folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)


def run(*options, data=None):
    """The program with a trace as its standard input."""
    return subprocess.run([PROGRAM, *map(str, options)], capture_output=True, timeout=LIMIT_S,
                          input=data if data is not None else b'')


def good(*options, data=None):
    """Its output; it must have nothing to complain about."""
    result = run(*options, data=data)
    if result.returncode != 0 or result.stderr:
        tap.fail(f'status {result.returncode} of {options}: {result.stderr.decode()}')
    return result.stdout.decode(errors='replace')


def results(*options, data=None):
    """What --json says, as a list."""
    answer = json.loads(good('--json', *options, data=data))
    return answer if isinstance(answer, list) else [answer]


def table(*options, data=None):
    """The table's rows as {column: word}."""
    title, header, *lines = good(*options, data=data).splitlines()
    return title, [dict(zip(header.split(), line.split())) for line in lines]


def compare(got, policy, blocks, expected):
    for key in ('accesses', 'hits', 'misses', 'disk_reads', 'disk_writes'):
        if key in expected:
            tap.equal(got[key], expected[key], f'{key} of {policy} with {blocks} blocks')


def compare_with_models(found, records, write_through=False):
    for got in found:
        if got['policy'] not in models.POLICIES:
            continue
        expected = models.simulate(got['policy'], got['blocks'], records, write_through)
        compare(got, got['policy'], got['blocks'], expected)


def accesses(chance, count, blocks, writes=0.0, flushes=0.0):
    """Loops, a few hot blocks and chance, in turns; in three files."""
    records, place = [], 0
    while len(records) < count:
        kind, length = chance.randrange(3), chance.randrange(1, 40)
        for _ in range(length):
            place = ((place + 1) % blocks if kind == 0 else chance.randrange(blocks) if kind == 1
                     else min(chance.randrange(blocks), chance.randrange(blocks)) // 4)
            block = (0, 16, 63)[place % 3] << 24 | place // 3
            operation = WRITE if chance.random() < writes else READ
            records.append((FLUSH, block) if chance.random() < flushes else (operation, block))
    return records[:count]


def chance_of(name):
    return random.Random(f'{SEED} {name}')


POLICIES = [line['policy'] for line in table('--blocks', '1', '-', data=b'1\n')[1]]

# The models themselves, and the oracles.

def oracle_rows(place, name):
    with open(place / name, encoding='utf-8') as file:
        return list(csv.DictReader(file))


def by_trace(rows):
    return {trace: [row for row in rows if row['trace'] == trace]
            for trace in sorted({row['trace'] for row in rows})}


def check_oracles(place):
    rows = [row for row in oracle_rows(place, 'expected.csv')
            if row['policy'] in models.ORACLE_NAMES]
    for trace, of_trace in by_trace(rows).items():
        sizes = sorted({int(row['size']) for row in of_trace})
        found = results('--policy', 'all', '--blocks', ','.join(map(str, sizes)),
                        place / f'{trace}.u32.gz')
        found = {(got['policy'], got['blocks']): got for got in found}
        for row in of_trace:
            policy, blocks = models.ORACLE_NAMES[row['policy']], int(row['size'])
            compare(found[policy, blocks], f'{policy} on {trace}', blocks,
                    {key: int(row[key]) for key in ('accesses', 'hits', 'misses')})


def check_oracles_of_writes(place):
    for row in oracle_rows(place, 'expected_writeback.csv'):
        options = ('--policy', models.ORACLE_NAMES[row['policy']], '--blocks', row['size'],
                   place / f'{row["trace"]}.u32.gz')
        what = f'{row["policy"]} with {row["size"]} on {row["trace"]}'
        _, (back,) = table('--write-back', *options)
        for ours, theirs in (('disk-reads', 'disk_reads'), ('on-eviction', 'evict_writes'),
                             ('on-flush', 'flush_writes'), ('left-dirty', 'dirty_left')):
            tap.equal(back[ours], row[theirs], f'{ours} of {what}')
        through, = results('--write-through', *options)
        tap.equal(through['disk_writes'], int(row['write_through_writes']), f'writes of {what}')
        tap.equal(through['disk_reads'], int(row['disk_reads']), f'reads of {what}')


def more_oracles():
    if 'ASHLAR_ONE_TRACE' in os.environ:
        tap.skip('a sanitizer sees all that there is to see in the recorded one')
    if not MORE_ORACLES.is_dir():
        tap.skip(f'{MORE_ORACLES} is not there')
    return MORE_ORACLES


@tap.case('models.equal_the_oracles')
def _():
    for row in oracle_rows(ORACLES, 'expected.csv'):
        if row['size'] != '256':
            continue
        records = traces.read_u32(ORACLES / f'{row["trace"]}.u32.gz')
        got = models.simulate(models.ORACLE_NAMES[row['policy']], 256, records)
        tap.equal(got['misses'], int(row['misses']), f'misses of {row["policy"]}')


@tap.case('models.equal_the_oracles_of_writes')
def _():
    for row in oracle_rows(ORACLES, 'expected_writeback.csv'):
        if row['size'] != '64':
            continue
        records = traces.read_u32(ORACLES / f'{row["trace"]}.u32.gz')
        got = models.simulate(models.ORACLE_NAMES[row['policy']], 64, records)
        for key in ('disk_reads', 'evict_writes', 'flush_writes', 'dirty_left'):
            tap.equal(got[key], int(row[key]), f'{key} of {row["policy"]}')


@tap.case('oracles.sqlite_rw')
def _():
    check_oracles(ORACLES)


@tap.case('oracles.sqlite_rw_writes')
def _():
    check_oracles_of_writes(ORACLES)


@tap.case('oracles.every_trace')
def _():
    check_oracles(more_oracles())


@tap.case('oracles.every_trace_with_writes')
def _():
    check_oracles_of_writes(more_oracles())


# Random traces, in every format.

@tap.case('random.every_policy_at_sizes_1_to_64')
def _():
    records = accesses(chance_of('sizes'), 1200, 90)
    sizes = ','.join(map(str, range(1, 65)))
    found = results('--blocks', sizes, '--format', 'u32', '-', data=traces.u32(records))
    tap.equal(len(found), 64 * len(POLICIES), 'results')
    tap.equal(set(models.POLICIES) - set(POLICIES), set(), 'models of policies that are not there')
    compare_with_models(found, records)


@tap.case('random.writes_and_flushes')
def _():
    chance = chance_of('writes')
    for writes, flushes in ((0.3, 0.0), (0.5, 0.02), (1.0, 0.1), (0.05, 0.3)):
        records = accesses(chance, 600, 70, writes, flushes)
        options = ('--blocks', '1,2,3,5,16,40,64', '--format', 'u32', '-')
        for mode in ('--write-back', '--write-through'):
            through = mode == '--write-through'
            compare_with_models(results(mode, *options, data=traces.u32(records)), records, through)
        _, lines = table(*options, data=traces.u32(records))
        for line in lines:
            if line['policy'] not in models.POLICIES:
                continue
            expected = models.simulate(line['policy'], int(line['blocks']), records)
            what = f'{line["policy"]} with {line["blocks"]} blocks'
            for ours, theirs in (('on-eviction', 'evict_writes'), ('on-flush', 'flush_writes'),
                                 ('left-dirty', 'dirty_left')):
                tap.equal(int(line[ours]), expected[theirs], f'{ours} of {what}')


@tap.case('random.every_format')
def _():
    chance = chance_of('formats')
    for number in range(8):
        records = accesses(chance, 500, 60, writes=0.4 if number % 2 else 0.0,
                           flushes=0.02 if number % 4 == 3 else 0.0)
        reads = [(READ, block) for operation, block in records if operation != FLUSH]
        by_csv = ('--columns', 'time-col=2,obj-id-col=5,obj-size-col=4,op-col=3')
        for data, options, meant in (
                (traces.u32(records), ('--format', 'u32'), records),
                (traces.text(records, chance), (), records),
                (traces.oracle(reads), (), reads),
                (traces.csv(records), by_csv, records),
                (traces.csv(records, delimiter=';'), by_csv, records),
                (traces.csv(records, delimiter='\t'), (*by_csv, '--format', 'csv'), records),
                (traces.csv(records, header=None, quote='"'), by_csv, records),
                (traces.csv(records), ('--columns', 'obj-id-col=lbn, op-col=OP'), records),
                (traces.csv(reads), (), reads)):
            for packed in (data, traces.packed(data)):
                found = results('--blocks', '3,17', *options, '-', data=packed)
                compare_with_models(found, meant)


@tap.case('random.objects_of_64_bits')
def _():
    chance = chance_of('wide')
    ids = [0, 2 ** 64 - 1, 2 ** 63, 2 ** 40, 2 ** 24]
    ids += [chance.getrandbits(64) for _ in range(6000)]
    ids += list(range(2 ** 33, 2 ** 33 + 40))
    ids += [chance.choice(ids) ^ 1 << chance.choice((32, 40, 56, 63)) for _ in range(200)]
    records = [(READ, block) for block in ids]
    records += [(READ, ids[min(chance.randrange(len(ids)), chance.randrange(len(ids)))])
                for _ in range(6000)]
    for data in (traces.oracle(records), traces.text(records, chance)):
        compare_with_models(results('--blocks', '10,1000,7000', '-', data=data), records)


@tap.case('random.objects_with_names')
def _():
    chance = chance_of('names')
    names = ['7', '007', '0x7', 'a,b', '', 'x y', '12.5', '-3', str(2 ** 64), 'ä', 'A', 'a']
    names += ['a ""b,c""', 'a ""b,d""']
    names += [f'/video/{number}' for number in range(60)]
    picks = [chance.randrange(1, len(names)) for _ in range(800)]
    picks[names.index('')] = 1
    lines = [f'{number},"{names[pick]}",1' for number, pick in enumerate(picks) if names[pick]]
    records = [(READ, pick) for pick in picks if names[pick]]
    data = '\n'.join(['time,key,size', *lines]).encode()
    compare_with_models(results('--blocks', '2,9,30', '-', data=data), records)


# Formats.

def misses(data, *options):
    return results('--policy', 'lru', '--blocks', '100', *options, '-', data=data)[0]['misses']


@tap.case('formats.a_name_decides_where_bytes_do_not')
def _():
    path = ROOT / 'a.oracleGeneral.bin'
    # Time goes back. As words: 5 7 0 1 0 0, and 4 7 0 1 0 0.
    path.write_bytes(struct.pack('<IQIq', 5, 7, 1, 0) + struct.pack('<IQIq', 4, 7, 1, 0))
    tap.equal(results('--policy', 'lru', '--blocks', '9', path)[0]['accesses'], 2, 'records')
    title, _ = table('--blocks', '9', '-', data=path.read_bytes())
    tap.contains(title, 'u32; 12 accesses')


@tap.case('formats.bytes_decide_where_they_do')
def _():
    loop = [number % 6 for number in range(600)]
    for what, meant, data in (
            ('no next access', 'oracle; 4', struct.pack('<IQIq', 1, 7, 1, -1) * 4),
            ('no next access', 'oracle; 4', struct.pack('<IQIq', 1, 7, 1, 2 ** 63 - 1) * 4),
            ('nothing of the next', 'oracle; 4', struct.pack('<IQIq', 1, 7, 1, 0) * 4),
            ('one record', 'oracle; 1', struct.pack('<IQIq', 1, 7, 1, 0)),
            ('a past access', 'u32; 24', struct.pack('<IQIq', 1, 7, 1, 1) * 4),
            ('nothing but zeros', 'u32; 60', bytes(240)), ('a loop', 'u32; 600',
                                                           struct.pack('<600I', *loop)),
            ('a loop', 'u32; 600', struct.pack('<600I', *loop[1:], 0)),
            ('less', 'u32; 5', bytes(20)), ('lines', 'text; 2', b'1\n2'),
            ('fields', 'csv, object in column 2; 2', b'1,2,3\n2,3,4')):
        title, _ = table('--blocks', '9', '-', data=data)
        tap.contains(title, f'{meant} accesses', what)


@tap.case('formats.lines_may_end_as_anywhere')
def _():
    for data in (b'1\n2\n1\n', b'1\r\n2\r\n1\r\n', b'1\n2\n1', b'\xef\xbb\xbf1\n2\n1\n',
                 b'#\n\n  1 # one\n\t2\n1 r\n\n'):
        tap.equal(misses(data), 2, f'misses of {data!r}')
    tap.equal(misses(b't,id,s\r\n1,5,1\r\n2,6,1\r\n3,5,1'), 2, 'misses of a csv')


@tap.case('formats.a_csv_without_a_header')
def _():
    tap.equal(misses(b'1,5,9\n2,6,9\n3,5,9\n'), 2, 'misses: time, object, size')
    tap.equal(misses(b'5\n6\n5\n', '--format', 'csv'), 2, 'misses of one column')
    tap.equal(misses(b'a,b\nb,a\na,b\n', '--columns', 'obj-id-col=1,has-header=false'), 2, 'misses')
    tap.equal(misses(b'1,2\nb,a\na,b\n', '--columns', 'obj-id-col=1,has-header=1'), 2, 'misses')


@tap.case('formats.columns_as_libcachesim_writes_them')
def _():
    for columns in ('time-col=2, obj-id-col=5, obj-size-col=4',
                    'time-col=2,obj-id-col=5,obj-size-col=4,delimiter=,,has-header=true',
                    'delimiter=,,obj-id-col=5,obj-id-is-num=true', 'obj-id-col=5,delimiter=,'):
        tap.equal(misses(traces.csv([(READ, 5), (READ, 6), (READ, 5)]), '--columns', columns), 2,
                  f'misses with {columns}')


@tap.case('formats.one_file_packed_in_pieces')
def _():
    data = traces.u32([(READ, number % 50) for number in range(40000)])
    pieces = b''.join(gzip.compress(data[at:at + 7001]) for at in range(0, len(data), 7001))
    tap.equal(misses(pieces, '--format', 'u32'), 50, 'misses')


@tap.case('formats.longer_than_any_buffer')
def _():
    records = [(READ, number * 7919 % 3001) for number in range(200000)]
    for data in (traces.u32(records), traces.oracle(records), traces.csv(records),
                 b'\n'.join(b'%d' % block for _, block in records)):
        answer, = results('--policy', 'lru', '--blocks', '3001', '-', data=data)
        tap.equal((answer['accesses'], answer['misses']), (200000, 3001), 'accesses and misses')


@tap.case('formats.a_flush_of_all_files')
def _():
    _, (line,) = table('--policy', 'clock', '--blocks', '9', '-',
                       data=b'W 1\nW 0x1000001\nR 2\nF 1\nF\nW 3\nF 0x2000000')
    tap.equal((line['on-flush'], line['left-dirty']), ('2', '1'), 'on-flush and left-dirty')


# Output.

@tap.case('output.json_of_one_and_of_several')
def _():
    path = ROOT / 'few.txt'
    path.write_text('1\n2 W\n1\n')
    one = json.loads(good('--json', '--policy', 'sieve', '--blocks', '2', path))
    tap.equal(one, dict(zip(KEYS, (str(path), 'sieve', 2, 3, 1, 2, 1, 0))), 'object')
    tap.equal(list(one), KEYS, 'keys')
    several = json.loads(good('--json', '--policy', 'sieve,LRU,S3FIFO', '--blocks', '2,1', path))
    tap.equal([(got['policy'], got['blocks']) for got in several],
              [('sieve', 2), ('sieve', 1), ('lru', 2), ('lru', 1), ('s3-fifo', 2), ('s3-fifo', 1)],
              'order')


@tap.case('output.json_with_any_name')
def _():
    for name, meant in ((b'a "b"\\\n\x01.txt', 'a "b"\\\n\x01.txt'),
                        ('ä€😀.txt'.encode(), 'ä€😀.txt'),
                        (b'\xff\xc0\x80\xed\xa0\x80x\xe2\x82', '\ufffd' * 6 + 'x\ufffd\ufffd')):
        path = os.fsencode(ROOT) + b'/' + name
        with open(path, 'w', encoding='utf-8') as file:
            file.write('1\n')
        text = subprocess.run([PROGRAM.encode(), b'--json', b'--policy', b'lru', b'--blocks', b'1',
                               path], capture_output=True, check=True).stdout.decode('utf-8')
        tap.equal(json.loads(text)['trace'], f'{ROOT}/{meant}', 'trace')


@tap.case('output.table')
def _():
    title, (line,) = table('--policy', 'lru', '--blocks', '2', '-', data=b'1\n2\n1\n3\n')
    tap.contains(title, '-: text; 4 accesses, 0 of them writes, 0 flushes; write-back')
    tap.equal(line, {'policy': 'lru', 'blocks': '2', 'accesses': '4', 'hits': '1', 'misses': '3',
                     'miss-ratio': '0.7500', 'disk-reads': '3', 'disk-writes': '0'}, 'line')
    _, (line,) = table('--policy', 'lru', '--blocks', '2', '-', data=b'F 5\nF\n')
    tap.equal(line['miss-ratio'], '-', 'ratio of no access')


@tap.case('output.sizes_by_a_range')
def _():
    for sizes, meant in (('3..24', [3, 6, 12, 24]), ('3..23', [3, 6, 12]), ('5..5', [5]),
                         ('1,4..9,2', [1, 4, 8, 2])):
        found = results('--policy', 'lru', '--blocks', sizes, '-', data=b'1\n')
        tap.equal([got['blocks'] for got in found], meant, f'sizes of {sizes}')


@tap.case('output.that_cannot_be_written_is_an_error')
def _():
    if not os.path.exists('/dev/full'):
        tap.skip('there is no /dev/full')
    with open('/dev/full', 'wb') as full:
        status = subprocess.run([PROGRAM, '--blocks', '1', '-'], input=b'1\n', stdout=full,
                                stderr=subprocess.DEVNULL, timeout=LIMIT_S).returncode
    tap.equal(status, 1, 'status')


def drawing(path):
    return xml.etree.ElementTree.parse(path).getroot()


def lines_of(root):
    return [[tuple(map(float, point.split(','))) for point in line.get('points').split()]
            for line in root.iter('{http://www.w3.org/2000/svg}polyline')]


@tap.case('plot.has_a_line_for_every_policy')
def _():
    path = ROOT / 'curves.svg'
    records = accesses(chance_of('plot'), 2000, 500)
    rows = results('--policy', 'lru', '--blocks', '64,16,256', '--plot', path, '-',
                   data=traces.text(records, chance_of('text')))
    tap.equal([row['blocks'] for row in rows], [64, 16, 256], 'sizes that are printed')
    root = drawing(path)
    words = [text for element in root.iter() if element.tag.endswith('}text')
             for text in element.itertext()]
    for word in (*POLICIES, '16', '64', '256', 'miss ratio'):
        tap.equal(words.count(word), 1, f'the number of texts "{word}"')
    lines = lines_of(root)
    tap.equal(len(lines), len(POLICIES), 'lines')
    for (x1, _), (x2, _), (x3, _) in lines:
        if not (x1 < x2 < x3 and abs((x2 - x1) - (x3 - x2)) < 0.2):
            tap.fail(f'no logarithmic axis: {x1}, {x2}, {x3}')
    points = {title.text for title in root.iter('{http://www.w3.org/2000/svg}title')}
    for row in rows:
        ratio = row['misses'] / row['accesses']
        tap.contains(points, f'lru, {row["blocks"]} blocks: {ratio:.4f}', 'titles')


@tap.case('plot.names_do_not_lie_on_each_other')
def _():
    path = ROOT / 'close.svg'
    good('--blocks', '4,8', '--plot', path, '-', data=b'1\n2\n3\n1\n2\n3\n')
    places = sorted(float(element.get('y')) for element in drawing(path).iter()
                    if element.tag.endswith('}text') and element.text in POLICIES)
    tap.equal(len(places), len(POLICIES), 'names')
    if any(after - before < 14 for before, after in zip(places, places[1:])):
        tap.fail(f'names at {places}')


@tap.case('plot.looks_closely_only_where_curves_differ')
def _():
    path = ROOT / 'axis.svg'
    loop = b''.join(b'%d\n' % (i % 10) for i in range(1000))
    for data, closely in ((b'1\n2\n1\n', False), (loop, True)):
        good('--blocks', '2,3', '--plot', path, '-', data=data)
        words = [text for element in drawing(path).iter() for text in element.itertext()]
        tap.equal(any('does not begin at 0' in text for text in words), closely, 'a note')
        tap.equal('0.0' in words, not closely, '0 on the axis')


@tap.case('plot.of_any_trace_is_a_drawing')
def _():
    path = ROOT / 'odd.svg'
    trace = os.fsencode(ROOT) + b'/<&"\xff\n' + b'x' * 200
    for data, sizes in ((b'1\n', '1'), (b'F\n', '1,2'), (b'1\n1\n', '7,7,7'),
                        (b'1\n', '1..100000')):
        with open(trace, 'wb') as file:
            file.write(data)
        good('--blocks', sizes, '--plot', path, trace.decode('utf-8', 'surrogateescape'))
        for x, y in sum(lines_of(drawing(path)), []):
            if not (0 <= x <= 960 and 0 <= y <= 540):
                tap.fail(f'a point outside: {x}, {y}')


@tap.case('plot.that_cannot_be_written_keeps_the_results')
def _():
    result = run('--policy', 'lru', '--blocks', '1', '--json', '--plot', ROOT / 'no/where.svg', '-',
                 data=b'1\n')
    tap.equal(result.returncode, 1, 'status')
    tap.contains(result.stderr.decode(), 'where.svg: No such file')
    tap.equal(json.loads(result.stdout)['misses'], 1, 'misses')


# Read-ahead.

@tap.case('readahead.sequences_are_mostly_hits')
def _():
    data = b''.join(b'%d\n' % number for number in range(20000))
    for policy in POLICIES:
        _, (line,) = table('--readahead', '--policy', policy, '--blocks', '500', '-', data=data)
        if int(line['misses']) > 2000 or float(line['of-use']) < 0.9:
            tap.fail(f'{policy}: {line}')
        tap.equal(int(line['hits']) + int(line['misses']), 20000, 'hits and misses')


@tap.case('readahead.leaves_chance_alone')
def _():
    chance = chance_of('ahead')
    data = b''.join(b'%d\n' % chance.randrange(1 << 40) for _ in range(5000))
    for line in table('--readahead', '--blocks', '500', '-', data=data)[1]:
        if int(line['disk-reads']) > 5100:
            tap.fail(f'reads too much: {line}')


# What is wrong.

def refused(what, words, status, *options, data=b''):
    result = run(*options, data=data)
    text = result.stderr.decode()
    tap.equal(result.returncode, status, f'status of {what} ({text})')
    for word in words if isinstance(words, tuple) else (words,):
        tap.contains(text, word, f'message of {what}')
    return result.stdout.decode()


@tap.case('options.that_make_no_sense_are_refused')
def _():
    lru = ('--policy', 'lru', '-')
    for options, words in (
            ((), 'no TRACE'), (('-',), '--blocks N is needed'),
            (('--blocks', '0', *lru), '"0" is not a number of blocks'),
            (('--blocks', '5,,6', *lru), '"" is not'), (('--blocks', '', *lru), '"" is not'),
            (('--blocks', '5,', *lru), '"" is not'), (('--blocks', '5 ', *lru), '"5 " is not'),
            (('--blocks', '-5', *lru), '"-5" is not'), (('--blocks', '1e3', *lru), '"1e3" is not'),
            (('--blocks', '9..8', *lru), '"9..8" is not'),
            (('--blocks', '9..', *lru), '"9.." is not'),
            (('--blocks', '0x10', *lru), '"0x10" is not'),
            (('--blocks', str(10 ** 19), *lru), 'cannot have 10000000000000000000 blocks'),
            (('--blocks', '9' * 40, *lru), 'is not a number of blocks'),
            (('--blocks', str(2 ** 32), *lru), 'cannot have 4294967296 blocks, at most 1073741824'),
            (('--blocks', ','.join(['1'] * 300), *lru), 'more than 256 sizes'),
            (('--blocks', '4', '--policy', 'lru,', '-'), 'there is no ""'),
            (('--blocks', '4', '--policy', 'best', '-'), 'there is no "best"; there are: '),
            (('--blocks', '4', '--policy', 'lr', '-'), 'there is no "lr"'),
            (('--blocks', '4', '--policy', 'lru-0', '-'), 'there is no "lru-0"'),
            (('--blocks', '4', '--format', 'vscsi', '-'), 'there is no "vscsi"'),
            (('--blocks', '4', '--write-back', '--write-through', '-'), 'not both'),
            (('--blocks', '4', 'a', 'b'), 'not also "b"'), (('--blocks',), 'requires an argument'),
            (('--fast', '--blocks', '4', '-'), 'unrecognized option')):
        tap.equal(refused(options, words, 2, *options, data=b'1\n'), '', 'output')


@tap.case('options.more_memory_than_there_is_is_refused')
def _():
    sizes = ','.join([str(2 ** 30)] * 64)
    refused('many blocks', ('takes', 'of memory'), 2, '--blocks', sizes, '-', data=b'1\n')


@tap.case('options.of_columns_that_make_no_sense_are_refused')
def _():
    data = b'time,id,size\n1,2,3\n'
    for columns, words in (('', 'KEY=VALUE'), ('obj-id-col', 'KEY=VALUE'),
                           ('obj-id-col=', 'no such value'), ('obj-id-col=0', 'no such value'),
                           ('obj-id-col=99999999999', 'no such value'),
                           ('obj-id-col=2,', 'KEY=VALUE'), ('colour=2', 'not one of'),
                           ('obj-id-col=2,has-header=perhaps', 'no such value'),
                           ('delimiter=ab', 'no such value'), ('obj-id-col=name', 'no such column'),
                           ('obj-id-col=id,has-header=false', 'without a header'),
                           ('obj-id-col=' + 'x' * 100, 'no such value'),
                           ('op-col=what', 'no such column')):
        refused(columns, words, 1, '--blocks', '4', '--columns', columns, '-', data=data)
    refused('columns of a text', '--columns is for csv', 1, '--blocks', '4', '--columns',
            'obj-id-col=1', '-', data=b'1\n')
    refused('a csv that says nothing', 'which column', 1, '--blocks', '4', '-', data=b'a,b\n1,2\n')
    refused('two columns', 'which column', 1, '--blocks', '4', '-', data=b'1,2\n')


@tap.case('hostile.what_is_no_trace')
def _():
    lru = ('--policy', 'lru', '--blocks', '4')
    hidden = ROOT / 'hidden'
    hidden.write_text('1\n')
    hidden.chmod(0)
    refused('a directory', 'Is a directory', 1, *lru, ROOT)
    refused('nothing', 'No such file', 1, *lru, ROOT / 'nowhere')
    if os.geteuid() != 0:
        refused('a hidden file', 'Permission denied', 1, *lru, hidden)
    refused('no byte', 'no record', 1, *lru, '-')
    refused('no record', 'no record', 1, *lru, '-', data=b'# nothing\n\n')
    refused('a header alone', 'no record', 1, *lru, '-', data=b'time,id,size\n')
    refused('zstd', 'zstd -dc TRACE | ', 1, *lru, '-', data=b'\x28\xb5\x2f\xfd' + b'1' * 50)
    refused('xz', 'xz -dc TRACE | ', 1, *lru, '-', data=b'\xfd7zXZ\0' + b'1' * 50)
    refused('bzip2', 'bzip2 -dc TRACE | ', 1, *lru, '-', data=b'BZh91AY' + b'1' * 50)
    refused('garbage after a magic', ('record 1', 'gzip data is damaged'), 1, *lru, '-',
            data=b'\x1f\x8b' + b'garbage' * 9)
    refused('a magic alone', ('record 1', 'ends early'), 1, *lru, '-', data=b'\x1f\x8b')


@tap.case('hostile.the_record_is_named_and_those_before_it_count')
def _():
    ten = b''.join(b'%d\n' % number for number in range(10))
    wide = b'time,id,size\n' + b''.join(b'1,%d,1\n' % number for number in range(10))
    words = traces.u32([(READ, number) for number in range(10)])
    oracle = traces.oracle([(READ, number) for number in range(10)])
    packed = traces.packed(traces.u32([(READ, random.Random(7).getrandbits(30))] +
                                      [(READ, number * 7919 % 65521) for number in range(5000)]))
    number = ('--columns', 'obj-id-col=2,obj-id-is-num=1')
    operation = ('--columns', 'obj-id-col=2,op-col=3')
    for data, options, place, words_said, before in (
            (words + b'\1\2\3', ('--format', 'u32'), 'record 11:', 'after 3 of its 4 bytes', 10),
            (words + b'\0\0\0\xc0', ('--format', 'u32'), 'record 11:', 'operation 3', 10),
            (oracle + b'\1' * 23, ('--format', 'oracle'), 'record 11:', 'after 23 of its 24', 10),
            (ten + b'-1\n', (), 'record 11 (line 11):', 'not a block number: "-1"', 10),
            (ten + b'\n#\n18446744073709551616', (), 'record 11 (line 13):', 'a number over', 10),
            (ten + b'1' * 30, (), 'record 11 (line 11):', 'a number over', 10),
            (ten + b'0x\n', (), 'record 11 (line 11):', 'not a block number: "0x"', 10),
            (ten + b'7 8\n', (), 'record 11 (line 11):', 'with R, W or F: "7 8"', 10),
            (ten + b'R\n', (), 'record 11 (line 11):', 'no block number: "R"', 10),
            (ten + b'R 7 W\n', (), 'record 11 (line 11):', 'more than', 10),
            (ten + b'7\x00\n', ('--format', 'text'), 'record 11 (line 11):', '"7?"', 10),
            (ten + b'\x1b[2J\n', ('--format', 'text'), 'record 11 (line 11):', '"?[2J"', 10),
            (ten + b'9' * 70000, (), 'record 11 (line 11):', 'longer than', 10),
            (wide + b'1\n', (), 'record 11 (line 12):', 'column 2 is missing', 10),
            (wide + b'1,,1\n', (), 'record 11 (line 12):', 'column 2 is empty', 10),
            (wide + b'1,"2,1\n', (), 'record 11 (line 12):', 'a quote does not end', 10),
            (wide + b'1,-2,1\n', number, 'record 11 (line 12):', 'not a number', 10),
            (wide + b'1,x,1\n', number, 'record 11 (line 12):', 'not a number', 10),
            (wide.replace(b',1\n', b',r\n') + b'1,2,trim\n', operation, 'record 11 (line 12):',
             'not an operation (read, write, flush): "trim"', 10),
            (packed[:-8], ('--format', 'u32'), 'record 5002:', 'ends early', 5001),
            (packed[:-8] + b'\0' * 8, ('--format', 'u32'), 'record 5002:', 'damaged', 5001),
            (packed + b'more', ('--format', 'u32'), 'record 5002:', 'damaged', 5001)):
        text = refused(f'...{data[-20:]!r}', (place, words_said, 'the records before'), 1, '--json',
                       '--policy', 'lru', '--blocks', '4', *options, '-', data=data)
        tap.equal(json.loads(text)['accesses'], before, f'accesses of ...{data[-20:]!r}')


@tap.case('hostile.a_record_that_a_packed_file_breaks_off_is_no_record')
def _():
    data = b''.join(b'%d\n' % (number * 7919 % 65521) for number in range(20000))
    packed = traces.packed(data)
    for length in range(100, len(packed), len(packed) // 23):
        text = run('--json', '--policy', 'lru', '--blocks', '70000', '--format', 'text', '-',
                   data=packed[:length])
        tap.equal(text.returncode, 1, 'status')
        if not text.stdout:
            continue
        count = json.loads(text.stdout)['accesses']
        place = re.search(r'record (\d+) \(line (\d+)\): the gzip data ends early',
                          text.stderr.decode())
        tap.equal(place and (int(place[1]), int(place[2])), (count + 1, count + 1), 'record')
        # All blocks differ, so that a number that was cut short would be a further miss or a hit.
        tap.equal(json.loads(text.stdout)['misses'], len(set(data.split(b'\n')[:count])), 'misses')


@tap.case('hostile.a_flush_whose_blocks_are_not_known_is_refused')
def _():
    data = b''.join(b'W %d\n' % (number << 24) for number in range(5000)) + b'F\nF 5\n'
    _, (line,) = table('--policy', 'lru', '--blocks', '9000', '-', data=data)
    tap.equal((line['on-flush'], line['left-dirty']), ('5000', '0'), 'writes')
    refused('a flush', ('record 5003', '4,095'), 1, '--blocks', '4', '-',
            data=data + b'F %d\n' % (4500 << 24))


@tap.case('hostile.mutations_end_with_a_status')
def _():
    chance = chance_of('mutations')
    records = accesses(chance, 60, 30, 0.3, 0.05)
    reads = [(READ, block) for operation, block in records if operation == READ]
    good_ones = [traces.u32(records), traces.text(records, chance), traces.oracle(reads),
                 traces.csv(records), traces.csv(reads, quote='"')]
    good_ones += [traces.packed(data) for data in good_ones]
    options = [(), ('--format', 'u32'), ('--format', 'text'), ('--format', 'oracle'),
               ('--format', 'csv'), ('--format', 'csv', '--columns', 'obj-id-col=2,op-col=3')]
    for _ in range(200):
        data = bytearray(chance.choice(good_ones))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data) + 1)
            what = chance.randrange(4)
            if what == 0:
                del data[at:at + chance.randrange(1, 30)]
            elif what == 1:
                data[at:at] = chance.choice((b'"', b',', b'\n', b'\0', b'#', b'-', b'9' * 25))
            elif what == 2:
                data[at:at + 1] = bytes([chance.randrange(256)])
            else:
                data[at:at] = data[:chance.randrange(len(data) + 1)]
        chosen = chance.choice(options)
        result = run('--blocks', '1,7', *chosen, '-', data=bytes(data))
        if result.returncode not in (0, 1) or (result.returncode == 1) != bool(result.stderr):
            tap.fail(f'status {result.returncode} of {chosen}, {bytes(data)!r}: {result.stderr!r}')


sys.exit(tap.run(sys.argv[3:]))
