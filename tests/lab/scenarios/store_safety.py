"""What may not cost a packet when etcd and those who look after it change things: certificates, tokens, backups, settings
of the cluster, nodes that want the same; and addresses that nodes lend each other."""
import json

from weftlab.lab import always, becomes, eventually
from weftlab.store import RESOURCES, Proxy, Store

FULL = 'full'  # `tests/lab/run --argument full=1 store_safety`: a client's certificate that has expired, too


def _reasons(node):
    """What `weftctl show status` tells too; a program costs time here."""
    reasons = json.loads(node.get('/readiness')[1])['reasons']
    told = [f'{reason["object"]}: {reason["text"]}' for reason in reasons]
    return '\n'.join(text for text in told if 'is renamed when that costs no packet' not in text)  # kernels before 6.2


def _shown(node, what):
    """`weftctl show WHAT`, its lines joined."""
    return ' '.join(node.weftctl('show', what).split())


def _told(nodes, *words, within=20):
    for node in nodes:
        def told():
            reasons = _reasons(node)
            assert all(word in reasons for word in words), reasons
            return True
        eventually(told, f'{node} tells {words}', within)


def _well(nodes, within=30):
    for node in nodes:
        becomes(lambda: _reasons(node), '', f'{node} has nothing to tell', within)


def _destinations(node):
    return {route['dst'] for route in node.kernel.routes(4, protocol=80) if route['type'] == 'unicast'}


def _arrive(nodes, *blocks, within=30):
    for node in nodes:
        eventually(lambda: set(blocks) <= _destinations(node), f'{node} has routes to {blocks}', within)


def certificates_and_tokens_that_end_or_are_replaced_disturb_nothing(lab):
    store = Store(lab, tls=True, source='user "node"; password "pw";',
                  options=('--auth-token-ttl', '1', '--bcrypt-cost', '4'))
    store.ask_for_passwords('node', 'pw')
    store.pool(vxlanMode='Always')
    certificates = store.certificates
    with Proxy(store) as proxy:
        nodes = store.serve(lab, 'ab', 'calico_backend vxlan;', [proxy.url])
        number = iter(range(50))

        def change_arrives():
            """Over connections that are made after this, with a token that has ended."""
            proxy.set('refuse')
            lab.pause(0.1)
            proxy.set('pass')
            _arrive(nodes, store.stranger(next(number)))

        def is_told(*words):
            proxy.set('refuse')
            lab.pause(0.1)
            proxy.set('pass')
            block, before = store.stranger(next(number)), proxy.connections
            _told(nodes, *words)
            lab.pause(1)
            made = proxy.connections - before
            assert made <= 40, f'{made} connections of two nodes in some seconds'
            return block

        with lab.traffic(milliseconds=5) as traffic:
            certificates.install('etcd', 'server1-renewed')
            change_arrives()
            # The order in which a CA is replaced: trusted first, then used, then the old one is not trusted any more.
            certificates.install('node', ca=(1, 2))
            certificates.install('etcd', ca=(1, 2))
            certificates.install('node', 'client2')
            certificates.install('etcd', 'server2')
            store.operator = 'client2'
            store.stop()
            store.start()
            change_arrives()
            certificates.install('node', ca=(2,))
            change_arrives()

            certificates.install('etcd', 'server2-expired')
            block = is_told('its certificate has expired on 2020-01-02', 'renew it')
            assert 'its certificate has expired' in _shown(nodes[0], 'status')
            certificates.install('etcd', 'server2')
            _arrive(nodes, block)
            if FULL in lab.arguments:  # they try again ever more rarely
                certificates.install('node', 'client2-expired')
                block = is_told(f'this node\'s certificate {certificates.file("node.pem")} has expired on 2020-01-02')
                certificates.install('node', 'client2')
                _arrive(nodes, block)
            _well(nodes)
        assert traffic.lost() == {}, traffic.lost()


def an_old_backup_an_empty_store_and_a_mass_deletion_are_held(lab):
    store = Store(lab, source='hold 60 s;')
    store.pool(vxlanMode='Always')
    for number in range(3):
        store.stranger(number)
    nodes = a, b = store.serve(lab, 'ab', 'calico_backend vxlan;')
    _well(nodes)
    with lab.traffic(milliseconds=5) as traffic:
        store.save('/tmp/backup')
        blocks = [store.stranger(number) for number in range(3, 6)]
        _arrive(nodes, *blocks)
        everything = [_destinations(node) for node in nodes]

        store.restore('/tmp/backup')
        written = store.revisions('/calico/')
        _told(nodes, '3 of 8 nodes are gone', 'as if restored from a backup', 'weftctl accept source')
        assert all(node.ready() for node in nodes) and '3 of 8 nodes are gone' in _shown(a, 'status')
        always(lambda: [_destinations(node) for node in nodes] == everything and store.revisions('/calico/') == written,
               'routes stay, and nobody writes')
        for node in nodes:
            node.weftctl('accept', 'source')
            eventually(lambda: not set(blocks) & _destinations(node), f'{node} follows the backup', 5)

        # Most nodes at once; and they are there again.
        keys = store.get(f'{RESOURCES}/nodes/stranger')
        store.delete(f'{RESOURCES}/nodes/stranger')
        everything = [_destinations(node) for node in nodes]
        _told(nodes, '3 of 5 nodes are gone')
        assert [_destinations(node) for node in nodes] == everything
        for key, value in keys.items():
            store.put(key, value)
        _well(nodes, 5)
        for node in nodes:
            eventually(lambda: 'Cluster: 5 nodes' in _shown(node, 'status'), f'{node} has them again', 5)

        store.source = 'hold 8 s;'
        lab.reload(store.config('calico_backend vxlan;'), nodes)
        for node in nodes:
            eventually(lambda: 'weft.conf is running' in node.log() and node.ready(), f'{node} has read it', 10)
        _well(nodes)
        store.stop(data=False)
        store.start()
        _told(nodes, '5 of 5 nodes are gone')
        a.restart()  # has it from the disk now
        _told([a], '5 of 5 nodes are gone')
        assert [_destinations(node) for node in nodes] == everything
        assert store.get('/calico/') == {}, store.get('/calico/')
    assert traffic.lost() == {}, traffic.lost()
    for node in nodes:
        becomes(lambda: _destinations(node), set(), f'{node} follows at the end of the time', 15)
        eventually(lambda: store.get(f'{RESOURCES}/nodes/{node}'), f'{node} registers anew', 10)


def _lend(store, lender, borrower, address):
    """An address of `lender`'s block for a workload of `borrower`'s, as Calico's IPAM writes it; None: free again."""
    block, = (b for b in lender.blocks if b.version == 4)
    key = f'/calico/ipam/v2/assignment/ipv4/block/{str(block).replace("/", "-")}'
    value = json.loads(store.get(key)[key])
    ordinal = int(address) - int(block.network_address)
    if borrower:
        value['allocations'][ordinal] = len(value['attributes'])
        value['attributes'].append({'handle_id': 'k8s-pod-network.lent',
                                    'secondary': {'node': borrower.name, 'namespace': 'default', 'pod': 'guest'}})
        value['unallocated'].remove(ordinal)
    else:
        value['allocations'][ordinal] = None
        value['attributes'].pop()
        value['unallocated'].append(ordinal)
    assert store.put(key, value) is True


def what_the_store_says_anew_about_addresses_ports_and_names_is_followed_under_traffic(lab):
    store = Store(lab)
    store.pool(vxlanMode='Always')
    nodes = a, b, c = store.serve(lab, 'abc', 'calico_backend vxlan;')
    _well(nodes)

    def felix(**spec):
        assert store.put(f'{RESOURCES}/felixconfigurations/default', {
            'kind': 'FelixConfiguration', 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': 'default'},
            'spec': spec}) is True

    def is_ready(ready):
        assert store.put(f'{RESOURCES}/clusterinformations/default', {
            'kind': 'ClusterInformation', 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': 'default'},
            'spec': {'datastoreReady': ready}}) is True

    def devices(**wanted):
        for node in nodes:
            def there():
                name, = node.kernel.devices('vxlan')  # the one before it is gone
                link = node.kernel.link(name)
                data = link['linkinfo']['info_data']
                assert wanted.items() <= {'port': data['port'], 'vni': data['id'], 'mtu': link['mtu']}.items(), link
                return True
            eventually(there, f'the device of {node} is {wanted}', 30)
        _well(nodes)

    with lab.traffic(milliseconds=5) as traffic:
        is_ready(False)
        _told(nodes, 'datastoreReady')
        block = store.stranger(0)
        lab.pause(0.5)
        assert not any(block in _destinations(node) for node in nodes)
        is_ready(True)
        _arrive(nodes, block)
        store.delete(f'{RESOURCES}/nodes/stranger0')  # nobody is there who could answer through another device
        _well(nodes)
        felix(vxlanVNI=77)
        devices(vni=77)
        felix(vxlanVNI=77, vxlanPort=8472)
        devices(vni=77, port=8472)
        felix(vxlanVNI=77, vxlanPort=8472, vxlanMTU=1400)
        devices(mtu=1400)
        felix()
        devices(vni=4096, port=4789)
    assert traffic.lost() == {}, traffic.lost()

    _two_with_one_name(lab, store, a, b)
    _one_address(lab, store, a, b)
    _one_tunnel_address(store, a, b, c)
    _borrowed(lab, store, nodes, lambda node, to: to in _destinations(node))
    if lab.here:
        return  # this kernel has no ipip
    lab.reload(store.config('calico_backend bird;'), nodes)
    store.pool(ipipMode='Always')

    def by_bird(node, to):
        return [route for route in node.kernel.routes(4, dst=to, protocol=12) if route.get('dev') == 'tunl0']
    for node in nodes:
        for other in nodes:
            if other is not node:
                eventually(lambda: by_bird(node, str(other.blocks[0])), f'{node} reaches {other} by IPIP', 60)
    _borrowed(lab, store, nodes, by_bird)


def _borrowed(lab, store, nodes, has):
    """An address of a's block for a workload of c's."""
    a, b, c = nodes
    address = a.blocks[0][40]
    _lend(store, a, c, address)
    guest = c.add_workload('guest', address)
    for node in (a, b):
        eventually(lambda: has(node, str(address)) or has(node, f'{address}/32'), f'{node} has a route to it', 30)
    for node in (a, b):
        eventually(lambda: node.workload.pings(guest, 4), f'{node} reaches it', 15)
    _lend(store, a, None, address)
    c.workloads.pop('guest').remove()
    for node in (a, b):
        eventually(lambda: not node.kernel.routes(4, dst=str(address)), f'{node} has no route to it any more', 30)


def _two_with_one_name(lab, store, a, b):
    """Another machine says that it is a."""
    other = lab.node('other', subnet='one', number=40, blocks=[], workload=False)
    lab.start('hostname "a"; ' + store.config('calico_backend vxlan;'), [other])
    before = store.spec('a')
    _told([other], f'another weftd runs as node a, at {a.address()}/24', "give one of them another 'hostname'")
    store.pool(vxlanMode='Always', natOutgoing=True)  # the first one looks when something changes, or within a minute
    _told([a], f'another weftd runs as node a, at {other.address()}/24')
    assert 'another weftd runs as node a' in _shown(a, 'status')
    assert store.spec('a') == before, store.spec('a')
    other.kill()
    key, = (key for key, value in store.get('/calico/weft/v1/alive/a/').items() if str(other.address()) in value)
    store.delete(key)  # its lease would take 90 s to end
    store.pool(vxlanMode='Always')
    lab.nodes.pop('other').remove()
    _well([a], 20)


def _one_address(lab, store, a, b):
    """b finds an address of its own that is a's."""
    b.namespace.ip(f'link add twin type veth peer name other\nlink set twin up\nlink set other up\naddress add {a.address()}/32 dev twin')
    b.write(store.config('calico_backend vxlan;').replace('register yes;', 'register yes; address interface "twin";'))
    b.reload()
    _told([b], f"{a.address()} is node a's address in the store, so this node does not register it")
    eventually(lambda: store.get('/calico/weft/v1/contender/'), 'b says so in the store', 20)
    store.pool(vxlanMode='Always', natOutgoing=True)
    _told([a], f"node b has this node's address {a.address()} too")
    assert store.spec('a')['bgp']['ipv4Address'].startswith(f'{a.address()}/')
    b.namespace.ip('link delete twin')
    b.write(store.config('calico_backend vxlan;'))
    b.reload()
    _well([b], 20)
    store.pool(vxlanMode='Always')
    _well([a], 20)


def _one_tunnel_address(store, a, b, c):
    """A hand gives a's tunnel address to c, which does not look after its own entry at that time."""
    c.write(store.config('calico_backend vxlan;').replace('register yes;', 'register no;'))
    c.reload()
    eventually(lambda: 'Registration' not in c.weftctl('show', 'status'), 'c does not register', 10)
    value = store.object('c')
    mine, value['spec']['ipv4VXLANTunnelAddr'] = value['spec']['ipv4VXLANTunnelAddr'], store.spec('a')['ipv4VXLANTunnelAddr']
    store.put(f'{RESOURCES}/nodes/c', value)
    _told([a], "node c has this node's VXLAN tunnel address")
    _told([c], "node a has this node's VXLAN tunnel address")
    for node in (a, c):
        assert "has this node's VXLAN tunnel address" in node.weftctl('show', 'nodes')
    c.write(store.config('calico_backend vxlan;'))
    c.reload()
    becomes(lambda: store.spec('c')['ipv4VXLANTunnelAddr'], mine, 'c has its own again', 20)
    _well([a, c], 20)
