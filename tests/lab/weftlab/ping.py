"""Echo requests over raw sockets: no program to start, sizes to the byte, and ICMP errors read as they come back."""
import dataclasses
import ipaddress
import os
import select
import socket
import struct
import time

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3


@dataclasses.dataclass
class Reply:
    kind: str  # 'echo', 'too big', 'unreachable', 'refused locally', 'nothing'
    mtu: int = 0  # of 'too big'
    sender: str = ''
    milliseconds: float = 0

    def __bool__(self):
        return self.kind == 'echo'


def _checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data[:len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _read4(packet, identity, sequence):
    header = (packet[0] & 15) * 4
    kind, code = packet[header], packet[header + 1]
    if kind == 0 and packet[header + 4:header + 8] == struct.pack('!HH', identity, sequence):
        return Reply('echo')
    if kind == 3:
        inner = packet[header + 8:]
        inner_icmp = inner[(inner[0] & 15) * 4:]
        if inner_icmp[4:8] == struct.pack('!HH', identity, sequence):
            if code == 4:
                return Reply('too big', mtu=struct.unpack('!H', packet[header + 6:header + 8])[0])
            return Reply('unreachable')
    return None


def _read6(packet, identity, sequence):
    kind = packet[0]
    if kind == 129 and packet[4:8] == struct.pack('!HH', identity, sequence):
        return Reply('echo')
    if kind in (1, 2) and packet[8 + 40 + 4:8 + 40 + 8] == struct.pack('!HH', identity, sequence):
        return Reply('too big', mtu=struct.unpack('!I', packet[4:8])[0]) if kind == 2 else Reply('unreachable')
    return None


_sequence = 0


def ping(namespace, destination, source=None, size=84, wait=1.0):
    """One echo request of `size` bytes, IP header included, never to be fragmented. A path MTU learnt before is not
    heeded, so the network itself has to answer."""
    global _sequence
    _sequence = (_sequence + 1) & 0xffff
    identity = os.getpid() & 0xffff
    destination = str(destination)
    v4 = ipaddress.ip_address(destination).version == 4
    header = 20 if v4 else 40
    payload = bytes(max(0, size - header - 8))
    message = struct.pack('!BBHHH', 8 if v4 else 128, 0, 0, identity, _sequence) + payload
    if v4:
        sock = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        message = message[:2] + struct.pack('!H', _checksum(message)) + message[4:]
    else:
        sock = namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    with sock:
        if source:
            sock.bind((str(source), 0))
        started = time.monotonic()
        try:
            sock.sendto(message, (destination, 0))
        except OSError as error:
            return Reply('refused locally', sender=str(error))
        while True:
            left = started + wait - time.monotonic()
            if left <= 0 or not select.select([sock], [], [], left)[0]:
                return Reply('nothing')
            packet, sender = sock.recvfrom(65536)
            reply = (_read4 if v4 else _read6)(packet, identity, _sequence)
            if reply is not None:
                reply.sender, reply.milliseconds = sender[0], (time.monotonic() - started) * 1000
                return reply
