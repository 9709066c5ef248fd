"""The mode switch, every way: what runs under bird, vxlan and none, and what becomes of the packets between them."""
import contextlib
import json
import os

from weftlab.kernel import Monitor
from weftlab.lab import becomes, eventually
from weftlab.liveness import Liveness

BIRD = '12'  # its routing protocol number
VXLAN, IPIP, PLAIN = '10.65.0.0/16', '10.66.0.0/16', '10.67.0.0/16'
POOLS = f'pool {VXLAN} {{ vxlan always; }}\npool {IPIP} {{ ipip always; }}\npool {PLAIN} {{ }}\n'
# What each mode cannot serve.
UNSERVED = {'bird': [], 'vxlan': [IPIP, PLAIN], 'none': [VXLAN, IPIP, PLAIN]}
# Each mode follows each, itself included: nine switches, from the first mode on.
FIRST = 'bird'
ROUND = ('bird', 'vxlan', 'vxlan', 'none', 'none', 'bird', 'none', 'vxlan', 'bird')


def _config(lab, mode, bgp=''):
    backend = f'calico_backend {mode};' if mode else ''
    bgp = f'protocol bgp {{ {bgp} }}' if bgp else ''
    return lab.config(POOLS, settings=f'{backend} {bgp} handover {{ quiet 300 ms; }}', families=(4,))


def _nodes(lab, names):
    return [lab.node(name, blocks=[f'10.{net}.{number}.0/26' for net in (65, 66, 67)])
            for number, name in enumerate(names)]


def _readiness(node):
    status, body = node.get('/readiness')
    return status, json.loads(body)


def _listens(node, port):
    return node.namespace.run('ss', '-Hltn', 'sport', '=', f':{port}').stdout != ''


def _under(node, mode):
    """Waits until the node is as the table of modes has it."""
    becomes(lambda: node.metric('weft_mode_info'), {f'{{backend="{mode}"}}': 1}, f'{node} runs under {mode}')
    if mode == 'bird':
        eventually(lambda: node.bird.process() and len(node.bird.established()) == 1,
                   f'BIRD of {node} has its session', 40)
        assert _listens(node, 179)
    else:
        becomes(node.bird.process, 0, f'BIRD is gone on {node}')
        becomes(lambda: node.kernel.routes(4, protocol=BIRD), [], f'no route of BIRD is left on {node}')
        assert not _listens(node, 179), f'{node} listens on port 179'
        assert not os.path.exists(f'{node.directory}/state/bird.conf')
        assert node.metric('weft_bird_up') == {'': 0}
    wanted = ['vxlan.calico'] if mode != 'none' else []
    becomes(lambda: node.kernel.devices('vxlan'), wanted, f'the VXLAN devices of {node}')
    becomes(lambda: len(node.kernel.routes(4, protocol=80, dev='vxlan.calico')), len(wanted),
            f'the VXLAN routes of {node}')
    eventually(node.ready, f'{node} is ready under {mode}', 40)
    assert not any(r['object'].startswith(('bird', 'bgp')) for r in _readiness(node)[1]['reasons'] if mode != 'bird')


def _names_what_it_cannot_serve(node, mode, log):
    unserved = UNSERVED[mode]
    served = {f'{{pool="{pool}"}}': float(pool not in unserved) for pool in (VXLAN, IPIP, PLAIN)}
    assert node.metric('weft_pool_served') == served, node.metric('weft_pool_served')
    status = node.weftctl('show', 'status')
    for pool in (VXLAN, IPIP, PLAIN):
        told = f'(warning) pool {pool}: calico_backend {mode}'
        assert (told in status) == (pool in unserved), status
        if pool in unserved:
            assert f' warning pool {pool}: calico_backend {mode}' in log, log


def nine_switches_lose_no_packet_of_a_vxlan_pool_that_both_modes_serve(lab):
    nodes = _nodes(lab, 'ac')
    lab.start(_config(lab, FIRST))
    for node in nodes:
        _under(node, FIRST)
    before = FIRST
    with Liveness(nodes) as liveness:
        for mode in ROUND:
            if before != 'none':
                lab.everybody_reaches_everybody(family=4)
            lab.settled(quiet=0.2)
            birds = [node.bird.process() for node in nodes]
            logs = {node: len(node.log()) for node in nodes}
            with contextlib.ExitStack() as stack:
                monitors = {node: stack.enter_context(Monitor(node.namespace)) for node in nodes}
                traffic = stack.enter_context(lab.traffic(milliseconds=4))
                lab.pause(0.2)
                lab.reload(_config(lab, mode))
                for node in nodes:
                    _under(node, mode)
                    if mode != before:
                        _names_what_it_cannot_serve(node, mode, node.log()[logs[node]:])
                if mode != 'none':
                    lab.everybody_reaches_everybody(family=4)
                lab.pause(0.2)
            _judge(before, mode, traffic, lab)
            if mode == before:
                assert [m.events() for m in monitors.values()] == [[], []], 'nothing happens in the kernel'
                assert [node.bird.process() for node in nodes] == birds, 'the same BIRD'
            before = mode
    liveness.verify()


def _judge(before, mode, traffic, lab):
    """`none` programs nothing: packets stop there once, and come back once; without it, none is lost."""
    lost = traffic.lost()
    lab.say(f'  {before:5} -> {mode:5} sent {traffic.sent():5}, lost {sum(lost.values()):5}')
    if 'none' not in (before, mode):
        assert lost == {}, lost
        return
    for (one, other), stream in traffic.streams.items():
        if before == mode:
            assert stream.received == 0
            continue
        assert len(stream.ranges) == 1, f'{before} -> {mode}, {one} -> {other}: {stream.ranges}'
        first, last = stream.ranges[0]
        assert first == 0 if before == 'none' else last == stream.sent - 1, stream.ranges


def the_mode_comes_from_the_environment_and_the_file_wins(lab):
    a, b = nodes = _nodes(lab, 'ab')
    for node in nodes:
        node.environment = {'CALICO_NETWORKING_BACKEND': 'vxlan'}

    def told(node):
        return node.weftctl('show', 'status').splitlines()[1]
    lab.start(_config(lab, ''))
    for node in nodes:
        _under(node, 'vxlan')
        assert told(node) == f'Node {node}, calico_backend vxlan (environment CALICO_NETWORKING_BACKEND)', told(node)
    lab.everybody_reaches_everybody(family=4)
    lab.reload(_config(lab, 'bird'))
    for node in nodes:
        _under(node, 'bird')
        assert told(node) == f'Node {node}, calico_backend bird ({node.config_file}:1)', told(node)
    lab.reload(_config(lab, ''))
    for node in nodes:
        _under(node, 'vxlan')
