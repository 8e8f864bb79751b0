#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_failing: the harness sees what goes wrong: runs failing.c and compares the reports.

    check_failing.py RUNNER [ARG...]

RUNNER, given "test _harness", prints TAP. Each case of failing.c must be reported once, in the
way that the line above it says.
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import tap  # noqa: E402

LIMIT_S = 100
EXPECT = re.compile(r'^/\* EXPECT (ok|skip|fail)(?: "(.*)")? \*/\nTEST_CASE\(_harness,\s*(\w+)\)',
                    re.MULTILINE)
REPORT = re.compile(r'^(ok|not ok) \d+ - _harness\.(\w+)(?: # SKIP (.*))?$\n((?:# .*\n)*)',
                    re.MULTILINE)


def run():
    """{name: (ok, skip or fail; message)}, and the number of cases planned."""
    done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=LIMIT_S, check=False)
    text = done.stdout.decode(errors='replace').replace('\r\n', '\n')
    plan = re.search(r'^1\.\.(\d+)$', text, re.MULTILINE)
    if not plan:
        sys.exit(f'check_failing: no plan in what {sys.argv[1]} printed:\n{text}\n'
                 f'{done.stderr.decode(errors="replace")}')
    reports = {}
    for line, name, reason, comments in REPORT.findall(text):
        kind = 'fail' if line == 'not ok' else 'skip' if reason else 'ok'
        if name in reports:
            sys.exit(f'check_failing: {name} is reported twice')
        reports[name] = (kind, reason + comments)
    return reports, int(plan[1])


def register(name, kind, part, reports):
    @tap.case(f'harness.{name}')
    def _():
        if name not in reports:
            tap.fail('is not reported')
        tap.equal(reports[name][0], kind, f'the report ({reports[name][1].strip()})')
        tap.contains(reports[name][1], part, 'the message')


def main():
    source = (HERE / 'failing.c').read_text(encoding='utf-8')
    expected = EXPECT.findall(source)
    reports, planned = run()
    for kind, part, name in expected:
        register(name, kind, part, reports)

    @tap.case('harness.every_case_has_an_expectation_and_ran')
    def _():
        tap.equal(len(expected), len(re.findall(r'^TEST_CASE', source, re.MULTILINE)))
        tap.equal(planned, len(expected), 'the plan')
        tap.equal(sorted(reports), sorted(name for _, _, name in expected), 'the reports')

    # TAP tells the failures; Meson wants the status 0 beside it.
    tap.run()


main()
