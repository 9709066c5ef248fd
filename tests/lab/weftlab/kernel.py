"""What a node's kernel holds, as JSON from iproute2, and what changes in it meanwhile."""
import json
import re
import select
import socket
import struct
import time

from .background import Background
from .namespace import run

PROTOCOL = 80  # weft's own routes and nexthops


class Kernel:
    """Reads one namespace."""

    def __init__(self, namespace):
        self.namespace = namespace

    def _json(self, *command):
        return json.loads(run(*command) or '[]')

    def routes(self, family=None, **wanted):
        """All routes of the main table; wanted: protocol=80, dev='vxlan.calico', dst='10.65.0.0/26', type='blackhole'."""
        found = []
        for f in (family,) if family else (4, 6):
            found += self._json('ip', f'-{f}', '-N', '-j', '-d', '-n', self.namespace.name, 'route', 'show')
        for route in found:  # -N, for protocols as numbers, makes a number of the type as well
            route['type'] = {'1': 'unicast', '6': 'blackhole'}.get(str(route.get('type', '1')), route.get('type'))
        return [r for r in found if all(str(r.get(k)) == str(v) for k, v in wanted.items())]

    def neighbours(self, dev):
        found = self._json('ip', '-j', '-n', self.namespace.name, 'neigh', 'show', 'dev', dev, 'nud', 'permanent')
        return {n['dst']: n['lladdr'] for n in found if n.get('lladdr', '00:00:00:00:00:00') != '00:00:00:00:00:00'}

    def fdb(self, dev):
        """MAC -> VTEP's underlay address."""
        found = self._json('bridge', '-j', '-n', self.namespace.name, 'fdb', 'show', 'dev', dev)
        return {e['mac']: e['dst'] for e in found if 'dst' in e}

    def nexthops(self, protocol=PROTOCOL):
        text = run('ip', '-N', '-n', self.namespace.name, 'nexthop', 'show')
        return [line.strip() for line in text.splitlines() if protocol is None or f' proto {protocol}' in line]

    def link(self, name):
        """Details of a device, or None."""
        out = run('ip', '-j', '-d', '-n', self.namespace.name, 'link', 'show', 'dev', name, check=False)
        return json.loads(out)[0] if out.strip() else None

    def devices(self, kind=None):
        found = self._json('ip', '-j', '-d', '-n', self.namespace.name, 'link', 'show', *(['type', kind] if kind else []))
        return sorted(link['ifname'] for link in found if link)

    def snapshot(self, *, without=(), kinds=None):
        """All configuration as sorted lines of text: no counters, no ages, no multicast and anycast, which the kernel
        keeps by itself. `without`: regular expressions of further lines that do not matter; `kinds`: only these."""
        lines = []
        for what, command in {
                'link': 'ip -d -o link show', 'address': 'ip -o address show', 'route4': 'ip -4 -d route show table all',
                'route6': 'ip -6 -d route show table all', 'nexthop': 'ip -d nexthop show', 'rule': 'ip rule show',
                'neighbour': 'ip -N neigh show nud permanent', 'fdb': 'bridge fdb show'}.items():
            if kinds and what not in kinds:
                continue
            words = command.split()
            text = run(words[0], '-n', self.namespace.name, *words[1:])
            lines += [f'{what}: {_steady(line)}' for line in text.splitlines()]
        without = (*without, r'^fdb: 33:33:', r'^route6: (anycast|multicast) ')
        return sorted(line for line in lines if not any(re.search(p, line) for p in without))


    def is_quiet(self, seconds):
        """True when nothing is changed for so long."""
        with Monitor(self.namespace) as monitor:
            time.sleep(seconds)
            return not monitor.events()


def _steady(line):
    line = re.sub(r'(expires|valid_lft|preferred_lft) \S+', '', line)
    return re.sub(r'\s+', ' ', line.replace('\\', ' ')).strip()


def numberless(lines):
    """A snapshot without what is another number each time a thing is made anew: interfaces, nexthop objects."""
    lines = [re.sub(r'^(link|address): [0-9]+: ', r'\1: ', line) for line in lines if not line.startswith('nexthop: ')]
    return sorted(re.sub(r'(nhid|nh_info id) [0-9]+ ', '', line) for line in lines)


class Monitor:
    """Netlink notifications of a namespace, between `with` and its end: what `ip monitor` would print, by kind.
    Kernel housekeeping that nobody asked for (neighbour states, address lifetimes) is left out by looking at
    configuration only: routes, links, addresses, nexthops, rules, and permanent neighbours and FDB entries."""

    GROUPS = {'link': 1, 'neighbour': 3, 'address4': 5, 'route4': 7, 'address6': 9, 'route6': 11, 'nexthop': 32}
    KINDS = {16: 'new link', 17: 'del link', 20: 'new address', 21: 'del address', 24: 'new route', 25: 'del route',
             28: 'new neighbour', 29: 'del neighbour', 104: 'new nexthop', 105: 'del nexthop'}

    def __init__(self, namespace, groups=None):
        self._socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
        self._socket.bind((0, 0))
        for name in groups or self.GROUPS:
            self._socket.setsockopt(270, 1, self.GROUPS[name])  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
        self._socket.setblocking(False)
        self._events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._read()
        self._socket.close()

    def _read(self):
        while self._socket.fileno() >= 0:
            try:
                self._events += self._parse(self._socket.recv(1 << 17))
            except BlockingIOError:
                return

    def _parse(self, data):
        offset = 0
        while offset + 16 <= len(data):
            length, kind = struct.unpack_from('=IH', data, offset)
            body = data[offset + 16:offset + length]
            if kind in self.KINDS and not self.is_housekeeping(kind, body):
                yield self.KINDS[kind]
            offset += (length + 3) & ~3

    @staticmethod
    def is_housekeeping(kind, body):
        return _housekeeping(kind, body)

    def events(self):
        self._read()
        return list(self._events)


class Stopwatch(Background, Monitor):
    """A monitor that keeps the time: how long it took from the first change to the last. What it hears is looked at
    only afterwards: a thousand changes would take it longer than they took."""

    def __init__(self, namespace):
        Monitor.__init__(self, namespace)
        self._heard = []  # (when, datagram)
        Background.__init__(self)

    def __exit__(self, *_):
        Background.__exit__(self)
        self._socket.close()

    def _follow(self):
        while not self._stop.is_set():
            if select.select([self._socket], [], [], 0.05)[0]:
                self._heard.append((time.monotonic(), self._socket.recv(1 << 17)))

    def is_over(self, quiet):
        """Something happened, and nothing for so long (seconds)."""
        return len(self._heard) > 1 and time.monotonic() - self._heard[-1][0] > quiet

    def changes(self):
        """When there was one, and what it was, in their order."""
        return [(when, event) for when, data in self._heard for event in self._parse(data)]

    @staticmethod
    def is_housekeeping(kind, body):
        """A neighbour that is deleted by hand is told as one that failed."""
        return _housekeeping(kind, body) and not (kind in (28, 29) and struct.unpack_from('=H', body, 8)[0] & 0x20)


def _housekeeping(kind, body):
    if kind in (28, 29):
        return not struct.unpack_from('=H', body, 8)[0] & 0x80  # ndm_state: not NUD_PERMANENT
    if kind in (24, 25):
        flags = struct.unpack_from('=I', body, 8)[0]
        return body[7] == 0 or bool(flags & 0x200)  # no type, or RTM_F_CLONED
    return False
