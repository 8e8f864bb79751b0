# SPDX-License-Identifier: MIT
"""bars.py: what the allocators of this tree have to reach, and whether they do.

A bar is a bound on a ratio of two figures of the same run, or on a time in ns. For objects a figure
is the geometric mean over the sizes 16..512. Times depend on the machine: they were set on one
whose two empty calls take CALLS_NS, and a miss says whether the same time in calls would do."""

from results import MALLOCS, Row

CALLS_NS = 1.93


class Bar:
    def __init__(self, label, measured, limit, unit='', at_least=False, scale=None):
        self.label, self.measured, self.limit = label, measured, limit
        self.unit, self.at_least, self.scale = unit, at_least, scale

    def text(self, value):
        if self.unit == '%':
            return f'{value:.1%}'
        return f'{value:.2f}' + (self.unit if self.unit in ('', 'x') else f' {self.unit}')

    def measured_text(self):
        return self.text(self.measured)

    def limit_text(self):
        if self.limit is None:
            return ''
        return ('>= ' if self.at_least else '<= ') + self.text(self.limit)

    def met(self, limit):
        return self.measured >= limit if self.at_least else self.measured <= limit

    def verdict(self):
        if self.limit is None:
            return '(to compare with)'
        if self.met(self.limit):
            return 'met'
        if self.unit == '%' or self.at_least:
            by = (self.limit - self.measured) / self.limit
        else:
            by = (self.measured - self.limit) / self.limit
        text = f'MISSED by {abs(by):.0%}'
        if self.unit == 'ns' and self.scale is not None and self.met(self.limit * self.scale):
            text += f' (in empty calls it is met: {self.limit * self.scale:.2f} ns here)'
        return text

    def as_dict(self):
        return {'label': self.label, 'measured': self.measured, 'limit': self.limit,
                'unit': self.unit, 'at_least': self.at_least,
                'met': None if self.limit is None else self.met(self.limit)}


class Bars:
    """Collects the bars whose figures were measured."""

    def __init__(self, results):
        self.results, self.bars = results, []
        calls = results.geomean('pair', 'calls')
        self.scale = calls / CALLS_NS if calls else None

    def add(self, label, measured, limit=None, unit='', at_least=False):
        if measured is not None:
            self.bars.append(Bar(label, measured, limit, unit, at_least, self.scale))

    def mean(self, workload, peer, figure='ns'):
        return self.results.geomean(workload, peer, figure)

    def one(self, name, peer, figure='ns', subject='objects'):
        return self.results.median(Row(subject, name, figure), peer)

    def ratio(self, upper, lower):
        return upper / lower if upper is not None and lower else None

    def over(self, workload, above, below, figure='ns'):
        return self.ratio(self.mean(workload, above, figure), self.mean(workload, below, figure))

    def best(self, workload, figure='ns'):
        means = [(self.mean(workload, peer, figure), peer) for peer in MALLOCS]
        means = [item for item in means if item[0] is not None]
        return min(means) if means else (None, 'none')


def objects(b):
    best, who = b.best('pair')
    b.add('hot pair: slab / two empty calls', b.over('pair', 'slab', 'calls'), 1.15, 'x')
    b.add('hot pair: glibc / slab', b.over('pair', 'glibc', 'slab'), 2.2, 'x', True)
    b.add(f'hot pair: best peer ({who}) / slab', b.ratio(best, b.mean('pair', 'slab')), 1.0, 'x',
          True)
    b.add('hot pair: glibc / inline', b.over('pair', 'glibc', 'inline'), 2.9, 'x', True)
    b.add(f'hot pair: best peer ({who}) / inline', b.ratio(best, b.mean('pair', 'inline')), 1.0,
          'x', True)
    b.add('  inline / the stack, which only pops and pushes', b.over('pair', 'inline', 'stack'),
          unit='x')
    b.add('ring of 1000: glibc / slab', b.over('fifo1000', 'glibc', 'slab'), 2.4, 'x', True)
    b.add("  the tutorial's loop, no ring: glibc / slab", b.over('literal', 'glibc', 'slab'),
          unit='x')
    for workload, figure, words, glibc, peer in (
            ('replace10k', 'ns', '10k live', 2.8, 1.35),
            ('million', 'replace', '1M live', 3.8, 1.5)):
        best, who = b.best(workload, figure)
        b.add(f'replace, {words}: glibc / slab', b.over(workload, 'glibc', 'slab', figure), glibc,
              'x', True)
        b.add(f'replace, {words}: best peer ({who}) / slab',
              b.ratio(best, b.mean(workload, 'slab', figure)), peer, 'x', True)


def threads(b):
    for size, limit in ((64, 3.0), (256, 15.0)):
        name = f'handover/{size}'
        b.add(f'hand over, {size} bytes: glibc / slab',
              b.ratio(b.one(name, 'glibc'), b.one(name, 'slab')), 15, 'x', True)
        b.add(f'hand over, {size} bytes', b.one(name, 'slab'), 1.2 * limit, 'ns')
        b.add('  the ring between them alone', b.one(name, 'calls'), unit='ns')
    for size in (64, 256):
        name = f'apart/{size}'
        b.add(f'two threads / one: {size} bytes',
              b.ratio(b.one(name, 'slab'), b.one(name, 'slab', 'alone')), 1.15, 'x')
        b.add('  the CPUs themselves (empty calls)',
              b.ratio(b.one(name, 'calls'), b.one(name, 'calls', 'alone')), unit='x')


def memory(b):
    r = b.results
    b.add('bulk of 64', b.mean('bulk64', 'slab'), 1.0, 'ns')
    b.add('refill after a shuffled free of 1M', b.mean('million', 'slab', 'refill'), 11, 'ns')
    for figure, label, limit, at_least, worst in (
            ('back', 'memory back after that, worst size', 0.99, True, min),
            ('overhead', 'metadata, headers and waste at 1M, worst size', 0.02, False, max)):
        values = [b.one(f'million/{size}', 'slab', figure)
                  for size in r.sizes('million', ('slab',), figure)]
        b.add(label, worst(values) if values else None, limit, '%', at_least)
    b.add('magazine hits, mixed sizes', b.one('mixed', 'kmalloc', 'hits'), 0.95, '%', True)


def forms(b):
    for workload, words in (('pair', 'hot pair'), ('replace10k', 'replace, 10k live')):
        b.add(f'{words}: hardened / slab', b.over(workload, 'hardened', 'slab'), 1.3, 'x')
    for workload, words in (('pair', 'hot pair'), ('fifo1000', 'ring of 1000'),
                            ('replace10k', 'replace, 10k live')):
        b.add(f'{words}: kmalloc / slab', b.over(workload, 'kmalloc', 'slab'), 1.3, 'x')


def frames(b):
    def frame(name, peer, figure='ns'):
        return b.one(name, peer, figure, 'frames')
    b.add('frames: order-0 pair', frame('frame/0', 'buddy'), 2.9, 'ns')
    b.add('frames: two threads / one', b.ratio(frame('apart', 'buddy'),
                                               frame('apart', 'buddy', 'alone')), 1.15, 'x')
    b.add('frames: fill all, one CPU', frame('fill', 'one_cpu'), 4, 'ns')
    b.add('frames: fill all, with locks', frame('fill', 'buddy'), 4, 'ns')
    b.add('frames: free all at random, one CPU', frame('drain', 'one_cpu'), 9, 'ns')
    b.add('frames: free all at random, with locks', frame('drain', 'buddy'), 12, 'ns')
    b.add('frames: mixed orders 0..9', frame('orders/1024', 'buddy'), 20, 'ns')
    b.add('frames: F3, usable as order 9', frame('F3/8', 'buddy', 'usable'), 0.9, '%', True)
    b.add('frames: F4, usable as order 9', frame('F4/100', 'buddy', 'usable'), 0.95, '%', True)
    b.add('frames: metadata, bytes a frame', frame('metadata', 'buddy', 'bytes'), 0.15)


def against_buddy(b):
    for workload, words in (('pair', 'hot pair'), ('fifo1000', 'ring of 1000'),
                            ('replace10k', 'replace, 10k live')):
        for peer in ('buddy', 'list'):
            ratios = [(b.ratio(b.one(f'{workload}/{size}', peer), b.one(f'{workload}/{size}',
                                                                        'slab')), size)
                      for size in b.results.sizes(workload, ('slab', peer))]
            if ratios:
                worst, size = min(ratios)
                b.add(f'{words}: {peer} / slab, least ({size} bytes)', worst, 3, 'x', True)


def blocks(b):
    def block(name, peer, figure='ns'):
        return b.one(name, peer, figure, 'blocks')

    def best(name):
        times = [(block(name, peer), peer) for peer in ('pcache1', 'glib', 'uthash', 'mutex')]
        return min((item for item in times if item[0] is not None), default=(None, 'none'))

    for policy in ('clock', '2q-clock'):
        b.add(f'blocks: hit of 4,096, {policy}', block('hit/4096', policy), 2.0, 'ns')
        b.add(f'blocks: the same, pinned and unpinned, {policy}', block('pin/4096', policy), 2.5,
              'ns')
    b.add('blocks: hit of 4,096, lru', block('hit/4096', 'lru'), 3.5, 'ns')
    for policy in ('clock', '2q-clock'):
        b.add(f'blocks: hit of 1M, {policy}', block('hit/1048576', policy), 12, 'ns')
    b.add('  a line of memory of 1M', block('hit/1048576', 'line'), unit='ns')
    for name, words in (('hit/4096', 'of 4,096'), ('hit/1048576', 'of 1M'),
                        ('scattered/4096', 'of 4,096 scattered')):
        least, who = best(name)
        b.add(f'blocks: hit {words}: best peer ({who}) / 2q-clock',
              b.ratio(least, block(name, '2q-clock')), 1.0, 'x', True)
    for policy, limit in (('clock', 8), ('2q-clock', 10)):
        b.add(f'blocks: w106_a through 3,000, a request, {policy}',
              block('replay/w106_a/3000', policy), limit, 'ns')
    for policy in ('clock', '2q-clock'):
        for name, words in (('shared', 'all alike'), ('hot', 'one hot')):
            b.add(f'blocks: reads by two threads / one, {words}, {policy}',
                  block(name, policy, 'gain'), 1.95, 'x', True)
    for label, name, peer in (('with pins', 'shared-pinned', '2q-clock'),
                              ('a cache for each', 'apart', '2q-clock'),
                              ('mutex', 'shared', 'mutex')):
        b.add(f'  {label}', block(name, peer, 'gain'), unit='x')


def disk(b):
    for access, transfer in ((80, 4000), (80, 1000), (10, 500)):
        pace = f'{access}/{transfer}'

        def of(name, figure='us'):
            return b.one(f'{name}/{pace}', 'cache', figure, 'disk')
        words = f'disk of {access} us, {transfer / 1000:g} us a block'
        b.add(f'{words}: sequential / its rate at the same requests',
              b.ratio(of('disk', 'joined'), of('sequential')), 0.95, 'x', True)
        b.add('  wide window / its rate at 32 requests of 8 blocks',
              b.ratio(of('disk', 'deep'), of('sequential', 'wide')), 0.95, 'x', True)
        b.add('  sequential / its rate at 32 requests of one block',
              b.ratio(of('disk'), of('sequential')), unit='x')
        for name, label in (('random', 'random'), ('random-32', 'random, 32 at a time')):
            b.add(f'  {label}: time with read-ahead / without',
                  b.ratio(of(name), of(name, 'bare')), 1.02, 'x')
            b.add('    CPU time of that', b.ratio(of(name, 'cpu'), of(name, 'bare_cpu')), unit='x')


def queues(b):
    def queue(name, peer='sched'):
        return b.one(name, peer, 'ns', 'queues')

    for count, words, limit in ((1000, '1k', 20), (10000, '10k', 35), (100000, '100k', 130)):
        b.add(f'queue: the first of {words} queued again', queue(f'hold/{count}'), limit, 'ns')
        b.add('  red-black tree / that', b.ratio(queue(f'hold/{count}', 'rbtree'),
                                                 queue(f'hold/{count}')), unit='x')
    for count, words in ((1000, '1k'), (10000, '10k')):
        b.add(f'queue: out and in again, one of {words}', queue(f'block/{count}'), 16, 'ns')
    for count in (10, 100):
        b.add(f'queue: {count} in turn', queue(f'turns/{count}'), 8, 'ns')


def contexts(b):
    def turns(count, peer='ours'):
        return b.one(f'turns/{count}', peer, 'ns', 'contexts')

    for count in (8, 64):
        b.add(f'switch of contexts, {count} in turn', turns(count), 2.5, 'ns')
    for peer in ('boost', 'ucontext'):
        b.add(f'  {peer} / that of 8', b.ratio(turns(8, peer), turns(8)), unit='x')


def events(b):
    def one(name, peer='ours', figure='ns'):
        return b.one(name, peer, figure, 'events')

    b.add('event, of a bare clock read', b.ratio(one('event/1'), one('clock/1')), 1.15, 'x')
    if one('event/1') is not None and one('clock/1') is not None:
        b.add('event without the clock: over a clock read', one('event/1') - one('clock/1'), 1.5,
              'ns')
    b.add('event without the clock: with a 0 for the time', one('event/1', 'no clock'), 1.5, 'ns')
    b.add('disabled event', one('off/1'), 0.3, 'ns')
    b.add('event, two CPUs, of one', b.ratio(one('two/2'), one('two/2', figure='alone')), 1.1, 'x')
    b.add('  one head for all CPUs', b.ratio(one('two/2', 'shared'),
                                             one('two/2', 'shared', 'alone')), unit='x')


def samples(b):
    def one(name, peer='ours', figure='ns'):
        return b.one(name, peer, figure, 'samples')

    b.add('body of a sample, 4 frames and the clock read', one('same/4'), 20, 'ns')
    b.add('  of 1,000 stacks, one at random', one('known/4'), 20, 'ns')
    b.add('  of a stack that is new', one('new/4'), unit='ns')
    for peer, words in (('unw_bt', 'unw_backtrace'), ('glibc', 'backtrace of glibc'),
                        ('unw_step', 'unw_step')):
        b.add(f'  {words} / the first', b.ratio(one('same/4', peer), one('same/4')), unit='x')
    for hz in (10000, 20000):
        b.add(f'whole sample, of a handler that does nothing, {hz // 1000} kHz',
              one(f'whole/{hz}', figure='ratio'), 1.2, 'x')
        b.add('  in ns', one(f'whole/{hz}'), unit='ns')


def decisions(b):
    def one(name, peer='eevdf'):
        return b.one(name, peer, 'ns', 'decisions')

    for name, words, limit in (('random/1000', 'random runs', 50), ('full/1000', 'slices', 40),
                               ('equal/1000', 'slices, equal weights', 10)):
        b.add(f'EEVDF: a decision among 1k, {words}', one(name), limit, 'ns')
        b.add('  red-black tree / that', b.ratio(one(name, 'rbtree'), one(name)), unit='x')
    b.add('MLFQ: out, choose, in again, one of 1k', one('mlfq/1000'), 5, 'ns')
    b.add('a whole decision among 100 mixed, blocks and wakes in it', one('events/100'), 40, 'ns')
    b.add('ash_sched_decide / the class alone, 100 fair', b.ratio(one('unified/100'),
                                                                  one('direct/100')), 1.05, 'x')


def spaces(b):
    def space(name, peer='one_cpu'):
        return b.one(name, peer, 'ns', 'spaces')

    def us(value):
        return value / 1000 if value is not None else None

    for mib, words in ((64, '64 MiB'), (1024, '1 GiB'), (8192, '8 GiB')):
        b.add(f'fork of {words}, one CPU', us(space(f'fork/{mib}')), 0.5, 'us')
        b.add('  in cold caches', us(space(f'fork-cold/{mib}')), 2.5, 'us')
        b.add('  with the end of the child', us(space(f'fork-exit/{mib}')), 1, 'us')
        b.add('  several CPUs', us(space(f'fork/{mib}', 'hosted')), 0.5, 'us')
        for peer in ('memcpy', 'counting', 'linux'):
            b.add(f'  {peer} / that', b.ratio(space(f'fork/{mib}', peer), space(f'fork/{mib}')),
                  unit='x')
    for peer, words, eager, first in (('one_cpu', 'one CPU', 0.35, 2.5),
                                      ('hosted', 'several CPUs', 1.5, 10)):
        value = us(us(space('eager/1024', peer)))
        b.add(f'eager fork of 1 GiB, {words}', value, eager, 'ms')
        b.add('first write after fork, 1 GiB, ' + words, us(space('first/1024', peer)), first,
              'us')
        b.add('  frames in random order', us(space('first-scattered/1024', peer)), unit='us')
        b.add('  later ones in the same 2 MiB', us(space('same/1024', peer)), 0.5, 'us')
        b.add('  in other 2 MiB', us(space('other/1024', peer)), unit='us')
    b.add('  Linux: first', us(space('first/1024', 'linux')), unit='us')
    b.add('  Linux: later ones', us(space('same/1024', 'linux')), unit='us')
    b.add('first write to 2 MiB, copied whole', us(space('block')), 250, 'us')
    b.add('  memcpy', us(space('block', 'memcpy')), unit='us')
    for name, words, limit in (('map', 'map', 1.5), ('protect', 'protect', 1),
                               ('translate', 'translate', 4),
                               ('unmap-kept', 'unmap of what others have, too', 0.5)):
        for mib, size in ((64, '64 MiB'), (1024, '1 GiB')):
            b.add(f'{words}, a page of {size}', space(f'{name}/{mib}'), limit, 'ns')
            b.add('  counting loop', space(f'{name.partition("-")[0]}/{mib}', 'counting'),
                  unit='ns')
    b.add('  and if each page is freed', space('unmap/1024'), unit='ns')
    b.add('reap, a table', us(space('reap/64')), 1.5, 'us')


def evaluate(results):
    b = Bars(results)
    for part in (objects, threads, memory, forms, frames, against_buddy, blocks,
                 disk, queues, decisions, contexts, events,
                 samples, spaces):
        part(b)
    return b.bars
