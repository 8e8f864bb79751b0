#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script: cases of ./ashlar and of the small tools around it.

    script.py SOURCE_DIR
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'harness'))
import tap  # noqa: E402

SOURCE = pathlib.Path(sys.argv[1]).resolve()
BASICS = ('sh', 'dirname', 'id', 'cut', 'tr', 'cat', 'head', 'find', 'sed', 'env', 'grep')
LIMIT_S = 20


class Sandbox:
    """Runs ./ashlar with a PATH of the basic commands and what `commands` adds (sh bodies)."""

    def __init__(self, **commands):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.bin = self.path / 'bin'
        self.bin.mkdir()
        for name in BASICS:
            (self.bin / name).symlink_to(shutil.which(name))
        for name, body in commands.items():
            program = self.bin / name.replace('_', '-')
            program.unlink(missing_ok=True)
            program.write_text('#!/bin/sh\n' + body)
            program.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, *words, stdin=''):
        return subprocess.run([str(SOURCE / 'ashlar'), *words], input=stdin, capture_output=True,
                              text=True, timeout=LIMIT_S, cwd=self.path,
                              env={'PATH': str(self.bin), 'HOME': str(self.path)})


def check_refused(status, part, *words):
    with Sandbox() as box:
        result = box.run(*words)
    tap.equal(result.returncode, status, f'status of {words}')
    tap.equal(result.stdout, '', 'standard output')
    tap.equal(len(result.stderr.splitlines()), 1, 'lines of the message')
    tap.contains(result.stderr, part)


@tap.case('script.misuse_is_one_line_and_status_2')
def _():
    check_refused(2, 'no command walk', 'walk')
    for command in ('boot', 'hosted', 'test', 'bench', 'deps'):
        check_refused(2, '--sideways', command, '--sideways')
    check_refused(2, '--disk needs a value', 'boot', '--disk')
    check_refused(2, '--args needs a value', 'boot', '--args')
    check_refused(2, '--gic is 2 or 3, not 4', 'boot', '--gic', '4')


@tap.case('script.a_bad_disk_is_named_before_anything_is_built')
def _():
    for command in ('boot', 'hosted'):
        check_refused(1, 'absent.tar: no such file', command, '--disk', 'absent.tar')
        check_refused(1, 'bin: is a directory', command, '--disk', 'bin')
        check_refused(1, 'absent.raw: no such file', command, '--disk', sys.executable,
                      '--disk', 'absent.raw')


@tap.case('script.help_knows_every_command')
def _():
    with Sandbox() as box:
        text = box.run('help').stdout
        for command in ('boot', 'hosted', 'test', 'bench', 'deps'):
            tap.contains(text, f'\n  {command} ')
            tap.contains(box.run('help', command).stdout, f'usage: ./ashlar {command}')
            tap.equal(box.run(command, '--help').stdout, box.run('help', command).stdout, 'help')


@tap.case('script.without_packages_it_prints_the_line_to_run_and_ends_with_3')
def _():
    reasons = {
        'not a Debian system': {},
        '--no-install': {'apt_get': 'exit 0\n'},
        'takes root, or sudo': {'apt_get': 'exit 0\n', 'id': 'echo 1000\n'},
    }
    for reason, commands in reasons.items():
        with Sandbox(**commands) as box:
            for command in ('boot', 'test', 'hosted', 'bench', 'deps'):
                words = [command] + (['--no-install'] if reason == '--no-install' else [])
                result = box.run(*words)
                tap.equal(result.returncode, 3, f'status of {words}')
                tap.equal(result.stdout, '', 'standard output')
                tap.contains(result.stderr, reason)
                tap.contains(result.stderr,
                             'apt-get install --no-install-recommends meson ninja-build')


@tap.case('script.boot_needs_no_test_library')
def _():
    with Sandbox() as box:
        lines = box.run('boot').stderr.splitlines()
    tap.contains(lines[-1], 'gcc-aarch64-linux-gnu')
    for package in ('g++', 'clang', 'libgtest'):
        if package in lines[-1]:
            tap.fail(f'boot asks for {package}')


@tap.case('script.it_installs_with_apt_and_never_reads_standard_input')
def _():
    log = 'echo "$DEBIAN_FRONTEND $*" >>"$HOME/log"; cat >>"$HOME/input"; exit 1\n'
    for root in (True, False):
        sudo = 'exec "$@"\n'
        with Sandbox(apt_get=log, id=f'echo {0 if root else 1000}\n', sudo=sudo) as box:
            result = box.run('boot', stdin='poweroff\n')
            calls = (box.path / 'log').read_text().splitlines()
            tap.equal((box.path / 'input').read_text(), '', 'what apt-get read')
        tap.equal(result.returncode, 3, 'status')
        tap.contains(result.stderr, 'the installation failed')
        tap.contains(result.stderr, '+ env' if root else '+ sudo env')
        tap.contains(calls[0] + '\n' + calls[-1], 'update')
        for call in calls:
            if ' install ' in call:
                tap.contains(call, 'noninteractive')
                tap.contains(call, '--no-install-recommends')


@tap.case('script.a_tree_that_cannot_be_written_is_said')
def _():
    nobody = 65534  # to root everything is writable
    with Sandbox() as box:
        tree = box.path / 'tree'
        (tree / 'tools').mkdir(parents=True)
        (tree / 'tools/packages').write_text('')
        shutil.copy(SOURCE / 'ashlar', tree)
        tree.chmod(0o555)
        box.path.chmod(0o755)
        for command in ('boot', 'hosted', 'bench'):
            result = subprocess.run([str(tree / 'ashlar'), command], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=LIMIT_S,
                                    env={'PATH': str(box.bin)},
                                    user=nobody if os.getuid() == 0 else None)
            tap.equal(result.returncode, 1, f'status of {command}')
            tap.equal(len(result.stderr.splitlines()), 1, 'lines of the message')
            tap.contains(result.stderr, 'tree cannot be written')
        tree.chmod(0o755)


@tap.case('script.demo_disk_is_an_ordinary_archive_and_the_same_each_time')
def _():
    with tempfile.TemporaryDirectory() as folder:
        sums = []
        for name in ('a.tar', 'b.tar'):
            path = pathlib.Path(folder) / name
            subprocess.run([str(SOURCE / 'tools/demo-disk'), str(path)], check=True)
            sums.append(hashlib.sha256(path.read_bytes()).hexdigest())
        with tarfile.open(pathlib.Path(folder) / 'a.tar') as archive:
            tap.equal(archive.extractfile('LICENSE').read(), (SOURCE / 'LICENSE').read_bytes(),
                      'LICENSE')
    tap.equal(sums[0], sums[1], 'the sum')


# tools/test-summary.

def summary(tests, *words):
    """tests: {name: (suite, protocol, result, stdout)}; stdout None: it did not run."""
    with tempfile.TemporaryDirectory() as folder:
        info, logs = pathlib.Path(folder, 'meson-info'), pathlib.Path(folder, 'meson-logs')
        info.mkdir()
        logs.mkdir()
        (info / 'intro-tests.json').write_text(json.dumps(
            [{'name': name, 'suite': [f'ashlar:{suite}'], 'protocol': protocol}
             for name, (suite, protocol, _, _) in tests.items()]))
        (logs / 'testlog.json').write_text(''.join(
            json.dumps({'name': f'ashlar:{suite} / {name}', 'result': result, 'returncode': 0,
                        'stdout': stdout}) + '\n'
            for name, (suite, _, result, stdout) in tests.items() if stdout is not None))
        command = [str(SOURCE / 'tools/test-summary'), *words, str(logs / 'testlog.json')]
        result = subprocess.run(command, capture_output=True, text=True)
        return result.returncode, result.stdout


GOOD_GTEST = ('[==========] Running 2 tests from 1 test suite.\n'
              '[ RUN      ] list.a\n[       OK ] list.a (0 ms)\n'
              '[ RUN      ] list.b\nno disk\n[  SKIPPED ] list.b (0 ms)\n')
GOOD_TAP = ('Ashlar boots\r\nTAP version 13\r\n1..2\r\n'
            'ok 1 - list.a\r\nok 2 - list.c # SKIP one CPU\r\n')


@tap.case('summary.counts_cases_of_every_kind')
def _():
    status, text = summary({'host': ('host', 'gtest', 'OK', GOOD_GTEST),
                            'boot': ('qemu', 'tap', 'OK', GOOD_TAP),
                            'plain': ('host', 'exitcode', 'OK', '')},
                           '--require', 'host', '--require', 'QEMU')
    tap.equal(status, 0, 'status')
    tap.equal(text.splitlines(), ['host  2 passed, 0 failed, 1 skipped',
                                  'QEMU  1 passed, 0 failed, 1 skipped',
                                  '3 passed, 0 failed, 2 skipped'])


@tap.case('summary.names_failed_cases_with_their_message')
def _():
    status, text = summary({
        'host': ('host', 'gtest', 'FAIL', GOOD_GTEST.replace(
            '[       OK ] list.a', 'list.c:7: does not hold\n[  FAILED  ] list.a')),
        'boot': ('qemu', 'tap', 'FAIL', '1..1\nnot ok 1 - slab.x\n# slab.c:9: is 3\n')})
    tap.equal(status, 1, 'status')
    for part in ('FAILED list.a (host)\n    list.c:7: does not hold\n',
                 'FAILED slab.x (QEMU)\n    slab.c:9: is 3\n'):
        tap.contains(text, part)
    tap.equal(text.splitlines()[-1], '0 passed, 2 failed, 1 skipped')


@tap.case('summary.what_was_cut_short_is_a_failure')
def _():
    cut = {
        'crash': ('host', 'gtest', 'FAIL', GOOD_GTEST.split('[       OK')[0]),
        'short': ('qemu', 'tap', 'OK', GOOD_TAP.replace('1..2', '1..3')),
        'silent': ('qemu', 'tap', 'FAIL', 'no kernel\n'),
        'status': ('qemu', 'tap', 'ERROR', GOOD_TAP),
        'never': ('host', 'tap', 'OK', None),
    }
    expected = {'crash': 2, 'short': 1, 'silent': 1, 'status': 1}
    for name, entry in cut.items():
        if name != 'never':
            status, text = summary({name: entry})
            tap.equal(status, 1, f'status of {name}')
            tap.contains(text.splitlines()[-1], f' {expected[name]} failed')
    status, text = summary({'host': ('host', 'gtest', 'OK', GOOD_GTEST), 'never': cut['never']})
    tap.equal(status, 1, 'status')
    tap.contains(text, 'FAILED never (host)\n    did not run')


@tap.case('summary.a_required_half_without_cases_is_a_failure')
def _():
    status, text = summary({'host': ('host', 'gtest', 'OK', GOOD_GTEST)}, '--require', 'QEMU')
    tap.equal(status, 1, 'status')
    tap.contains(text, 'FAILED QEMU')


sys.exit(tap.run(sys.argv[2:]))
