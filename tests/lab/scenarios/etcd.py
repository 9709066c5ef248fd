"""Nodes that know nothing but where etcd is: they register, get blocks and tunnel addresses, and reach each other."""
import ipaddress
import json
import subprocess

from weftlab.lab import becomes, eventually

POOL = {'kind': 'IPPool', 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': 'p'}}
RESOURCES = '/calico/resources/v3/projectcalico.org'


class _Store:
    """etcd on a machine of its own in the underlay."""

    def __init__(self, lab):
        self.node = lab.node('store', subnet='one', number=20, blocks=[], workload=False)
        self.url = f'http://{self.node.address()}:2379'
        self.start()

    def start(self):
        with open(self.node.log_file, 'a') as log:
            self.node.process = self.node.popen(
                'etcd', '--name', 'store', '--data-dir', f'{self.node.directory}/state/etcd',
                '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
                '--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380',
                '--initial-cluster', 'store=http://127.0.0.1:2380', stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: 'is healthy' in self.ctl('endpoint', 'health'), 'etcd is there', 20)

    def stop(self):
        self.node.kill()

    def ctl(self, *words):
        process = self.node.run('env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', self.url, *words)
        return process.stdout + process.stderr

    def pool(self, **fields):
        spec = {'cidr': '10.65.0.0/16', 'blockSize': 26, 'ipipMode': 'Never', 'vxlanMode': 'Never', **fields}
        self.ctl('put', f'{RESOURCES}/ippools/p', json.dumps({**POOL, 'spec': spec}))

    def get(self, prefix):
        """Key -> value, both as text."""
        lines = self.ctl('get', '--prefix', prefix).splitlines()
        return dict(zip(lines[::2], lines[1::2]))

    def spec(self, name):
        return json.loads(self.get(f'{RESOURCES}/nodes/')[f'{RESOURCES}/nodes/{name}'])['spec']

    def block(self, name):
        """The node's block, by its affinity."""
        key, = self.get(f'/calico/ipam/v2/host/{name}/ipv4/block/')
        return ipaddress.ip_network(key.rsplit('/', 1)[1].replace('-', '/'))


def _start(lab, store, names, settings):
    """Nodes with one file for all, in which there is no node, no pool and no block."""
    nodes = [lab.node(name, blocks=[], workload=False) for name in names]
    lab.start(f'{settings} handover {{ quiet 1 s; }}\nsource etcd {{ endpoint "{store.url}"; register yes; }}\n', nodes)
    for node in nodes:
        eventually(lambda: store.block(node.name), f'{node} has a block', 30)
        node.blocks = [store.block(node.name)]
        node.add_workload('w0', node.blocks[0][2])
    return nodes


def five_nodes_that_know_only_the_endpoint_reach_each_other_by_vxlan(lab):
    store = _Store(lab)
    store.pool(vxlanMode='Always')
    nodes = _start(lab, store, 'abcde', 'calico_backend vxlan;')
    lab.everybody_reaches_everybody(family=4, within=30)
    for node in nodes:
        eventually(node.ready, f'{node} is ready', 20)
        spec = store.spec(node.name)
        assert spec['bgp'] == {'ipv4Address': f'{node.address()}/{node.subnet.v4.prefixlen}'}, spec
        assert spec['ipv4VXLANTunnelAddr'] == str(node.blocks[0][0]), spec
        assert node.bird.process() == 0
        assert 'eth0 because' in node.weftctl('show', 'status')
    assert len({str(node.blocks[0]) for node in nodes}) == 5
    a, _, c, *_ = nodes
    with lab.watch() as seen:
        assert a.workload.pings(c.workload, 4)
        eventually(lambda: seen.between(a, c, 'vxlan') == 2, 'both packets in VXLAN', 3)


def a_pool_that_changes_to_ipip_is_served_by_bgp_from_then_on(lab):
    store = _Store(lab)
    store.pool(vxlanMode='Always')
    a, b, c = nodes = _start(lab, store, 'abc', 'calico_backend bird;')
    lab.everybody_reaches_everybody(family=4, within=30)
    store.pool(ipipMode='Always')
    for node in nodes:
        eventually(lambda: 'ipv4IPIPTunnelAddr' in store.spec(node.name)['bgp'], f'{node} has an IPIP address', 20)

    def in_ipip():
        with lab.watch() as seen:
            assert a.workload.pings(c.workload, 4)
            return seen.between(a, c, 'ipip') == 2
    eventually(in_ipip, 'packets go in IPIP', 60)
    lab.everybody_reaches_everybody(family=4, within=30)
    for node in nodes:
        becomes(lambda: 'ipv4VXLANTunnelAddr' in store.spec(node.name), False, f'{node} gives its VXLAN address back', 60)


def what_a_tunnel_address_loses_it_gets_back_and_traffic_goes_on_without_etcd(lab):
    store = _Store(lab)
    store.pool(vxlanMode='Always')
    a, b = _start(lab, store, 'ab', 'calico_backend vxlan;')
    lab.everybody_reaches_everybody(family=4, within=30)
    with lab.traffic() as traffic:
        store.stop()
        lab.pause(2)
        store.start()
        lab.pause(1)
    assert traffic.lost() == {}, traffic.lost()
    address = store.spec('a')['ipv4VXLANTunnelAddr']
    value = json.loads(store.get(f'{RESOURCES}/nodes/')[f'{RESOURCES}/nodes/a'])
    del value['spec']['ipv4VXLANTunnelAddr']
    store.ctl('put', f'{RESOURCES}/nodes/a', json.dumps(value))
    becomes(lambda: store.spec('a').get('ipv4VXLANTunnelAddr'), address, 'the tunnel address is written again', 20)


def a_node_that_is_gone_is_cleaned_up_after(lab):
    store = _Store(lab)
    store.pool(vxlanMode='Always')
    a, b = _start(lab, store, 'ab', 'calico_backend vxlan;')
    lab.everybody_reaches_everybody(family=4, within=30)
    a.weftctl('node', 'remove', 'b')
    eventually(lambda: 'node b lives' in a.weftctl('show', 'events'), 'a node that lives is not removed', 10)
    b.kill()
    store.ctl('del', '--prefix', '/calico/weft/v1/alive/b/')  # its lease would take 90 s to end
    a.weftctl('node', 'remove', 'b')
    eventually(lambda: 'node b is removed' in a.weftctl('show', 'events'), 'it is removed', 10)
    assert [key for key in store.get('/calico/') if '/b/' in key or key.endswith(('/b', '-b'))] == []
    becomes(lambda: [r for r in a.kernel.routes(4, protocol=80) if r['type'] == 'unicast'], [], 'no route to it', 10)
