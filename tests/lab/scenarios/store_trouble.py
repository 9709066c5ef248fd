"""Whatever happens to etcd or on the way to it: traffic goes on, what changed meanwhile arrives, and nobody hammers."""
import json

from weftlab.lab import becomes, eventually
from weftlab.store import Proxy, Store

LONG = 'long'  # `tests/lab/run --argument long=60 store_trouble`: etcd is away for so many seconds


def _status(node):
    return json.loads(node.weftctl('--json', 'show', 'status'))


def _arrives(nodes, block, within=30):
    for node in nodes:
        eventually(lambda: [r for r in node.kernel.routes(4, protocol=80) if r['dst'] == block],
                   f'{node} has a route to {block}', within)


def _goes(nodes, block, within=30):
    for node in nodes:
        becomes(lambda: [r['dst'] for r in node.kernel.routes(4, protocol=80) if r['dst'] == block], [],
                f'{node} has no route to {block} any more', within)


def a_proxy_that_delays_truncates_resets_and_refuses_disturbs_nothing(lab):
    store = Store(lab)
    store.pool(vxlanMode='Always')
    with Proxy(store) as proxy:
        nodes = store.serve(lab, 'ab', 'calico_backend vxlan;', [proxy.url])
        with lab.traffic(milliseconds=5) as traffic:
            for number, (mode, limit) in enumerate((('delay', 0.7), ('truncate', 150), ('reset', 0), ('refuse', 0))):
                proxy.set(mode, limit)
                before = proxy.requests
                block = store.stranger(number)
                if mode == 'delay':
                    _arrives(nodes, block)
                if mode == 'refuse':
                    _goes_and_is_compacted(store, 0)
                lab.pause(3)
                eventually(lambda: mode == 'delay' or proxy.requests > before, 'they try', 15)
                asked = proxy.requests - before
                assert asked <= 60, f'{asked} requests of two nodes in some seconds ({mode})'
                proxy.set('pass')
                _arrives(nodes, block)
        assert traffic.lost() == {}, traffic.lost()
        _goes(nodes, '10.65.200.0/26')
        for node in nodes:
            becomes(lambda: _status(node)['source']['trouble'], '', f'{node} says that all is well', 30)
        before = proxy.requests
        lab.pause(3)
        assert proxy.requests - before <= 10, f'{proxy.requests - before} requests of two idle nodes in 3 s'


def _goes_and_is_compacted(store, number):
    """A node that leaves, in a change that nobody can read any more when the way is open again."""
    store.delete(f'/calico/ipam/v2/host/stranger{number}/')
    store.delete(f'/calico/resources/v3/projectcalico.org/nodes/stranger{number}')
    store.put('/elsewhere', 'x')
    store.compact()


def a_leader_that_moves_or_dies_and_a_lost_quorum_disturb_nothing(lab):
    store = Store(lab, members=3)
    store.pool(vxlanMode='Always')
    nodes = store.serve(lab, 'ab', 'calico_backend vxlan;')
    with lab.traffic(milliseconds=5) as traffic:
        leader = store.leader()
        next_one = store.names[(store.names.index(leader) + 1) % 3]
        member = int(store.status()[next_one]['header']['member_id'])
        assert 'transferred' in store.ctl('move-leader', f'{member:x}', member=leader)
        _arrives(nodes, store.stranger(0))
        store.stop(next_one)
        eventually(lambda: store.put('/elsewhere', 'x') is True, 'there is another leader', 20)
        _arrives(nodes, store.stranger(1))
        third = next(name for name in store.names if name not in (leader, next_one))
        store.stop(third)
        lab.pause(1)
        store.start(third, next_one)
        _arrives(nodes, store.stranger(2))
    assert traffic.lost() == {}, traffic.lost()


def a_store_that_is_full_is_told_and_goes_on_where_it_stopped_once_there_is_room(lab):
    store = Store(lab, options=('--quota-backend-bytes', '1000000'))
    store.pool(vxlanMode='Always')
    nodes = a, b = store.serve(lab, 'ab', 'calico_backend vxlan;')
    block = store.stranger(0)
    _arrives(nodes, block)
    with lab.traffic(milliseconds=5) as traffic:
        eventually(lambda: 'space exceeded' in str(store.put('/elsewhere', 'x' * 900_000)), 'etcd is full', 20)
        assert 'NOSPACE' in store.ctl('alarm', 'list')
        store.delete('/calico/ipam/v2/host/stranger0/')  # that much is allowed
        _goes(nodes, block)
        store.delete('/calico/ipam/v2/handle/vxlan-tunnel-addr-a')
        a.restart()
        eventually(lambda: any('etcdctl alarm list' in trouble for trouble in _status(a)['registration']['troubles']),
                   'a says that etcd is full, and what to do', 30)
        eventually(a.ready, 'a is ready nevertheless', 20)
        store.delete('/elsewhere')
        store.compact()
        store.ctl('defrag')
        store.ctl('alarm', 'disarm')
        eventually(lambda: store.get('/calico/ipam/v2/handle/vxlan-tunnel-addr-a'), 'a has its address again', 40)
        _arrives(nodes, store.stranger(1))
    assert traffic.lost() == {}, traffic.lost()


def etcd_that_is_away_and_comes_back_has_what_changed_meanwhile_followed(lab):
    store = Store(lab)
    store.pool(vxlanMode='Always')
    with Proxy(store) as proxy:
        nodes = store.serve(lab, 'ab', 'calico_backend vxlan;', [proxy.url])
        seconds = float(lab.arguments.get(LONG, 2))
        with lab.traffic(milliseconds=5) as traffic:
            store.stop()
            before = proxy.requests
            lab.pause(seconds)
            asked = proxy.requests - before
            assert 2 <= asked <= 30 + 2 * seconds, f'{asked} requests of two nodes in {seconds} s'
            store.start()
            _arrives(nodes, store.stranger(0), 40)
        assert traffic.lost() == {}, traffic.lost()
