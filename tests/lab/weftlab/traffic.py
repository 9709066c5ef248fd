"""Continuous streams between workloads, and what became of every packet.

One program (probe.cpp) holds a socket in each workload's namespace, sends a numbered UDP packet every millisecond for
each pair and receives them all. A packet that is still missing a while after the last was sent is lost.
"""
import dataclasses
import json
import socket
import struct
import subprocess
import threading
import time


@dataclasses.dataclass
class Stream:
    sent: int
    received: int
    lost: int
    duplicates: int
    longest_gap_ms: float  # between two received packets
    ranges: list  # of lost sequence numbers, (first, last)


@dataclasses.dataclass
class Loss:
    """Packets of one stream, in a row, that did not arrive; when they were sent (time.monotonic())."""
    one: object
    other: object
    family: int
    begin: float
    end: float
    packets: int

    def __str__(self):
        at = time.strftime('%H:%M:%S', time.localtime(self.begin + time.time() - time.monotonic()))
        return f'{self.one} -> {self.other} (IPv{self.family}) {self.packets} in {(self.end - self.begin) * 1000:.0f} ms from {at}'


class Traffic:
    """`family`: 4, 6, or both as (4, 6). A stream has its pair for a key; with both families, (one, other, family)."""

    def __init__(self, program, pairs, family, milliseconds):
        self.program, self.milliseconds = program, milliseconds
        families = family if isinstance(family, tuple) else (family,)
        self.flows = [(one, other, f) for f in families for one, other in pairs]
        self.keys = self.flows if len(families) > 1 else list(pairs)
        self.process = None
        self.streams = {}
        self.began = self.seconds = 0.0

    def __enter__(self):
        lines = [f'{one.namespace.name} {one.address(family)} {other.namespace.name} {other.address(family)}'
                 for one, other, family in self.flows]
        self.process = subprocess.Popen([self.program, str(self.milliseconds)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdin.write('\n'.join(lines) + '\n\n')
        self.process.stdin.flush()
        ready = self.process.stdout.readline()
        if ready != 'ready\n':
            raise RuntimeError(f'the traffic probe did not start: {ready}')
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends sending, waits for what is under way, reads the counts."""
        if not self.process:
            return
        self.process.stdin.close()
        self.seconds = time.monotonic() - self.began
        results = json.load(self.process.stdout)
        self.process.wait()
        self.process = None
        self.streams = {key: Stream(**result) for key, result in zip(self.keys, results)}

    def losses(self):
        """What was lost since the last time this was asked. Of packets sent in the last half second it is not known
        yet; they belong to the next time."""
        self.process.stdin.write('losses\n')
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        return [Loss(*flow, *row) for flow, rows in zip(self.flows, told) for row in rows]

    def sent(self):
        return sum(s.sent for s in self.streams.values())

    def rate(self):
        """Packets a second that each stream sent in fact: less than wanted where the machine carries no more."""
        self.stop()
        return self.sent() / len(self.flows) / self.seconds

    def lost(self):
        """'a/w0 -> c/w0': how many were lost, for pairs that lost any. Asked after the end of `with`."""
        self.stop()
        return {f'{one} -> {other}' + (f' (IPv{family[0]})' if family else ''): s.lost
                for (one, other, *family), s in self.streams.items() if s.lost}

    def longest_gap_ms(self):
        self.stop()
        return max(s.longest_gap_ms for s in self.streams.values())


class Connection:
    """A TCP connection between two workloads with `size` bytes every few milliseconds, between `with` and its end. More
    than a segment holds by default, so that packets are as large as the path takes."""

    def __init__(self, one, other, family=4, port=7788, seconds=0.01, size=4096):
        address = (str(other.address(family)), port)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        self.name, self.seconds, self.size = f'{one} -> {other}', seconds, size
        with other.namespace.socket(kind, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
            self._sender = one.namespace.socket(kind, socket.SOCK_STREAM)
            self._sender.settimeout(10)
            self._sender.bind((str(one.address(family)), 0))
            self._sender.connect(address)
            self._receiver, _ = listener.accept()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._send, self._receive)]
        self.error, self.received = None, 0
        self.gaps = []  # times without data of a twentieth of a second and more: (begin, end)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._threads[0].join()
        self.retransmitted = struct.unpack_from('=I', self._sender.getsockopt(socket.IPPROTO_TCP, 11, 104), 100)[0]
        self._sender.close()
        self._threads[1].join(10)
        self._receiver.close()

    def longest_stall_ms(self, control):
        """The longest time without data, less what `control`, whose path nothing changes, stood still in that time: a
        machine that is busy with other things makes both wait."""
        def alone(begin, end):
            shared = sum(max(0, min(end, e) - max(begin, b)) for b, e in control.gaps)
            return (end - begin - shared) * 1000
        return max((alone(*gap) for gap in self.gaps), default=0.0)

    def _send(self):
        try:
            while not self._stop.is_set():
                self._sender.sendall(bytes(self.size))
                time.sleep(self.seconds)
        except OSError as error:
            self.error = error

    def _receive(self):
        last = None
        try:
            while data := self._receiver.recv(65536):
                now = time.monotonic()
                if last and now - last > 0.05:
                    self.gaps.append((last, now))
                last, self.received = now, self.received + len(data)
        except OSError as error:
            self.error = error
