"""Where chaos' nodes have their cluster from: a file each, a directory of Calico's resources each, or etcd for all.

Each has `render(chaos, node, shape)`, which brings a node that configuration and tells its weftd, if it runs,
`started(chaos)`, once all nodes run, and `has_read(node)`: whether the node follows the last of what was rendered."""
import contextlib
import os

from .lab import eventually
from .store import Proxy, Store

# Times are short, so that a run sees many changes; what does not answer is waited for longer than any step lasts.
HANDOVER = 'handover { prove 120 s; quiet 1 s; at most 20 s; }'
CLUSTER_ID = '1.0.0.1'
CIDRS = {4: '10.65.0.0/16', 6: 'fd00:65::/48'}


def _log(chaos):
    return 'log stderr all; ' if 'log' in chaos.lab.arguments else ''


def _settings(chaos, shape):
    mtu = f'mtu {shape.mtu}; ' if shape.mtu else ''
    return f'{_log(chaos)}{HANDOVER}\nprotocol vxlan {{ id {shape.vni}; port {shape.port}; {mtu}}}\n'


def _calico_modes(mode):
    """(ipipMode, vxlanMode) of a pool whose mode weft.conf calls so."""
    kind, _, place = mode.partition(' ')
    word = {'always': 'Always', 'cross subnet': 'CrossSubnet', '': 'Never'}[place]
    return word if kind == 'ipip' else 'Never', word if kind == 'vxlan' else 'Never'


def _with_length(node, family):
    return f'{node.address(family)}/{(node.subnet.v4 if family == 4 else node.subnet.v6).prefixlen}'


class _Told:
    """A node follows what it is told at once, and knows all about itself."""

    def started(self, chaos):
        pass

    def has_read(self, node):
        return True


class File(_Told):
    def render(self, chaos, node, shape):
        pools = ''.join(f'pool {CIDRS[family]} {{ {"" if mode == "never" else mode + ";"} }}\n'
                        for family, mode in shape.modes())
        text = chaos.lab.config(pools, settings=f'calico_backend {shape.backend}; {_settings(chaos, shape)}')
        node.write(text.replace(f'node "{shape.reflector}" {{ ',
                                f'node "{shape.reflector}" {{ route reflector cluster id {CLUSTER_ID}; '))
        if node.process:
            node.reload()


class Directory(_Told):
    def render(self, chaos, node, shape):
        """Pools and calico_backend in one file, replaced at once: each half of such a change is another cluster."""
        for other in chaos.nodes:
            replace(f'{self.of(node)}/nodes/{other.name}.yaml', self.manifest(other, shape))
        replace(f'{self.of(node)}/cluster.yaml', '---\n'.join((
            *(_pool_manifest(family, mode) for family, mode in shape.modes()),
            f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: calico-config, namespace: kube-system}}\n'
            f'data: {{calico_backend: {shape.backend}}}\n')))
        node.write(f'source directory "{self.of(node)}" {{ }}\n{_settings(chaos, shape)}')
        if node.process:
            node.reload()

    @staticmethod
    def of(node):
        return f'{node.directory}/etc/cluster'

    @staticmethod
    def manifest(node, shape):
        text = (f'apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {node.name}}}\nspec:\n  bgp:\n'
                f'    ipv4Address: {_with_length(node, 4)}\n    ipv6Address: {_with_length(node, 6)}\n')
        if node.name == shape.reflector:
            text += f'    routeReflectorClusterID: {CLUSTER_ID}\n'
        for number, block in enumerate(node.blocks):
            text += (f'---\napiVersion: crd.projectcalico.org/v1\nkind: BlockAffinity\n'
                     f'metadata: {{name: {node.name}-{number}}}\nspec: {{cidr: "{block}", deleted: "false", node: {node.name}, state: confirmed, type: host}}\n')
        return text


def replace(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + '.new', 'w') as file:
        file.write(text)
    os.rename(path + '.new', path)


def _pool_manifest(family, mode):
    ipip, vxlan = _calico_modes(mode)
    return (f'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {{name: pool{family}}}\nspec:\n'
            f'  cidr: {CIDRS[family]}\n  ipipMode: {ipip}\n  vxlanMode: {vxlan}\n')


class Etcd(contextlib.ExitStack):
    """All nodes hear of a change at once, unless the proxy that each has for itself is in the way. calico_backend, which
    Calico keeps elsewhere, stays. The nodes, their blocks and their tunnel addresses are in the store before they
    start, or (`register`) they register themselves and get them."""

    def __init__(self, lab, register=False):
        super().__init__()
        self.store = Store(lab)
        self.register = register
        self.proxies = {}
        self._written, self._shape = 0, None

    def render(self, chaos, node, shape):
        if shape != self._shape:
            self._written = self.store.put_all(self._objects(chaos, shape))
            self._shape = shape
        if node not in self.proxies:
            self.proxies[node] = self.enter_context(Proxy(self.store, 2378 - len(self.proxies)))
            register = 'register yes; address interface "eth0";' if self.register else 'register no;'
            node.write(f'{_log(chaos)}calico_backend {shape.backend}; {HANDOVER}\n'
                       f'source etcd {{ endpoint "{self.proxies[node].url}"; {register} }}\n')

    def started(self, chaos):
        if not self.register:
            return
        for node in chaos.nodes:
            for family in CIDRS:
                eventually(lambda: self.store.block(node.name, family), f'{node} has an IPv{family} block', 30)
            node.blocks = [self.store.block(node.name, family) for family in CIDRS]
            node.add_workload('w0', *(block[40] for block in node.blocks))  # no tunnel address will ever be that one
            chaos.note_foreign(node)

    def has_read(self, node):
        return node.metric('weft_source_revision')[''] >= self._written

    def _objects(self, chaos, shape):
        """Key -> object, all that there is to say."""
        objects = {}

        def say(kind, plural, name, spec):
            objects[f'/calico/resources/v3/projectcalico.org/{plural}/{name}'] = {
                'kind': kind, 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': name}, 'spec': spec}
        for family, mode in shape.modes():
            ipip, vxlan = _calico_modes(mode)
            say('IPPool', 'ippools', f'pool{family}', {
                'cidr': CIDRS[family], 'blockSize': {4: 26, 6: 122}[family], 'ipipMode': ipip, 'vxlanMode': vxlan})
        say('FelixConfiguration', 'felixconfigurations', 'default', {
            'vxlanVNI': shape.vni, 'vxlanPort': shape.port, 'vxlanMTU': shape.mtu, 'vxlanMTUV6': shape.mtu})
        for node in () if self.register else chaos.nodes:
            reflector = {'routeReflectorClusterID': CLUSTER_ID} if node.name == shape.reflector else {}
            tunnel = {block.version: str(block[0]) for block in node.blocks}
            say('Node', 'nodes', node.name, {
                'bgp': {'ipv4Address': _with_length(node, 4), 'ipv6Address': _with_length(node, 6),
                        'ipv4IPIPTunnelAddr': tunnel[4], **reflector},
                'ipv4VXLANTunnelAddr': tunnel[4], 'ipv6VXLANTunnelAddr': tunnel[6]})
            for block in node.blocks:
                key = f'/calico/ipam/v2/host/{node.name}/ipv{block.version}/block/{str(block).replace("/", "-")}'
                objects[key] = {'state': 'confirmed', 'deleted': False}
        return objects
