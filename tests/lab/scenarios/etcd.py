"""Nodes that know nothing but where etcd is: they register, get blocks and tunnel addresses, and reach each other."""
from weftlab.lab import becomes, eventually
from weftlab.store import RESOURCES, Store


def five_nodes_that_know_only_the_endpoint_reach_each_other_by_vxlan_without_bgp_then_by_ipip_over_bgp(lab):
    store = Store(lab)
    store.pool(vxlanMode='Always')
    nodes = a, _, c, *_ = store.serve(lab, 'abcde', 'calico_backend vxlan;')
    for node in nodes:
        eventually(node.ready, f'{node} is ready', 20)
        spec = store.spec(node.name)
        assert spec['bgp'] == {'ipv4Address': f'{node.address()}/{node.subnet.v4.prefixlen}'}, spec
        assert spec['ipv4VXLANTunnelAddr'] == str(node.blocks[0][0]), spec
        assert node.bird.process() == 0
        assert 'eth0 because' in node.weftctl('show', 'status')
    assert len({str(node.blocks[0]) for node in nodes}) == 5
    with lab.watch() as seen:
        assert a.workload.pings(c.workload, 4)
        eventually(lambda: seen.between(a, c, 'vxlan') == 2, 'both packets in VXLAN', 3)

    lab.reload(store.config('calico_backend bird;'), nodes)
    for node in nodes:
        eventually(lambda: len(node.bird.established()) == 4, f'{node} has its sessions', 60)
    with lab.traffic(milliseconds=10) as traffic:
        store.pool(ipipMode='Always')
        for node in nodes:
            eventually(lambda: 'ipv4IPIPTunnelAddr' in store.spec(node.name)['bgp'], f'{node} has an IPIP address', 20)

        def by_ipip():
            return all(len([r for r in node.kernel.routes(4, protocol=12) if r.get('dev') == 'tunl0']) == 4
                       for node in nodes)
        eventually(by_ipip, 'all routes are of BIRD, through tunl0', 60)
    assert traffic.lost() == {}, traffic.lost()

    def in_ipip():  # weftd's routes stand before BIRD's until the nodes have answered
        with lab.watch() as seen:
            return a.workload.pings(c.workload, 4) and seen.between(a, c, 'ipip') == 2
    eventually(in_ipip, 'packets go in IPIP', 60)
    lab.everybody_reaches_everybody(family=4, within=30)
    for node in nodes:
        becomes(lambda: 'ipv4VXLANTunnelAddr' in store.spec(node.name), False, f'{node} gives its VXLAN address back', 60)


def what_a_tunnel_address_loses_it_gets_back_and_traffic_goes_on_without_etcd(lab):
    store = Store(lab)
    store.pool(vxlanMode='Always')
    a, b = store.serve(lab, 'ab', 'calico_backend vxlan;')
    with lab.traffic() as traffic:
        store.stop()
        lab.pause(2)
        store.start()
        lab.pause(1)
    assert traffic.lost() == {}, traffic.lost()
    address = store.spec('a')['ipv4VXLANTunnelAddr']
    value = store.object('a')
    del value['spec']['ipv4VXLANTunnelAddr']
    assert store.put(f'{RESOURCES}/nodes/a', value) is True
    becomes(lambda: store.spec('a').get('ipv4VXLANTunnelAddr'), address, 'the tunnel address is written again', 20)


def a_node_that_is_gone_is_cleaned_up_after(lab):
    store = Store(lab)
    store.pool(vxlanMode='Always')
    a, b = store.serve(lab, 'ab', 'calico_backend vxlan;')
    a.weftctl('node', 'remove', 'b')
    eventually(lambda: 'node b lives' in a.weftctl('show', 'events'), 'a node that lives is not removed', 10)
    b.kill()
    store.delete('/calico/weft/v1/alive/b/')  # its lease would take 90 s to end
    a.weftctl('node', 'remove', 'b')
    eventually(lambda: 'node b is removed' in a.weftctl('show', 'events'), 'it is removed', 10)
    assert [key for key in store.get('/calico/') if '/b/' in key or key.endswith(('/b', '-b'))] == []
    becomes(lambda: [r for r in a.kernel.routes(4, protocol=80) if r['type'] == 'unicast'], [], 'no route to it', 10)


def sessions_that_the_store_replaces_lose_no_packet(lab):
    """Nodes read of it within milliseconds of each other, so their BIRDs replace the sessions at the same time."""
    store = Store(lab)
    store.pool(ipipMode='CrossSubnet')
    nodes = store.serve(lab, 'abc', 'calico_backend bird;')

    def node_c(**bgp):
        value = store.object('c')
        value['spec']['bgp'].update(bgp)
        value['spec']['bgp'] = {key: said for key, said in value['spec']['bgp'].items() if said is not None}
        return {f'{RESOURCES}/nodes/c': value}

    def settings(**spec):
        return {f'{RESOURCES}/bgpconfigurations/default': {
            'kind': 'BGPConfiguration', 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': 'default'},
            'spec': spec}}

    def settled():
        for node in nodes:
            def there():
                assert node.metric('weft_source_revision')[''] >= written
                status, reasons = node.get('/readiness')
                assert status == 200 and 'handover' not in reasons, reasons
                assert len(node.bird.established()) == 2
                return True
            eventually(there, f'{node} is through', 60)

    written = 0
    settled()
    for name, change in (('c becomes a reflector', lambda: node_c(routeReflectorClusterID='1.0.0.1')),
                         ('c is none any more', lambda: node_c(routeReflectorClusterID=None)),
                         ('another AS of c', lambda: node_c(asNumber=64513)),
                         ('the AS back', lambda: node_c(asNumber=None)),
                         ('another AS of all', lambda: settings(asNumber=64999)),
                         ('another port of all', lambda: settings(asNumber=64999, listenPort=1179)),
                         ('both back', settings)):
        with lab.traffic(milliseconds=5) as traffic:
            written = store.put_all(change())
            settled()
            lab.pause(0.2)
        lab.say(f'  {name:25} sent {traffic.sent()}, lost {traffic.lost()}')
        assert traffic.lost() == {}, f'{name}: {traffic.lost()}'
