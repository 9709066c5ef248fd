"""The cluster's resources as people edit them: weftctl apply, get and delete against etcd, and the kernel follows."""
import ipaddress
import json
import subprocess

from weftlab.lab import becomes, eventually

POOL = """\
apiVersion: projectcalico.org/v3
kind: IPPool
metadata:
  name: workloads
spec:
  cidr: 10.65.0.0/16
  vxlanMode: {vxlan}
  ipipMode: {ipip}
"""


class _Store:
    """etcd on a machine of its own in the underlay."""

    def __init__(self, lab):
        self.node = lab.node('store', subnet='one', number=20, blocks=[], workload=False)
        self.url = f'http://{self.node.address()}:2379'
        with open(self.node.log_file, 'a') as log:
            self.node.process = self.node.popen(
                'etcd', '--name', 'store', '--data-dir', f'{self.node.directory}/state/etcd',
                '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
                '--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380',
                '--initial-cluster', 'store=http://127.0.0.1:2380', stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: 'is healthy' in self.ctl('endpoint', 'health'), 'etcd is there', 20)

    def ctl(self, *words):
        process = self.node.run('env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', self.url, *words)
        return process.stdout + process.stderr


def _weftctl(node, *command, check=True):
    """weftctl on this node, with this node's weft.conf."""
    return node.run(node.lab.program('weftctl'), '-c', node.config_file, *command, check=check)


def _apply(node, text):
    file = f'{node.directory}/applied.yaml'
    with open(file, 'w') as out:
        out.write(text)
    return _weftctl(node, 'apply', '-f', file, check=False)


def _block(node):
    """The node's block, by its affinity in etcd; None: it has none yet."""
    keys = node.store.ctl('get', '--prefix', '--keys-only', f'/calico/ipam/v2/host/{node.name}/ipv4/block/').split()
    return ipaddress.ip_network(keys[0].rsplit('/', 1)[1].replace('-', '/')) if keys else None


def a_pool_is_made_changed_and_deleted_with_weftctl_and_the_kernel_follows(lab):
    store = _Store(lab)
    a, b = nodes = [lab.node(name, blocks=[], workload=False) for name in 'ab']
    lab.start(f'calico_backend bird; handover {{ quiet 1 s; }}\nsource etcd {{ endpoint "{store.url}"; register yes; }}\n',
              nodes)
    done = _apply(a, POOL.format(vxlan='Always', ipip='Never'))
    assert done.stdout == "Successfully applied 1 'IPPool' resource(s)\n", done
    for node in nodes:
        node.store = store
        eventually(lambda: _block(node), f'{node} has a block', 30)
        node.blocks = [_block(node)]
        node.add_workload('w0', node.blocks[0][2])
    lab.everybody_reaches_everybody(family=4, within=30)

    wrong = _apply(a, POOL.format(vxlan='Always', ipip='Always'))
    assert wrong.returncode == 1 and 'ipipMode and vxlanMode cannot both be enabled' in wrong.stderr, wrong
    assert wrong.stderr.startswith("Failed to apply 'IPPool' resource: ["), wrong

    assert _apply(a, POOL.format(vxlan='Never', ipip='Always')).returncode == 0

    def in_ipip():
        with lab.watch() as seen:
            return a.workload.pings(b.workload, 4) and seen.between(a, b, 'ipip') == 2
    eventually(in_ipip, 'packets go in IPIP', 60)
    table = _weftctl(b, 'get', 'pools', '-o', 'wide').stdout.split()
    assert table[8:] == ['workloads', '10.65.0.0/16', 'false', 'Always', 'Never', 'false', 'false', 'all()'], table
    shown = json.loads(_weftctl(b, 'get', 'ippool', 'workloads', '-o', 'json').stdout)
    assert shown['spec']['ipipMode'] == 'Always' and shown['metadata']['uid'], shown

    # What was read can be applied again, while nobody has changed it meanwhile.
    old = _weftctl(b, 'get', 'ippool', 'workloads', '-o', 'yaml').stdout
    assert _apply(b, old).returncode == 0
    assert _apply(b, POOL.format(vxlan='Never', ipip='CrossSubnet')).returncode == 0
    assert 'update conflict: IPPool(workloads)' in _apply(b, old).stderr

    # A node's own fields stay when somebody gives it an AS.
    assert _apply(a, 'apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: b}\n'
                     'spec: {bgp: {asNumber: 64512}}\n').returncode == 0
    spec = json.loads(_weftctl(a, 'get', 'node', 'b', '-o', 'json').stdout)['spec']
    assert spec['bgp']['ipv4Address'].startswith(f'{b.address()}/') and 'ipv4IPIPTunnelAddr' in spec['bgp'], spec

    gone = _weftctl(b, 'delete', 'pool', 'workloads')
    assert gone.stdout == "Successfully deleted 1 'IPPool' resource(s)\n", gone
    becomes(lambda: a.kernel.routes(4, dst=str(b.blocks[0])), [], "no route to b's block any more", 30)
    missing = _weftctl(b, 'delete', 'pool', 'workloads', check=False)
    assert missing.returncode == 1 and 'resource does not exist: IPPool(workloads)' in missing.stderr, missing

    # weftctl asks etcd itself, whether weftd is there or not.
    b.stop()
    assert set(_weftctl(b, 'get', 'nodes').stdout.split()) == {'NAME', 'a', 'b'}


def where_the_cluster_is_no_store_weftctl_says_where_to_edit_it(lab):
    a = lab.node('a')
    lab.start('calico_backend vxlan;\npool 10.65.0.0/16 { vxlan always; }\n')
    for command in (['get', 'pools'], ['apply', '-f', '/dev/null'], ['delete', 'node', 'a']):
        refused = _weftctl(a, *command, check=False)
        assert refused.returncode == 1 and "weftctl configure" in refused.stderr, refused
