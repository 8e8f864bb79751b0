#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""programs: the stress program and real programs on libashlar-malloc.so.

    programs.py --library FILE --stress FILE --source DIR --cc WORD...

Each real program does the same work with and without the library, and must come to the same end.
"""
import argparse
import contextlib
import hashlib
import importlib.util
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

LIMIT_S = 100
MIB = 1 << 20
options = None


def environment(preload, **more):
    result = {name: value for name, value in os.environ.items()
              if name not in ('LD_PRELOAD', 'ASHLAR_MALLOC')}
    if preload:
        result['LD_PRELOAD'] = options.library
    return {**result, **more}


def run(command, preload=True, stdin=b'', cwd=None, env=None, before=None):
    """The standard output of a command that must end with 0."""
    result = subprocess.run(command, input=stdin, capture_output=True, timeout=LIMIT_S, cwd=cwd,
                            env=environment(preload, **(env or {})), preexec_fn=before)
    if result.returncode != 0:
        with_library = 'with' if preload else 'without'
        tap.fail(f'{command} {with_library} the library: status {result.returncode}\n'
                 f'{tail(result.stdout)}{tail(result.stderr)}')
    return result.stdout


def tail(text):
    return text[-3000:].decode(errors='replace')


def same(work, what):
    """work(preload) must return the same with the library and without it."""
    plain, preloaded = work(False), work(True)
    if not plain:
        tap.fail(f'{what}: nothing to compare')
    tap.equal(preloaded, plain, what)


def need(program):
    path = shutil.which(program)
    if path is None:
        tap.skip(f'{program} is not installed')
    return path


# The stress program.

@tap.case('preload.the_library_serves_every_name')
def _():
    run([options.stress, 'preloaded'])


def stress_case(name, title, **env):
    @tap.case(f'preload.{title}')
    def _():
        run([options.stress, name], env=env)


for name, title in {
    'edges': 'sizes_at_the_edges_are_refused_or_served',
    'align': 'every_alignment_is_kept',
    'odd_align': 'an_alignment_that_is_no_power_of_two_is_rounded_up',
    'zero': 'calloc_gives_zeros_also_where_others_wrote',
    'realloc': 'realloc_keeps_contents_over_every_boundary',
    'huge': 'blocks_beyond_a_gib_come_and_go',
    'many': 'many_gib_of_blocks_below_a_gib_come_and_go',
    'model': 'random_calls_agree_with_the_model',
    'burst': 'memory_goes_back_after_a_burst',
    'locked': 'memory_that_is_locked_is_zeroed_by_calloc',
    'last_page': 'the_last_page_of_an_arena_goes_back_too',
    'threads': 'threads_churn_side_by_side',
    'producer': 'what_one_thread_makes_another_frees',
    'crowd': 'two_thousand_threads_are_alive_at_once',
    'passers': 'threads_that_end_leave_nothing_behind',
    'destructors': 'destructors_of_other_keys_still_allocate',
    'fork': 'fork_while_threads_churn',
    'lost': 'slots_of_threads_without_a_proper_end_are_no_harm',
    'fork_crowd': 'fork_while_more_threads_churn_than_there_are_slots',
}.items():
    stress_case(name, title)


@tap.case('preload.a_limit_on_addresses_is_enomem_and_no_crash')
def _():
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (200 * MIB, 200 * MIB))
    run([options.stress, 'limit'], before=limit)


def fatal_case(name, title, words, **env):
    @tap.case(f'preload.{title}')
    def _():
        def no_core():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        result = subprocess.run([options.stress, name], capture_output=True, timeout=LIMIT_S,
                                env=environment(True, **env), preexec_fn=no_core)
        tap.equal(result.returncode, -signal.SIGABRT, 'status')
        for word in ('libashlar-malloc: ', *words):
            tap.contains(result.stderr.decode(), word, 'message')


fatal_case('double_free', 'a_double_free_ends_the_program', ['free'])
fatal_case('foreign_free', 'a_free_of_foreign_memory_ends_the_program', ['no block'])
fatal_case('inner_free', 'a_free_of_the_inside_of_a_block_ends_the_program', ['free'])
fatal_case('unmapped_free', 'a_free_of_an_unmapped_address_ends_the_program', ['no block'])


# Profiles.

for profile in ('hardened', 'debug'):
    for name, title in {'align': 'keeps_every_alignment', 'realloc': 'keeps_contents_over_realloc',
                        'model': 'agrees_with_the_model', 'threads': 'churns_in_threads',
                        'producer': 'frees_what_another_thread_made'}.items():
        stress_case(name, f'{profile}_{title}', ASHLAR_MALLOC=profile)
    fatal_case('double_free_at_once', f'{profile}_refuses_a_double_free_at_once',
               ['double free of 0x', ' to kmalloc-64: the object is free already'],
               ASHLAR_MALLOC=profile)
    fatal_case('inner_free_at_once', f'{profile}_refuses_a_free_of_the_inside_of_an_object',
               ['kmalloc-224: misaligned: 32 bytes into'], ASHLAR_MALLOC=profile)
    fatal_case('foreign_free', f'{profile}_refuses_foreign_memory', ['no block'],
               ASHLAR_MALLOC=profile)

stress_case('fork', 'hardened_forks_while_threads_churn', ASHLAR_MALLOC='hardened')

CALLS = ['allocated by owner ', 'now by owner ', ' is ', '+0x']
fatal_case('double_free_at_once', 'debug_says_who_allocated_and_who_freed',
           ['freed by owner ', *CALLS], ASHLAR_MALLOC='debug')
fatal_case('overflow', 'debug_sees_a_byte_behind_an_object',
           ['overflow of 0x', 'kmalloc-64, 64 bytes: at offset 64, behind it, 0x01', *CALLS],
           ASHLAR_MALLOC='debug')
fatal_case('use_after_free', 'debug_sees_a_byte_of_a_free_object',
           ['use after free of 0x', 'kmalloc-320, 320 bytes: at offset 5 0x01', 'freed by owner '],
           ASHLAR_MALLOC='debug')


@tap.case('preload.an_unknown_profile_ends_the_program_and_says_which_there_are')
def _():
    result = subprocess.run([options.stress, 'zero'], capture_output=True, timeout=LIMIT_S,
                            env=environment(True, ASHLAR_MALLOC='hard'))
    tap.equal(result.returncode, 127, 'status')
    tap.equal(result.stderr, b'libashlar-malloc: ASHLAR_MALLOC=hard: there are plain, hardened '
                             b'and debug\n', 'message')


# Real programs.

PYTHON_WORK = r'''
import collections, concurrent.futures, hashlib, json, random, re, subprocess, sys, zlib
if len(sys.argv) > 1:
    assert sys.argv[1] in open('/proc/self/maps').read(), 'the library is not mapped'
draw = random.Random(1)
words = [''.join(draw.choices('abcdefgh', k=draw.randrange(1, 12))) for _ in range(20000)]
count = collections.Counter(words)
text = json.dumps(sorted(count.items()), indent=1)
assert json.loads(text) == [list(item) for item in sorted(count.items())]
digest = hashlib.sha256(text.encode())
packed = zlib.compress(text.encode(), 9)
assert zlib.decompress(packed).decode() == text
digest.update(packed)
digest.update(' '.join(re.findall(r'\b[abc]+\b', ' '.join(words))).encode())
def square(seed):
    draw = random.Random(seed)
    rows = [[draw.randrange(1000) for _ in range(60)] for _ in range(60)]
    return [[sum(a * b for a, b in zip(row, column)) for column in zip(*rows)] for row in rows]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    digest.update(repr(list(pool.map(square, range(8)))).encode())
blocks = [bytearray(draw.randrange(1, 300000)) for _ in range(300)]
for block in blocks:
    block.extend(b'x' * len(block))
digest.update(b''.join(blocks))
digest.update(str(3 ** 20000).encode() if sys.version_info < (3, 11) else hex(3 ** 20000).encode())
digest.update(subprocess.run([sys.executable, '-c', 'print(7)'], capture_output=True).stdout)
print(digest.hexdigest())
'''


@tap.case('preload.python_computes_the_same')
def _():
    for allocator, profile in (('default', 'plain'), ('malloc', 'plain'), ('malloc', 'hardened')):
        env = {'PYTHONHASHSEED': '0', 'PYTHONMALLOC': allocator, 'ASHLAR_MALLOC': profile}
        same(lambda preload: run([sys.executable, '-c', PYTHON_WORK,
                                  *([options.library] if preload else [])], preload, env=env),
             f'digest with PYTHONMALLOC={allocator}, profile {profile}')


@tap.case('preload.python_passes_its_own_tests')
def _():
    suites = ['test_dict', 'test_list', 'test_thread']
    if any(importlib.util.find_spec(f'test.{suite}') is None for suite in suites):
        tap.skip('the tests of Python are not installed')
    with tempfile.TemporaryDirectory() as folder:
        output = run([sys.executable, '-m', 'test', *suites], cwd=folder,
                     env={'PYTHONMALLOC': 'malloc'})
    tap.contains(output.decode(), 'SUCCESS', 'output')


SQL = '''
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL, data BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
    INSERT INTO t SELECT i, printf('name-%06d-%s', (i * 7919) % 30011, hex(i * i)), i / 7.0,
        zeroblob(i % 300) FROM n;
CREATE INDEX by_name ON t (name);
DELETE FROM t WHERE id % 3 = 0;
UPDATE t SET name = name || '-' || id WHERE id % 5 = 0;
VACUUM;
SELECT count(*), sum(length(name)), sum(length(data)), round(sum(value), 6) FROM t;
SELECT substr(name, 6, 2) AS k, count(*), min(name), max(id) FROM t GROUP BY k ORDER BY k;
SELECT a.id, b.id FROM t a JOIN t b ON a.name > b.name AND a.id = b.id + 1 ORDER BY 1 LIMIT 500;
SELECT group_concat(name, ',') FROM (SELECT name FROM t ORDER BY name LIMIT 3000);
PRAGMA integrity_check;
'''


@tap.case('preload.sqlite3_answers_the_same')
def _():
    sqlite = need('sqlite3')

    def work(profile):
        with tempfile.TemporaryDirectory() as folder:
            answers = run([sqlite, f'{folder}/base'], profile is not None, stdin=SQL.encode(),
                          env=None if profile is None else {'ASHLAR_MALLOC': profile})
            base = pathlib.Path(f'{folder}/base').read_bytes()
        tap.contains(answers.decode(), '\nok\n', 'answers')
        return answers, hashlib.sha256(base).hexdigest()
    without = work(None)
    for profile in ('plain', 'hardened', 'debug'):
        tap.equal(work(profile), without, f'answers and database, profile {profile}')


@tap.case('preload.the_compiler_makes_the_same_object')
def _():
    def work(preload):
        with tempfile.TemporaryDirectory() as folder:
            for name in ('kernel/tarfs.c', 'kernel/shell.c'):
                run([*options.cc, '-std=c11', '-O2', '-g', '-Iinclude', '-Iplatform', '-Itests',
                     '-Iplatform/hosted/include', '-Ilib/buddy/include', '-Ilib/slab/include',
                     '-Ilib/virtq/include', '-c', name,
                     '-o', f'{folder}/{pathlib.Path(name).stem}.o'], preload, cwd=options.source)
            return [path.read_bytes() for path in sorted(pathlib.Path(folder).iterdir())]
    same(work, 'objects')


PERL_WORK = r'''
my %h; $h{"k$_"} = [$_, "x" x ($_ % 50)] for 1 .. 60000;
my $sum = 0; $sum += $h{$_}[0] * length $h{$_}[1] for sort keys %h;
my $text = "abc" x 30000; $text =~ s/b(c)/$1$1/g; my @words = split /a/, $text;
my $pid = fork // die; if (!$pid) { my @many = map { [$_] } 1 .. 20000; exit 3 }
waitpid $pid, 0; print "$sum ", length $text, " ", scalar @words, " ", $? >> 8, "\\n";
'''

NODE_WORK = r'''
const { Worker } = require('worker_threads'), zlib = require('zlib');
const map = new Map(); for (let i = 0; i < 60000; i++) map.set('k' + i, { i, pair: [i, i * 2] });
let sum = 0; for (const [, value] of map) sum += value.pair[1];
const packed = zlib.gzipSync(Buffer.alloc(1e6, 'hello world '));
console.log(sum, require('crypto').createHash('sha256').update(packed).digest('hex'));
const work = `let all = []; for (let i = 0; i < 20000; i++) all.push(Buffer.alloc(i % 500, i));
    require('worker_threads').parentPort.postMessage(all.reduce((n, one) => n + one.length, 0))`;
let left = 4, total = 0;
for (let i = 0; i < 4; i++)
    new Worker(work, { eval: true }).on('message', (n) => {
        total += n; if (--left === 0) console.log(total); });
'''


@tap.case('preload.perl_and_node_print_the_same')
def _():
    for program, option, text in (('perl', '-e', PERL_WORK), ('node', '-e', NODE_WORK)):
        if shutil.which(program) is not None:
            same(lambda preload: run([program, option, text], preload), program)


def git_session(folder, preload):
    """Commits, branches, a merge, packs, a clone; what git says of all that."""
    git = need('git')
    env = {'GIT_CONFIG_GLOBAL': '/dev/null', 'GIT_CONFIG_NOSYSTEM': '1', 'HOME': folder}
    for who in ('AUTHOR', 'COMMITTER'):
        env.update({f'GIT_{who}_NAME': 'a', f'GIT_{who}_EMAIL': 'a@b.c',
                    f'GIT_{who}_DATE': '2020-01-01T00:00:00Z'})

    def do(where, *words):
        return run([git, *words], preload, cwd=f'{folder}/{where}', env=env)
    tree = pathlib.Path(folder) / 'tree'
    tree.mkdir()
    do('tree', 'init', '-q', '-b', 'main')
    for part in ('include', 'lib', 'kernel', 'platform'):
        shutil.copytree(f'{options.source}/{part}', tree / part, symlinks=True)
        do('tree', 'add', '-A')
        do('tree', 'commit', '-q', '-m', part)
    do('tree', 'checkout', '-q', '-b', 'side', 'HEAD~2')
    (tree / 'lib' / 'side').write_text('side\n' * 1000)
    do('tree', 'add', '-A')
    do('tree', 'commit', '-q', '-m', 'side')
    do('tree', 'checkout', '-q', 'main')
    do('tree', 'merge', '-q', '-m', 'merge', 'side')
    do('tree', '-c', 'pack.threads=4', 'gc', '-q')
    do('.', 'clone', '-q', '--no-local', 'tree', 'clone')
    return [do('clone', *words) for words in (
        ('fsck', '--full', '--strict'), ('log', '--graph', '--stat', '-p'),
        ('ls-tree', '-r', 'HEAD'), ('grep', '-c', 'static'), ('rev-parse', 'HEAD'),
        ('blame', 'lib/side'))]


@tap.case('preload.git_keeps_the_same_history')
def _():
    def work(preload):
        with tempfile.TemporaryDirectory() as folder:
            return git_session(folder, preload)
    same(work, 'answers of git')


@contextlib.contextmanager
def redis_server(folder, preload):
    socket = f'{folder}/socket'
    server = subprocess.Popen(
        [need('redis-server'), '--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '',
         '--io-threads', '2', '--enable-debug-command', 'yes', '--daemonize', 'no'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(preload))
    try:
        deadline = time.monotonic() + 20
        while not os.path.exists(socket) and server.poll() is None:
            if time.monotonic() > deadline:
                tap.fail('redis-server opens no socket')
            time.sleep(0.01)
        yield server, socket
        if server.poll() is not None:
            tap.fail(f'redis-server ended by itself: {tail(server.stderr.read())}')
    finally:
        server.kill()
        server.communicate()


def redis_commands():
    for i in range(6000):
        yield f'SET key:{i} {"v" * (i % 700)}{i}'
        yield f'HSET hash:{i % 50} field:{i} {i * i}'
        yield f'ZADD set:{i % 20} {i * 37 % 1000} member:{i}'
        yield f'RPUSH list:{i % 10} x{"x" * (i % 90)}'
        if i % 3 == 0:
            yield f'DEL key:{i // 2}'
        if i % 5 == 0:
            yield f'APPEND key:{i} {"more" * 100}'


@tap.case('preload.redis_holds_the_same_data')
def _():
    need('redis-server')
    client, benchmark = need('redis-cli'), need('redis-benchmark')

    def work(preload):
        with tempfile.TemporaryDirectory() as folder, \
                redis_server(folder, preload) as (server, socket):
            if preload:
                maps = pathlib.Path(f'/proc/{server.pid}/maps').read_text()
                tap.contains(maps, options.library, 'maps of the server')
            run([benchmark, '-s', socket, '-q', '-n', '4000', '-P', '16', '-d', '500',
                 '-t', 'set,get,incr,lpush,lpop,sadd,hset,zadd,lrange_100,mset'], preload)

            def ask(*words, stdin=b''):
                return run([client, '-s', socket, *words], preload, stdin=stdin)
            ask('flushall')
            ask('--pipe', stdin='\r\n'.join(redis_commands()).encode() + b'\r\n')
            before = ask('debug', 'digest')
            ask('bgsave')  # forks while the threads run
            while b'rdb_bgsave_in_progress:1' in ask('info', 'persistence'):
                time.sleep(0.02)
            tap.contains(ask('info', 'persistence').decode(), 'rdb_last_bgsave_status:ok')
            tap.equal(ask('debug', 'reload'), b'OK\n', 'reload')
            return before, ask('debug', 'digest'), ask('dbsize')
    same(work, 'digest')


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument('--library', required=True)
    parser.add_argument('--stress', required=True)
    parser.add_argument('--source', required=True)
    parser.add_argument('--cc', nargs=argparse.REMAINDER, required=True)
    options = parser.parse_args()
    options.library = os.path.abspath(options.library)
    return tap.run()


if __name__ == '__main__':
    sys.exit(main())
