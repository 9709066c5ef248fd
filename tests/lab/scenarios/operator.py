"""What an operator and an orchestrator touch: the mode switch, health, metrics, weftctl and birdc."""
import json
import re

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


def explain_tells_the_truth_about_what_bird_programs(lab):
    a, b, c = lab.three_nodes()
    config = lab.config('pool 10.65.0.0/16 { ipip cross subnet; }\n', settings='calico_backend bird;', families=(4,))
    lab.start(config, [a, b])
    there = c.workload.address(4)

    def says(address, *words, status=0):
        """Waits for an explanation that has all of this in it, in whatever lines it is broken."""
        def found():
            got, text = _ask(a, 'explain', str(address))
            missing = [w for w in words if w not in ' '.join(text.split())]
            return (got == status and not missing) or f'{got}, without {missing}: {text}'
        becomes(found, True, f'explain {address}', 30)
    says(there, 'Path bgp', 'route 0.0.0.0/0', 'Session 198.51.100.13 start', 'with node c (198.51.100.13) is not established',
         'BIRD has set no route to 10.65.2.0/26', status=1)
    lab.start(config, [c])
    says(there, 'Path bgp', 'Why the pool says ipip cross subnet: BGP distributes', 'Device tunl0', 'MTU 1480',
         'Kernel unicast via 198.51.100.13 dev tunl0, route 10.65.2.0/26 (protocol bird, metric 1024)',
         'Session 198.51.100.13 up Established', status=0)
    says(b.workload.address(4), 'Device eth0', 'MTU 1500', 'Kernel unicast via 192.0.2.12 dev eth0')
    says('10.65.0.40', "no workload of this node has 10.65.0.40: the block's blackhole drops packets to it", status=1)
    a.namespace.ip(f'route add 10.65.2.0/28 via {a.subnet.router(4)} proto static metric 5')
    says(there, "a more specific foreign route overrides BIRD's: 10.65.2.0/28 (protocol static, metric 5) leads via "
         '192.0.2.1 dev eth0', status=1)
    a.namespace.ip('route del 10.65.2.0/28')
    c.kill()
    c.bird.kill()  # its routes are kept for a while, so packets still go as they did
    says(there, 'is not established: start', 'look whether BIRD runs there', 'TCP port 179', 'Device tunl0', status=1)


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
