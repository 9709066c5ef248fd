"""Runs a suite's scenarios, one laboratory each, and reports line by line. The lab's first process starts it."""
import importlib
import json
import os
import sys
import time
import traceback

from .lab import Lab


class Report:
    """Lines for the host. Written through at once: the guest may be stopped at any time."""

    def __init__(self, path):
        self._file = open(path, 'w')

    def line(self, text):
        self._file.write(text + '\n')
        self._file.flush()
        os.fsync(self._file.fileno())


def scenarios(module, pattern):
    for name, function in list(vars(module).items()):
        if (getattr(function, '__module__', '') == module.__name__ and hasattr(function, '__code__') and name[0] != '_'
                and function.__code__.co_varnames[:function.__code__.co_argcount] == ('lab',) and pattern in name):
            yield name, function


def run(name, scenario, job, report):
    started = time.monotonic()
    with Lab('/run/lab/bin', job['arguments']) as lab:
        lab.say = report.line
        lab.here = job['here']
        lab.visitors = job['shell']
        try:
            scenario(lab)
            report.line(f'ok {name} {time.monotonic() - started:.1f} s')
        except Exception as error:
            report.line(f'FAILED {name} {time.monotonic() - started:.1f} s: {type(error).__name__}: {error}')
            for frame in traceback.extract_tb(error.__traceback__):
                report.line(f'  at {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}')
            report.line('\n'.join(f'  {line}' for line in lab.evidence().splitlines()))


def main():
    host = sys.argv[1]
    with open(f'{host}/job') as file:
        job = json.load(file)
    report = Report(f'{host}/report')
    module = importlib.import_module(f'scenarios.{job["suite"]}')
    for name, scenario in scenarios(module, job['pattern']):
        run(name, scenario, job, report)
    report.line('END')


if __name__ == '__main__':
    main()
