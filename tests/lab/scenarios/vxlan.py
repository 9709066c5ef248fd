"""Workloads that reach each other through VXLAN, and packets that tell how they travelled."""
from weftlab.lab import eventually, pools


def cross_subnet_encapsulates_between_subnets_only(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    with lab.watch() as seen:
        for one, other in lab.pairs():
            assert one.pings(other), f'{one} pings {other}'
        eventually(lambda: seen.between(b, c, 'vxlan') == 8 and seen.between(a, c, 'vxlan') == 8, 'all packets seen', 3)
        assert seen.between(a, b, 'vxlan') == 0
        assert seen.between(a, b, 'plain') == 8
        assert seen.between(a, c, 'plain') == 0


def cross_subnet_routes_say_so(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    vxlan = a.kernel.link('vxlan.calico')
    data = vxlan['linkinfo']['info_data']
    assert (data['id'], data['port'], data['learning'], vxlan['mtu']) == (4096, 4789, False, 1450), vxlan
    assert a.kernel.link('vxlan-v6.calico')['mtu'] == 1430
    for family, device, blocks, through in (
            (4, 'vxlan.calico', ('10.65.1.0/26', '10.65.2.0/26'), '192.0.2.12'),
            (6, 'vxlan-v6.calico', ('fd00:65::100/122', 'fd00:65::200/122'), '2001:db8::12')):
        direct, = a.kernel.routes(family, dst=blocks[0])
        tunnel, = a.kernel.routes(family, dst=blocks[1])
        assert (direct['gateway'], direct['dev'], direct['protocol']) == (through, 'eth0', '80'), direct
        assert (tunnel['dev'], tunnel['protocol']) == (device, '80'), tunnel
        macs = {node: node.kernel.link(device)['address'] for node in (b, c)}
        assert a.kernel.fdb(device) == {macs[n]: str(n.address(family)) for n in (b, c)}, a.kernel.fdb(device)
        assert a.kernel.neighbours(device)[tunnel['gateway']] == macs[c], a.kernel.neighbours(device)


def always_encapsulates_everywhere(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan always;')))
    lab.everybody_reaches_everybody()
    with lab.watch() as seen:
        lab.everybody_reaches_everybody()
        eventually(lambda: seen.between(a, b, 'vxlan') == 8, 'all packets seen', 3)
        assert seen.packets(kind='plain') == {}, seen.packets(kind='plain')
    assert a.kernel.nexthops() and len(a.kernel.fdb('vxlan.calico')) == 2


def never_leaves_no_vxlan_behind(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan always;')))
    lab.everybody_reaches_everybody()
    lab.reload(lab.config(pools('vxlan never;')))
    for node in (a, b, c):
        eventually(lambda: node.kernel.devices('vxlan') == [], f'no vxlan device on {node}')
        eventually(lambda: [r for r in node.kernel.routes(protocol=80) if r['type'] != 'blackhole'] == [],
                   f'no route of weft on {node}')
        assert [n for n in node.kernel.nexthops() if 'blackhole' not in n] == []
    assert not a.workload.ping(c.workload, wait=0.3)


def ipv6_alone(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config('pool fd00:65::/48 { vxlan cross subnet; }', families=(6,)))
    lab.everybody_reaches_everybody(family=6)
    assert a.kernel.devices('vxlan') == ['vxlan-v6.calico']
    assert a.kernel.routes(4, protocol=80) == []
    with lab.watch() as seen:
        assert a.workload.pings(c.workload, 6) and a.workload.pings(b.workload, 6)
        eventually(lambda: seen.between(a, c, 'vxlan') == 2, 'vxlan over IPv6', 3)
        assert seen.count(kind='vxlan', source='2001:db8::11', destination='2001:db8:1::13') == 1
        assert seen.between(a, b, 'vxlan') == 0


def full_packets_pass_whole_and_larger_ones_are_refused(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    with lab.watch() as seen:
        for family, most in ((4, 1450), (6, 1430)):
            assert a.workload.ping(c.workload, size=most, family=family), f'{most} bytes, IPv{family}'
            reply = a.workload.ping(c.workload, size=most + 1, family=family)
            assert (reply.kind, reply.mtu) == ('too big', most), reply
            assert a.workload.ping(b.workload, size=1500, family=family), 'direct packets may fill the underlay'
        eventually(lambda: seen.between(a, c, 'vxlan') == 4, 'all packets seen', 3)
        assert seen.packets(fragment=True) == {}


def a_smaller_underlay_makes_a_smaller_tunnel(lab):
    lab.underlay_mtu = 1400
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan always;')))
    lab.everybody_reaches_everybody()
    assert (a.kernel.link('vxlan.calico')['mtu'], a.kernel.link('vxlan-v6.calico')['mtu']) == (1350, 1330)


def another_vni_and_port(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan always;') + 'protocol vxlan { id 77; port 8472; device "weft.4"; mtu 1400; }'))
    lab.everybody_reaches_everybody()
    data = a.kernel.link('weft.4')['linkinfo']['info_data']
    assert (data['id'], data['port'], a.kernel.link('weft.4')['mtu']) == (77, 8472, 1400)
    with lab.watch(port=8472) as seen:
        assert a.workload.pings(b.workload, 4)
        eventually(lambda: seen.between(a, b, 'vxlan') == 2, 'vxlan on port 8472', 3)


def routes_without_nexthop_objects(lab):
    nodes = lab.three_nodes()
    for node in nodes:
        node.options = ['--no-nexthop-objects']
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    assert [n.kernel.nexthops() for n in nodes] == [[], [], []]


def workloads_on_a_bridge_with_the_blocks_subnet(lab):
    a, b, c = lab.node('a', workload=False), lab.node('b'), lab.node('c')
    a.namespace.ip('''link add br0 type bridge forward_delay 0
                      addr add 10.65.0.1/26 dev br0
                      link set br0 up''')
    one, other = (a.add_workload(f'w{n}', f'10.65.0.{n + 2}', bridge='br0') for n in (0, 1))
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody(family=4)
    assert one.ping('10.65.0.1') and one.pings(other, 4)
    assert [r['dev'] for r in a.kernel.routes(4, dst='10.65.0.0/26') if 'dev' in r] == ['br0']


def an_address_nobody_has_is_refused_not_looped(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    with lab.watch() as seen:
        reply = a.workload.ping('10.65.2.33', wait=2)
        assert not reply, reply
        assert seen.count(inner_destination='10.65.2.33') == 1, 'sent once to the block\'s node, which drops it'


def forwarding_is_switched_on(lab):
    a, b, c = lab.three_nodes()
    paths = ('net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding')
    for path in paths:
        a.namespace.sysctl(path, 0)
    lab.start(lab.config(pools('vxlan cross subnet;')))
    lab.everybody_reaches_everybody()
    assert [a.namespace.sysctl(path) for path in paths] == ['1', '1']


def the_hosts_reverse_path_filter_drops_nothing_out_of_the_tunnel(lab):
    """While two nodes have not yet read the same file: b sends through the tunnel, a answers directly."""
    a, b, c = lab.three_nodes()
    for which in ('all', 'default', 'eth0'):
        a.namespace.sysctl(f'net/ipv4/conf/{which}/rp_filter', 1)
    lab.start(lab.config(pools('vxlan cross subnet;')), [a, c])
    lab.start(lab.config(pools('vxlan always;')), [b])
    lab.everybody_reaches_everybody(family=4)
    with lab.watch() as seen:
        assert b.workload.pings(a.workload, 4)
        eventually(lambda: seen.count(node='b', kind='vxlan') == 1 and seen.count(node='a', kind='plain') == 1,
                   'one way encapsulated, one way direct', 3)
