"""Nodes that read the cluster from a directory of Calico's resources, as it would be in git."""
import os
import shutil

from weftlab.lab import always, becomes, eventually

POOL = '''apiVersion: projectcalico.org/v3
kind: IPPool
metadata:
  name: default-{family}-ippool
spec:
  cidr: {cidr}
  ipipMode: Never
  vxlanMode: {mode}
  natOutgoing: true
  nodeSelector: all()
'''
CONFIG_MAP = '''kind: ConfigMap
apiVersion: v1
metadata:
  name: calico-config
  namespace: kube-system
data:
  calico_backend: "vxlan"
'''
NODE = '''apiVersion: projectcalico.org/v3
kind: Node
metadata:
  name: {name}
spec:
  bgp:
    ipv4Address: {v4}
    ipv6Address: {v6}
'''
BLOCK = '''---
apiVersion: crd.projectcalico.org/v1
kind: BlockAffinity
metadata:
  name: {name}-{number}
spec: {{cidr: {cidr}, deleted: "false", node: {name}, state: confirmed, type: host}}
'''


def _pools(mode):
    return {f'pools/{family}.yaml': POOL.format(family=family, cidr=cidr, mode=mode)
            for family, cidr in (('ipv4', '10.65.0.0/16'), ('ipv6', 'fd00:65::/48'))}


def _manifest(node):
    text = NODE.format(name=node.name, v4=f'{node.address(4)}/{node.subnet.v4.prefixlen}',
                       v6=f'{node.address(6)}/{node.subnet.v6.prefixlen}')
    return text + ''.join(BLOCK.format(name=node.name, number=i, cidr=b) for i, b in enumerate(node.blocks))


def _directory(node):
    return f'{node.directory}/etc/cluster'


def _write(nodes, files):
    """The same files on every node, each replaced by a rename as git does it; None: gone."""
    for node in nodes:
        for name, text in files.items():
            path = f'{_directory(node)}/{name}'
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if text is None:
                os.unlink(path)
                continue
            with open(path + '.new', 'w') as file:
                file.write(text)
            os.rename(path + '.new', path)


def _start(lab, mode='CrossSubnet', more=''):
    nodes = lab.three_nodes()
    files = {'calico-config.yaml': CONFIG_MAP, **_pools(mode), **{f'nodes/{n.name}.yaml': _manifest(n) for n in nodes}}
    _write(nodes, files)
    for node in nodes:
        node.write(f'source directory "{_directory(node)}" {{ {more} }}\n')
        node.start()
    return nodes


def _device(node, destination):
    return [r['dev'] for r in node.kernel.routes(4, dst=destination)]


def nodes_reach_each_other(lab):
    a, b, c = _start(lab)
    lab.everybody_reaches_everybody()
    assert _device(a, '10.65.1.0/26') == ['eth0'] and _device(a, '10.65.2.0/26') == ['vxlan.calico']
    status = a.weftctl('show', 'status')
    assert 'calico_backend vxlan (ConfigMap calico-config (calico-config.yaml:' in ' '.join(status.split()), status
    eventually(a.ready, 'a is ready')


def a_pool_is_edited(lab):
    a, b, c = _start(lab)
    lab.everybody_reaches_everybody()
    _write([a, b, c], _pools('Always'))
    eventually(lambda: _device(a, '10.65.1.0/26') == ['vxlan.calico'], 'a follows the pool', 5)
    lab.everybody_reaches_everybody()


def a_node_is_removed_and_comes_back(lab):
    a, b, c = _start(lab)
    lab.everybody_reaches_everybody()
    _write([a, b], {'nodes/c.yaml': None})
    for node in (a, b):
        becomes(lambda: node.kernel.routes(4, dst='10.65.2.0/26'), [], f'{node} has no route to c', 5)
    lab.everybody_reaches_everybody(pairs=[(a.workload, b.workload)])
    _write([a, b], {'nodes/c.yaml': _manifest(c)})
    lab.everybody_reaches_everybody()


def a_broken_file_changes_nothing_and_is_named(lab):
    a, b, c = _start(lab)
    lab.everybody_reaches_everybody()
    lab.settled()
    before = a.kernel.snapshot()
    _write([a], _pools('Sometimes'))
    eventually(lambda: a.metric('weft_source_invalid_objects') == {'': 2.0}, 'a counts two objects in error', 5)
    status = ' '.join(a.weftctl('show', 'status').split())
    assert 'pools/ipv4.yaml:8: IPPool default-ipv4-ippool: spec.vxlanMode: Unsupported value: "Sometimes"' in status, status
    assert 'its last valid form stays in use' in status, status
    _write([a], {'nodes/b.yaml': 'kind: [\n'})
    eventually(lambda: 'nodes/b.yaml:' in a.weftctl('show', 'status'), 'a names the file that is no YAML', 5)
    assert a.kernel.snapshot() == before
    assert a.ready()
    lab.everybody_reaches_everybody()
    _write([a], {**_pools('Always'), 'nodes/b.yaml': _manifest(b)})
    eventually(lambda: _device(a, '10.65.1.0/26') == ['vxlan.calico'], 'a good file is taken again', 5)


def a_mass_withdrawal_is_held_until_it_is_accepted(lab):
    a, b, c = _start(lab)
    lab.everybody_reaches_everybody()
    _write([a], {'nodes/b.yaml': None, 'nodes/c.yaml': None})
    eventually(lambda: a.metric('weft_source_withheld') == {'': 1.0}, 'a holds it', 5)
    always(lambda: _device(a, '10.65.1.0/26') == ['eth0'], 'the route to b stays', 0.5)
    assert a.ready()
    assert '2 of 3 nodes are gone' in ' '.join(a.weftctl('ready').split())
    a.weftctl('accept', 'source')
    becomes(lambda: a.kernel.routes(4, dst='10.65.1.0/26'), [], 'a follows', 5)


def a_node_starts_without_its_directory(lab):
    a, b, c = _start(lab)
    lab.everybody_reaches_everybody()
    assert a.stop() == 0
    shutil.move(_directory(a), _directory(a) + '.away')
    a.namespace.ip('link del vxlan.calico')
    a.start()
    lab.everybody_reaches_everybody()
    eventually(a.ready, 'a is ready')
    assert 'running on the cluster known since' in ' '.join(a.weftctl('ready').split())
    shutil.move(_directory(a) + '.away', _directory(a))
    becomes(lambda: a.metric('weft_source_synced'), {'': 1.0}, 'a reads the directory again', 10)
