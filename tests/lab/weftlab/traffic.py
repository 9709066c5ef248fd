"""Continuous streams between workloads, and what became of every packet.

One program (probe.cpp) holds a socket in each workload's namespace, sends a numbered UDP packet every millisecond for
each pair and receives them all. A packet that is still missing a while after the last was sent is lost.
"""
import dataclasses
import json
import subprocess


@dataclasses.dataclass
class Stream:
    sent: int
    received: int
    lost: int
    duplicates: int
    longest_gap_ms: float  # between two received packets
    ranges: list  # of lost sequence numbers, (first, last)


class Traffic:
    def __init__(self, program, pairs, family, milliseconds):
        self.program, self.pairs, self.family, self.milliseconds = program, pairs, family, milliseconds
        self.process = None
        self.streams = {}

    def __enter__(self):
        lines = [f'{one.namespace.name} {one.address(self.family)} {other.namespace.name} {other.address(self.family)}'
                 for one, other in self.pairs]
        self.process = subprocess.Popen([self.program, str(self.milliseconds)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdin.write('\n'.join(lines) + '\n\n')
        self.process.stdin.flush()
        ready = self.process.stdout.readline()
        if ready != 'ready\n':
            raise RuntimeError(f'the traffic probe did not start: {ready}')
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends sending, waits for what is under way, reads the counts."""
        if not self.process:
            return
        self.process.stdin.close()
        results = json.load(self.process.stdout)
        self.process.wait()
        self.process = None
        self.streams = {pair: Stream(**result) for pair, result in zip(self.pairs, results)}

    def sent(self):
        return sum(s.sent for s in self.streams.values())

    def lost(self):
        """'a/w0 -> c/w0': how many were lost, for pairs that lost any. Asked after the end of `with`."""
        self.stop()
        return {f'{one} -> {other}': s.lost for (one, other), s in self.streams.items() if s.lost}

    def longest_gap_ms(self):
        self.stop()
        return max(s.longest_gap_ms for s in self.streams.values())
