# SPDX-License-Identifier: MIT
"""models: what a cache does, written down a second time: as plainly as can be, and slowly.

Each policy is a class with insert(key), which returns the key that had to go, or None; hit(key);
and `key in policy`. The definitions are those of tests/oracles/cache/README.md.
"""
from collections import OrderedDict, deque

READ, WRITE, FLUSH = 0, 1, 2


class Lru:
    def __init__(self, blocks):
        self.blocks, self.order = blocks, OrderedDict()

    def __contains__(self, key):
        return key in self.order

    def hit(self, key):
        self.order.move_to_end(key)

    def insert(self, key):
        victim = self.order.popitem(last=False)[0] if len(self.order) == self.blocks else None
        self.order[key] = True
        return victim


class Clock:
    """A ring in which the hand goes on behind the frame that it refilled."""

    def __init__(self, blocks):
        self.blocks, self.ring, self.referenced, self.hand = blocks, [], {}, 0

    def __contains__(self, key):
        return key in self.referenced

    def hit(self, key):
        self.referenced[key] = True

    def insert(self, key):
        self.referenced[key] = False
        if len(self.ring) < self.blocks:
            self.ring.append(key)
            return None
        while self.referenced[self.ring[self.hand]]:
            self.referenced[self.ring[self.hand]] = False
            self.hand = (self.hand + 1) % self.blocks
        victim = self.ring[self.hand]
        del self.referenced[victim]
        self.ring[self.hand] = key
        self.hand = (self.hand + 1) % self.blocks
        return victim


class TwoQClock:
    def __init__(self, blocks):
        self.blocks = blocks
        self.kin = min(max(blocks // 4, 1), max(1, blocks - 1))
        self.fresh, self.main, self.ghost = deque(), deque(), OrderedDict()
        self.referenced = {}  # of main
        self.of_fresh = set()

    def __contains__(self, key):
        return key in self.of_fresh or key in self.referenced

    def hit(self, key):
        if key in self.referenced:
            self.referenced[key] = True

    def evict(self):
        if len(self.fresh) >= self.kin or not self.main:
            victim = self.fresh.popleft()
            self.of_fresh.remove(victim)
            self.ghost[victim] = True
            if len(self.ghost) > max(1, self.blocks):
                self.ghost.popitem(last=False)
            return victim
        while self.referenced[self.main[0]]:
            self.referenced[self.main[0]] = False
            self.main.rotate(-1)
        victim = self.main.popleft()
        del self.referenced[victim]
        return victim

    def insert(self, key):
        known = self.ghost.pop(key, False)
        victim = self.evict() if len(self.fresh) + len(self.main) == self.blocks else None
        if known:
            self.main.append(key)
            self.referenced[key] = False
        else:
            self.fresh.append(key)
            self.of_fresh.add(key)
        return victim


class Sieve:
    """A list, oldest first; the hand goes towards the newest and survives an eviction."""

    def __init__(self, blocks):
        self.blocks, self.order, self.visited, self.hand = blocks, [], {}, 0

    def __contains__(self, key):
        return key in self.visited

    def hit(self, key):
        self.visited[key] = True

    def insert(self, key):
        victim = None
        if len(self.order) == self.blocks:
            while self.visited[self.order[self.hand]]:
                self.visited[self.order[self.hand]] = False
                self.hand = (self.hand + 1) % self.blocks
            victim = self.order.pop(self.hand)
            del self.visited[victim]
            # The newest comes after it: the hand stays, or begins anew past the end.
            if self.hand == len(self.order):
                self.hand = 0
        self.order.append(key)
        self.visited[key] = False
        return victim


class S3Fifo:
    def __init__(self, blocks):
        self.blocks = blocks
        self.small_share = max(1, blocks // 10)
        self.ghost_share = max(1, blocks * 9 // 10)
        self.small, self.main, self.ghost = deque(), deque(), OrderedDict()
        self.hits = {}

    def __contains__(self, key):
        return key in self.hits

    def hit(self, key):
        self.hits[key] = min(self.hits[key] + 1, 3)

    def evict_small(self):
        while self.small:
            key = self.small.popleft()
            if self.hits[key] < 2:
                del self.hits[key]
                self.ghost[key] = True
                if len(self.ghost) > self.ghost_share:
                    self.ghost.popitem(last=False)
                return key
            self.hits[key] = 0
            self.main.append(key)
        return None

    def evict_main(self):
        while self.hits[self.main[0]] > 0:
            self.hits[self.main[0]] -= 1
            self.main.rotate(-1)
        key = self.main.popleft()
        del self.hits[key]
        return key

    def insert(self, key):
        known = self.ghost.pop(key, False)
        victim = None
        while victim is None and len(self.hits) == self.blocks:
            if len(self.main) > self.blocks - self.small_share or not self.small:
                victim = self.evict_main()
            else:
                victim = self.evict_small()
        self.hits[key] = 0
        (self.main if known else self.small).append(key)
        return victim


class TwoQClockPro:
    """The rule is that of lib/cache/2q_clock_pro.c; how it is kept is not."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.least = max(1, blocks // 100)
        self.most = max(1, blocks - 1)
        self.target = max(1, blocks // 20)
        self.cold = deque()          # oldest left
        self.hot = OrderedDict()     # oldest first: key -> [touches, stamp]
        self.in_cold = set()
        self.ghosts = OrderedDict()  # key -> number, in the order of the numbers
        self.numbers = 0             # given so far
        self.known_from = 0          # numbers below are forgotten

    def __contains__(self, key):
        return key in self.in_cold or key in self.hot

    def hit(self, key):
        if key in self.hot:
            self.hot[key][0] = min(2, self.hot[key][0] + 1)

    def stale(self, number):
        return bool(self.hot) and number < next(iter(self.hot.values()))[1]

    def shrink(self):
        self.target = max(self.least, self.target - 1)

    def forget_oldest_number(self):
        for key, number in self.ghosts.items():
            if number == self.known_from:
                del self.ghosts[key]
                self.shrink()
            break
        self.known_from += 1

    def victim(self):
        if len(self.cold) >= self.target or not self.hot:
            return self.cold[0]
        while True:
            key, (touches, _) = next(iter(self.hot.items()))
            if touches == 0:
                return key
            self.hot[key] = [touches - 1, self.numbers + len(self.cold)]
            self.hot.move_to_end(key)

    def remembers(self, key):
        number = self.ghosts.pop(key, None)
        if number is None:
            return False
        if self.stale(number):
            self.shrink()
            return False
        self.target = min(self.most, self.target + 3)
        return True

    def evict(self, key):
        if key in self.hot:
            del self.hot[key]
        else:
            self.cold.popleft()
            self.in_cold.remove(key)
            if self.numbers - self.known_from == self.blocks:
                self.forget_oldest_number()
            self.ghosts[key] = self.numbers
            self.numbers += 1
        for _ in range(4):
            if self.known_from == self.numbers or not self.stale(self.known_from):
                break
            self.forget_oldest_number()

    def insert(self, key):
        full = len(self.cold) + len(self.hot) == self.blocks
        victim = self.victim() if full else None
        remembered = self.remembers(key)
        if full:
            self.evict(victim)
        if remembered or (self.numbers == 0 and len(self.hot) < self.blocks - self.target):
            self.hot[key] = [0, self.numbers + len(self.cold)]
        else:
            self.cold.append(key)
            self.in_cold.add(key)
        return victim


POLICIES = {'lru': Lru, 'clock': Clock, '2q-clock': TwoQClock, 'sieve': Sieve, 's3-fifo': S3Fifo,
            '2q-clock-pro': TwoQClockPro}
# As the oracles name them.
ORACLE_NAMES = {'LRU': 'lru', 'CLOCK0': 'clock', '2QCLOCK': '2q-clock', 'SIEVE': 'sieve',
                'S3FIFO': 's3-fifo'}


def simulate(policy, blocks, records, write_through=False):
    """records: (operation, block), a flush of None is one of all files. The counts."""
    cache = POLICIES[policy](blocks)
    dirty = set()
    counts = dict.fromkeys(('accesses', 'hits', 'misses', 'disk_reads', 'evict_writes',
                            'flush_writes', 'through_writes'), 0)
    for operation, block in records:
        if operation == FLUSH:
            clean = {key for key in dirty if block is None or key >> 24 == block >> 24}
            counts['flush_writes'] += len(clean)
            dirty -= clean
            continue
        counts['accesses'] += 1
        if block in cache:
            counts['hits'] += 1
            cache.hit(block)
        else:
            counts['misses'] += 1
            counts['disk_reads'] += operation == READ
            victim = cache.insert(block)
            if victim in dirty:
                dirty.remove(victim)
                counts['evict_writes'] += 1
        if operation == WRITE:
            if write_through:
                counts['through_writes'] += 1
            else:
                dirty.add(block)
    counts['disk_writes'] = (counts['evict_writes'] + counts['flush_writes'] +
                             counts['through_writes'])
    counts['dirty_left'] = len(dirty)
    return counts
