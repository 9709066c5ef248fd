"""Clients of the health endpoint that mean no good: they disturb neither routing nor each other."""
import re
import select
import socket
import time

from weftlab.lab import becomes, eventually, pools


def _memory(node):
    """Resident memory of weftd, in KiB."""
    with open(f'/proc/{node.process.pid}/status') as file:
        return int(re.search(r'VmRSS:\s+(\d+)', file.read()).group(1))


def _connect(node):
    with node.namespace.entered():
        connection = socket.socket()
        connection.settimeout(5)
        connection.connect(('127.0.0.1', 9099))
    return connection


def _flood(node, requests, pipelined=50):
    """So many requests over connections that each carry a few; how many were answered with 200."""
    answered = 0
    for _ in range(requests // pipelined):
        with _connect(node) as connection:
            connection.sendall(b'GET /readiness HTTP/1.1\r\nHost: x\r\n\r\n' * (pipelined - 1) +
                               b'GET /readiness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            received = b''
            while part := connection.recv(65536):
                received += part
            answered += received.count(b'HTTP/1.1 200')
    return answered


def _refused(connection):
    """True when the server has closed or reset the connection, or said an error."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return not connection.recv(4096).startswith(b'HTTP/1.1 200')
    except ConnectionError:
        return True


def hostile_clients_disturb_neither_routing_nor_others(lab):
    a, _, _ = lab.three_nodes()
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    assert _flood(a, 500) == 500
    before = _memory(a)
    with lab.traffic(milliseconds=5) as traffic:
        assert _flood(a, 10_000) == 10_000
        idle = [_connect(a) for _ in range(200)]
        slow = _connect(a)
        slow.sendall(b'GET /readiness HTTP/1.1\r\nX: ')
        began = time.monotonic()
        big = _connect(a)
        try:
            big.sendall(b'GET /readiness HTTP/1.1\r\nX: ' + b'x' * 2**20)
        except ConnectionError:
            pass
        eventually(lambda: _refused(big), 'a mebibyte of header is refused')
        seconds = []
        while not _refused(slow) and time.monotonic() - began < 20:
            started = time.monotonic()
            assert a.ready() and a.get('/metrics')[0] == 200
            assert 'up and running' in a.weftctl('show', 'status')
            seconds.append(time.monotonic() - started)
            try:
                slow.send(b'x')
            except ConnectionError:
                break
            time.sleep(0.3)
        assert time.monotonic() - began < 15, 'a slow client is cut off'
        a.namespace.ip('route del 10.65.2.0/26')
        eventually(lambda: a.kernel.routes(4, dst='10.65.2.0/26', protocol=80), 'a route is repaired meanwhile', 1)
        for connection in (*idle, slow, big):
            connection.close()
    grown = _memory(a) - before
    lab.say(f'   10,000 requests, 200 idle, one slow, one huge: +{grown} KiB, an answer to each probe within '
            f'{max(seconds) * 1000:.0f} ms')
    assert grown < 4096, f'{grown} KiB more'
    lost = {pair: n for pair, n in traffic.lost().items() if pair != 'a/w0 -> c/w0'}
    assert lost == {}, lost
    becomes(lambda: len([f for f in a.run('ss', '-Htn', 'sport', '=', ':9099').stdout.splitlines()
                         if 'ESTAB' in f]), 0, 'no connection is left')
