#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""image: what is in the kernel image: its segments, its instructions, its part of the C library.

    image.py KERNEL MAP OBJDUMP NM
"""
import re
import struct
import subprocess
import sys

import boot  # noqa: F401 (finds tap)
import tap

KERNEL, MAP, OBJDUMP, NM = sys.argv[1:5]

# picolibc's members that may be linked: none touches SIMD registers, thread-local storage, errno or
# an allocator. Another function of the library is a decision, made here.
LIBC_MEMBERS = {
    'libc_tinystdio_vfiprintf.c.o',
    'libc_string_strcat.c.o', 'libc_string_strcspn.c.o', 'libc_string_strpbrk.c.o',
    'libc_string_strrchr.c.o', 'libc_string_strspn.c.o', 'libc_string_strstr.c.o',
    'memchr-stub.c.o', 'memcmp-stub.c.o', 'strchr-stub.c.o', 'strcmp-stub.c.o', 'strcpy-stub.c.o',
    'strlen-stub.c.o', 'strncmp-stub.c.o', 'strnlen-stub.c.o',
}
# Six pairs of registers and the stack pointer, out and in.
CONTEXT_SWITCH = 17
# Where a program's registers come and go, all of them.
PROGRAMS = {'user_enter', 'user_leave'}
# Who else touches a CPU's number and pin depth: where a CPU begins, what is reported, a jump out of
# a pinned section, and as_cpu_set of cases.
X18_USERS = {'_start', 'secondary_start', 'exception_save', 'longjmp', 'as_cpu_set', *PROGRAMS}
# It faults on purpose; and its being found shows that the search finds. A page is copied where
# nobody's registers are in the CPU.
SIMD_ALLOWED = {'test__selftest_floating_point', 'page_copy_simd', *PROGRAMS}
SIMD_REGISTER = re.compile(r'(?<![\w.#])[vqdshb]([12]?\d|3[01])(?![\w])')


def instructions():
    """(function, mnemonic, operands) of all text."""
    listing = subprocess.run([OBJDUMP, '-d', '--no-show-raw-insn', KERNEL], check=True,
                             capture_output=True, text=True).stdout
    function = ''
    for line in listing.splitlines():
        head = re.match(r'[0-9a-f]+ <(.+)>:$', line)
        if head:
            function = head[1]
            continue
        if function.startswith('$d'):  # a mapping symbol: what follows is data
            continue
        body = re.match(r'\s*[0-9a-f]+:\s+(\S+)\s*(.*)$', line)
        if body:
            operands = re.sub(r'<[^>]*>', '', body[2]).split('//')[0].split(';')[0]
            yield function, body[1], operands


@tap.case('image.no_segment_is_both_writable_and_executable')
def _():
    with open(KERNEL, 'rb') as file:
        header = file.read(64)
        offset, = struct.unpack_from('<Q', header, 32)
        size, count = struct.unpack_from('<HH', header, 54)
        file.seek(offset)
        table = file.read(size * count)
    flags = [struct.unpack_from('<II', table, i * size)[1] for i in range(count)
             if struct.unpack_from('<I', table, i * size)[0] == 1]
    tap.equal(sorted(flags), [4, 5, 6], 'flags of the loaded segments')


@tap.case('image.no_simd_register_is_used')
def _():
    users = {function for function, mnemonic, operands in instructions()
             if not mnemonic.startswith('.') and SIMD_REGISTER.search(operands)}
    tap.equal(users, SIMD_ALLOWED, 'functions with SIMD registers')


@tap.case('image.no_thread_pointer_is_used_but_programs_own')
def _():
    users = {function for function, _, operands in instructions()
             if re.search(r'\btpidr_el0\b', operands, re.IGNORECASE)}
    tap.equal(users, PROGRAMS, 'functions with the thread pointer')


@tap.case('image.x18_is_used_for_pins_alone')
def _():
    pin = {('add', 'x18, x18, #256'), ('sub', 'x18, x18, #256'), ('and', 'w18, #255'),
           ('lsr', 'x18, #8')}
    pinning = set()
    for function, mnemonic, operands in instructions():
        if mnemonic.startswith('.') or not re.search(r'\b[wx]18\b', operands):
            continue
        operands = re.sub('0x[0-9a-f]+', lambda number: str(int(number[0], 16)), operands.strip())
        if (mnemonic, re.sub(r'^[wx](?!18,)\d+, ([wx]18, #)', r'\1', operands)) in pin:
            pinning.add(function)
        elif function not in X18_USERS:
            tap.fail(f'{function}: {mnemonic} {operands}')
    tap.equal(len(pinning) > 10, True, 'functions that pin')


@tap.case('image.a_context_switch_is_short')
def _():
    body = [mnemonic for function, mnemonic, _ in instructions()
            if function == 'platform_context_switch']
    body = body[:body.index('ret') + 1]  # no-ops that align what follows do not count
    tap.equal(len(body), CONTEXT_SWITCH, 'instructions of platform_context_switch')


@tap.case('image.only_listed_members_of_the_c_library')
def _():
    with open(MAP, encoding='utf-8') as file:
        members = set(re.findall(r'([\w.+-]+\.a)\(([^)]+)\)', file.read()))
    libraries = {library for library, _ in members if not library.startswith('libashlar-')}
    tap.equal(libraries, {'libc.a'}, 'libraries that are not ours')
    linked = {member for library, member in members if library == 'libc.a'}
    tap.equal(linked - LIBC_MEMBERS, set(), 'members that are not listed')


@tap.case('image.its_symbol_table_is_that_of_its_functions')
def _():
    listing = subprocess.run([NM, KERNEL], check=True, capture_output=True, text=True).stdout
    places = {}  # a name may be that of several static functions
    for line in listing.splitlines():
        if len(line.split()) == 3:
            address, _, name = line.split()
            places.setdefault(name, set()).add(int(address, 16))
    text, start, end = (min(places[name]) for name in ('__text_start', '__symbols_start',
                                                       '__symbols_end'))
    table = read_memory(start, end - start)
    count, = struct.unpack_from('<I', table)
    previous = 0
    names = set()
    for i in range(count):
        low, high, name = struct.unpack_from('<III', table, 4 + 12 * i)
        name = table[name:table.index(b'\0', name)].decode()
        if low < previous or high <= low:
            tap.fail(f'{name} at {low:#x}..{high:#x} is not after {previous:#x}')
        previous = high
        names.add(name)
        if text + low not in places[name]:
            tap.fail(f'{name} is said to be at {text + low:#x}')
    for name in ('_start', 'boot_main', 'kernel_main', 'vectors', 'exception_main', 'tap_run'):
        if name not in names:
            tap.fail(f'{name} is not in the table')


def read_memory(address, size):
    with open(KERNEL, 'rb') as file:
        image = file.read()
    offset, = struct.unpack_from('<Q', image, 32)
    entry, count = struct.unpack_from('<HH', image, 54)
    for i in range(count):
        kind, _, start, base, _, length = struct.unpack_from('<IIQQQQ', image, offset + i * entry)
        if kind == 1 and base <= address and address + size <= base + length:
            return image[start + address - base:start + address - base + size]
    raise AssertionError(f'{address:#x} is in no segment')


sys.exit(tap.run(sys.argv[5:]))
