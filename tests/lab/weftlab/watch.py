"""Every packet the nodes put on the underlay, counted once: where it enters the fabric.

A packet is told apart by its outer headers: 'vxlan' (UDP to the VXLAN port), 'ipip' (protocol 4), 'plain' (the rest).
For the first two the inner addresses are read as well. ARP, neighbour discovery and the like are left out.
"""
import collections
import dataclasses
import ipaddress
import socket
import struct
import threading

from .background import Background

ETH_P_ALL, PACKET_OUTGOING = 3, 4


@dataclasses.dataclass(frozen=True)
class Packet:
    kind: str
    node: str  # who sent it
    source: str  # outermost addresses
    destination: str
    inner_source: str = ''
    inner_destination: str = ''
    size: int = 0  # of the outermost IP packet
    fragment: bool = False
    protocol: int = 0  # of the outermost IP header

    @property
    def workload_source(self):
        return self.inner_source or self.source

    @property
    def workload_destination(self):
        return self.inner_destination or self.destination


def _ip(data):
    """(source, destination, protocol, payload, fragment, size) of an IPv4 or IPv6 packet, or None."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        offset = struct.unpack('!H', data[6:8])[0]
        return (str(ipaddress.ip_address(data[12:16])), str(ipaddress.ip_address(data[16:20])), data[9],
                data[(data[0] & 15) * 4:], bool(offset & 0x3fff), struct.unpack('!H', data[2:4])[0])
    if len(data) >= 40 and data[0] >> 4 == 6:
        protocol, payload = data[6], data[40:]
        return (str(ipaddress.ip_address(data[8:24])), str(ipaddress.ip_address(data[24:40])), protocol, payload,
                protocol == 44, struct.unpack('!H', data[4:6])[0] + 40)
    return None


def classify(node, data, port):
    """The packet of an IP packet's bytes."""
    outer = _ip(data)
    if not outer:
        return None
    source, destination, protocol, payload, fragment, size = outer
    kind, inner = 'plain', None
    if ipaddress.ip_address(destination).is_multicast:  # MLD reports, mostly
        return None
    if protocol == 4:
        kind, inner = 'ipip', _ip(payload)
    elif protocol == 17 and len(payload) >= 30 and struct.unpack('!H', payload[2:4])[0] == port:
        kind, inner = 'vxlan', _ip(payload[30:])
    elif protocol == 58 and payload and 130 <= payload[0] <= 143:
        return None
    return Packet(kind, node, source, destination, inner[0] if inner else '', inner[1] if inner else '', size, fragment,
                  protocol)


class Watch(Background):
    """Collects packets between `with` and its end; the counts can be asked for at any time."""

    def __init__(self, fabric, ports, port=4789):
        """`ports`: the fabric's interface -> the node behind it."""
        with fabric.entered():
            self._names = dict(ports)
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        self._socket.settimeout(0.1)
        self._port = port
        self._lock = threading.Lock()
        self._counts = collections.Counter()
        self._bytes = collections.Counter()
        super().__init__()

    def __exit__(self, *_):
        super().__exit__()
        self._socket.close()

    def _follow(self):
        while not self._stop.is_set():
            try:
                data, (device, _, direction, _, _) = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            if direction == PACKET_OUTGOING or device not in self._names:
                continue
            packet = classify(self._names[device], data, self._port)
            if packet:
                with self._lock:
                    self._counts[packet] += 1
                    self._bytes[packet] += packet.size

    def packets(self, **wanted):
        """Packet -> how often, of those whose fields equal `wanted`; a set means any of them:
        packets(kind='vxlan', source='192.0.2.11', inner_destination='10.65.2.2')."""
        def fits(packet):
            return all(getattr(packet, k) in v if isinstance(v, (set, frozenset)) else getattr(packet, k) == v
                       for k, v in wanted.items())
        with self._lock:
            return {p: n for p, n in self._counts.items() if fits(p)}

    def count(self, **wanted):
        return sum(self.packets(**wanted).values())

    def bytes(self, **wanted):
        with self._lock:
            sizes = dict(self._bytes)
        return sum(sizes[p] for p in self.packets(**wanted))

    def between(self, one, other, kind=None):
        """How many packets of `kind` nodes `one` and `other` exchanged, both directions, by workload or node address."""
        return sum(self._between(one, other, kind).values())

    def bytes_between(self, one, other, kind=None):
        """The same in bytes of the outermost IP packets."""
        return sum(p.size * n for p, n in self._between(one, other, kind).items())

    def _between(self, one, other, kind):
        wanted = {'kind': kind} if kind else {}
        return {p: n for source, target in ((one, other), (other, one))
                for p, n in self.packets(node=source.name, **wanted).items()
                if target.owns(p.destination) or target.owns(p.inner_destination)}
