#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""prof: profiles taken in QEMU: what is said of them, what they name, and that they repeat.

    prof.py KERNEL PROGRAM... [-- WORD...]
"""
import io
import os
import pathlib
import re
import sys
import tarfile
import tempfile

from boot import boot
import tap

words = [os.path.abspath(word) if '/' in word else word for word in sys.argv[1:]]
cases = words[words.index('--') + 1:] if '--' in words else []
words = words[:words.index('--')] if '--' in words else words
KERNEL, PROGRAMS = words[0], [pathlib.Path(word) for word in words[1:]]
folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
ICOUNT = ['-icount', 'shift=0,sleep=off']


def write_disk():
    path = ROOT / 'disk.tar'
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive:
        for program in PROGRAMS:
            entry = tarfile.TarInfo(f'bin/{program.name}')
            entry.size, entry.mode = program.stat().st_size, 0o755
            archive.addfile(entry, io.BytesIO(program.read_bytes()))
    return path


DISK = write_disk()


def script(*lines, disk=False, smp=1, qemu=()):
    """What the commands print, one after the other, and the machine's status."""
    options = ['--smp', str(smp)] + (['--disk', str(DISK)] if disk else [])
    return boot(KERNEL, f'aslr=0 script "{"; ".join(lines)}"', *options, qemu=qemu)[::-1]


def shares(text):
    """{function: (self, total)} of a report, in percent."""
    rows = re.findall(r'^ *(\d+\.\d)% +(\d+\.\d)%  (\S+)$', text, re.MULTILINE)
    return {name: (float(own), float(total)) for own, total, name in rows}


@tap.case('prof.says_what_is_wrong')
def _():
    text, status = script('profstop', 'profreport', 'prof dump x', 'profstart 0', 'profstart 20001',
                          'profstart x', 'profstart --cycles 999', 'profreport 0', 'prof x y')
    tap.equal(status, 2)
    tap.equal([line for line in text.splitlines() if not line.startswith('usage')], [
        'profstop: it does not sample; profstart begins',
        'profreport: nothing was sampled; profstart begins',
        'prof: nothing was sampled; profstart begins',
        *[f'profstart: {word}: no such rate: say 1 to 20000 samples a second, without a unit'
          for word in ('0', '20001', 'x')],
        'profstart: 999: a period is 1000 cycles or more, below 2^32',
        'profreport: 0: say how many functions, 1 to 1000',
        'prof: say flame, folded or dump, and a file; or regions'])


@tap.case('prof.starts_once_and_what_was_sampled_outlives_refusals')
def _():
    text, status = script('profstart --cycles 10000', 'profstart', 'prof dump x', 'profreport',
                          'bench buddy', 'profstop', 'profstart 70000', 'profstop',
                          f'prof dump {ROOT}/no/such/folder/x', 'profreport 1', 'check',
                          qemu=ICOUNT)
    tap.contains(text, 'profstart: it samples already; profstop ends that\n')
    tap.contains(text, 'prof: it samples still; profstop first\n')
    tap.contains(text, 'status    running\n')
    tap.contains(text, 'functions are shown after profstop\n')
    tap.contains(text, '/no/such/folder/x: cannot be written on the host: ')
    tap.equal(len(shares(text)), 1, f'functions in {text}')
    tap.equal(status, 0)


@tap.case('prof.more_samples_than_there_is_memory_for_are_refused')
def _():
    text, status = script('profstart --samples 67108864', 'profstop')
    tap.contains(text, 'profstart: there is no memory for the samples of all CPUs; --samples N ')
    tap.equal(status, 1)


@tap.case('prof.names_the_functions_of_the_kernel')
def _():
    text, status = script('profstart --cycles 20000', 'bench slab', 'profstop', 'profreport 40',
                          qemu=ICOUNT)
    tap.equal(status, 0)
    found = shares(text)
    for name in ('ash_kmalloc_[k]', 'ash_kfree_[k]', 'ash_slab_free_[k]'):
        if found.get(name, (0, 0))[0] < 5:
            tap.fail(f'{name} has less than 5 %: {text}')
    tap.equal(sum(own for own, _ in found.values()) <= 100.5, True, 'the sum of the shares')
    tap.contains(text, 'rate      every 20000 instructions\n')


@tap.case('prof.names_the_functions_of_programs_on_each_number_of_cpus')
def _():
    for smp in (1, 4):
        text, status = script('profstart 1000', 'run spin 100', 'profstop', 'profreport 20',
                              'check', disk=True, smp=smp)
        tap.equal(status, 0, text)
        tap.contains(text, f' of {smp} CPU')
        found = shares(text)
        if found.get('main', (0, 0))[0] < (60 if smp == 1 else 12):
            tap.fail(f'main of spin has {found.get("main")}: {text}')
        tap.contains(text, ' Hz delivered')


@tap.case('prof.two_runs_of_a_fixed_icount_are_the_same_to_the_byte')
def _():
    dumps, texts = [], []
    for name in 'ab':
        where = ROOT / name
        where.mkdir()
        os.chdir(where)
        text, status = script('profstart --cycles 20000', 'bench slab', 'profstop',
                              'prof dump x.ash', 'prof folded x.folded', 'prof flame x.svg',
                              qemu=ICOUNT)
        tap.equal(status, 0, text)
        dumps.append([(where / f'x.{end}').read_bytes() for end in ('ash', 'folded', 'svg')])
        texts.append(text)
    tap.equal(texts[0], texts[1], 'what was said')
    tap.equal(dumps[0] == dumps[1], True, 'the files are the same')
    lines = dumps[0][1].decode().splitlines()
    tap.equal(all(re.fullmatch(r'\S.* \d+', line) for line in lines) and len(lines) > 20, True,
              f'folded stacks: {lines[:5]}')
    tap.contains(dumps[0][2], b'<svg')


def regions(text):
    """{name: (entered, total, mean, min, max)} of `prof regions`."""
    rows = re.findall(r'^ *(\d+) +(\d+) +(\d+) +(\d+) +(\d+)  (.+)$', text, re.MULTILINE)
    return {row[5]: tuple(map(int, row[:5])) for row in rows}


@tap.case('prof.regions_of_the_kernel_are_measured_while_they_are_on')
def _():
    for smp in (1, 4):
        text, status = script('run forktest', 'prof regions', 'prof regions on', 'cache drop',
                              'perfstat run forktest', 'prof regions', 'check', disk=True, smp=smp)
        tap.equal(status, 0, text)
        off, on = text.split('perfstat: run', 1)
        tap.equal(regions(off), {})
        found = regions(on)
        tap.equal(sorted(found), ['fork: address space', 'page fault', 'wait for a block'])
        for entered, total, mean, least, most in found.values():
            tap.equal(least <= mean <= most <= total and mean == total // entered, True, text)
        copied = int(re.search(r'(\d+) copied$', text, re.MULTILINE)[1])
        tap.equal(found['page fault'][0] >= copied > 1000, True, text)
        tap.equal(found['fork: address space'][0], 16)
    text, _ = script('prof regions', qemu=ICOUNT)
    tap.contains(text, 'unit: ns, by a clock of 62500000 Hz; under -icount shift=0, instructions\n')


@tap.case('perfstat.counts_what_the_cpu_counts_and_says_what_not')
def _():
    text, status = script('perfstat run forktest', 'perfstat nonsense', disk=True)
    tap.contains(text, 'perfstat: run: status 0\n')
    tap.contains(text, '       not available  instructions: the CPU does not count them\n')
    faults = re.search(r'^ +(\d+)  page faults, (\d+) pages zeroed, (\d+) copied$', text,
                       re.MULTILINE)
    tap.equal(int(faults[1]) > 100 and int(faults[3]) > 100, True, f'faults in {text}')
    tap.contains(text, 'perfstat: nonsense: status 127\n')
    tap.equal(status, 127)
    text, status = script('perfstat mem', qemu=ICOUNT)
    tap.equal(10000 < int(re.search(r'(\d+)  instructions$', text, re.MULTILINE)[1]) < 10**7, True,
              text)
    tap.contains(text, 'not available  cache misses: ')


sys.exit(tap.run(cases))
