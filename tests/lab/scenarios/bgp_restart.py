"""BIRD and weftd die, stop and come back under traffic, and the other nodes do not notice."""
import contextlib

from weftlab.kernel import Monitor
from weftlab.lab import becomes, eventually

POOL = 'pool 10.65.0.0/16 { ipip cross subnet; }\n'


def _config(lab, nodes=None):
    return lab.config(POOL, nodes, settings='calico_backend bird;', families=(4,))


def _running(lab):
    """Three nodes, all sessions up."""
    nodes = lab.three_nodes()
    lab.start(_config(lab))
    _established(nodes)
    lab.everybody_reaches_everybody(family=4, within=30)
    for node in nodes:
        eventually(node.ready, f'{node} is ready', 30)
    lab.settled()
    return nodes


def _established(nodes, how_many=2):
    for node in nodes:
        eventually(lambda: len(node.bird.established()) == how_many, f'{node} has {how_many} sessions', 40)


def _unnoticed(lab, nodes, what):
    """`what` happens to the first node: no packet is lost and no node's routes change until all is well again."""
    node = nodes[0]
    with contextlib.ExitStack() as stack:
        monitors = {n: stack.enter_context(Monitor(n.namespace, ('route4', 'nexthop'))) for n in nodes}
        traffic = stack.enter_context(lab.traffic())
        lab.pause(0.3)
        what(node)
        _established(nodes)
        eventually(node.ready, f'{node} is ready again', 30)
        eventually(lambda: 'Graceful' not in node.bird.ask('show', 'status'), 'recovery is over', 30)
        lab.pause(6)  # BIRD compares its routes with the kernel's every 5 s
    assert traffic.lost() == {}, traffic.lost()
    for n, monitor in monitors.items():
        assert monitor.events() == [], f'{n}: {monitor.events()}'


def bird_is_killed(lab):
    nodes = _running(lab)
    before = nodes[0].bird.process()

    def kill(node):
        node.bird.kill()
        eventually(lambda: node.bird.process() not in (0, before), 'weftd has started another BIRD')
    _unnoticed(lab, nodes, kill)
    assert nodes[0].metric('weft_bird_restarts_total') == {'': 1.0}


def weftd_is_killed(lab):
    nodes = _running(lab)
    before = nodes[0].bird.process()

    def kill(node):
        node.kill()
        node.start()
    _unnoticed(lab, nodes, kill)
    assert nodes[0].bird.process() == before, 'the same BIRD'


def both_are_killed(lab):
    nodes = _running(lab)

    def kill(node):
        node.kill()
        node.bird.kill()
        lab.pause(0.5)
        node.start()
    _unnoticed(lab, nodes, kill)


def weftd_is_stopped_and_started(lab):
    nodes = _running(lab)
    before = nodes[0].bird.process()
    log = len(nodes[0].log())

    def restart(node):
        assert node.stop() == 0
        lab.pause(0.5)
        node.start()
    _unnoticed(lab, nodes, restart)
    assert nodes[0].bird.process() == before, 'the same BIRD'
    assert 'BIRD started' not in nodes[0].log()[log:]


def only_the_changed_nodes_sessions_change(lab):
    a, b, c = _running(lab)
    unbroken = {node: node.bird.sessions() for node in (a, b)}

    def kept(node, *protocols):
        now = node.bird.sessions()
        return all(now[p] == unbroken[node][p] for p in protocols)
    d = lab.node('d')
    lab.start(_config(lab), [d])
    lab.reload(_config(lab), [a, b, c])
    _established((a, b, c, d), 3)
    assert kept(a, 'Mesh_192_0_2_12', 'Mesh_198_51_100_13') and kept(b, 'Mesh_192_0_2_11', 'Mesh_198_51_100_13')
    lab.reload(_config(lab, [a, b, c]), [a, b, c])
    _established((a, b, c), 2)
    becomes(lambda: sorted(a.bird.sessions()), ['Mesh_192_0_2_12', 'Mesh_198_51_100_13'], 'd is gone')
    c.readdress(33)
    lab.reload(_config(lab, [a, b, c]), [a, b, c])
    _established((a, b, c), 2)
    becomes(lambda: sorted(a.bird.established()), ['Mesh_192_0_2_12', 'Mesh_198_51_100_33'], 'c has its new address')
    assert kept(a, 'Mesh_192_0_2_12') and kept(b, 'Mesh_192_0_2_11')
    pairs = [(x.workload, y.workload) for x in (a, b, c) for y in (a, b, c) if x is not y]
    lab.everybody_reaches_everybody(family=4, within=30, pairs=pairs)


def a_refused_configuration_leaves_the_old_one_running(lab):
    a, b, c = _running(lab)
    a.run('mkdir', '-p', '/run/weft/x')
    bad = _config(lab).replace('calico_backend bird;', 'calico_backend bird; workload interface "x*";')
    with open(f'{a.directory}/run/bird', 'w') as file:
        file.write('#!/bin/sh\n[ "$1" = -p ] && grep -q \'"x\\*"\' "$3" && { echo "bird: $3:9:9 no such thing"; exit 1; }\n'
                   'exec /usr/sbin/bird "$@"\n')
    a.run('chmod', '755', '/run/weft/bird')
    before, sessions = a.bird.process(), a.bird.sessions()
    lab.reload(bad.replace('node "a"', 'protocol bgp { bird "/run/weft/bird"; }\nnode "a"'), [a])
    eventually(lambda: 'no such thing' in a.get('/readiness')[1], "BIRD's words are told")
    assert a.bird.process() == before and a.bird.sessions() == sessions
    lab.everybody_reaches_everybody(family=4)
    lab.reload(_config(lab), [a])
    eventually(a.ready, 'a is ready again')
    assert a.bird.sessions() == sessions
