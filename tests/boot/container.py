# SPDX-License-Identifier: MIT
"""container: a dump of the tracer, read by what <ashlar/prof_file.h> and <ashlar/trace.h> say of
its layout, and by nothing of lib/prof: a second opinion on what a kernel has written.

    read(data)      what is in a file, as a Dump; ValueError: it is not as it should be
    of_log(text)    the file that was printed on a console, as bytes
"""
import base64
import collections
import struct
import zlib

MAGIC = b'ASRCH\x1a\r\n'
HEADER, SECTION = struct.Struct('<8sIIQIIQQQII'), struct.Struct('<IIQQII')
END = struct.Struct('<8sII')
EVENT, TASK = struct.Struct('<IIII'), struct.Struct('<II24s')
TRACE, RECORD = struct.Struct('<QQII'), struct.Struct('<QQQQ')
TEXT, STRINGS, EVENTS, TASKS, _, _, TRACES, RECORDS = range(1, 9)
ITEMS = {TEXT: 1, STRINGS: 1, EVENTS: EVENT.size, TASKS: TASK.size, TRACES: TRACE.size,
         RECORDS: RECORD.size}
KINDS = ['', 'begin', 'end', 'async begin', 'async end', 'counter', 'switch']

Record = collections.namedtuple('Record', 'sequence clock task depth name kind a b')
# unfinished: the sequence numbers that were given out, and have no record yet.
Ring = collections.namedtuple('Ring', 'emitted dropped overwritten mode capacity records '
                                      'unfinished')
Dump = collections.namedtuple('Dump', 'text clock_hz events tasks rings')


def need(condition, text):
    if not condition:
        raise ValueError(text)


def sections(data):
    """{(type, which): bytes}, after all that can be wrong with the file around them."""
    need(len(data) >= HEADER.size + END.size and data[:8] == MAGIC, 'no container')
    (_, version, header_bytes, file_bytes, count, entry_bytes, clock_hz, origin, now, crc,
     reserved) = HEADER.unpack_from(data)
    need((version, header_bytes, entry_bytes, reserved) == (1, HEADER.size, SECTION.size, 0),
         'the header is not that of version 1')
    need(file_bytes == len(data), f'{len(data)} bytes of {file_bytes}')
    need(origin <= now, 'it was written before the machine began')
    table_end = HEADER.size + count * SECTION.size
    need(zlib.crc32(data[:56] + bytes(4) + data[60:table_end]) == crc, 'the table is damaged')
    end_magic, contents_crc, _ = END.unpack_from(data, len(data) - END.size)
    need(end_magic == MAGIC, 'it has no end')
    need(zlib.crc32(data[table_end:-END.size]) == contents_crc, 'the contents are damaged')
    found, before = {}, table_end
    for at in range(HEADER.size, table_end, SECTION.size):
        kind, which, offset, size, item_bytes, _ = SECTION.unpack_from(data, at)
        need(offset % 64 == 0 and before <= offset and offset + size <= len(data) - END.size,
             f'section {kind}, {which} is not where it should be')
        need(item_bytes == ITEMS.get(kind, item_bytes) and size % item_bytes == 0,
             f'section {kind}, {which} has items of {item_bytes} bytes')
        need((kind, which) not in found, f'section {kind}, {which} is there twice')
        found[kind, which] = data[offset:offset + size]
        before = offset + size
    return found, clock_hz


def string(data, at):
    return data[at:data.index(b'\0', at)].decode()


def read_ring(trace, slots, events):
    emitted, dropped, capacity, mode = TRACE.unpack(trace)
    need(capacity & (capacity - 1) == 0, f'a ring of {capacity}')
    last = emitted - dropped
    first = max(1, last - capacity + 1)
    need(len(slots) >= RECORD.size * min(last + 1, capacity), 'slots of the ring are missing')
    records, unfinished = [], []
    for sequence in range(first, last + 1):
        head, clock, a, b = RECORD.unpack_from(slots, sequence % capacity * RECORD.size)
        number = head >> 32 & 0x3ff
        if head & 0xffffffff != sequence & 0xffffffff:
            unfinished.append(sequence)
            continue
        need(number in events, f'record {sequence} is of event {number}, which there is not')
        records.append(Record(sequence, clock, head >> 44, head >> 42 & 3, *events[number], a, b))
    return Ring(emitted, dropped, first - 1, mode, capacity, records, unfinished)


def read(data):
    found, clock_hz = sections(data)
    strings = found[STRINGS, 0]
    events = {number: (string(strings, name), KINDS[kind])
              for number, kind, name, _ in EVENT.iter_unpack(found[EVENTS, 0])}
    tasks = {number: string(name, 0) for number, _, name in TASK.iter_unpack(found[TASKS, 0])}
    text = dict(line.split('=', 1) for line in found[TEXT, 0].decode().splitlines())
    rings = {which: read_ring(part, found.get((RECORDS, which), b''), events)
             for (kind, which), part in found.items() if kind == TRACES}
    return Dump(text, clock_hz, events, tasks, rings)


def of_log(text):
    _, begin, rest = text.partition('-----BEGIN ASHLAR TRACE-----\n')
    body, end, _ = rest.partition('-----END ASHLAR TRACE-----\n')
    need(begin and end, f'there is no whole dump in {text[-300:]!r}')
    return base64.b64decode(body, validate=False)
