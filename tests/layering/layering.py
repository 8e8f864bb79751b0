#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""layering: who may know whom (docs/ARCHITECTURE.md), proven from the sources and the archives.

    layering.py --source DIR --build DIR --nm NM [--cross-nm NM] --cc WORD... --cxx WORD...
                --portable FILE... --host-only FILE...
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

FREESTANDING = {'stdint.h', 'stddef.h', 'stdbool.h'}
LIBC_ALLOWED = {'memcpy', 'memmove', 'memset', 'memcmp'}
LINKER_MADE = {'_GLOBAL_OFFSET_TABLE_'}
HOOKS_ALLOWED = {'ash_panic', 'ash_event_emit'}
HEADER_LINES_MAX = 250
# Longer for a reason.
LONG_HEADERS = {'include/ashlar/rbtree.h': 450}  # the whole algorithm is inline
BOTH_WORLDS_PERCENT = 90
WARNINGS = ['-Wall', '-Wextra', '-Wconversion', '-Wshadow', '-Wpedantic', '-Werror',
            '-fsyntax-only']
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

options = None
SOURCE = None


def parse():
    parser = argparse.ArgumentParser()
    for name in ('--source', '--build', '--nm', '--cross-nm'):
        parser.add_argument(name)
    for name in ('--cc', '--cxx', '--portable', '--host-only'):
        parser.add_argument(name, nargs='*', default=[])
    # A compiler's own options ("-m32") are not ours.
    return parser.parse_args()


def c_files(*folders):
    for folder in folders:
        for path in sorted((SOURCE / folder).rglob('*')):
            if path.suffix in ('.c', '.h', '.cc', '.S'):
                yield path


def includes(path):
    """(quote, name) of each include."""
    return INCLUDE.findall(path.read_text(encoding='utf-8'))


def relative(path):
    return path.relative_to(SOURCE).as_posix()


def parts():
    return sorted(path.name for path in (SOURCE / 'lib').iterdir() if any(path.glob('*.c')))


def headers_of(folder):
    """{"ashlar/x.h"} below folder/include."""
    base = SOURCE / folder / 'include'
    return {path.relative_to(base).as_posix() for path in base.rglob('*.h')}


def report(problems):
    if problems:
        tap.fail('\n'.join(problems))


# Includes.

def check_part_includes(part):
    allowed = FREESTANDING | headers_of('.') | headers_of(f'lib/{part}') | {'ashlar/port.h'}
    folder = SOURCE / 'lib' / part
    own = {path.relative_to(folder).as_posix() for path in folder.rglob('*.h')}
    problems = []
    for path in c_files(f'lib/{part}'):
        for quote, name in includes(path):
            if name not in (allowed if quote == '<' else own):
                problems.append(f'{relative(path)} includes {name}: a part knows itself, '
                                f'{sorted(FREESTANDING)}, include/ashlar and <ashlar/port.h>')
    report(problems)


@tap.case('layering.shared_headers_know_only_each_other')
def _():
    allowed = FREESTANDING | headers_of('.') | {'ashlar/port.h'}
    report([f'{relative(path)} includes {name}' for path in c_files('include')
            for _, name in includes(path) if name not in allowed])


@tap.case('layering.port_headers_know_only_shared_headers')
def _():
    allowed = FREESTANDING | headers_of('.')
    report([f'{relative(path)} includes {name}'
            for path in sorted((SOURCE / 'platform').glob('*/include/ashlar/*.h'))
            for _, name in includes(path) if name not in allowed])


@tap.case('layering.a_platform_knows_neither_parts_nor_kernel_nor_its_neighbour')
def _():
    of_parts = set().union(*(headers_of(f'lib/{part}') for part in parts()))
    of_kernel = {path.name for path in (SOURCE / 'kernel').rglob('*.h')}
    shared = {path.name for path in (SOURCE / 'platform').glob('*.h')}
    problems = []
    for platform in sorted(path.name for path in (SOURCE / 'platform').iterdir() if path.is_dir()):
        own = {path.name for path in (SOURCE / 'platform' / platform).rglob('*.h')} | shared
        for path in c_files(f'platform/{platform}'):
            for quote, name in includes(path):
                base = name.rsplit('/', 1)[-1]
                foreign = base not in own or base in of_kernel - own
                if name in of_parts or (quote == '"' and foreign):
                    problems.append(f'{relative(path)} includes {name}')
    report(problems)


@tap.case('layering.the_kernel_knows_a_platform_by_platform_h_alone')
def _():
    private = {path.name for path in (SOURCE / 'platform').glob('*/*.h')}
    own = {path.name for path in (SOURCE / 'kernel').rglob('*.h')}
    report([f'{relative(path)} includes {name}' for path in c_files('kernel')
            for quote, name in includes(path)
            if quote == '"' and name.rsplit('/', 1)[-1] in private - own])


# Symbols.

def without_bodies(text):
    """C text with comments, preprocessor lines and everything in braces taken out."""
    text = re.sub(r'/\*.*?\*/|//[^\n]*', ' ', text, flags=re.DOTALL)
    text = re.sub(r'\\\n', ' ', text)
    text = re.sub(r'^\s*#.*$', ' ', text, flags=re.MULTILINE)
    text = text.replace('extern "C" {', ' ')
    kept, depth = [], 0
    for character in text:
        if character == '{':
            depth += 1
        elif character == '}':
            depth = max(0, depth - 1)
            kept.append(';')
        elif depth == 0:
            kept.append(character)
    return ''.join(kept)


def declared_by(header):
    """What a port header declares and does not define: functions and extern variables."""
    names = set()
    for statement in without_bodies(header.read_text(encoding='utf-8')).split(';'):
        words = statement.split()
        if not words or words[0] in ('static', 'typedef', 'struct', 'union', 'enum'):
            continue
        statement = re.sub(r'__attribute__\s*\(\(.*\)\)', ' ', statement, flags=re.DOTALL)
        function = re.search(r'(\w+)\s*\(', statement)
        variable = re.search(r'(\w+)\s*(\[[^\]]*\])?\s*$', statement)
        match = function or (variable if words[0] == 'extern' else None)
        if match:
            names.add(match.group(1))
    return names


def undefined_symbols(nm, archive):
    output = subprocess.run([nm, '-g', archive], check=True, capture_output=True, text=True).stdout
    defined, undefined = set(), set()
    for line in output.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[0] in 'Uwv':
            undefined.add(fields[1])
        elif len(fields) == 3:
            defined.add(fields[2])
    return undefined - defined


def introspected(what):
    path = pathlib.Path(options.build) / 'meson-info' / f'intro-{what}.json'
    return json.loads(path.read_text(encoding='utf-8'))


def build_option(name):
    return next(entry['value'] for entry in introspected('buildoptions') if entry['name'] == name)


def archives_of(part):
    """(path, port, nm) of each archive of a part in this build directory."""
    hosted = f'ashlar-{part}' if options.cross_nm is None else f'ashlar-{part}-native'
    for target in introspected('targets'):
        if target['type'] != 'static library':
            continue
        path = target['filename'][0]
        if target['name'] == f'ashlar-{part}-template':
            yield path, 'template', options.nm
        elif target['name'] == hosted:
            yield path, 'hosted', options.nm
        elif target['name'] == f'ashlar-{part}':
            yield path, 'qemu-virt', options.cross_nm


def check_part_symbols(part):
    if build_option('b_coverage'):
        tap.skip('instrumented: its archives call the instrumentation\'s runtime')
    if build_option('optimization') == '0':
        tap.skip('not optimised: at -O0 inlines become calls')
    problems, seen = [], 0
    allowed = LIBC_ALLOWED | HOOKS_ALLOWED | LINKER_MADE
    for path, port, nm in archives_of(part):
        if not os.path.exists(path):
            tap.fail(f'{path} is not built')
        seen += 1
        header = SOURCE / 'platform' / port / 'include/ashlar/port.h'
        foreign = undefined_symbols(nm, path) - allowed - declared_by(header)
        problems += [f'{os.path.basename(path)} needs {name}, which neither the C four nor '
                     f'{port}\'s port.h gives' for name in sorted(foreign)]
    wanted = 2 if options.cross_nm is None else 3
    if seen != wanted:
        problems.append(f'{seen} archives of {part} found, expected {wanted}')
    report(problems)


# Headers.

def public_headers():
    """(path, include folders that it may need)."""
    shared, port = SOURCE / 'include', SOURCE / 'platform/hosted/include'
    for path in sorted(shared.rglob('*.h')):
        yield path, [shared, port]
    for part in parts():
        own = SOURCE / 'lib' / part / 'include'
        for path in sorted(own.rglob('*.h')):
            yield path, [shared, port, own]
    for path in sorted((SOURCE / 'platform').glob('*/include/ashlar/port.h')):
        yield path, [shared, path.parents[1]]


def check_headers_alone(compiler, language, standard):
    problems = []
    for path, folders in public_headers():
        command = [*compiler, '-x', language, f'-std={standard}', *WARNINGS,
                   *(f'-I{folder}' for folder in folders), '-']
        # Twice: a header may be included again. And a unit may not be empty.
        text = f'#include "{path}"\n#include "{path}"\nextern int ash_unit_is_not_empty;\n'
        result = subprocess.run(command, input=text, capture_output=True, text=True)
        if result.returncode != 0:
            problems.append(f'{relative(path)} as {standard}:\n{result.stderr}')
    report(problems)


@tap.case('headers.compile_alone_as_c11')
def _():
    check_headers_alone(options.cc, 'c', 'c11')


@tap.case('headers.compile_alone_as_cpp17')
def _():
    if not options.cxx:
        tap.skip('no C++ compiler')
    check_headers_alone(options.cxx, 'c++', 'c++17')


@tap.case('headers.are_short')
def _():
    report([f'{relative(path)} has {lines} lines; at most {limit}'
            for path, _ in public_headers()
            if (lines := len(path.read_text(encoding='utf-8').splitlines())) >
            (limit := LONG_HEADERS.get(relative(path), HEADER_LINES_MAX))])


@tap.case('headers.guards_are_their_names')
def _():
    problems = []
    for path, _ in public_headers():
        guard = 'ASHLAR_' + path.stem.upper().replace('-', '_') + '_H'
        text = path.read_text(encoding='utf-8')
        if f'#ifndef {guard}\n#define {guard}\n' not in text:
            problems.append(f'{relative(path)}: expected the guard {guard}')
    report(problems)


# The whole tree.

FOLDERS = ('include', 'lib', 'platform', 'kernel', 'tests', 'bench', 'examples', 'tools')


@tap.case('style.every_source_names_its_licence')
def _():
    def names_it(path):
        lines = path.read_text(encoding='utf-8').splitlines()
        return any('SPDX-License-Identifier: MIT' in line for line in lines[:2])
    report([f'{relative(path)}: no SPDX-License-Identifier in its first two lines'
            for path in c_files(*FOLDERS) if not names_it(path)])


@tap.case('style.sources_are_formatted')
def _():
    tool = shutil.which('clang-format-14')
    if tool is None:
        tap.skip('clang-format-14 is not installed')
    files = [str(path) for path in c_files(*FOLDERS) if path.suffix != '.S']
    result = subprocess.run([tool, '--dry-run', *files], capture_output=True, text=True)
    bad = sorted({line.split(':')[0]
                  for line in result.stderr.splitlines() if 'warning: code' in line})
    report([f'{relative(pathlib.Path(path))}: run clang-format-14 -i on it' for path in bad])


COLUMNS_MAX = 100
# clang-format leaves comments and strings as they are, so C is looked at too.
SOURCE_SUFFIXES = ('.py', '.mjs', '.sh', '.build', '.ini', '.S', '.ld', '.c', '.h', '.cc')
WIDE_FILES = {'tools/packages'}  # a table: its last column says what a package is for


def sources():
    """Every source: by its suffix, or without one, such as ./ashlar."""
    for folder, folders, names in os.walk(SOURCE):
        # An exported tree has no list of its files; build directories and caches are none of them.
        folders[:] = sorted(name for name in folders
                            if (not name.startswith('.') or name == '.ci')
                            and name != 'node_modules'
                            and not (pathlib.Path(folder) / name / 'meson-private').exists())
        for name in sorted(names):
            path = pathlib.Path(folder) / name
            plain = '.' not in name and name != 'LICENSE' and path.is_file()
            if path.suffix in SOURCE_SUFFIXES or name == 'meson_options.txt':
                yield path
            elif plain and path.read_bytes()[:2] in (b'#!', b'# '):
                yield path


@tap.case('style.a_line_keeps_to_100_columns')
def _():
    seen, problems = set(), []
    for path in sources():
        seen.add(relative(path))
        if relative(path) not in WIDE_FILES:
            lines = path.read_text(encoding='utf-8').splitlines()
            problems += [f'{relative(path)}:{number} has {len(line)} columns, at most {COLUMNS_MAX}'
                         for number, line in enumerate(lines, 1) if len(line) > COLUMNS_MAX]
    report(problems)
    tap.equal({'ashlar', '.ci/run', 'bench/report', *WIDE_FILES} - seen, set(), 'not looked at')


@tap.case('documents.links_lead_somewhere')
def _():
    problems = []
    for path in [*SOURCE.glob('*.md'), *SOURCE.glob('docs/*.md'), *SOURCE.glob('lib/*/*.md')]:
        for target in re.findall(r'\]\(([^)#]+)[^)]*\)', path.read_text(encoding='utf-8')):
            if '://' not in target and not (path.parent / target).exists():
                problems.append(f'{relative(path)}: {target} does not exist')
    report(problems)


@tap.case('documents.every_event_is_explained')
def _():
    text = (SOURCE / 'docs/TRACING.md').read_text(encoding='utf-8')
    defined = re.compile(r'ASH_EVENT_DEFINE(?:_KIND)?\(\w+,\s*(?:\w+,\s*)?"([^"]+)"')
    names = {name: path for path in c_files('lib', 'kernel', 'platform')
             for name in defined.findall(path.read_text(encoding='utf-8'))}
    if len(names) < 30:
        tap.fail(f'only {len(names)} events were found: this case has to be taught their form')
    report([f'docs/TRACING.md does not explain {name} of {relative(path)}'
            for name, path in sorted(names.items())
            if f'`{name}`' not in text and not name.startswith('bench.')])


@tap.case('worlds.nearly_all_cases_of_the_parts_run_in_both')
def _():
    def cases(files):
        files = [file for file in files if f'tests/{pathlib.Path(file).parent.name}' in of_parts]
        if not files:
            return []
        command = [str(SOURCE / 'tools/list-tests'), *files]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    of_parts = {f'tests/{part}' for part in parts()}
    portable, host_only = cases(options.portable), cases(options.host_only)
    total = len(portable) + len(host_only)
    if total == 0 or len(portable) * 100 < total * BOTH_WORLDS_PERCENT:
        tap.fail(f'{len(portable)} of {total} cases of the parts are in the list of both worlds; '
                 f'at least {BOTH_WORLDS_PERCENT} % must be')


def main():
    global options, SOURCE
    options = parse()
    SOURCE = pathlib.Path(options.source).resolve()
    for part in parts():
        tap.case(f'layering.{part}_knows_only_itself_and_the_shared_headers')(
            lambda part=part: check_part_includes(part))
        tap.case(f'layering.{part}_needs_no_symbol_but_the_allowed')(
            lambda part=part: check_part_symbols(part))
    return tap.run()


if __name__ == '__main__':
    sys.exit(main())
