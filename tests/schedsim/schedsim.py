#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""schedsim: the program ash-schedsim, against the models of models.py and against the oracles.

    schedsim.py PROGRAM SOURCE_DIR [WORD...]

Only cases whose name holds a WORD are run, if there are any. ASHLAR_SEED=N gives other random sets,
ASHLAR_SCHEDSIM_SETS=N so many of each kind.
"""
from fractions import Fraction
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402
import models  # noqa: E402

PROGRAM = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2]).resolve()
CASES = SOURCE / 'tests/oracles/sched/cases.json'
LIMIT_S = 20
SEED = int(os.environ.get('ASHLAR_SEED', '1'))
SETS = int(os.environ.get('ASHLAR_SCHEDSIM_SETS', '0'))
KEYS = {'schedules': ['segments', 'jobs', 'misses', 'servers'], 'fair': ['ran', 'vruntime_spread'],
        'eevdf': ['order', 'maxlag'], 'mlfq': ['segments'], 'feasibility': ['feasible']}
KEYS['isolation'] = KEYS['cbs_equals_edf'] = KEYS['schedules']

folder = tempfile.TemporaryDirectory(prefix='ashlar-')
ROOT = pathlib.Path(folder.name)
oracles = json.loads(CASES.read_text(encoding='utf-8'))


def run(*options, data=b''):
    """The program; `data` is its standard input."""
    return subprocess.run([PROGRAM, *map(str, options)], capture_output=True, timeout=LIMIT_S,
                          input=data)


def good(*options, data=b''):
    result = run(*options, data=data)
    if result.returncode != 0:
        tap.fail(f'status {result.returncode} of {options}: {result.stderr.decode()}')
    return result.stdout.decode()


def simulate(sets):
    """What --json says of a task set, or of a list of them."""
    return json.loads(good('--json', '-', data=json.dumps(sets, default=str).encode()))


def exact(value):
    """Lists and numbers: "7/2" is a number."""
    if isinstance(value, (list, tuple)):
        return [exact(one) for one in value]
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    if isinstance(value, str) and re.fullmatch(r'-?\d+/\d+', value):
        return Fraction(value)
    return value


def compare(got, expected, what):
    for key in expected:
        tap.equal(exact(got[key]), exact(expected[key]), f'{key} of {what}')


def chance_of(name):
    print(f'# seed {SEED} {name}', flush=True)
    return random.Random(f'{SEED} {name}')


# The models themselves.

@tap.case('models.every_published_schedule')
def _():
    for case in oracles['schedules']:
        compare(models.schedule(case), case['expect'], case['id'])
    for case in oracles['mlfq']:
        compare(models.mlfq(case), {'segments': case['segments']}, case['id'])
    for case in oracles['cbs_equals_edf']:
        wanted = {'segments': case['segments'], 'misses': []}
        compare(models.cbs_equals_edf(case), wanted, case['tasks'])
        plain = {'tasks': case['tasks'], 'until': case['hyperperiod']}
        compare(models.schedule(plain), wanted, case['tasks'])
    for case in oracles['isolation']:
        for hard in (True, False):
            tap.equal(models.isolation(case, hard)['misses'], [], f'misses of {case}')


@tap.case('models.every_published_share_and_verdict')
def _():
    for case in oracles['fair']:
        tap.equal(models.fair(case)['ran'], case['ran_reference'], f'shares of {case["nice"]}')
    for case in oracles['eevdf'][:None if SETS else 5]:
        got = models.eevdf(case)
        if 'order' in case:
            tap.equal((got['order'], got['maxlag']), (case['order'], case['maxlag']), 'order')
        else:
            tap.equal(float(got['maxlag']), case['maxlag_reference'], f'lag of {case["clients"]}')
    for case in oracles['feasibility']:
        tap.equal(models.feasible(case)['feasible'], case['feasible'], f'{case["tasks"]}')


# The oracles: each as it stands in the file.

@tap.case('oracles.schedules')
def _():
    for case in oracles['schedules']:
        compare(simulate(case), case['expect'], case['id'])


@tap.case('oracles.fair')
def _():
    for case in oracles['fair']:
        got = exact(simulate(case))
        tap.equal(sum(got['ran']), case['ticks'], 'ticks')
        for ran, share in zip(got['ran'], case['share']):
            ideal = Fraction(share) * case['ticks']
            if abs(ran - ideal) > len(case['nice']):
                tap.fail(f'{ran} ticks of {float(ideal)} in {case["nice"]}')
        bound = max(Fraction(1024, weight) for weight in case['weights'])
        if got['vruntime_spread'] > bound:
            tap.fail(f'spread {got["vruntime_spread"]} of {case["nice"]}')


@tap.case('oracles.eevdf')
def _():
    for case in oracles['eevdf']:
        got = exact(simulate(case))
        if 'order' in case:
            tap.equal((got['order'], got['maxlag']), (case['order'], case['maxlag']), 'order')
            continue
        tap.equal(len(got['order']), case['quanta'], 'quanta')
        if got['maxlag'] > case['lag_bound']:
            tap.fail(f'a lag of {got["maxlag"]} in {case["clients"]}')


@tap.case('oracles.mlfq')
def _():
    for case in oracles['mlfq']:
        tap.equal(simulate(case), {'segments': case['segments']}, case['id'])


@tap.case('oracles.feasibility')
def _():
    for case in oracles['feasibility']:
        tap.equal(simulate(case), {'feasible': case['feasible']}, f'{case["tasks"]}')


@tap.case('oracles.isolation')
def _():
    for case in oracles['isolation']:
        for hard in (True, False):
            server = dict(case['server'], hard=hard)
            got = simulate(dict(case, server=server))
            tap.equal(got['misses'], [], f'misses of {case}')
            compare(got, models.isolation(case, hard), f'{case}')
        tap.equal(simulate(case), simulate(dict(case, server=dict(case['server'], hard=True))),
                  'a server of which nothing is said')


@tap.case('oracles.cbs_equals_edf')
def _():
    for case in oracles['cbs_equals_edf']:
        plain = simulate({'tasks': case['tasks'], 'until': case['hyperperiod']})
        for got in (simulate(case), plain):
            compare(got, {'segments': case['segments'], 'misses': []}, f'{case["tasks"]}')


# Shapes of input and output.

@tap.case('json.keys_are_those_of_the_kind_alone')
def _():
    for kind, keys in KEYS.items():
        tap.equal(list(simulate(oracles[kind][0])), keys, f'keys of {kind}')


@tap.case('json.a_file_of_lists_is_a_list_of_answers')
def _():
    every = json.loads(good('--json', CASES))
    kinds = [kind for kind in oracles if kind in KEYS for _ in oracles[kind]]
    tap.equal(len(every), len(kinds), 'answers')
    for kind, got in zip(kinds, every):
        tap.equal(list(got), KEYS[kind], f'keys of {kind}')
    of_schedules = every[:len(oracles['schedules'])]
    for got, case in zip(of_schedules, oracles['schedules']):
        compare(got, case['expect'], case['id'])


@tap.case('json.a_list_of_bare_sets_may_be_mixed')
def _():
    sets = [oracles[kind][-1] for kind in KEYS]
    tap.equal(simulate(sets), [simulate(one) for one in sets], 'answers')
    tap.equal(simulate(sets[:1]), [simulate(sets[0])], 'answers of a list of one')


@tap.case('json.numbers_are_in_lowest_terms')
def _():
    text = good('--json', '-', data=json.dumps(
        {'tasks': [{'name': 'a', 'C': '2/4', 'T': 1.25}, {'name': 'b', 'C': '3', 'T': '12/2'},
                   {'name': 'z', 'kind': 'background', 'jobs': [['1e0', 5]]}],
         'until': '250e-2'}).encode())
    tap.equal(json.loads(text)['segments'], [[0, '1/2', 'a'], ['1/2', '5/4', 'b'],
                                             ['5/4', '7/4', 'a'], ['7/4', '5/2', 'b']], 'segments')
    tap.equal(json.loads(text)['jobs'], [['a', 0, 0, '1/2', '5/4'], ['b', 0, '1/2', None, 6],
                                         ['z', 1, None, None, None],
                                         ['a', '5/4', '5/4', '7/4', '5/2']], 'jobs')


@tap.case('json.names_come_out_as_they_went_in')
def _():
    for name in ('ä "quoted" \\ <b>', '\U0001f600', ']'):
        for ascii_only in (True, False):
            data = json.dumps({'tasks': [{'name': name, 'C': 1, 'T': 2}], 'until': 2},
                              ensure_ascii=ascii_only).encode()
            tap.equal(json.loads(good('--json', '-', data=data))['segments'], [[0, 1, name]],
                      'segments')


@tap.case('json.what_is_refused_is_run_and_said')
def _():
    case = next(case for case in oracles['schedules'] if case['id'] == 'edf_overload_first_miss')
    result = run('--json', '-', data=json.dumps(case).encode())
    tap.equal(result.returncode, 0, 'status')
    for word in ('edf_overload_first_miss', 'refused at "T2"', 'it would be 11/10'):
        tap.contains(result.stderr.decode(), word, 'standard error')
    accepted = run('--json', '-', data=json.dumps(oracles['schedules'][0]).encode())
    tap.equal(accepted.stderr, b'', 'standard error')


@tap.case('text.says_it_all')
def _():
    text = good(CASES)
    for words in ('edf_u1\n  admission accepted\n  chart     ##...##...##  T1\n'
                  '            ..###..###..  T2\n  segments  0..2 T1   2..5 T2   5..7 T1',
                  'refused at "T2": ', 'T1 of 12 (deadline 16)', 'server    S\n',
                  '13         wake-keep    q 2        d 19',
                  'T1                       12         15         17         16  missed',
                  '75.349%', '35..200 hog (level 3)', 'order     0   1   2   0   1'):
        tap.contains(text, words)
    for line in text.splitlines():
        if len(line) > 110:
            tap.fail(f'a line of {len(line)}: {line}')


# Random sets against the models.

def periodic(chance, name, most=24):
    period = chance.randrange(2, most)
    task = {'name': name, 'C': chance.randrange(1, max(2, period // 2 + 1)), 'T': period}
    if chance.random() < 0.3:
        task['D'] = chance.randrange(task['C'], period + 1)
    if chance.random() < 0.3:
        task['offset'] = chance.randrange(20)
    return task


def arrivals(chance, until, longest):
    times = sorted(chance.randrange(until) for _ in range(chance.randrange(1, 8)))
    return [[time, chance.randrange(1, longest + 1)] for time in times]


def server(chance, name, until):
    period = chance.randrange(2, 24)
    task = {'name': name, 'kind': 'cbs', 'Q': chance.randrange(1, period // 2 + 1), 'T': period}
    if chance.random() < 0.35:
        task['D'] = chance.randrange(task['Q'], period + 1)
    if chance.random() < 0.5:
        task['hard'] = chance.random() < 0.4
    task['jobs'] = arrivals(chance, until, 2 * task['Q'] + 2)
    return task


def in_parts(chance, case):
    """The same with all times in thirds, or so."""
    part = chance.choice((2, 3, 7))

    def scale(value):
        if isinstance(value, bool) or not isinstance(value, (int, list)):
            return value
        return [scale(one) for one in value] if isinstance(value, list) else str(
            Fraction(value, part))
    return dict(case, until=scale(case['until']),
                tasks=[{key: scale(value) for key, value in task.items()}
                       for task in case['tasks']])


def schedule_set(chance, kinds='psb', **options):
    until = chance.randrange(20, 90)
    tasks = []
    for place in range(chance.randrange(1, 6)):
        kind = chance.choice(kinds)
        tasks.append(periodic(chance, f'{kind}{place}') if kind == 'p' else
                     server(chance, f'{kind}{place}', until) if kind == 's' else
                     {'name': f'{kind}{place}', 'kind': 'background',
                      'jobs': arrivals(chance, until, 9)})
    if chance.random() < 0.5:
        options['strict'] = chance.random() < 0.7
    case = {'tasks': tasks, 'until': until, 'options': options}
    return in_parts(chance, case) if chance.random() < 0.2 else case


def against_models(name, count, make, model):
    """`count` sets, all in one run of the program."""
    chance = chance_of(name)
    sets = [make(chance) for _ in range(SETS or count)]
    for case, got in zip(sets, simulate(sets)):
        compare(got, model(case), json.dumps(case))


@tap.case('random.edf_and_servers')
def _():
    against_models('schedules', 300, schedule_set, models.schedule)


@tap.case('random.servers_alone')
def _():
    against_models('servers', 200, lambda chance: schedule_set(chance, 's'), models.schedule)


@tap.case('random.rate_monotonic')
def _():
    against_models('rm', 100, lambda chance: schedule_set(chance, 'ppb', policy='rm'),
                   models.schedule)


@tap.case('random.wall_jobs')
def _():
    against_models('wall', 150, lambda chance: schedule_set(chance, 'ppb', wall_jobs=True),
                   models.schedule)


@tap.case('random.grub')
def _():
    """Where 64 bits are enough for the exact times; the program says where they are not."""
    chance = chance_of('grub')
    sets = [schedule_set(chance, 'pss', grub=True) for _ in range(SETS or 200)]
    for number, case in enumerate(sets):
        case['id'] = f'set {number}'
    result = run('--json', '-', data=json.dumps(sets).encode())
    tap.equal(result.returncode, 0, 'status')
    inexact = set(re.findall(r'(set \d+): its times have no', result.stderr.decode()))
    if len(inexact) > len(sets) // 3:
        tap.fail(f'{len(inexact)} of {len(sets)} sets were rounded')
    for case, got in zip(sets, json.loads(result.stdout)):
        if case['id'] not in inexact:
            compare(got, models.schedule(case), json.dumps(case))


def mlfq_set(chance):
    tasks = [[f't{place}', [[chance.randrange(1, 30), chance.choice((0, 1, 5, 10, 30))]
                            for _ in range(chance.randrange(1, 4))]]
             for place in range(chance.randrange(1, 5))]
    options = {'boost': chance.choice((0, 30, 50, 97))} if chance.random() < 0.7 else {}
    return {'tasks': tasks, 'until': chance.randrange(50, 500), 'options': options}


@tap.case('random.mlfq')
def _():
    against_models('mlfq', 150, mlfq_set, models.mlfq)


def fair_set(chance):
    return {'nice': [chance.randrange(-20, 20) for _ in range(chance.randrange(1, 7))],
            'ticks': chance.randrange(1, 3000)}


@tap.case('random.fair')
def _():
    against_models('fair', 60, fair_set, models.fair)


def eevdf_set(chance):
    weights = chance.choice((models.WEIGHTS, range(1, 10), range(1, 1000)))
    return {'clients': [[chance.choice(weights), chance.randrange(1, 9),
                         chance.choice((0, 0, 0, 5, 17))] for _ in range(chance.randrange(1, 7))],
            'quantum': 1, 'quanta': chance.randrange(1, 300)}


@tap.case('random.eevdf_lags_are_less_than_a_request')
def _():
    chance = chance_of('eevdf')
    sets, same = [eevdf_set(chance) for _ in range(SETS or 50)], 0
    for case, got in zip(sets, simulate(sets)):
        lag = exact(got['maxlag'])
        if lag > max(request for _, request, _ in case['clients']):
            tap.fail(f'a lag of {lag} in {case}')
        same += got['order'] == models.eevdf(case)['order']
    # V is whole numbers in the library: where it decides by a hair, it may decide otherwise.
    if same < len(sets) * 4 // 5:
        tap.fail(f'{same} of {len(sets)} orders are the exact ones')


def feasibility_set(chance):
    constrained = chance.random() < 0.7
    tasks = []
    for place in range(chance.randrange(1, 6)):
        period = chance.choice((2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60))
        work = chance.randrange(1, max(2, period * 2 // 3))
        task = {'name': f't{place}', 'C': min(work, period), 'T': period}
        task['D'] = chance.randrange(task['C'], period + 1) if constrained else period
        tasks.append(task)
    return {'kind': 'constrained' if constrained else 'implicit', 'tasks': tasks}


@tap.case('random.feasibility')
def _():
    against_models('feasibility', 600, feasibility_set, models.feasible)


# The properties.

@tap.case('properties.admitted_sets_miss_nothing')
def _():
    chance = chance_of('admitted')
    sets = [feasibility_set(chance) for _ in range(SETS or 400)]
    admitted = [case for case, got in zip(sets, simulate(sets)) if got['feasible']]
    runs = [{'tasks': [dict(task, offset=chance.randrange(12)) for task in case['tasks']],
             'until': 240} for case in admitted]
    for case, got in zip(runs, simulate(runs)):
        tap.equal(got['misses'], [], f'misses of {case}')


@tap.case('properties.servers_isolate')
def _():
    """Whatever overruns in servers: as long as admission accepts, no periodic task misses."""
    chance = chance_of('isolation')
    sets = [dict(schedule_set(chance, 'pps', grub=chance.random() < 0.3), id=f'set {number}')
            for number in range(SETS or 400)]
    result = run('--json', '-', data=json.dumps(sets).encode())
    tap.equal(result.returncode, 0, 'status')
    refused = set(re.findall(r'(set \d+): refused', result.stderr.decode()))
    if len(refused) > len(sets) * 9 // 10:
        tap.fail('nearly all sets are refused')
    for case, got in zip(sets, json.loads(result.stdout)):
        if case['id'] not in refused:
            tap.equal(got['misses'], [], f'misses of {json.dumps(case)}')


@tap.case('properties.a_server_of_q_c_is_edf')
def _():
    chance = chance_of('equal')
    sets = []
    while len(sets) < (SETS or 60):
        tasks = feasibility_set(chance)['tasks']
        if all(task['D'] == task['T'] for task in tasks) and (
                models.feasible({'tasks': tasks})['feasible']):
            sets.append({'tasks': tasks, 'hyperperiod': math.lcm(*[t['T'] for t in tasks])})
    plain = [{'tasks': case['tasks'], 'until': case['hyperperiod']} for case in sets]
    for case, one, other in zip(sets, simulate(sets), simulate(plain)):
        for key in ('segments', 'jobs', 'misses'):
            tap.equal(one[key], other[key], f'{key} of {case}')


@tap.case('properties.all_pairs_of_nice_share_to_the_tick')
def _():
    sets = [{'nice': [a, b], 'ticks': 2000} for a in range(-20, 20) for b in range(-20, 20)]
    for case, got in zip(sets, simulate(sets)):
        weights = [models.WEIGHTS[nice + 20] for nice in case['nice']]
        for ran, weight in zip(got['ran'], weights):
            if abs(ran - Fraction(weight * case['ticks'], sum(weights))) > 1:
                tap.fail(f'{got["ran"]} ticks for {case["nice"]}')


@tap.case('properties.all_pairs_of_weights_lag_less_than_a_quantum')
def _():
    sets = [{'clients': [[a, 1, 0], [b, 1, 0]], 'quantum': 1, 'quanta': 100}
            for a in models.WEIGHTS for b in models.WEIGHTS]
    for case, got in zip(sets, simulate(sets)):
        if exact(got['maxlag']) >= 1:
            tap.fail(f'a lag of {got["maxlag"]} in {case}')


# Files for others.

def local(tag):
    return tag.rpartition('}')[2]


@tap.case('svg.is_a_drawing_of_what_ran')
def _():
    drawing = ROOT / 'schedule.svg'
    good('--svg', drawing, CASES)
    text = drawing.read_text(encoding='utf-8')
    root = xml.etree.ElementTree.fromstring(text)
    tap.equal(local(root.tag), 'svg', 'root')
    for outside in re.findall(r'(?:href|src|url)\W[^"\']*', text):
        tap.fail(f'it refers to {outside}')
    titles = [title.text for title in root.iter() if local(title.tag) == 'title']
    for wanted in ('T1 runs 0 to 2', 'T1: deadline 16 of the job released 12, missed: finished 17',
                   'budget of S', '4: wake-revised, q = 2, d = 8', 'hog runs 35 to 200 at level 3',
                   'bg released 9'):
        if wanted not in titles:
            tap.fail(f'nothing is titled {wanted!r}')
    tap.contains(text, 'prefers-color-scheme:dark')
    height = float(root.get('height'))
    for mark in root.iter():
        x, y = float(mark.get('x', '0')), float(mark.get('y', '0'))
        width, tall = float(mark.get('width', '0')), float(mark.get('height', '0'))
        if x < 0 or y < 0 or x + width > 1120.01 or y + tall > height + 0.01:
            tap.fail(f'a mark out of the picture: {mark.attrib}')


@tap.case('svg.bars_are_the_segments')
def _():
    drawing = ROOT / 'one.svg'
    for case in oracles['schedules'][:6]:
        (ROOT / 'case.json').write_text(json.dumps(case), encoding='utf-8')
        good('--svg', drawing, ROOT / 'case.json')
        root = xml.etree.ElementTree.parse(drawing).getroot()
        bars = [bar for bar in root.iter() if re.fullmatch('c[0-7]', bar.get('class', ''))]
        tap.equal(len(bars), len(case['expect']['segments']), 'bars')
        scale = (1120 - 130 - 24) / case['until']
        for bar, (start, end, _) in zip(bars, case['expect']['segments']):
            at, width = float(bar.get('x')), float(bar.get('width'))
            if abs(at - 130 - start * scale) > 0.02 or abs(width - (end - start) * scale) > 0.02:
                tap.fail(f'a bar of {start}..{end} at {at}, {width}')


@tap.case('svg.of_the_documents_is_what_is_drawn')
def _():
    drawing = ROOT / 'demo.svg'
    good('--svg', drawing, SOURCE / 'docs/sched-demo.json')
    drawn, shown = (file.read_text(encoding='utf-8')
                    for file in (drawing, SOURCE / 'docs/sched-demo.svg'))
    tap.equal(drawn == shown, True, 'docs/sched-demo.svg is as kernel/README.md makes it')


@tap.case('svg.names_are_escaped')
def _():
    data = json.dumps({'tasks': [{'name': '<i>&"\'', 'C': 1, 'T': 2}], 'until': 4}).encode()
    good('--svg', ROOT / 'names.svg', '-', data=data)
    root = xml.etree.ElementTree.parse(ROOT / 'names.svg').getroot()
    names = [text.text for text in root.iter() if text.get('class') == 'name']
    tap.equal(names, ['<i>&"\''], 'names')


def check_event(event, names):
    """By the rules of the Trace Event Format."""
    for key, kind in (('ph', str), ('pid', int), ('tid', int), ('name', str)):
        if not isinstance(event.get(key), kind):
            tap.fail(f'{key} of {event}')
    phase = event['ph']
    if phase == 'M':
        wanted = {'process_name': 'name', 'thread_name': 'name',
                  'thread_sort_index': 'sort_index'}[event['name']]
        tap.equal(list(event['args']), [wanted], f'arguments of {event}')
        names[event['name'], event['pid'], event['tid']] = event['args'][wanted]
        return
    if not isinstance(event['ts'], (int, float)) or event['ts'] < 0:
        tap.fail(f'the time of {event}')
    if ('thread_name', event['pid'], event['tid']) not in names:
        tap.fail(f'nobody is {event["pid"]}, {event["tid"]}')
    if phase == 'X' and event['dur'] <= 0:
        tap.fail(f'the duration of {event}')
    elif phase == 'i':
        tap.equal(event['s'], 't', f'scope of {event}')
    elif phase == 'C':
        if not all(isinstance(value, (int, float)) for value in event['args'].values()):
            tap.fail(f'a counter of {event}')
    elif phase not in 'XiC':
        tap.fail(f'the phase of {event}')


@tap.case('trace.is_what_viewers_take')
def _():
    timeline = ROOT / 'timeline.json'
    good('--trace', timeline, CASES)
    data = json.loads(timeline.read_text(encoding='utf-8'))
    tap.equal(sorted(data), ['displayTimeUnit', 'traceEvents'], 'keys')
    tap.equal(data['displayTimeUnit'], 'ms', 'unit')
    names = {}
    for event in data['traceEvents']:
        check_event(event, names)
    processes = [name for (kind, _, _), name in names.items() if kind == 'process_name']
    tap.equal(processes[:2], ['edf_u1', 'edf_buttazzo_2_5_4_7'], 'processes')


@tap.case('trace.slices_are_the_segments')
def _():
    for case in oracles['schedules'][:8]:
        (ROOT / 'case.json').write_text(json.dumps(case), encoding='utf-8')
        good('--trace', ROOT / 'one.json', ROOT / 'case.json')
        events = json.loads((ROOT / 'one.json').read_text(encoding='utf-8'))['traceEvents']
        slices = [[event['ts'] / 1000, (event['ts'] + event['dur']) / 1000, event['name']]
                  for event in events if event['ph'] == 'X']
        tap.equal(slices, case['expect']['segments'], f'slices of {case["id"]}')
        missed = [event['ts'] / 1000 for event in events if event['name'] == 'deadline missed']
        tap.equal(missed, [deadline for _, _, deadline in case['expect']['misses']], 'misses')


@tap.case('trace.no_two_slices_run_at_once')
def _():
    chance = chance_of('trace')
    for _ in range(20):
        data = json.dumps(in_parts(chance, schedule_set(chance))).encode()
        good('--trace', ROOT / 'one.json', '-', data=data)
        events = json.loads((ROOT / 'one.json').read_text(encoding='utf-8'))['traceEvents']
        slices = sorted((event['ts'], event['ts'] + event['dur'])
                        for event in events if event['ph'] == 'X')
        for (_, end), (start, _) in zip(slices, slices[1:]):
            if start < end - 0.0005:
                tap.fail(f'a slice begins {start} and the last one ends {end}')


# Bad input.

def refused(what, words, *options, data=b''):
    """A message with all the words, status 2, nothing on standard output."""
    result = run(*options, data=data)
    text = result.stderr.decode(errors='replace')
    if result.returncode != 2 or result.stdout or not text.startswith('ash-schedsim: '):
        tap.fail(f'{what}: status {result.returncode}, {result.stdout[:60]!r}, {text!r}')
    for word in (words,) if isinstance(words, str) else words:
        tap.contains(text, word, f'what is said of {what}')
    if any(character < ' ' and character != '\n' for character in text):
        tap.fail(f'a control character in {text!r}')


def refused_set(words, case):
    data = case if isinstance(case, bytes) else json.dumps(case).encode()
    refused(f'{data[:200]}', words, '-', data=data)
    refused(f'{data[:200]}', words, '--json', '-', data=data)


def one(**task):
    return {'tasks': [dict({'name': 'a'}, **task)], 'until': 10}


def cbs(**task):
    return one(kind='cbs', **dict({'Q': 1, 'T': 4, 'jobs': [[0, 1]]}, **task))


@tap.case('bad.reservations')
def _():
    for words, case in (
            ('Q is 0', cbs(Q=0)), ('Q is -1', cbs(Q=-1)), ('C is 0', one(C=0, T=4)),
            ('C is -1/2', one(C='-1/2', T=4)), ('T is 0', one(C=1, T=0)),
            ('Q is more than its deadline, D', cbs(Q=3, D=2)),
            ('Q is more than its deadline, T', cbs(Q=5)), ('D is more than the period', cbs(D=5)),
            ('D is 0', cbs(D=0)), ('C is more than its deadline', one(C=5, T=4)),
            ('lacks "T"', one(C=1)), ('lacks "C"', one(T=1)), ('lacks "Q"', one(kind='cbs', T=2)),
            ('lacks "jobs"', one(kind='cbs', T=2, Q=1)),
            ('lacks "jobs"', one(kind='background')), ('offset is -1', one(C=1, T=2, offset=-1)),
            ('kind has to be "cbs" or "background"', one(kind='fifo', C=1, T=2)),
            ('kind has to be', one(kind=1, C=1, T=2)),
            ('hard has to be true or false', cbs(hard=1)),
            ('has no key "deadline"', cbs(deadline=1)),
            ('has no key "Q"', one(C=1, T=2, Q=1)), ('has no key ""', one(C=1, T=2, **{'': 1})),
            ('has no key "C T"', one(C=1, T=2, **{'C T': 1}))):
        refused_set((words, 'line 1, column '), case)


@tap.case('bad.jobs')
def _():
    for words, jobs in (
            ('is empty', []), ('a list of two', [1]), ('a list of two', [[1]]),
            ('a list of two', [[1, 2, 3]]), ('has to be more than 0', [[0, 0]]),
            ('has to be more than 0', [[0, -1]]), ('cannot be negative', [[-1, 1]]),
            ('order of their releases', [[5, 1], [4, 1]]), ('a list, not a number', 5),
            ('a list, not an object', {}), ('not null', [[None, 1]])):
        refused_set(words, cbs(jobs=jobs))
        refused_set(words, one(kind='background', jobs=jobs))


@tap.case('bad.numbers')
def _():
    for value in ('x', '', '1/0', '1/', '/2', '1/-2', '1.5/2', '0x10', ' 1', '1 ', 'nan', 'inf',
                  '9' * 30, '1/' + '9' * 30, '1e30', '1e-30', '1e99999999999', '--1', '1,5'):
        refused_set('is no number such as', one(C=value, T=4))
    for value in (True, None, [], {}):
        refused_set('has to be a number', one(C=value, T=4))
    refused_set('is no number such as',
                b'{"tasks": [{"name": "a", "C": 1e400, "T": 4}], "until": 1}')
    refused_set('until is 0', dict(one(C=1, T=2), until=0))
    refused_set('until is -5', dict(one(C=1, T=2), until=-5))
    refused_set('times are too long', one(C=1, T=2 ** 41))
    refused_set('times are too long', dict(one(C=1, T=2), until=2 ** 62))
    refused_set('no common denominator', {'tasks': [
        {'name': str(prime), 'C': f'1/{prime}', 'T': 1}
        for prime in (1000003, 1000033, 1000037, 1000039)], 'until': 1})
    long = dict(one(C='1/1000000', T='1/500000'), until=10 ** 6)
    refused('a long set', 'too much happens', '-', data=json.dumps(long).encode())


@tap.case('bad.sets')
def _():
    task = {'name': 'a', 'C': 1, 'T': 2}
    for words, case in (
            ('there is no task set', []), ('this is no task set', {}),
            ('this is no task set', [{}]), ('has to be an object', 5),
            ('has to be an object', [[]]), ('has to be an object', 'x'),
            ('there is no task set in it', {'schedules': []}),
            ('a list, not an object', {'schedules': {}}),
            ('an object, not a number', {'schedules': [1]}),
            ('no kind of task sets "plans"', {'schedules': [], 'plans': []}),
            ('lacks "until"', {'tasks': [task]}), ('lacks "tasks"', {'schedules': [{'until': 1}]}),
            ('is empty', {'tasks': [], 'until': 1}), ('a list, not', {'tasks': {}, 'until': 1}),
            ('already', {'tasks': [task, task], 'until': 1}),
            ('has no key "extra"', {'tasks': [task], 'until': 1, 'extra': 1}),
            ('1 to 64 bytes', {'tasks': [dict(task, name='')], 'until': 1}),
            ('1 to 64 bytes', {'tasks': [dict(task, name='x' * 65)], 'until': 1}),
            ('a string, not a number', {'tasks': [dict(task, name=1)], 'until': 1}),
            ('control character', {'tasks': [dict(task, name='\x1b[2J')], 'until': 1}),
            ('control character', {'tasks': [dict(task, name='\x85')], 'until': 1}),
            ('at most 4095', {'tasks': [{'name': str(n), 'C': 1, 'T': 9} for n in range(4096)],
                              'until': 1})):
        refused_set(words, case)
    for words, options in (('policy has to be', {'policy': 'lifo'}),
                           ('policy has to be', {'policy': 1}),
                           ('strict has to be true or false', {'strict': 'yes'}),
                           ('has no key "boost"', {'boost': 1}),
                           ('options has to be an object', [])):
        refused_set(words, {'tasks': [task], 'until': 1, 'options': options})
    refused_set('there is no "rm" with them', dict(cbs(), options={'policy': 'rm'}))
    refused_set('exclude each other', dict(cbs(), options={'grub': True, 'wall_jobs': True}))


@tap.case('bad.other_kinds')
def _():
    for words, case in (
            ('from -20 to 19', {'nice': [20], 'ticks': 5}),
            ('from -20 to 19', {'nice': [-21], 'ticks': 5}),
            ('whole number', {'nice': ['1/2'], 'ticks': 5}),
            ('is empty', {'nice': [], 'ticks': 5}), ('lacks "ticks"', {'nice': [0]}),
            ('ticks is 0', {'nice': [0], 'ticks': 0}),
            ('ticks is', {'nice': [0], 'ticks': 10 ** 9}),
            ('lacks "quantum"', {'clients': [[1, 1, 0]]}),
            ('a list of three', {'clients': [[1, 1]], 'quantum': 1}),
            ('whole number from 1', {'clients': [[0, 1, 0]], 'quantum': 1}),
            ('more than 0', {'clients': [[1, 0, 0]], 'quantum': 1}),
            ('cannot be negative', {'clients': [[1, 1, -1]], 'quantum': 1}),
            ('quantum is 0', {'clients': [[1, 1, 0]], 'quantum': 0}),
            ('to 1048576', {'clients': [[2000000, 1, 0]], 'quantum': 1}),
            ('[name, [[run, sleep], ...]]', {'tasks': [['a']], 'until': 5}),
            ('[run, sleep]', {'tasks': [['a', [1]]], 'until': 5}),
            ('more than 0', {'tasks': [['a', [[0, 1]]]], 'until': 5}),
            ('is empty', {'tasks': [['a', []]], 'until': 5}),
            ('boost is -1', {'tasks': [['a', [[1, 1]]]], 'until': 5, 'options': {'boost': -1}}),
            ('boost is less than 5',
             {'tasks': [['a', [[1, 1]]]], 'until': 5, 'options': {'boost': '9/2'}}),
            ('kind has to be', {'kind': 'hard', 'tasks': [{'name': 'a', 'C': 1, 'T': 2}]}),
            ('has D < T', {'kind': 'implicit', 'tasks': [{'name': 'a', 'C': 1, 'T': 2, 'D': 1}]}),
            ('only periodic', {'kind': 'constrained', 'tasks': cbs()['tasks']}),
            ('lacks "jobs"', dict(one(C=1, T=2), server={'Q': 1, 'T': 2})),
            ('Q is 0', dict(one(C=1, T=2), server={'Q': 0, 'T': 2}, jobs=[[0, 1]])),
            ('is called S', {'tasks': [{'name': 'S', 'C': 1, 'T': 2}], 'until': 2,
                             'server': {'Q': 1, 'T': 2}, 'jobs': [[0, 1]]}),
            ('too many jobs', {'tasks': [{'name': 'a', 'C': '1/1000000', 'T': '1/1000000'}],
                               'hyperperiod': 10 ** 6})):
        refused_set(words, case)


@tap.case('bad.json')
def _():
    for words, data in (
            ('line 1, column 1: expected a value, but the file ends', b''),
            ('line 3, column 1', b' \n\t\n'), ("expected a value, but found 'x'", b'x'),
            ("',' or ']'", b'[1'), ("',' or '}', but the file ends", b'{"a": 1'),
            ("expected a key, '\"', but found '}'", b'{"a": 1,}'), ("':'", b'{"a" 1}'),
            ('line 2, column 3: expected a value', b'[1,\n  ]'), ('the end of the file', b'[] []'),
            ('the key "a" is here a second time', b'{"a": 1, "a": 2}'),
            ('nested more than 32 deep', b'[' * 100000), ('a digit', b'[-]'), ('a digit', b'[1.]'),
            ('a digit', b'[1e]'), ("',' or ']'", b'[01]'), ('expected a value', b'[+1]'),
            ('expected a value', b'[.5]'), ('the only words', b'[nul]'),
            ('the only words', b'[tru'),
            ('expected a value', b'[NaN]'), ("end of this string", b'["abc'),
            ('end of this string', b'["a\nb"]'), ('after a backslash', b'["\\x"]'),
            ('four hexadecimal digits', b'["\\u12g4"]'), ('surrogate', b'["\\ud800"]'),
            ('surrogate', b'["\\ud800\\u0041"]'), ('surrogate', b'["\\udc00"]'),
            ('\\u0000', b'["\\u0000"]'), ('expected UTF-8', b'["\xff"]'),
            ('expected UTF-8', b'["\xc0\x80"]'), ('expected UTF-8', b'["\xed\xa0\x80"]'),
            ('expected UTF-8', b'["\xf4\x90\x80\x80"]'), ('expected UTF-8', b'["\xe2\x82"]'),
            ('the byte 0xef', b'\xef\xbb\xbf{}'), ('expected a value', b'// no\n{}'),
            ('more than 64 keys', json.dumps({str(n): 1 for n in range(70)}).encode()),
            ('line 2, column 9', '\n ["äöü" 1]'.encode())):
        refused_set(words, data)


@tap.case('bad.files')
def _():
    whole = CASES.read_bytes()
    chance = chance_of('files')
    refused('nothing', 'No such file', ROOT / 'nowhere')
    refused('a directory', 'Is a directory', ROOT)
    refused('no file', 'no CASE.json')
    refused('two files', 'one CASE.json', CASES, CASES)
    refused('an option', 'unrecognized option', '--frobnicate', CASES)
    refused('too much', '16 MiB', '-', data=b' ' * ((16 << 20) + 1))
    for _ in range(40):
        refused('a truncated file', 'line 1', '-', data=whole[:chance.randrange(len(whole) - 2)])
        refused('garbage', 'line 1, column 1', '-', data=b'\x80' + chance.randbytes(200))


@tap.case('bad.an_output_that_cannot_be_written')
def _():
    for option in ('--svg', '--trace'):
        result = run(option, ROOT / 'no/where', CASES)
        tap.equal(result.returncode, 1, 'status')
        tap.contains(result.stderr.decode(), 'No such file', 'standard error')


@tap.case('bad.one_wrong_set_and_nothing_is_written')
def _():
    good_one = oracles['schedules'][0]
    refused_set('lacks "until"', [good_one, {'tasks': good_one['tasks']}])
    refused_set('times are too long', [good_one, one(C=1, T=2 ** 41)])
    data = json.dumps([good_one, {}]).encode()
    refused('a set', 'no task set', '--svg', ROOT / 'none.svg', '--trace', ROOT / 'none.json', '-',
            data=data)
    for name in ('none.svg', 'none.json'):
        if (ROOT / name).exists():
            tap.fail(f'{name} was written')


def places(value, path=()):
    yield path
    children = (value.items() if isinstance(value, dict)
                else enumerate(value) if isinstance(value, list) else ())
    for key, child in children:
        yield from places(child, path + (key,))


@tap.case('bad.mutations_end_with_a_status')
def _():
    """Any value in the place of any other."""
    chance = chance_of('mutations')
    odd = [0, -1, 1, 2, 1.5, '1/3', 2 ** 40, 2 ** 62, 10 ** 30, '', 'x', None, True, [], {}, [[]],
           [0, 1], '7/2', 1e-9]
    for _ in range(SETS or 250):
        kind = chance.choice(list(KEYS))
        case = json.loads(json.dumps(chance.choice(oracles[kind])))
        if kind in ('fair', 'eevdf'):
            case.update({key: 40 for key in ('ticks', 'quanta') if key in case})
        for _ in range(chance.randrange(1, 4)):
            path = chance.choice(list(places(case))[1:])
            parent = case
            for key in path[:-1]:
                parent = parent[key]
            if chance.random() < 0.2:
                del parent[path[-1]]
            else:
                parent[path[-1]] = chance.choice(odd)
        result = run('--json', '--svg', ROOT / 'm.svg', '--trace', ROOT / 'm.json', '-',
                     data=json.dumps(case).encode())
        if result.returncode not in (0, 2) or (result.returncode == 2) != (not result.stdout):
            tap.fail(f'status {result.returncode} of {case}: {result.stderr.decode()}')
        if result.returncode == 0:
            json.loads(result.stdout)


sys.exit(tap.run(sys.argv[3:]))
