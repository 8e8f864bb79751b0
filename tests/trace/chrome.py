#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""chrome: timelines in the Trace Event Format, held against rules that are stricter than viewers'.

    chrome.py ASH_TRACE MAKE_TRACE [WORD...]    cases, in TAP
    chrome.py --check FILE...                   what is wrong with these files, a line each

What viewers open may still be shown wrongly: an end without a name becomes a staircase, arguments
that vary split one function into many, time that runs backwards moves what follows. check(text)
gives all that is wrong with a file, as sentences; [] if nothing is.
"""
import collections
import decimal
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FAULTS_MAX = 20
LIMIT_S = 60


def no_second(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f'a key is there twice: {keys}')
    return dict(pairs)


def no_constant(word):
    raise ValueError(f'{word} is no number of JSON')


def is_number(value):
    return isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool)


class Checker:
    def __init__(self):
        self.faults = []
        self.previous = decimal.Decimal(0)
        self.open = collections.defaultdict(list)  # slices by (pid, tid)
        self.asynchronous = set()
        self.names = collections.Counter()  # of processes and threads
        self.used = set()
        self.lost = collections.Counter()

    def fault(self, event, text):
        self.faults.append(f'{text}: {json.dumps(event, default=str)[:200]}')

    def metadata(self, event):
        self.names[event['name'], event['pid'],
                   event['tid'] if event['name'] == 'thread_name' else None] += 1
        if event['name'] not in ('process_name', 'thread_name'):
            self.fault(event, 'metadata of no known kind')
        if not event.get('args', {}).get('name'):
            self.fault(event, 'a name that is empty')

    def time(self, event):
        ts = event.get('ts')
        if not is_number(ts) or ts < 0:
            self.fault(event, 'no time')
            return
        ts = decimal.Decimal(ts)
        if ts.as_tuple().exponent < -3:
            self.fault(event, 'a time with more than three decimals')
        if ts < self.previous:
            self.fault(event, f'time runs backwards, from {self.previous}')
        self.previous = max(ts, self.previous)

    def slice(self, event):
        stack = self.open[event['pid'], event['tid']]
        if event.get('args'):
            self.fault(event, 'a slice with arguments')
        if event['ph'] == 'B':
            stack.append(event['name'])
        elif not stack:
            self.fault(event, 'an end without a begin')
        elif stack.pop() != event['name']:
            self.fault(event, 'an end of another name than its begin')

    def request(self, event):
        key = (event.get('cat'), event.get('id'), event['name'])
        if not key[0] or not key[1]:
            self.fault(event, 'a request without category or id')
        if event['ph'] == 'b' and key in self.asynchronous:
            self.fault(event, 'a request that has begun already')
        elif event['ph'] == 'e' and key not in self.asynchronous:
            self.fault(event, 'a request that ends before it begins')
        (self.asynchronous.add if event['ph'] == 'b' else self.asynchronous.discard)(key)

    def counter(self, event):
        values = event.get('args') or {}
        if not values or not all(is_number(value) for value in values.values()):
            self.fault(event, 'a counter that is no number')

    def instant(self, event):
        if event.get('s') not in ('t', 'p', 'g'):
            self.fault(event, 'an instant without a scope')
        if event.get('cat') == 'lost':
            self.lost.update(event.get('args', {}))

    def event(self, event):
        kinds = {'B': self.slice, 'E': self.slice, 'b': self.request, 'e': self.request,
                 'C': self.counter, 'i': self.instant}
        for key in ('pid', 'tid'):
            if not isinstance(event.get(key), int) or event[key] < 1:
                self.fault(event, f'no {key}, from 1 on')
                return
        if not isinstance(event.get('name'), str) or not event['name']:
            self.fault(event, 'an event without a name')
            return
        if event.get('ph') == 'M':
            self.metadata(event)
            return
        if event.get('ph') not in kinds:
            self.fault(event, 'an event of no known kind')
            return
        self.used.add((event['pid'], event['tid']))
        self.time(event)
        kinds[event['ph']](event)

    def end(self, other):
        for track, stack in self.open.items():
            if stack:
                self.faults.append(f'without an end, on {track}: {stack[:4]}')
        if self.asynchronous:
            self.faults.append(f'requests without an end: {sorted(self.asynchronous)[:4]}')
        wanted = {('thread_name', *track) for track in self.used}
        wanted |= {('process_name', pid, None) for pid, _ in self.used}
        for name in sorted(wanted - set(self.names), key=str):
            self.faults.append(f'no name of {name}')
        for name, count in self.names.items():
            if count != 1:
                self.faults.append(f'{count} names of {name}')
        self.loss(other)

    def loss(self, other):
        cpus = other.get('cpus', [])
        for cpu in cpus:
            if cpu['emitted'] != cpu['exported'] + cpu['overwritten'] + cpu['dropped']:
                self.faults.append(f'the loss does not add up: {cpu}')
        if not cpus or other.get('records') != sum(cpu['exported'] for cpu in cpus):
            self.faults.append(f'{other.get("records")} records of {cpus}')
        for what in ('overwritten', 'dropped'):
            told = sum(cpu[what] for cpu in cpus if cpu['exported'] != 0)
            if self.lost[what] != told:
                self.faults.append(f'{told} records were {what}, {self.lost[what]} are shown so')


def check(text):
    """What is wrong with this file: sentences."""
    checker = Checker()
    try:
        file = json.loads(text, parse_float=decimal.Decimal, parse_constant=no_constant,
                          object_pairs_hook=no_second)
        for event in file['traceEvents']:
            checker.event(event)
        checker.end(file['otherData'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        checker.faults.append(f'not such a file: {type(error).__name__}: {error}')
    return checker.faults[:FAULTS_MAX]


# Cases

SCENES = ['full', 'trace', 'wrapped', 'dropped', 'strange']


def changed(change):
    """What is said of a good file after a change of its events."""
    file = json.loads(GOOD)
    change(file['traceEvents'], file['otherData'])
    return '\n'.join(check(json.dumps(file)))


def first(events, kind):
    return next(i for i, event in enumerate(events) if event['ph'] == kind)


def drop(kind):
    return lambda events, _: events.pop(first(events, kind))


def put(kind, key, value):
    def change(events, _):
        events[first(events, kind)][key] = value
    return change


def later(events, _):
    events[first(events, 'E')]['ts'] = 1e9


def miscount(_, other):
    other['cpus'][0]['overwritten'] += 1


BROKEN = {
    'an_end_without_a_name': (put('E', 'name', ''), 'without a name'),
    'an_end_of_another_name': (put('E', 'name', 'x'), 'another name than its begin'),
    'an_end_alone': (drop('B'), 'end'),
    'a_begin_alone': (drop('E'), 'without an end'),
    'time_that_runs_backwards': (later, 'backwards'),
    'no_time': (put('i', 'ts', None), 'no time'),
    'a_fourth_decimal': (put('B', 'ts', 0.0001), 'three decimals'),
    'a_slice_with_arguments': (put('B', 'args', {'n': 1}), 'with arguments'),
    'a_request_that_never_ends': (drop('e'), 'without an end'),
    'a_request_that_never_begins': (drop('b'), 'before it begins'),
    'a_counter_of_words': (put('C', 'args', {'n': '1'}), 'no number'),
    'a_thread_of_number_0': (put('i', 'tid', 0), 'no tid'),
    'a_thread_without_a_name': (lambda events, _: events.pop(1), 'no name of'),
    'a_process_without_a_name': (drop('M'), 'no name of'),
    'a_kind_that_is_not_known': (put('i', 'ph', 'Z'), 'no known kind'),
    'a_loss_that_does_not_add_up': (miscount, 'does not add up'),
}


def add_cases(tap):
    @tap.case('chrome.the_rules_hold_for_all_scenes')
    def _():
        for scene in SCENES:
            tap.equal(check(export(scene)), [], scene)

    @tap.case('chrome.text_that_is_no_json_is_refused')
    def _():
        for text in ('', '{', '[]', '{"traceEvents":3,"otherData":{}}', GOOD[:-10],
                     GOOD.replace(':', '=', 1), GOOD.replace('0.000', 'NaN', 1),
                     GOOD.replace('"name"', '"ph":"B","name"', 1)):
            if not check(text):
                tap.fail(f'nothing is wrong with {text[:60]!r} ...')

    for name, (change, part) in BROKEN.items():
        @tap.case(f'chrome.{name}_is_reported')
        def _(change=change, part=part):
            tap.contains(changed(change), part, 'what is wrong')


def export(scene):
    path = ROOT / f'{scene}.ash'
    subprocess.run([MAKER, scene, path], check=True, timeout=LIMIT_S)
    return subprocess.run([PROGRAM, path, '--chrome', '-'], check=True, timeout=LIMIT_S,
                          capture_output=True).stdout.decode()


if __name__ == '__main__':
    if sys.argv[1] == '--check':
        wrong = [f'{name}: {fault}' for name in sys.argv[2:]
                 for fault in check(pathlib.Path(name).read_text(encoding='utf-8'))]
        print('\n'.join(wrong), end='\n' if wrong else '')
        sys.exit(1 if wrong else 0)
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
    import tap
    PROGRAM, MAKER = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix='ashlar-') as folder:
        ROOT = pathlib.Path(folder)
        GOOD = export('wrapped')
        add_cases(tap)
        status = tap.run(sys.argv[3:])
    sys.exit(status)
