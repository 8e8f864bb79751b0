#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sites: what an event costs where it is off, from the machine code of its sites.

    sites.py --source DIR --build DIR --machine CPU --cc WORD...

Of a site on its own by each compiler that is here, and of the archives of the build directory; one
that has no events (-Devents=false) is to have nothing left of them.
"""
import argparse
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'harness'))
import tap  # noqa: E402

EVENT_SIZE, ENABLED_AT = 24, 19  # site.c asserts it
OFF = {'x86_64': ['cmpb', 'jne'], 'aarch64': ['adrp', 'ldrb', 'cbnz']}
PORTS = {'x86_64': 'hosted', 'aarch64': 'qemu-virt'}
WARNINGS = ['-Wall', '-Wextra', '-Wconversion', '-Wshadow', '-Wunused', '-Werror']
LINE = re.compile(r'^\s*[0-9a-f]+:\s+(\S+)\s*(.*)$')
RELOCATION = re.compile(r'^\s*[0-9a-f]+:\s+(R_\w+)\s+(\S+)$')

options = None


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', type=pathlib.Path)
    parser.add_argument('--build', type=pathlib.Path)
    parser.add_argument('--machine')
    parser.add_argument('--cc', nargs='+')
    return parser.parse_args()


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        tap.fail(f'{" ".join(map(str, command))}: {done.stderr}')
    return done.stdout


def build_option(name):
    with open(options.build / 'meson-info/intro-buildoptions.json', encoding='utf-8') as file:
        return {option['name']: option['value'] for option in json.load(file)}[name]


def compilers(machine):
    """Command lines that make objects for the machine."""
    if machine == platform.machine():
        found = [[name] for name in ('gcc', 'clang-14') if shutil.which(name)] or [options.cc]
    else:
        found = [[name] for name in (f'{machine}-linux-gnu-gcc',) if shutil.which(name)]
        if shutil.which('clang-14'):
            found.append(['clang-14', f'--target={machine}-none-elf'])
    return found


def objdump(machine):
    names = ['objdump'] if machine == platform.machine() else []
    for name in (*names, f'{machine}-linux-gnu-objdump', 'llvm-objdump-14'):
        if shutil.which(name):
            return name
    tap.skip(f'no objdump for {machine} here')


def disassemble(machine, path):
    """{"member:function": [[mnemonic, operands, relocation], ...]}"""
    functions, member, at = {}, '', None
    for line in run(objdump(machine), '-dr', '--no-show-raw-insn', path).splitlines():
        relocation = RELOCATION.match(line)
        if line.endswith(':') and '<' in line:
            at = functions.setdefault(f'{member}:{line[line.index("<") + 1:-2]}', [])
        elif 'file format' in line:
            member = line.split(':')[0]
        elif relocation and at:
            at[-1][2] = relocation[2]
        elif at is not None and (match := LINE.match(line)):
            at.append([match[1], match[2], ''])
    return functions


def build_site(machine, compiler, arguments, directory):
    target = pathlib.Path(directory) / 'site.o'
    run(*compiler, '-std=c11', '-ffreestanding', *WARNINGS, *arguments,
        *(['-ffixed-x18'] if machine == 'aarch64' else []), f'-I{options.source}/include',
        f'-I{options.source}/platform/{PORTS[machine]}/include', '-c', HERE / 'site.c',
        '-o', target)
    return target


def check_site(machine):
    expected, problems = [*OFF[machine], 'ret'], []
    found = compilers(machine)
    if not found:
        tap.skip(f'no compiler for {machine} here')
    with tempfile.TemporaryDirectory() as directory:
        for compiler in found:
            for position in ('-fno-pic', '-fPIE', '-fPIC'):
                for level in ('-O2', '-O3'):
                    site = build_site(machine, compiler, [position, level], directory)
                    code = [line[0].replace('retq', 'ret')
                            for line in disassemble(machine, site)[f'{site}:site']]
                    code = code[:code.index('ret') + 1]
                    if code != expected:
                        problems.append(f'{" ".join(compiler)} {position} {level}: {code}')
    if problems:
        tap.fail('\n'.join(problems))


@tap.case('sites.on_x86_64_an_event_that_is_off_is_two_instructions')
def _():
    check_site('x86_64')


@tap.case('sites.on_aarch64_an_event_that_is_off_is_three_instructions')
def _():
    check_site('aarch64')


def tests_in(code, machine):
    """Where the byte of an event is loaded, as indices."""
    beyond = 5 if machine == 'x86_64' else 0  # relative to the end: four bytes, and the constant 0
    for i, (mnemonic, _, relocation) in enumerate(code):
        match = re.match(r'ash_events(?:\+0x([0-9a-f]+))?$', relocation)
        if match and mnemonic in OFF[machine] and \
                (int(match[1] or '0', 16) + beyond) % EVENT_SIZE == ENABLED_AT and \
                mnemonic == OFF[machine][-2]:
            yield i


def check_archive(machine, path, sites):
    """Each test is the byte's address and the branch, and there are as many as sites."""
    found, problems = 0, []
    for function, code in disassemble(machine, path).items():
        for i in tests_in(code, machine):
            found += 1
            if code[i + 1][0] not in (OFF[machine][-1], OFF[machine][-1].replace('n', '')):
                problems.append(f'{path.name} {function}: {code[i][0]} is followed by '
                                f'{" ".join(code[i + 1][:2])}')
    if found < sites:
        problems.append(f'{path.name}: {sites} sites in the source, {found} which test a byte at '
                        'a constant address')
    return problems


def part_archives():
    """(machine, part, path); a part's archive for this machine may be called its native one."""
    for path in sorted(options.build.glob('lib/libashlar-*.a')):
        part, _, kind = path.stem.removeprefix('libashlar-').partition('-')
        if kind in ('', 'native'):
            yield platform.machine() if kind else options.machine, part, path


@tap.case('sites.in_the_archives_are_no_longer')
def _():
    if build_option('optimization') in ('0', 'g') or not build_option('events'):
        tap.skip('this build has no events, or is not optimized')
    problems, some = [], 0
    for machine, part, path in part_archives():
        sites = sum(len(re.findall(r'\bASH_EVENT\(', source.read_text(encoding='utf-8')))
                    for source in (options.source / 'lib' / part).glob('*.c'))
        if machine in OFF and sites != 0:
            problems += check_archive(machine, path, sites)
            some += 1
    tap.equal(some >= 2, True, 'archives with sites')
    if problems:
        tap.fail('\n'.join(problems))


def remains(paths):
    """What is left of events in objects."""
    left = []
    for at in range(0, len(paths), 100):
        some = paths[at:at + 100]
        left += [f'{line}: calls it' for line in run('nm', '-Au', *some).splitlines()
                 if line.endswith(' ash_event_emit')]
        path = some[0]
        for line in run('readelf', '-SW', *some).splitlines():
            if line.startswith('File: '):
                path = line[len('File: '):]
            elif re.search(r'\sash_events\s', line):
                left.append(f'{path}: has events')
    return left


@tap.case('sites.compiled_out_leave_nothing')
def _():
    with tempfile.TemporaryDirectory() as directory:
        for compiler in compilers(platform.machine()):
            site = build_site(platform.machine(), compiler, ['-O2'], directory)
            tap.equal(len(remains([site])), 2, 'what is there of events that are compiled in')
            for level in ('-O0', '-O2'):
                site = build_site(platform.machine(), compiler, [level, '-DASH_EVENTS=0'],
                                  directory)
                tap.equal(remains([site]), [], f'{" ".join(compiler)} {level}')


@tap.case('sites.none_are_left_in_a_build_without_events')
def _():
    if build_option('events'):
        tap.skip('this build has events')
    objects = list(options.build.rglob('*.o'))
    tap.equal(len(objects) > 100, True, 'enough objects')
    left = remains(objects)
    if left:
        tap.fail('\n'.join(left[:20]))


options = parse()
sys.exit(tap.run())
