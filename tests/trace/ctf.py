#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""ctf.py: traces in Common Trace Format, read back by babeltrace2. TAP.

    ctf.py PROGRAM             PROGRAM DIR writes the trace of tests/trace/ctf_scene.c
    ctf.py --count DIR         prints events and discarded events of a trace

/usr/bin/python3, because that is the one for which Debian has babeltrace2's module (python3-bt2).
"""
import os
import struct
import subprocess
import sys
import tempfile

try:
    import bt2
except ImportError:
    bt2 = None


def read(folder):
    """(name, ns, cpu, task, depth, fields) in babeltrace2's order, and what each CPU discarded."""
    events, lost = [], {}
    for message in bt2.TraceCollectionMessageIterator(folder):
        if isinstance(message, bt2._EventMessageConst):
            event = message.event
            fields = {name: int(value) for name, value in event.payload_field.items()}
            events.append((event.name, message.default_clock_snapshot.ns_from_origin,
                           int(event.packet.context_field['cpu_id']),
                           int(event.common_context_field['task']),
                           int(event.common_context_field['depth']), fields))
        elif isinstance(message, bt2._DiscardedEventsMessageConst):
            lost[message.stream.id] = lost.get(message.stream.id, 0) + message.count
    return events, lost


def scene_events():
    """What ctf_scene.c writes: 5000 records of which 4096 are kept, and the first 64 of 100."""
    origin = 62500001
    for cpu, numbers in ((0, range(905, 5001)), (1, range(1, 65))):
        for i in numbers:
            name, fields = [('slab.refill', {'cache': i, 'objects': 2**64 - i}), ('call:begin', {}),
                            ('call:end', {'number': i, 'result': -i})][i % 3]
            ticks = 62500000 * 70 + i * 100 - origin
            yield name, ticks * 16, cpu, 7, i % 4, fields


def packets(path):
    """Of a stream: the numbers of its packets, and whether they end where the file does."""
    with open(path, 'rb') as stream:
        data = stream.read()
    numbers, at = [], 0
    while at < len(data):
        bits, number = struct.unpack_from('<QQ', data, at + 40)  # packet_size, packet_seq_num
        numbers.append(number)
        at += bits // 8
    return numbers, at == len(data)


def refuses(folder):
    return subprocess.run(['babeltrace2', folder], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60, check=False).returncode != 0


def damage(folder):
    """Sets the clock of CPU 1's second event back by hand."""
    path = os.path.join(folder, 'cpu_1')
    with open(path, 'r+b') as stream:
        stream.seek(72 + 15 + 2)  # header and context; an event without fields; the next one's id
        stream.write(struct.pack('<Q', 62500000))


def check(program):
    with tempfile.TemporaryDirectory() as folder:
        good, bad = os.path.join(folder, 'good'), os.path.join(folder, 'bad')
        subprocess.run([program, good], check=True, timeout=60)
        events, lost = read(good)
        yield 'every event is read as it was written', (
            sorted(events, key=repr) == sorted(scene_events(), key=repr))
        yield 'events come by their time', [e[1] for e in events] == sorted(e[1] for e in events)
        yield 'each stream has lost what its CPU lost', lost == {0: 904, 1: 36}
        for stream in ('cpu_0', 'cpu_1'):
            numbers, is_whole = packets(os.path.join(good, stream))
            yield f'packets of {stream} are numbered', (
                is_whole and numbers == list(range(len(numbers))) and len(numbers) > 1)
        yield 'babeltrace2 reads it', not refuses(good)
        damage(good)
        yield 'babeltrace2 refuses time that runs backwards', refuses(good)
        status = subprocess.run([program, bad, 'backwards'], stderr=subprocess.PIPE, timeout=60,
                                check=False)
        yield 'so does the export', status.returncode == 1 and b'malformed' in status.stderr


def main():
    if bt2 is None:
        print('1..0 # SKIP babeltrace2 is not there: apt-get install babeltrace2 python3-bt2')
        return 0
    if sys.argv[1] == '--count':
        events, lost = read(sys.argv[2])
        print(f'events {len(events)}\ndiscarded {sum(lost.values())}')
        return 0
    results = list(check(sys.argv[1]))
    print(f'1..{len(results)}')
    for number, (name, passed) in enumerate(results, 1):
        print(f'{"ok" if passed else "not ok"} {number} - {name}')
    return 0 if all(passed for _, passed in results) else 1


if __name__ == '__main__':
    sys.exit(main())
