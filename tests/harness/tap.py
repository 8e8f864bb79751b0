# SPDX-License-Identifier: MIT
"""tap: cases written in Python, reported in the Test Anything Protocol.

    @tap.case('runner.status_is_the_kernels')
    def _():
        tap.equal(status, 7)

    sys.exit(tap.run())

A case fails by tap.fail, tap.equal or any exception; it is skipped by tap.skip(reason).
"""
import pty
import traceback

_cases = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def case(name):
    def register(body):
        _cases.append((name, body))
        return body
    return register


def fail(message):
    raise Failed(message)


def skip(reason):
    raise Skipped(reason)


def equal(actual, expected, what='value'):
    if actual != expected:
        fail(f'{what} is {shorten(actual)}, expected {shorten(expected)}')


def contains(text, part, what='text'):
    if part not in text:
        fail(f'{what} has no {part!r}: {shorten(text)}')


def terminal():
    """The two ends of a pseudo-terminal; skips the case on a machine that has none."""
    try:
        return pty.openpty()
    except OSError as error:
        skip(f'no pseudo-terminals here: {error.strerror}')


def shorten(value):
    text = repr(value)
    return text if len(text) <= 600 else f'{text[:300]} ... {text[-300:]}'


def run(words=()):
    """Runs the cases whose name holds one of the words (all without words); the exit status."""
    chosen = [(name, body) for name, body in _cases
              if not words or any(word in name for word in words)]
    print(f'TAP version 13\n1..{len(chosen)}', flush=True)
    bad = 0
    for number, (name, body) in enumerate(chosen, 1):
        try:
            body()
            print(f'ok {number} - {name}', flush=True)
        except Skipped as reason:
            print(f'ok {number} - {name} # SKIP {reason}', flush=True)
        except Exception as error:  # a broken case is a failed case
            bad += 1
            text = str(error) if isinstance(error, Failed) else traceback.format_exc()
            lines = ''.join(f'# {line}\n' for line in text.splitlines())
            print(f'not ok {number} - {name}\n{lines}', end='', flush=True)
    return 1 if bad else 0
