#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trace: traces taken in QEMU: what a dump holds is what the kernel has counted, and what ash-trace
makes of it.

    trace.py ASH_TRACE KERNEL PROGRAM... [-- WORD...]
"""
import collections
import functools
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

from boot import LIMIT_S, boot
import container
import tap

words = [os.path.abspath(word) if '/' in word else word for word in sys.argv[1:]]
cases = words[words.index('--') + 1:] if '--' in words else []
words = words[:words.index('--')] if '--' in words else words
ASH_TRACE, KERNEL, PROGRAMS = words[0], words[1], [pathlib.Path(word) for word in words[2:]]
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
PANIC_STATUS = 70
PANIC = 'test _fatal.panic_while_all_cpus_trace'
LAST_MARK = 1000  # of CPU 0, which panics then
WITHOUT_HOST = ['-semihosting-config', 'enable=off']


def write_disk():
    path = ROOT / 'disk.tar'
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive:
        for program in PROGRAMS:
            entry = tarfile.TarInfo(f'bin/{program.name}')
            entry.size, entry.mode = program.stat().st_size, 0o755
            archive.addfile(entry, io.BytesIO(program.read_bytes()))
    return path


DISK = write_disk()


def script(*lines, disk=False, smp=1, qemu=(), status=0):
    """What the commands print, one after the other."""
    options = ['--smp', str(smp)] + (['--disk', str(DISK)] if disk else [])
    done, text = boot(KERNEL, f'aslr=0 script "{"; ".join(lines)}"', *options, qemu=qemu)
    tap.equal(done, status, f'status of {text}')
    return text


def read(name):
    return container.read((ROOT / name).read_bytes())


def stat(text):
    """[(emitted, kept, overwritten, dropped)] of the last `trace stat`, by CPU."""
    table = text[text.rindex('cpu      emitted '):]
    rows = re.findall(r'^ *(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$', table, re.MULTILINE)
    tap.equal([int(row[0]) for row in rows], list(range(len(rows))), 'the CPUs')
    return [tuple(map(int, row[1:5])) for row in rows]


def counts(dump):
    return [(ring.emitted, len(ring.records), ring.overwritten, ring.dropped)
            for _, ring in sorted(dump.rings.items())]


def check_ring(ring, unfinished=0):
    """The law, and what stands in a ring: no gap, and time that runs."""
    if len(ring.unfinished) > unfinished:
        tap.fail(f'records {ring.unfinished} were not written')
    tap.equal(ring.emitted, len(ring.records) + len(ring.unfinished) + ring.overwritten +
              ring.dropped, 'what was emitted')
    numbers = sorted([record.sequence for record in ring.records] + ring.unfinished)
    end = ring.emitted - ring.dropped + 1
    tap.equal(numbers, list(range(ring.overwritten + 1, end)), 'numbers')
    for before, record in zip(ring.records, ring.records[1:]):
        # Who is interrupted while it writes has an earlier number and a later time.
        if record.clock < before.clock and record.depth <= before.depth:
            tap.fail(f'time runs backwards: {before}, {record}')
    for depth in range(3):
        clocks = [record.clock for record in ring.records if record.depth == depth]
        tap.equal(clocks == sorted(clocks), True, f'times of depth {depth} rise')


def check(dump, unfinished=0):
    tap.equal(len(dump.rings), int(dump.text['cpus']), 'rings')
    for _, ring in sorted(dump.rings.items()):
        check_ring(ring, unfinished)


def marks(ring):
    return [record.a for record in ring.records if record.name == 'mark']


@functools.lru_cache(None)
def traced(smp):
    """A trace of programs that fork and write, in rings that are too small: what was said."""
    return script('trace start 256', 'run forktest', 'trace mark 77', 'trace stop', 'trace stat',
                  f'trace dump {ROOT}/programs{smp}.ash', disk=True, smp=smp)


@tap.case('trace.a_dump_holds_what_the_kernel_has_counted')
def _():
    for smp in (1, 4):
        text = traced(smp)
        dump = read(f'programs{smp}.ash')
        check(dump)
        tap.equal(counts(dump), stat(text), 'emitted, kept, overwritten and dropped')
        tap.equal(dump.text['cpus'], str(smp))
        sums = [sum(column) for column in zip(*stat(text))]
        tap.contains(text, f'trace: {sums[0]} events, {sums[2]} overwritten, {sums[3]} dropped\n')
        tap.contains(text, f', {sums[1]} events\n')
        if sums[2] == 0:
            tap.fail(f'nothing was overwritten: {text}')
        marked = [record for ring in dump.rings.values() for record in ring.records
                  if record.name == 'mark']
        tap.equal([(record.a, dump.tasks[record.task]) for record in marked], [(77, 'main')])


def run_ash_trace(*options):
    done = subprocess.run([ASH_TRACE, *map(str, options)], stdin=subprocess.DEVNULL, cwd=ROOT,
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)
    tap.equal((done.returncode, done.stderr), (0, ''), 'status and errors of ash-trace')
    return done.stdout


@tap.case('trace.ash_trace_counts_the_same')
def _():
    for smp in (1, 4):
        traced(smp)
        dump = read(f'programs{smp}.ash')
        text = run_ash_trace(f'programs{smp}.ash', '--summary', '--chrome', 'timeline.json')
        rows = re.findall(r'^ +\d+ +(\d+) +(\d+) +(\d+) +(\d+)$', text, re.MULTILINE)
        tap.equal([tuple(map(int, row)) for row in rows], counts(dump), 'the summary')
        other = json.loads((ROOT / 'timeline.json').read_text(encoding='utf-8'))['otherData']
        tap.equal([(cpu['emitted'], cpu['exported'], cpu['overwritten'], cpu['dropped'])
                   for cpu in other['cpus']], counts(dump), 'the timeline')
        tap.equal(other['records'], sum(row[1] for row in counts(dump)), 'all of it')
        tap.equal((other['late'], other['not_described']), (0, 0))
        rows = re.findall(r'^ +(\d+)  ([a-z][\w.-]*)(?: +([a-z ]+))?$', text, re.MULTILINE)
        tap.equal({(name, kind): int(count) for count, name, kind in rows},
                  dict(collections.Counter((record.name, record.kind)
                                           for ring in dump.rings.values()
                                           for record in ring.records)), 'the events')


@tap.case('trace.only_what_was_asked_for_is_recorded')
def _():
    script('trace start --only sched,irq', 'run spin 100', 'trace mark 1', 'trace stop',
           f'trace dump {ROOT}/groups.ash', 'trace start --only mark', 'run spin 10',
           'trace mark 7', 'trace stop', f'trace dump {ROOT}/one.ash', disk=True)
    dump = read('groups.ash')
    check(dump)
    names = {record.name for record in dump.rings[0].records}
    tap.equal({name.split('.')[0] for name in names}, {'sched', 'irq'}, 'groups')
    tap.equal({'sched.switch', 'irq'} <= names, True, f'some of {names}')
    dump = read('one.ash')
    check(dump)
    tap.equal([(record.sequence, record.name, record.a) for record in dump.rings[0].records],
              [(1, 'mark', 7)])


@tap.case('trace.a_full_ring_keeps_the_first_or_the_newest')
def _():
    lines = [f'trace mark {number}' for number in range(1, 101)]
    for option, kept, overwritten, dropped in ((' --stop-on-full', range(1, 65), 0, 36),
                                               ('', range(37, 101), 36, 0)):
        path = ROOT / 'full.ash'
        typed = '\n'.join([f'trace start 64 --only mark{option}', *lines, 'trace stop',
                           'trace stat', f'trace dump {path}', ''])
        status, text = boot(KERNEL, '', stdin=typed.encode())
        tap.equal(status, 0, text)
        dump = read(path)
        check(dump)
        tap.equal(marks(dump.rings[0]), list(kept), 'the marks')
        tap.equal(counts(dump), [(100, 64, overwritten, dropped)])
        tap.equal(counts(dump), stat(text))
        tap.equal(dump.rings[0].mode, 1 if option else 0, 'mode')


@tap.case('trace.a_dump_pauses_what_goes_on_then')
def _():
    text = script('trace start', 'run spin 10', f'trace dump {ROOT}/a.ash', 'trace mark 5',
                  f'trace dump {ROOT}/b.ash', 'trace stat', 'trace stop', disk=True, smp=4)
    tap.equal(text.count(' events; paused meanwhile, it goes on\n'), 2, 'pauses')
    tap.contains(text, 'running, overwrites the oldest\n')
    before, after = read('a.ash'), read('b.ash')
    check(before)
    check(after)
    for cpu, ring in before.rings.items():
        tap.equal(after.rings[cpu].records[:len(ring.records)] == ring.records, True,
                  f'what CPU {cpu} had')
    tap.equal([marks(ring) for ring in before.rings.values()], [[]] * 4, 'marks')
    tap.equal(sum((marks(ring) for ring in after.rings.values()), []), [5], 'marks')


@tap.case('trace.two_runs_of_a_fixed_icount_are_the_same_to_the_byte')
def _():
    made = []
    for name in 'ab':
        where = ROOT / name
        where.mkdir()
        os.chdir(where)
        text = script('trace start 1024', 'bench slab', 'trace mark 3', 'trace stop', 'trace show',
                      'trace stat', 'trace dump x.ash', qemu=['-icount', 'shift=0,sleep=off'])
        made.append((text, (where / 'x.ash').read_bytes()))
    tap.equal(made[0][0], made[1][0], 'what was said')
    tap.equal(made[0][1] == made[1][1], True, 'the dumps are the same')
    dump = container.read(made[0][1])
    check(dump)
    tap.equal(counts(dump), stat(made[0][0]))
    names = {record.name for record in dump.rings[0].records}
    tap.equal({'irq', 'thread.switch', 'mark'} <= names, True, f'some of {names}')


@tap.case('trace.a_file_that_cannot_be_written_loses_nothing')
def _():
    text = script('trace start 256', 'run forktest', 'trace stop', f'trace dump {ROOT}/1.ash',
                  f'trace dump {ROOT}/no/such/x.ash', f'trace dump {ROOT}', 'trace dump /dev/full',
                  f'trace dump {ROOT}/2.ash', 'check', disk=True)
    tap.contains(text, f'trace: {ROOT}/no/such/x.ash: cannot be written on the host: is its '
                       'folder there, and may files be made in it?\n')
    tap.contains(text, f'trace: {ROOT}: cannot be written on the host: ')
    tap.contains(text, 'trace: /dev/full: cannot be written on the host: no space left\n')
    tap.equal(text.count(' KiB, 256 events\n'), 2, 'whole dumps')
    dumps = [read(f'{number}.ash') for number in (1, 2)]
    check(dumps[1])
    tap.equal(dumps[0].rings == dumps[1].rings, True, 'both dumps are the same')


@tap.case('trace.a_dump_over_the_console_is_the_same_file')
def _():
    commands = 'trace start 64; bench buddy; trace stop; trace stat; trace dump x.ash'
    status, text = boot(KERNEL, '', qemu=[*WITHOUT_HOST, '-append', f'script "{commands}"'])
    tap.equal(status, 0, text)
    tap.contains(text, 'trace: nobody serves files here: ash-trace reads it out of this log\n')
    tap.contains(text, 'trace: on the console: ')
    dump = container.read(container.of_log(text))
    check(dump)
    tap.equal(counts(dump), stat(text))
    (ROOT / 'console.log').write_text(text, encoding='utf-8')
    tap.contains(run_ash_trace('console.log'), 'reason      dump\n')


def check_panic(dump, cpus):
    check(dump, unfinished=1)
    tap.equal(len(dump.rings), cpus, 'rings')
    tap.contains(dump.text['reason'], 'selftest: no hook took this')
    for cpu, ring in dump.rings.items():
        marked = marks(ring)
        if ring.overwritten == 0 or len(marked) < ring.capacity / 4:
            tap.fail(f'CPU {cpu} has {len(marked)} marks, and lost {ring.overwritten} records')
        missing = marked[-1] - marked[0] + 1 - len(marked)
        if marked != sorted(marked) or missing > 1 or marked[-1] < LAST_MARK:
            tap.fail(f'CPU {cpu} has the marks {marked}')
    tap.equal(marks(dump.rings[0])[-1], LAST_MARK, 'the last mark before the panic')


@tap.case('trace.of_a_panic_has_the_last_events_of_each_cpu')
def _():
    os.chdir(ROOT)
    for cpus in (1, 4):
        status, text = boot(KERNEL, f'trace=256 {PANIC}', '--smp', str(cpus))
        tap.equal(status, PANIC_STATUS, text)
        tap.contains(text, 'trace: the last events are in ashlar-panic.ash (')
        check_panic(read('ashlar-panic.ash'), cpus)
        tap.contains(run_ash_trace('ashlar-panic.ash'), 'reason      selftest: no hook took this')
        os.remove('ashlar-panic.ash')


@tap.case('trace.of_a_panic_that_the_host_does_not_take_is_on_the_console')
def _():
    os.chdir(ROOT)
    os.mkdir('ashlar-panic.ash')  # no file can be made of this name
    status, text = boot(KERNEL, f'trace=256 {PANIC}', '--smp', '4')
    os.rmdir('ashlar-panic.ash')
    tap.equal(status, PANIC_STATUS, text)
    tap.contains(text, 'trace: ashlar-panic.ash cannot be written: ')
    check_panic(container.read(container.of_log(text)), 4)


@tap.case('trace.of_a_panic_without_a_host_is_on_the_console')
def _():
    os.chdir(ROOT)
    for cpus in (1, 4):
        status, text = boot(KERNEL, '', '--smp', str(cpus),
                            qemu=[*WITHOUT_HOST, '-append', f'trace=256 {PANIC}'])
        tap.equal(status, 0, text)  # nobody takes it
        check_panic(container.read(container.of_log(text)), cpus)
        (ROOT / 'panic.log').write_text(text, encoding='utf-8')
        tap.contains(run_ash_trace('panic.log'), 'reason      selftest: no hook took this')


sys.exit(tap.run(cases))
