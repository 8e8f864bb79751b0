# SPDX-License-Identifier: MIT
"""results.py: the figures of all rounds, and what is computed of them."""

import collections
import math
import statistics

SIZES = (16, 32, 64, 128, 256, 512)
MALLOCS = ('glibc', 'mimalloc', 'jemalloc', 'tcmalloc')

# A figure of a benchmark: ('objects', 'million/64', 'refill').
Row = collections.namedtuple('Row', 'subject name figure')


class Results:
    def __init__(self):
        self.rounds = collections.defaultdict(list)  # (row, peer): [(value, disturbed), ...]
        self.contexts = {}                           # peer: what its executable says of itself
        self.made_by = {}                            # (subject, name, peer): executable

    def add_peer(self, peer, context):
        self.contexts.setdefault(peer, {name: context[name] for name in ('version', 'library')
                                        if name in context})

    def add(self, row, peer, value, disturbed):
        self.rounds[row, peer].append((value, disturbed))

    def all(self):
        return list(self.rounds)

    def has(self, row):
        return any(key[0] == row for key in self.rounds)

    def names(self, subject):
        """The rows of a subject (None: of all), in the order of their first measurement."""
        return list(dict.fromkeys(row for row, _ in self.rounds
                                  if subject in (None, row.subject)))

    def peers(self, subject, order):
        """The peers that were measured; those in `order` first, no others if there is one."""
        seen = list(dict.fromkeys(peer for row, peer in self.rounds if row.subject == subject))
        return [peer for peer in order if peer in seen] if order else seen

    def values(self, row, peer):
        """The rounds that no other program disturbed, if there are any."""
        rounds = self.rounds.get((row, peer), [])
        return [value for value, disturbed in rounds if not disturbed] or \
            [value for value, _ in rounds]

    def median(self, row, peer):
        values = self.values(row, peer)
        return statistics.median(values) if values else None

    def spread(self, row, peer):
        """Between the quartiles, as a share of the median: what a difference must exceed."""
        values = self.values(row, peer)
        median = statistics.median(values) if len(values) > 1 else 0
        if median == 0:
            return 0.0
        low, _, high = statistics.quantiles(values, n=4, method='inclusive')
        return (high - low) / abs(median)

    def noisy(self, limit):
        return [(row, peer) for row, peer in self.rounds
                if self.spread(row, peer) > limit
                or all(disturbed for _, disturbed in self.rounds[row, peer])]

    def sizes(self, workload, peers, figure='ns'):
        """Sizes for which all of these were measured."""
        return [size for size in SIZES
                if all(self.median(Row('objects', f'{workload}/{size}', figure), peer) is not None
                       for peer in peers)]

    def geomean(self, workload, peer, figure='ns'):
        """Over all sizes that were measured; None: none was."""
        values = [self.median(Row('objects', f'{workload}/{size}', figure), peer)
                  for size in self.sizes(workload, (peer,), figure)]
        if not values or min(values) <= 0:
            return None
        return math.exp(statistics.fmean(map(math.log, values)))

    def as_list(self):
        return [{'subject': row.subject, 'name': row.name, 'figure': row.figure, 'peer': peer,
                 'median': self.median(row, peer), 'rounds': [value for value, _ in rounds],
                 'disturbed': [disturbed for _, disturbed in rounds]}
                for (row, peer), rounds in self.rounds.items()]
