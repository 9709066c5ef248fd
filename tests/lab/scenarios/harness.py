"""The laboratory itself, with routes set by hand: what the other suites stand on must be true."""
from weftlab.kernel import Monitor
from weftlab.lab import eventually
from weftlab.namespace import run
from weftlab.ping import ping


def _route_by_hand(*nodes):
    """Plain routes within the subnet, VXLAN to the other one."""
    def mac(node):
        return f'02:00:00:00:00:{node.number}'

    for node in nodes:
        node.namespace.ip(f'''link add hand0 address {mac(node)} mtu 1450 type vxlan id 7 dstport 4789 local {node.address()} dev eth0 nolearning
                              addr add {node.blocks[0][1]}/32 dev hand0
                              link set hand0 up''')
        for path in ('net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'):
            node.namespace.sysctl(path, 1)
        for other in nodes:
            if other is node:
                continue
            if other.subnet is node.subnet:
                node.namespace.ip(f'route add {other.blocks[0]} via {other.address()} dev eth0')
                continue
            tunnel = other.blocks[0][1]
            run('bridge', '-n', node.name, 'fdb', 'add', mac(other), 'dev', 'hand0', 'dst', other.address(), 'permanent')
            node.namespace.ip(f'''neigh add {tunnel} lladdr {mac(other)} dev hand0 nud permanent
                                  route add {other.blocks[0]} via {tunnel} dev hand0 onlink''')


def nodes_of_one_subnet_and_through_the_router_ping(lab):
    a, b, c = lab.three_nodes()
    for family in (4, 6):
        for one, other in ((a, b), (a, c), (c, b)):
            destination = other.address(family)
            eventually(lambda: ping(one.namespace, destination), f'{one} pings {destination}')


def the_underlay_does_not_know_workloads(lab):
    a, b, c = lab.three_nodes()
    assert not a.workload.ping(c.workload, wait=0.3)


def encapsulated_and_direct_packets_are_told_apart(lab):
    a, b, c = lab.three_nodes()
    _route_by_hand(a, b, c)
    lab.everybody_reaches_everybody(family=4)
    with lab.watch() as seen:
        assert a.workload.pings(b.workload, 4)
        assert a.workload.pings(c.workload, 4)
        eventually(lambda: seen.between(a, c, 'vxlan') == 2, 'two vxlan packets', 2)
        eventually(lambda: seen.between(a, b, 'plain') == 2, 'two plain packets', 2)
        assert seen.between(a, b, 'vxlan') == 0
        assert seen.count(kind='vxlan', source='192.0.2.11', inner_destination='10.65.2.2') == 1


def too_large_a_packet_is_refused_with_the_mtu(lab):
    a, b, c = lab.three_nodes()
    _route_by_hand(a, b, c)
    lab.everybody_reaches_everybody(family=4)
    assert a.workload.ping(c.workload, size=1450)
    reply = a.workload.ping(c.workload, size=1451)
    assert (reply.kind, reply.mtu) == ('too big', 1450), reply


def lost_packets_are_counted(lab):
    a, b, c = lab.three_nodes()
    _route_by_hand(a, b, c)
    lab.everybody_reaches_everybody(family=4)
    with lab.traffic() as undisturbed:
        eventually(lambda: a.workload.pings(b.workload, 4))
        lab.pause(1)
    assert undisturbed.lost() == {}, undisturbed.lost()
    assert undisturbed.sent() > 6 * 500, undisturbed.sent()
    with lab.traffic() as disturbed:
        lab.pause(0.3)
        lab.underlay.unplug(c.port)
        lab.pause(0.3)
        lab.underlay.plug(c.port)
        lab.pause(0.5)
    lost = disturbed.lost()
    assert sorted(lost) == ['a/w0 -> c/w0', 'b/w0 -> c/w0', 'c/w0 -> a/w0', 'c/w0 -> b/w0'], lost
    assert all(n >= 200 for n in lost.values()), lost


def a_snapshot_shows_what_changed_and_the_monitor_that_it_did(lab):
    a = lab.node('a')
    before = a.kernel.snapshot()
    with Monitor(a.namespace) as monitor:
        assert a.kernel.snapshot() == before
        assert monitor.events() == []
        a.namespace.ip('route add 203.0.113.0/24 via 192.0.2.1 proto 80')
        assert monitor.events() == ['new route']
    assert set(a.kernel.snapshot()) - set(before) == {
        'route4: unicast 203.0.113.0/24 via 192.0.2.1 dev eth0 table main proto 80 scope global'}
    assert [r['dst'] for r in a.kernel.routes(protocol=80)] == ['203.0.113.0/24']
