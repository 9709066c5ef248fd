"""What is not weft's stays as it is; what stands in weft's way is named."""
import os
import re
import socket

from weftlab.lab import eventually, pools
from weftlab.namespace import run

POOLS = pools('vxlan cross subnet;')

FOREIGN = '''
    link add foreign0 type vxlan id 99 dstport 8472 local {address} dev eth0 nolearning
    addr add 172.31.0.1/24 dev foreign0
    link set foreign0 up
    route add 203.0.113.0/24 via {gateway} proto static
    route add 10.66.0.0/16 via 172.31.0.9 dev foreign0 onlink
    route add 10.65.200.0/26 via {gateway} proto static
    nexthop add id 7 via {gateway} dev eth0
    nexthop add id 8 via {gateway} dev eth0 proto static
    route add 203.0.113.128/25 nhid 7
    neigh add 172.31.0.9 lladdr 02:00:00:00:00:09 dev foreign0 nud permanent
    neigh add 192.0.2.200 lladdr 02:00:00:00:00:0a dev eth0 nud permanent
'''


def _add_foreign(node):
    """Somebody else's routes, overlay, nexthops and neighbours."""
    node.namespace.ip(FOREIGN.format(address=node.address(), gateway=node.subnet.router(4)))
    node.run('bridge', 'fdb', 'add', '02:00:00:00:00:09', 'dev', 'foreign0', 'dst', '192.0.2.99')


def _without_weft(node):
    """Everything the node's kernel holds but what is weft's by its own rule."""
    return node.kernel.snapshot(without=(r'vxlan(-v6)?\.calico', r'proto 80\b', r'valid_lft', r'ff00::/8', r'anycast'))


def everything_foreign_survives_every_change_and_the_purge(lab):
    a, b, c = lab.three_nodes()
    _add_foreign(a)
    before = _without_weft(a)
    whole = a.kernel.snapshot()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    assert _without_weft(a) == before, _differ(before, _without_weft(a))
    for mode in ('vxlan always;', 'vxlan never;', 'vxlan cross subnet;'):
        lab.reload(lab.config(pools(mode)))
        if 'never' not in mode:
            lab.everybody_reaches_everybody()
        else:
            eventually(lambda: a.kernel.link('vxlan.calico') is None, 'the device is gone')
        assert _without_weft(a) == before, _differ(before, _without_weft(a))
    lab.reload(lab.config(POOLS, [a, b]), [a, b])
    eventually(lambda: a.kernel.routes(4, dst='10.65.2.0/26') == [], "c's route is gone")
    assert a.stop() == 0
    a.purge()
    after = a.kernel.snapshot()
    assert after == whole, _differ(whole, after)


def _differ(before, after):
    return [f'- {line}' for line in before if line not in after] + [f'+ {line}' for line in after if line not in before]


def purge_removes_all_of_wefts(lab):
    nodes = lab.three_nodes()
    before = [n.kernel.snapshot() for n in nodes]
    lab.start(lab.config(pools('vxlan always;')))
    lab.everybody_reaches_everybody()
    for node, clean in zip(nodes, before):
        node.stop()
        node.purge()
        node.purge()
        assert node.kernel.snapshot() == clean, _differ(clean, node.kernel.snapshot())


def a_workloads_own_route_wins_over_the_blackhole(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    a.namespace.ip('''link add br0 type bridge forward_delay 0
                      addr add 10.65.0.1/26 dev br0
                      link set br0 up''')
    late = a.add_workload('w1', '10.65.0.9', bridge='br0')
    lab.everybody_reaches_everybody(pairs=[(late, c.workload), (b.workload, late)], family=4)


def _errors(node):
    return [line for line in node.log().splitlines() if re.search(r'^\S+ \S+ (error|critical)', line)]


def _refused(node, config, *expected):
    """weftd goes on without what it cannot have, and says in one line what is wrong; it names these."""
    node.write(config)
    node.start()
    line, = eventually(lambda: _errors(node), 'an error', 8)
    assert all(word in line for word in expected), line
    node.lab.pause(1.2)  # a second attempt, at least
    assert _errors(node) == [line], _errors(node)
    assert not node.ready() and node.process.poll() is None
    return line


def without_cap_net_admin_it_says_so(lab):
    a = lab.node('a')
    lab.node('c')
    a.write(lab.config(POOLS))
    done = a.run('setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--ambient-caps=-net_admin',
                 lab.program('weftd'), '-c', a.config_file, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1, (done.returncode, said)
    assert len(said) == 1 and 'CAP_NET_ADMIN' in said[0], said


def a_process_on_the_vxlan_port_is_named_until_it_goes(lab):
    a = lab.node('a')
    lab.node('c')
    with a.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(('0.0.0.0', 4789))
        line = _refused(a, lab.config(POOLS), '4789')
        assert f'process {os.getpid()} (python3)' in line, line
    eventually(a.ready, 'weftd gets the port by itself')


def a_device_with_our_vni_is_named_and_left_alone(lab):
    a = lab.node('a')
    lab.node('c')
    a.namespace.ip(f'link add flannel.1 type vxlan id 4096 dstport 4789 local {a.address()} dev eth0')
    before = a.kernel.link('flannel.1')
    _refused(a, lab.config(POOLS), 'flannel.1', '4096')
    assert a.kernel.link('flannel.1')['address'] == before['address']


def a_kernel_without_vxlan_is_told(lab):
    if lab.here:  # this machine's kernel has it
        return
    a = lab.node('a')
    lab.node('c')
    loader = a.namespace.sysctl('kernel/modprobe')
    a.namespace.sysctl('kernel/modprobe', '/bin/false')
    try:
        run('rmmod', 'vxlan')
        _refused(a, lab.config(POOLS), 'no vxlan module')
        assert a.stop() == 0
    finally:
        a.namespace.sysctl('kernel/modprobe', loader)
        run(loader, 'vxlan')
    a.start()
    eventually(a.ready, 'with the module it works')
