"""The cluster's resources as people edit them: weftctl apply, get and delete against etcd, and the kernel follows."""
import json

from weftlab.lab import becomes, eventually
from weftlab.store import Store

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


def _weftctl(node, *command, check=True):
    """weftctl on this node, with this node's weft.conf."""
    return node.run(node.lab.program('weftctl'), '-c', node.config_file, *command, check=check)


def _apply(node, text):
    file = f'{node.directory}/applied.yaml'
    with open(file, 'w') as out:
        out.write(text)
    return _weftctl(node, 'apply', '-f', file, check=False)


def a_pool_is_made_changed_and_deleted_with_weftctl_and_the_kernel_follows(lab):
    # The guard against mass withdrawal takes the only pool's end for one, and would hold it for five minutes.
    store = Store(lab, source='hold 2 s;')
    a, b = nodes = [lab.node(name, blocks=[], workload=False) for name in 'ab']
    lab.start(store.config('calico_backend bird;'), nodes)
    done = _apply(a, POOL.format(vxlan='Always', ipip='Never'))
    assert done.stdout == "Successfully applied 1 'IPPool' resource(s)\n", done
    store.populate(lab, nodes)

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
