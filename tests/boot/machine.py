# SPDX-License-Identifier: MIT
"""machine: a kernel in QEMU that is talked to."""
import json
import os
import re
import select
import socket
import subprocess
import tempfile
import time

from boot import LIMIT_S, SOURCE
import tap


class Machine:
    """A kernel that is talked to line by line, at a terminal, and QEMU's monitor beside it."""

    def __init__(self, kernel, disks, *options, qemu=()):
        self.folder = tempfile.TemporaryDirectory(prefix='ashlar-')
        monitor = f'{self.folder.name}/monitor'
        self.ours, theirs = tap.terminal()
        command = [SOURCE / 'tools/qemu-run', '--timeout', str(LIMIT_S), *options]
        for disk in disks:
            command += ['--disk', disk]
        command += [kernel, '--', '-qmp', f'unix:{monitor},server=on,wait=off', *qemu]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.text = ''
        self.until('> $')
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.settimeout(LIMIT_S)
        self.monitor.connect(monitor)
        self.answers = self.monitor.makefile('r')
        self.answers.readline()
        self.ask('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.ours)
        self.monitor.close()
        self.folder.cleanup()

    def until(self, pattern):
        """What it said since the last time, up to the pattern."""
        end = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.text):
            if not select.select([self.ours], [], [], max(0, end - time.monotonic()))[0]:
                tap.fail(f'no {pattern!r} in {self.text!r}')
            try:
                data = os.read(self.ours, 4096)
            except OSError:
                tap.fail(f'it ended: {self.text!r}')
            self.text += data.decode(errors='replace').replace('\r\n', '\n')
        said, self.text = self.text, ''
        return said

    def send(self, keys):
        os.write(self.ours, keys.encode())

    def run(self, line):
        """A command, and what it answers up to the next prompt."""
        self.send(line + '\r')
        return self.until(r'\n[^\n]*> $')

    def ask(self, command, **arguments):
        self.monitor.sendall(json.dumps({'execute': command, 'arguments': arguments}).encode())
        while True:
            answer = json.loads(self.answers.readline())
            if 'event' not in answer:
                break
        if 'error' in answer:
            tap.fail(f'{command}: {answer}')
        return answer['return']
