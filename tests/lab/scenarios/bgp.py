"""Workloads that reach each other through routes of BGP: IPIP and plain pools, programmed by a stock BIRD."""
import socket

from weftlab.lab import becomes, eventually
from weftlab.namespace import run
from weftlab.ping import ping

BIRD = '12'  # its routing protocol number
SETTINGS = 'calico_backend bird;'


def _pool(mode, cidr='10.65.0.0/16'):
    return f'pool {cidr} {{ {mode} }}\n'


def _config(lab, pools, settings='', families=(4,), nodes=None):
    return lab.config(pools, nodes, settings=f'{SETTINGS} {settings}', families=families)


def _route(node, destination):
    return [(r.get('gateway'), r['dev'], r['protocol'], 'onlink' in r['flags'])
            for r in node.kernel.routes(4, dst=destination) if r['type'] == 'unicast']


def _echoes(seen, one, other):
    """Plain ICMP between the two nodes' workloads, both ways; BGP itself is plain as well."""
    return sum(n for p, n in seen.packets(kind='plain', protocol=1).items()
               if (one.owns(p.source) and other.owns(p.destination)) or (other.owns(p.source) and one.owns(p.destination)))


def _ready(*nodes):
    for node in nodes:
        eventually(node.ready, f'{node} is ready', 30)


def ipip_always_is_protocol_4_everywhere(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip always;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    for node in (b, c):
        assert _route(a, str(node.blocks[0])) == [(str(node.address()), 'tunl0', BIRD, True)], _route(a, str(node.blocks[0]))
    assert a.kernel.link('tunl0')['mtu'] == 1480
    with lab.watch() as seen:
        for one, other in lab.pairs():
            assert one.pings(other, 4)
        eventually(lambda: all(seen.between(x, y, 'ipip') == 4 for x, y in ((a, b), (a, c), (b, c))), 'all in IPIP', 3)
        assert seen.count(kind='plain', protocol=1) == 0
    _ready(a, b, c)
    assert a.get('/metrics')[1].count('weft_bgp_session_up{') == 2


def ipip_cross_subnet_is_plain_within_the_subnet(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip cross subnet;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    assert _route(a, '10.65.1.0/26') == [('192.0.2.12', 'eth0', BIRD, False)], _route(a, '10.65.1.0/26')
    assert _route(a, '10.65.2.0/26') == [('198.51.100.13', 'tunl0', BIRD, True)], _route(a, '10.65.2.0/26')
    with lab.watch() as seen:
        for one, other in lab.pairs():
            assert one.pings(other, 4)
        eventually(lambda: seen.between(a, c, 'ipip') == 4 and seen.between(b, c, 'ipip') == 4, 'all packets seen', 3)
        assert _echoes(seen, a, b) == 4 and seen.between(a, b, 'ipip') == 0


def ipip_never_is_plain_where_the_underlay_carries_it(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip never;')))
    lab.everybody_reaches_everybody(family=4, within=30, pairs=[(a.workload, b.workload), (b.workload, a.workload)])
    with lab.watch() as seen:
        assert a.workload.pings(b.workload, 4)
        eventually(lambda: _echoes(seen, a, b) == 2, 'plain', 3)
        assert not a.workload.ping(c.workload, wait=0.3), 'the router between them knows no workloads'
        assert seen.count(kind='ipip') == 0


def full_packets_pass_ipip_whole_and_larger_ones_are_refused(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip always;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    assert a.workload.ping(c.workload, size=1480)
    reply = a.workload.ping(c.workload, size=1481)
    assert (reply.kind, reply.mtu) == ('too big', 1480), reply


def pools_of_all_kinds_side_by_side(lab):
    pools = (_pool('ipip cross subnet;') + _pool('vxlan always;', '10.66.0.0/16') + _pool('', '10.67.0.0/16')
             + _pool('vxlan cross subnet;', 'fd00:65::/48') + _pool('', 'fd00:67::/48'))
    nodes = [lab.node(name, blocks=[f'10.65.{n}.0/26', f'10.66.{n}.0/26', f'10.67.{n}.0/26', f'fd00:65::{n}00/122',
                                    f'fd00:67::{n}00/122']) for n, name in enumerate('abc')]
    lab.start(_config(lab, pools, families=(4, 6)))
    a, b, c = nodes

    def reaches(one, other, address):
        family = address.version
        source = next(s for s in one.workload.addresses if s.version == family)
        return ping(one.workload.namespace, address, source, wait=0.5)
    kinds = ('ipip', 'vxlan', 'plain', 'vxlan6', 'plain6')
    for one, other in [(x, y) for x in nodes for y in nodes if x is not y]:
        for kind, address in zip(kinds, other.workload.addresses):
            if kind.startswith('plain') and c in (one, other):
                continue  # the router between the subnets knows no workloads
            eventually(lambda: reaches(one, other, address), f'{one} reaches {address} of {other}', 30)
    assert _route(a, '10.65.2.0/26')[0][1:3] == ('tunl0', BIRD)
    assert _route(a, '10.66.1.0/26')[0][1:3] == ('vxlan.calico', '80')
    assert _route(a, '10.67.1.0/26')[0][1:3] == ('eth0', BIRD)
    assert {r['protocol'] for r in a.kernel.routes(6, dst='fd00:67::100/122')} == {BIRD}
    assert {r['protocol'] for r in a.kernel.routes(6, dst='fd00:65::200/122')} == {'80'}


def the_tunnel_device_comes_back_and_so_do_the_routes(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip always;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    a.namespace.ip('link set tunl0 down')
    eventually(lambda: len(_route(a, '10.65.1.0/26')) == 1, 'the routes are there again', 3)
    assert a.workload.pings(c.workload, 4)


def a_kernel_without_ipip_says_so_and_vxlan_goes_on(lab):
    with open('/proc/sys/kernel/modprobe') as file:
        loader = file.read().strip()
    a, c = lab.node('a', blocks=['10.66.0.0/26', '10.65.0.0/26']), lab.node('c', blocks=['10.66.2.0/26', '10.65.2.0/26'])
    with open('/proc/sys/kernel/modprobe', 'w') as file:
        file.write('/bin/false')
    run('rmmod', 'ipip')
    try:
        lab.start(_config(lab, _pool('ipip always;') + _pool('vxlan always;', '10.66.0.0/16')))
        lab.everybody_reaches_everybody(family=4)
        eventually(lambda: 'no ipip module; VXLAN needs none' in a.get('/readiness')[1], 'the reason is told', 5)
        assert a.get('/readiness')[0] == 503
    finally:
        with open('/proc/sys/kernel/modprobe', 'w') as file:
            file.write(loader)
        run(loader, '-q', 'ipip')


def the_mode_switch_sends_bird_away_and_brings_it_back(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip always;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    _ready(a, b, c)
    lab.reload(lab.config(_pool('vxlan always;'), families=(4,)))
    for node in (a, b, c):
        becomes(node.bird.process, 0, f'BIRD is gone on {node}')
        becomes(lambda: node.kernel.routes(4, protocol=BIRD), [], f'no route of BIRD on {node}')
    lab.everybody_reaches_everybody(family=4)
    lab.reload(_config(lab, _pool('ipip always;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    eventually(lambda: _route(a, '10.65.1.0/26')[0][1] == 'tunl0', 'through IPIP again')
    lab.reload(lab.config(_pool('ipip always;'), settings='calico_backend none;', families=(4,)))
    for node in (a, b, c):
        becomes(node.bird.process, 0, f'BIRD is gone on {node}')
        becomes(lambda: node.kernel.routes(4, protocol=BIRD), [], f'no route of BIRD on {node}')


def purge_takes_bird_and_its_routes_along(lab):
    a, b, c = lab.three_nodes()
    lab.start(_config(lab, _pool('ipip always;')))
    lab.everybody_reaches_everybody(family=4, within=30)
    a.stop()
    assert a.bird.process() and _route(a, '10.65.1.0/26')
    a.purge()
    assert a.bird.process() == 0
    assert a.kernel.routes(4, protocol=BIRD) == [] and a.kernel.routes(4, protocol=80) == []


def another_listener_on_the_bgp_port_is_named_and_waited_for(lab):
    a, b = lab.node('a'), lab.node('b')
    with a.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(('0.0.0.0', 179))
        taken.listen()
        lab.start(_config(lab, _pool('ipip always;')))
        eventually(lambda: 'cannot listen on BGP port 179' in a.get('/readiness')[1], 'the reason is told', 15)
        assert 'process' in a.get('/readiness')[1] and 'python3' in a.get('/readiness')[1], a.get('/readiness')[1]
    _ready(a, b)
    lab.everybody_reaches_everybody(family=4, within=30)


def a_missing_bird_is_named_and_started_once_it_is_there(lab):
    a, b = lab.node('a'), lab.node('b')
    lab.start(_config(lab, _pool('ipip always;'), 'protocol bgp { bird "/run/weft/bird"; }'))
    eventually(lambda: 'install bird2' in a.get('/readiness')[1], 'the reason is told', 10)
    for node in (a, b):
        node.run('cp', '/usr/sbin/bird', '/run/weft/bird')
    lab.everybody_reaches_everybody(family=4, within=30)
