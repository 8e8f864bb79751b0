#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""session: from a workload in the kernel to files that others' tools read, as `./ashlar prof` and
`./ashlar trace` do it.

    session.py qemu ASH_TRACE QEMU_RUN KERNEL PROGRAM...   in QEMU; one PROGRAM is user/'s spin
    session.py hosted ASH_TRACE KERNEL                     as a process

The kernel makes its dump where it was started; ash-trace makes the rest of it, and a summary, which
must agree with what the kernel has said of itself.
"""
import gzip
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import chrome  # noqa: E402
import tap  # noqa: E402

WORLD = sys.argv[1]
ASH_TRACE, *KERNEL = [os.path.abspath(path) for path in sys.argv[2:5 if WORLD == 'qemu' else 4]]
SPIN = next((path for path in sys.argv[5:] if os.path.basename(path) == 'spin'), None)
LIMIT_S = 60

folder = tempfile.TemporaryDirectory(prefix='ashlar session ')
ROOT = pathlib.Path(folder.name)


def disk():
    path = ROOT / 'disk.tar'
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo('bin/spin')
        data = pathlib.Path(SPIN).read_bytes() if SPIN else bytes(100000)
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
    return path


def kernel(script, status=0):
    """What it says on the console; its files are in ROOT."""
    if WORLD == 'qemu':
        command = [KERNEL[0], '--timeout', str(LIMIT_S), '--disk', disk(),
                   '--args', f'aslr=0 script "{script}"', KERNEL[1]]
    else:
        command = [KERNEL[0], '--smp=1', f'--disk={disk()}', 'script', f'"{script}"']
    return run(command, status)


def run(command, status=0):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, cwd=ROOT, timeout=LIMIT_S + 5,
                          check=False)
    if done.returncode != status:
        tap.fail(f'{command}: status {done.returncode}, expected {status}: '
                 f'{tap.shorten(done.stdout)} {tap.shorten(done.stderr)}')
    return done.stdout


def exports(dump, *options):
    """The summary; every other export must be there, and have something in it."""
    summary = run([ASH_TRACE, dump, '--summary', *options])
    for name in options[1::2]:
        path = ROOT / name
        for file in path.iterdir() if path.is_dir() else [path]:
            if file.stat().st_size == 0:
                tap.fail(f'{file.name} is empty')
    return summary


def spinning():
    """A workload, and a function that is known to take most of its time, with what it calls."""
    return ('run spin 1000', 'main') if WORLD == 'qemu' else ('bench sched', 'hog_[k]')


def functions(summary):
    """{name: (self, total)}, in samples."""
    rows = re.findall(r'^ +(\d+) +[0-9.]+ % +(\d+) +[0-9.]+ % +(\S.*)$', summary, re.MULTILINE)
    return {name: (int(own), int(total)) for own, total, name in rows}


@tap.case('session.a_profile_leaves_what_other_tools_read')
def _():
    workload, spinner = spinning()
    kernel(f'profstart 1000; {workload}; profstop; prof dump a.ash')
    summary = exports('a.ash', '--flame', 'flame.svg', '--pprof', 'profile.pb.gz',
                      '--folded', 'stacks.folded')
    tap.contains((ROOT / 'flame.svg').read_text(), '</svg>')
    if not gzip.decompress((ROOT / 'profile.pb.gz').read_bytes()):
        tap.fail('the profile is empty')
    rows = functions(summary)
    samples = sum(own for own, _total in rows.values())
    if samples < 20 or rows.get(spinner, (0, 0))[1] < samples / 2:
        tap.fail(f'{spinner} has not most of the samples: {summary}')


@tap.case('session.folded_stacks_add_up_to_the_summary')
def _():
    workload, _spinner = spinning()
    kernel(f'profstart 1000; {workload}; profstop; prof dump b.ash')
    summary = exports('b.ash', '--folded', 'b.folded')
    lines = (ROOT / 'b.folded').read_text().splitlines()
    taken, missed = re.search(r'(\d+) samples of.*\n +(\d+) missed', summary).groups()
    tap.equal(sum(int(line.rsplit(' ', 1)[1]) for line in lines), int(taken) + int(missed))


@tap.case('session.a_trace_leaves_what_other_tools_read')
def _():
    workload, _spinner = spinning()
    said = kernel(f'trace start; trace mark 77; {workload}; trace mark 78; trace stop; '
                  'trace dump c.ash')
    summary = exports('c.ash', '--chrome', 'timeline.json', '--ctf', 'ctf')
    emitted = int(re.search(r'trace: (\d+) events, 0 overwritten, 0 dropped', said)[1])
    tap.equal(law(summary), (emitted, emitted, 0, 0))
    text = (ROOT / 'timeline.json').read_text(encoding='utf-8')
    tap.equal(chrome.check(text), [], 'what is wrong with the timeline')
    events = json.loads(text)['traceEvents']
    tap.equal(sum(event['name'] == 'mark' for event in events), 2, 'the number of marks')


def law(summary):
    """emitted = exported + overwritten + dropped, of all CPUs."""
    rows = re.findall(r'^ +\d+ +(\d+) +(\d+) +(\d+) +(\d+)$', summary, re.MULTILINE)
    sums = tuple(sum(int(row[i]) for row in rows) for i in range(4))
    tap.equal(sums[0], sum(sums[1:]), 'what was emitted')
    return sums


@tap.case('session.a_small_ring_says_what_it_lost')
def _():
    workload, _spinner = spinning()
    said = kernel(f'trace start 64; {workload}; trace stop; trace dump d.ash')
    emitted, overwritten, dropped = (int(number) for number in re.search(
        r'trace: (\d+) events, (\d+) overwritten, (\d+) dropped', said).groups())
    if overwritten == 0:
        tap.fail('nothing was overwritten in a ring of 64')
    tap.equal(law(exports('d.ash')), (emitted, 64, overwritten, dropped))


@tap.case('session.a_dump_of_nothing_is_refused')
def _():
    tap.contains(kernel('prof dump e.ash', 1), 'profstart')
    tap.contains(kernel('trace dump e.ash', 1), 'trace start')
    if (ROOT / 'e.ash').exists():
        tap.fail('it made a file')


sys.exit(tap.run())
