"""What an operator and an orchestrator touch: the mode switch, health, metrics, weftctl and birdc."""
import json
import re
import select
import socket
import time

from weftlab.lab import always, becomes, eventually, pools

POOLS = pools('vxlan cross subnet;')
SOCKET = '/run/weft/weft.ctl'


def _started(lab):
    nodes = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    for node in nodes:
        eventually(node.ready, f'{node} is ready')
    return nodes


def _readiness(node):
    status, body = node.get('/readiness')
    return status, json.loads(body)


def _ask(node, *command):
    """(exit status, output) of weftctl."""
    done = node.run(node.lab.program('weftctl'), *command, check=False)
    return done.returncode, done.stdout + done.stderr


# -- health

def damage_is_repaired_counted_and_readiness_is_back_within_a_second(lab):
    a, _, _ = _started(lab)
    for damage, kind in (('link set vxlan.calico down', 'device'),
                         ('link del vxlan.calico', 'device'),
                         ('address del 10.65.0.0/32 dev vxlan.calico', 'device'),
                         ('route del 10.65.2.0/26', 'route'),
                         ('neigh del 10.65.2.0 dev vxlan.calico', 'neighbour')):
        label = f'{{object="{kind}"}}'
        before = a.metric('weft_drift_repaired_total')[label]
        a.namespace.ip(damage)
        eventually(lambda: a.metric('weft_drift_repaired_total')[label] > before, f'{damage}: counted as repaired', 1)
        eventually(a.ready, f'{damage}: ready again', 1)
        assert a.get('/liveness')[0] == 200
        assert a.workload.pings(lab.nodes['c'].workload, 4), f'{damage}: traffic flows again'


def what_cannot_be_repaired_is_told_within_a_second_and_forgotten_when_it_is_over(lab):
    a, _, c = _started(lab)
    a.namespace.sysctl('net/ipv6/conf/eth0/keep_addr_on_down', 1)
    a.namespace.ip('link set eth0 down')
    eventually(lambda: not a.ready(), 'not ready', 1)
    status, body = _readiness(a)
    assert status == 503 and not body['ready'], body
    assert any(r['blocking'] and r['text'] and r['object'] for r in body['reasons']), body
    assert a.metric('weft_ready') == {'': 0}
    assert _ask(a, 'ready')[0] == 1
    always(lambda: a.get('/liveness')[0] == 200, 'liveness', 0.5)
    a.namespace.ip(f'''link set eth0 up
                       route replace default via {a.subnet.router(4)}
                       route replace default via {a.subnet.router(6)}''')
    eventually(a.ready, 'ready again', 35)
    assert _ask(a, 'ready') == (0, 'Ready (phase ready)\n')
    eventually(lambda: a.workload.pings(c.workload, 4), 'traffic flows again')


def without_bgp_nothing_about_bgp_is_asked(lab):
    a, _, _ = _started(lab)
    status, body = _readiness(a)
    assert (status, body['calico_backend'], body['reasons']) == (200, 'vxlan', []), body
    status, said = _ask(a, 'ready', '--bgp')
    assert status == 1 and 'BIRD is off' in said, said
    assert a.run('ss', '-Hltn', 'sport', '=', ':179').stdout == ''


# -- the mode switch

def vxlan_pools_come_and_go_with_the_mode(lab):
    a, b, c = _started(lab)
    none = lab.config(POOLS, settings='calico_backend none;')
    vxlan = lab.config(POOLS)
    lab.settled()
    with lab.traffic() as kept:  # into the same mode: nothing happens
        lab.reload(vxlan)
        lab.pause(1)
    assert kept.lost() == {}, kept.lost()
    with lab.traffic([(a.workload, c.workload)]) as away:
        lab.reload(none)
        for node in (a, b, c):
            eventually(lambda: node.kernel.routes(protocol=80) == [] and node.kernel.devices('vxlan') == [],
                       f'nothing of weft is left on {node}')
            eventually(node.ready, f'{node} is ready: its mode asks for nothing')
            assert _readiness(node)[1]['calico_backend'] == 'none'
            assert set(node.metric('weft_pool_served').values()) == {0}
            warned = [r['object'] for r in _readiness(node)[1]['reasons']]
            assert warned == ['pool 10.65.0.0/16', 'pool fd00:65::/48'], warned
        assert 'nobody' in node.weftctl('show', 'pools')
        lab.reload(none)
        lab.reload(vxlan)
        lab.everybody_reaches_everybody()
        lab.pause(0.2)
    stream = away.streams[(a.workload, c.workload)] if away.lost() else None
    assert stream and len(stream.ranges) == 1, 'gone once, and back for good'
    for node in (a, b, c):
        eventually(node.ready, f'{node} is ready')
        assert set(node.metric('weft_pool_served').values()) == {1}


# -- weftctl and birdc

def birdc_works_on_wefts_socket(lab):
    a, _, _ = _started(lab)
    status = a.run('birdc', '-s', SOCKET, 'show', 'status').stdout
    assert re.search(r'^weft \d+\.\d+\.\d+\nNode a, calico_backend vxlan', status, re.M), status
    assert status.endswith('Daemon is up and running\n'), status
    protocols = a.run('birdc', '-s', SOCKET, 'show', 'protocols').stdout
    assert re.search(r'^Name +Proto +Table +State +Since +Info$', protocols, re.M), protocols
    assert re.search(r'^vxlan\.calico +VXLAN +--- +up +\S+ +2 VTEPs$', protocols, re.M), protocols
    assert a.run('birdc', '-s', SOCKET, 'show', 'nonsense', check=False).returncode == 1


def explain_tells_the_truth(lab):
    a, b, c = _started(lab)
    for address, status, *said in (
            (b.workload.address(4), 0, 'Path       direct', "b's 192.0.2.12 is in this node's 192.0.2.0/24",
             'Device     eth0', 'via 192.0.2.12 dev eth0'),
            (c.workload.address(4), 0, 'Path       vxlan', "c's 198.51.100.13 is not in this node's 192.0.2.0/24",
             'Device     vxlan.calico', 'MTU        1450', 'dst 198.51.100.13'),
            (c.workload.address(6), 0, 'Path       vxlan', 'Device     vxlan-v6.calico', 'dst 2001:db8:1::13'),
            (a.workload.address(4), 0, 'Path       local', 'Device     weftw0'),
            ('10.65.0.0', 0, "this node's own address"),
            ('10.65.0.40', 1, 'blackhole', 'no workload of this node has 10.65.0.40'),
            ('10.65.77.1', 1, "in no node's block", '0.0.0.0/0'),
            ('203.0.113.1', 1, 'is in no pool'),
            ('198.51.100.13', 1, "node c's own address on the underlay")):
        got, text = _ask(a, 'explain', str(address))
        assert got == status, f'{address}: {got}\n{text}'
        for words in said:
            assert words in text, f'{address}: no {words!r} in\n{text}'
    a.namespace.ip(f'route add 10.65.2.0/28 via {a.subnet.router(4)} proto static metric 5')
    status, text = _ask(a, '--json', 'explain', str(c.workload.address(4)))
    told = json.loads(text)
    assert status == 1 and told['kernel_match'] == '10.65.2.0/28' and told['device'] == 'eth0', told
    assert '10.65.2.0/28 (protocol static, metric 5)' in told['problems'][0], told
    a.namespace.ip('route del 10.65.2.0/28')
    assert _ask(a, 'explain', str(c.workload.address(4)))[0] == 0


def show_tells_what_the_kernel_has(lab):
    a, b, c = _started(lab)
    told = [json.loads(line) for line in a.weftctl('--json', 'show', 'tunnels').splitlines()]
    devices = {d['device']: d['mtu'] for d in told if 'kind' in d}
    assert devices == {n: a.kernel.link(n)['mtu'] for n in ('vxlan.calico', 'vxlan-v6.calico')}, devices
    vteps = {v['mac']: v['remote'] for v in told if 'vtep' in v and v['device'] == 'vxlan.calico'}
    assert vteps == a.kernel.fdb('vxlan.calico'), vteps
    assert {v['node'] for v in told if 'vtep' in v} == {'b', 'c'} and {v['state'] for v in told} == {'ok'}, told
    for command in ('status', 'nodes', 'pools', 'blocks', 'tunnels', 'routes', 'bgp', 'protocols', 'config', 'events'):
        text = a.weftctl('show', command)
        assert text and '\033' not in text and max(map(len, text.splitlines())) <= 100, text
    assert f'{a.config_file}:1' in a.weftctl('show', 'config')


# -- what must not disturb routing

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
    a, _, _ = _started(lab)
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
            assert _ask(a, 'show', 'status')[0] == 0
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
