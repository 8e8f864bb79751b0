# SPDX-License-Identifier: MIT
"""models: what each kind of task set comes to, a second time: naive, exact, to be read.

Nothing here is shared with the library. Each function takes a task set as tests/oracles/sched has
it and returns what `ash-schedsim --json` has to print for it (with Fraction for numbers).
"""
from fractions import Fraction
import math

WEIGHTS = [88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
           9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
           1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
           110, 87, 70, 56, 45, 36, 29, 23, 18, 15]
NEVER = math.inf


def number(value):
    return Fraction(value)


class Job:
    def __init__(self, task, release, work, deadline):
        self.task, self.release, self.work, self.deadline = task, release, work, deadline
        self.start = self.finish = None
        self.left = work


class Task:
    """What all kinds have: jobs that wait, a key by which they are chosen."""
    rank, timer_order = 0, 0

    def __init__(self, name):
        self.name, self.queue, self.key, self.order, self.ready = name, [], None, None, False

    def next_release(self):
        return NEVER


class Periodic(Task):
    """C every T. In a reclaiming set it is active from a release to its deadline."""

    def __init__(self, task, options):
        super().__init__(task['name'])
        self.work, self.period = number(task['C']), number(task['T'])
        self.deadline = number(task.get('D', self.period))
        self.next = number(task.get('offset', 0))
        self.by_rate = options.get('policy') == 'rm'
        self.density = self.work / self.deadline
        self.active, self.zero_lag = False, NEVER
        self.began = False

    def next_release(self):
        return self.next

    def release(self, sim):
        job = Job(self, self.next, self.work, self.next + self.deadline)
        self.next = NEVER if sim.wall and not self.began else self.next + self.period
        sim.add(job)

    def wake(self, sim):
        self.active, self.zero_lag = True, NEVER
        self.take_key(sim)

    def take_key(self, sim):
        self.key = self.period if self.by_rate else self.queue[0].deadline
        sim.enqueue(self)

    def first_run(self, sim):
        """wall_jobs: the first period starts now."""
        job, self.began = self.queue[0], True
        self.next = sim.now + self.period
        job.release, job.deadline = sim.now, sim.now + self.deadline
        self.take_key(sim)

    def completed(self, sim, job):
        self.ready = False
        if self.queue:
            sim.again = self
        elif sim.grub:
            self.zero_lag = job.deadline
            sim.set_timer(self)

    def timers(self):
        return self.zero_lag

    def on_timer(self, sim):
        self.active, self.zero_lag = False, NEVER


class Server(Task):
    """A constant-bandwidth server: q, d and the log of what happens to them."""

    def __init__(self, task, options):
        super().__init__(task['name'])
        self.budget, self.period = number(task['Q']), number(task['T'])
        self.deadline = number(task.get('D', self.period))
        self.hard = task.get('hard', True)
        self.strict = options.get('strict', False)
        self.arrivals = [(number(release), number(work)) for release, work in task['jobs']]
        self.q, self.d, self.fresh = Fraction(0), Fraction(0), True
        self.throttled, self.until_replenished = False, NEVER
        self.density = self.budget / self.deadline
        self.active, self.zero_lag = False, NEVER
        self.log = []
        self.own_deadline = None  # of each job, from its release: for jobs of periodic tasks

    def next_release(self):
        return self.arrivals[0][0] if self.arrivals else NEVER

    def release(self, sim):
        release, work = self.arrivals.pop(0)
        deadline = None if self.own_deadline is None else release + self.own_deadline
        sim.add(Job(self, release, work, deadline))

    def event(self, sim, name):
        self.log.append((sim.now, name, self.q, self.d))

    def wake(self, sim):
        now = sim.now
        self.active, self.zero_lag = True, NEVER
        if not self.fresh and self.early(sim):
            self.q = Fraction(0)
            self.throttle(sim)
            return
        if self.fresh or now >= self.d:
            self.renew(sim, 'wake-new')
        else:
            left, right = self.q * self.deadline, (self.d - now) * self.budget
            if not (left > right or left == right and not self.strict):
                self.event(sim, 'wake-keep')
            elif self.deadline == self.period:
                self.renew(sim, 'wake-new')
            else:
                self.q = (self.d - now) * self.budget / self.deadline
                self.event(sim, 'wake-revised')
        self.key = self.d
        sim.enqueue(self)
        self.exhausted(sim)

    def early(self, sim):
        """Between the deadline and the next period; in a set whose densities sum to more than 1,
        and that admission accepts nonetheless, between two releases at all."""
        return (sim.now < self.d - self.deadline + self.period
                and (sim.now >= self.d or sim.tight and self.d - sim.now < self.deadline))

    def renew(self, sim, name):
        self.fresh = False
        self.q, self.d = self.budget, sim.now + self.deadline
        self.event(sim, name)

    def exhausted(self, sim):
        """It has work; has it budget?"""
        if self.q > 0 or self.throttled or not self.ready:
            return
        if self.hard:
            self.throttle(sim)
        else:
            self.refill(sim)

    def throttle(self, sim):
        self.event(sim, 'throttle')
        self.throttled, self.ready = True, False
        self.until_replenished = self.d - self.deadline + self.period
        sim.set_timer(self)
        if self.until_replenished <= sim.now:
            self.on_timer(sim)

    def refill(self, sim):
        while self.q <= 0:
            self.q += self.budget
            self.d += self.period
        self.event(sim, 'replenish')
        self.key = self.d
        sim.enqueue(self)

    def completed(self, sim, _job):
        if self.queue:
            return
        self.ready = False
        self.event(sim, 'idle')
        if sim.grub:
            self.zero_lag = self.d - self.q * self.deadline / self.budget
            sim.set_timer(self)

    def timers(self):
        return min(self.until_replenished, self.zero_lag)

    def on_timer(self, sim):
        if self.zero_lag <= sim.now:
            self.active, self.zero_lag = False, NEVER
        if self.until_replenished <= sim.now:
            self.throttled, self.until_replenished = False, NEVER
            self.refill(sim)


class Background(Task):
    rank = 1
    key = 0

    def __init__(self, task):
        super().__init__(task['name'])
        self.key = 0
        self.arrivals = [(number(release), number(work)) for release, work in task['jobs']]

    next_release = Server.next_release

    def release(self, sim):
        release, work = self.arrivals.pop(0)
        sim.add(Job(self, release, work, None))

    def wake(self, sim):
        self.key = 0
        sim.enqueue(self)

    def completed(self, _sim, _job):
        self.ready = bool(self.queue)

    def timers(self):
        return NEVER


def is_tight(tasks, wall):
    """Accepted by the demand test alone: no time between releases is known to be spare."""
    timed = [task for task in tasks if not isinstance(task, Background)]
    if wall and any(isinstance(task, Periodic) for task in timed):
        return False  # their jobs may run for as long as they like
    if sum(task.density for task in timed) <= 1:
        return False
    return fits([(task.density * task.deadline, task.deadline, task.period) for task in timed])


class Schedule:
    """Earliest deadline first, from one event to the next."""

    def __init__(self, tasks, until, options):
        self.tasks, self.until = tasks, until
        self.grub, self.wall = options.get('grub', False), options.get('wall_jobs', False)
        self.now, self.orders, self.running, self.again = Fraction(0), 0, None, None
        self.jobs, self.segments, self.ties = [], [], False
        self.tight, self.timers = is_tight(tasks, self.wall), 0

    def enqueue(self, task):
        self.orders += 1
        task.order, task.ready = self.orders, True

    def set_timer(self, task):
        self.timers += 1
        task.timer_order = self.timers

    def add(self, job):
        task = job.task
        self.jobs.append(job)
        task.queue.append(job)
        if len(task.queue) == 1:
            task.wake(self)

    def rate(self, server):
        """At which it is charged: all that is not known to be idle is its own (Umax = 1)."""
        if not self.grub or self.tight:
            return Fraction(1)
        active = sum(task.density for task in self.tasks
                     if not isinstance(task, Background) and task.active)
        return min(Fraction(1), max(server.density, active))

    def ends(self, job):
        """When the job that runs will have ended, if nothing else happens."""
        return max(self.now, job.start + job.work) if self.wall else self.now + job.left

    def choose(self):
        ready = [task for task in self.tasks if task.ready]
        if not ready:
            return None
        best = min(ready, key=lambda task: (task.rank, task.key, task.order))
        self.ties |= any(task is not best and (task.rank, task.key) == (best.rank, best.key)
                         for task in ready)
        return best

    def advance(self, then):
        task, spent = self.running, then - self.now
        if task is not None and spent > 0:
            if self.segments and self.segments[-1][1:] == [self.now, task.name]:
                self.segments[-1][1] = then
            else:
                self.segments.append([self.now, then, task.name])
            task.queue[0].left -= spent
            if isinstance(task, Server):
                task.q -= spent * self.rate(task)
        self.now = then

    def complete(self):
        """The job that runs, if this is its end."""
        task = self.running
        if task is None or not task.ready or self.ends(task.queue[0]) > self.now:
            return False
        job = task.queue.pop(0)
        job.finish = self.now
        task.completed(self, job)
        return True

    def instant(self, last=False):
        """All that happens now: charged it is already."""
        if not self.wall:
            self.complete()
        if isinstance(self.running, Server):
            self.running.exhausted(self)
        # At one time in the order in which they were set.
        for task in sorted(self.tasks, key=lambda task: (task.timers(), task.timer_order)):
            if task.timers() <= self.now:
                task.on_timer(self)
        self.queue_again()
        if last:
            return
        for task in self.tasks:
            while task.next_release() <= self.now:
                task.release(self)
        while self.dispatch():
            pass

    def dispatch(self):
        """True if the choice has to be made again at this instant."""
        self.running = self.choose()
        if self.running is None:
            return False
        task, job = self.running, self.running.queue[0]
        if job.start is None:
            job.start = self.now
            if self.wall and isinstance(task, Periodic) and not task.began:
                task.first_run(self)
                return True
        if not self.wall or not self.complete():
            return False
        self.queue_again()
        return True

    def queue_again(self):
        """The task whose job has ended and that has another one already."""
        if self.again is not None:
            self.again.take_key(self)
        self.again = None

    def next_event(self):
        times = [self.until]
        times += [task.next_release() for task in self.tasks]
        times += [task.timers() for task in self.tasks]
        if self.running is not None:
            times.append(self.ends(self.running.queue[0]))
            if isinstance(self.running, Server):
                times.append(self.now + self.running.q / self.rate(self.running))
        return min(times)

    def run(self):
        while self.now < self.until:
            self.instant()
            self.advance(self.next_event())
        self.instant(last=True)
        return self.result()

    def result(self):
        declared = {task: place for place, task in enumerate(self.tasks)}
        self.jobs.sort(key=lambda job: (job.release, declared[job.task]))
        late = [job for job in self.jobs if job.deadline is not None
                and (job.finish > job.deadline if job.finish is not None
                     else job.deadline <= self.until)]
        return {'segments': self.segments,
                'jobs': [[job.task.name, job.release, job.start, job.finish, job.deadline]
                         for job in self.jobs],
                'misses': [[job.task.name, job.release, job.deadline] for job in late],
                'servers': {task.name: [list(entry) for entry in task.log]
                            for task in self.tasks if isinstance(task, Server)}}


def make_task(task, options):
    kind = task.get('kind')
    return (Server(task, options) if kind == 'cbs' else Background(task) if kind == 'background'
            else Periodic(task, options))


def schedule(case, with_ties=False):
    options = case.get('options', {})
    sim = Schedule([make_task(task, options) for task in case['tasks']], number(case['until']),
                   options)
    result = sim.run()
    return (result, sim.ties) if with_ties else result


def isolation(case, hard=True):
    server = dict({'name': 'S', 'kind': 'cbs', 'hard': hard, 'jobs': case['jobs']},
                  **case['server'])
    return schedule({'tasks': case['tasks'] + [server], 'until': case['until']})


def cbs_equals_edf(case):
    """Each periodic task by a server of its own with Q = C."""
    until, servers = number(case['hyperperiod']), []
    for task in case['tasks']:
        period, jobs, release = number(task['T']), [], number(task.get('offset', 0))
        while release < until:
            jobs.append((release, number(task['C'])))
            release += period
        server = Server({'name': task['name'], 'Q': task['C'], 'T': task['T'],
                         'D': task.get('D', task['T']), 'jobs': jobs}, {})
        server.own_deadline = server.deadline
        servers.append(server)
    return Schedule(servers, until, {}).run()


# By weight.

def fair(case):
    """Least vruntime first, one tick at a time; among equals the one that waits longest."""
    weights = [WEIGHTS[nice + 20] for nice in case['nice']]
    whole = math.lcm(*weights)
    steps = [1024 * whole // weight for weight in weights]
    waiting = [(0, place, place) for place in range(len(weights))]
    ran, spread, order = [0] * len(weights), 0, len(weights)
    for _ in range(case['ticks']):
        vruntime, _, place = least = min(waiting)
        waiting.remove(least)
        ran[place] += 1
        waiting.append((vruntime + steps[place], order, place))
        order += 1
        spread = max(spread, max(waiting)[0] - min(waiting)[0])
    return {'ran': ran, 'vruntime_spread': Fraction(spread, whole)}


def eevdf(case):
    """Stoica and Abdel-Wahab: among the eligible the least virtual deadline; lag = w (V - v)."""
    quantum = number(case['quantum'])
    quanta = case.get('quanta', len(case.get('order', [])) or 4 * len(case['clients']))
    clients = [{'weight': Fraction(weight), 'request': number(request), 'start': number(start)}
               for weight, request, start in case['clients']]
    now, virtual, order, maxlag, present, queued = Fraction(0), Fraction(0), [], 0, [], 0
    while len(order) < quanta:
        for client in clients:
            if client not in present and client['start'] <= now:
                present.append(client)
                client['v'], client['deadline'] = virtual, (
                    virtual + client['request'] / client['weight'])
                client['queued'] = queued = queued + 1
        eligible = [client for client in present if client['v'] <= virtual]
        if not eligible:
            now = min(client['start'] for client in clients if client not in present)
            continue
        chosen = min(eligible, key=lambda client: (client['deadline'], client['queued']))
        order.append(clients.index(chosen))
        now += quantum
        virtual += quantum / sum(client['weight'] for client in present)
        chosen['v'] += quantum / chosen['weight']
        while chosen['v'] >= chosen['deadline']:
            chosen['deadline'] += chosen['request'] / chosen['weight']
        chosen['queued'] = queued = queued + 1
        maxlag = max([maxlag] + [abs(client['weight'] * (virtual - client['v']))
                                 for client in present])
    return {'order': order, 'maxlag': maxlag}


# By levels.

def mlfq(case):
    """Four queues of 5, 10, 20 and 40; what uses up its level's allotment goes one down."""
    quanta = [Fraction(5), Fraction(10), Fraction(20), Fraction(40)]
    until, boost = number(case['until']), number(case.get('options', {}).get('boost', 0))
    tasks = [{'name': name, 'steps': [(number(run), number(sleep)) for run, sleep in steps],
              'at': 0, 'left': number(steps[0][0]), 'level': 0, 'used': Fraction(0), 'wakes': 0}
             for name, steps in case['tasks']]
    queues = [[] for _ in quanta]
    now, segments, running, next_boost = Fraction(0), [], None, boost if boost else NEVER
    while True:
        if running is not None and running['left'] == 0:
            sleep = running['steps'][running['at']][1]
            running['at'] = (running['at'] + 1) % len(running['steps'])
            running['left'] = running['steps'][running['at']][0]
            if sleep > 0:
                running['wakes'] = now + sleep
                queues[running['level']].remove(running)
        if running is not None and running['used'] == quanta[running['level']]:
            queued = running in queues[running['level']]
            if queued:
                queues[running['level']].remove(running)
            running['level'], running['used'] = min(running['level'] + 1, 3), Fraction(0)
            if queued:
                queues[running['level']].append(running)
        if next_boost <= now:
            next_boost += boost
            queues = [[task for queue in queues for task in queue], [], [], []]
            for task in tasks:
                task['level'], task['used'] = 0, Fraction(0)
        for task in tasks:
            if task['wakes'] is not None and task['wakes'] <= now:
                task['wakes'] = None
                queues[task['level']].append(task)
        if now == until:
            return {'segments': segments}
        running = next((queue[0] for queue in queues if queue), None)
        then = min([until, next_boost] + [task['wakes'] for task in tasks
                                          if task['wakes'] is not None])
        if running is not None:
            then = min(then, now + running['left'],
                       now + quanta[running['level']] - running['used'])
            running['left'] -= then - now
            running['used'] += then - now
            if segments and segments[-1][1:] == [now, running['name'], running['level']]:
                segments[-1][1] = then
            else:
                segments.append([now, then, running['name'], running['level']])
        now = then


# Admission.

def demand(tasks, end):
    return sum(work * ((end - first) // period + 1) for work, first, period in tasks
               if end >= first)


def fits(tasks):
    """The demand test up to the end of the first busy time, after which nothing is missed first."""
    if sum(work / period for work, _, period in tasks) > 1:
        return False
    busy, longer = 0, sum(work for work, _, _ in tasks)
    while longer != busy:
        busy = longer
        longer = sum(work * math.ceil(busy / period) for work, _, period in tasks)
    ends = {first + period * count for _, first, period in tasks
            for count in range(math.ceil(busy / period) + 1)}
    return all(demand(tasks, end) <= end for end in ends)


def feasible(case):
    """By the demand of every interval that begins at once with all of them, deadline by deadline.

    A set of utilisation 1 or less whose demand fits up to the hyperperiod and the longest
    deadline fits everywhere.
    """
    tasks = [(number(task['C']), number(task.get('D', task['T'])), number(task['T']))
             for task in case['tasks']]
    if sum(work / period for work, _, period in tasks) > 1:
        return {'feasible': False}
    whole = math.lcm(*[value.denominator for task in tasks for value in task])
    tasks = [tuple(int(value * whole) for value in task) for task in tasks]
    horizon = math.lcm(*[period for _, _, period in tasks]) + max(task[1] for task in tasks)
    deadlines = sorted({deadline for _, first, period in tasks
                        for deadline in range(first, horizon + 1, period)})
    return {'feasible': all(demand(tasks, end) <= end for end in deadlines)}
