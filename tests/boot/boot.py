# SPDX-License-Identifier: MIT
"""boot: runs the kernel in QEMU once, through tools/qemu-run, and gives back what it said."""
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / 'tests/harness'))
LIMIT_S = 40


def boot(kernel, arguments, *options, stdin=b'', qemu=()):
    """(status, text): of tools/qemu-run, whose status is the kernel's."""
    command = [SOURCE / 'tools/qemu-run', '--timeout', str(LIMIT_S), '--cap', '1000000',
               '--args', arguments, *options, kernel]
    if qemu:
        command += ['--', *qemu]
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=LIMIT_S + 10, check=False)
    return done.returncode, done.stdout.decode(errors='replace').replace('\r\n', '\n')


def tap_results(text):
    """{'suite.case': (passed, what it said)} of TAP that is complete; else an error."""
    planned = re.search(r'^1\.\.(\d+)$', text, re.MULTILINE)
    results = {}
    name = None
    for line in text.splitlines():
        head = re.match(r'(not )?ok \d+ - (\S+)', line)
        if head:
            name = head[2]
            results[name] = (head[1] is None, '')
        elif line.startswith('# ') and name:
            results[name] = (results[name][0], results[name][1] + line[2:])
    if not planned or int(planned[1]) != len(results):
        raise AssertionError(f'the plan was not kept: {text[-2000:]}')
    return results
