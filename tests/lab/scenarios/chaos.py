"""All that can happen to a cluster, in an order that a seed decides, under continuous traffic (weftlab/chaos.py).

A seed for each source of the cluster runs with every test, picked because its first steps have something of
everything. By hand, more steps and other seeds:

    tests/lab/run chaos -k file --argument seed=17 --argument steps=40 --deadline 3600
    tests/lab/run chaos -k directory --argument seed=17 --argument steps=40 --deadline 3600
    tests/lab/run chaos -k etcd --argument seed=17 --argument steps=40 --deadline 3600
    tests/lab/run chaos -k register --argument seed=17 --argument steps=40 --deadline 3600
    ... --argument nodes=abcde --argument milliseconds=2
    ... --argument faults=drift,kill      only faults whose names contain one of these
    ... --argument only=3,7               only these steps of the seed
    ... --argument log=500                so many lines of each weftd's log, at level debug, when it fails
    tests/lab/run chaos -k killed --argument kills=200 --deadline 3600
"""
import os
import random
import time

from weftlab.chaos import Chaos, Shape
from weftlab.cluster_source import Directory, Etcd, File
from weftlab.faults import DIRECTORY_FAULTS, ETCD_FAULTS, FAULTS
from weftlab.kernel import numberless
from weftlab.lab import Failure

FOREIGN = '''
    link add foreign0 type vxlan id 99 dstport 8473 local {address} dev eth0 nolearning
    addr add 172.31.0.1/24 dev foreign0
    link set foreign0 up
    route add 203.0.113.0/24 via {gateway} proto static
    route add 10.66.0.0/16 via 172.31.0.9 dev foreign0 onlink
    route add 10.65.200.0/26 via 172.31.0.9 dev foreign0 proto static
    nexthop add id 8 via 172.31.0.9 dev foreign0 onlink proto static
    route add 203.0.113.128/25 nhid 8
    neigh add 172.31.0.9 lladdr 02:00:00:00:00:09 dev foreign0 nud permanent
'''


def _run(lab, name, source, faults, seed, steps, fixed=None, **node_options):
    nodes = [lab.node(node, **node_options) for node in lab.arguments.get('nodes', 'abc')]
    for node in nodes:
        node.namespace.ip(FOREIGN.format(address=node.address(), gateway=node.subnet.router(4)))
    wanted = lab.arguments.get('faults', '').split(',')
    faults = [fault for fault in faults if any(part in fault.__name__ for part in wanted)]
    only = [int(number) for number in lab.arguments.get('only', '').split(',') if number]
    chaos = Chaos(lab, int(lab.arguments.get('seed', seed)), source, name, nodes, fixed)
    chaos.run(int(lab.arguments.get('steps', steps)), faults, only)


def nodes_with_a_file(lab):
    _run(lab, 'nodes_with_a_file', File(), FAULTS, seed=2710, steps=5)


def nodes_with_a_directory(lab):
    _run(lab, 'nodes_with_a_directory', Directory(), DIRECTORY_FAULTS, seed=557, steps=5)


def nodes_with_etcd(lab):
    with Etcd(lab) as etcd:
        _run(lab, 'nodes_with_etcd', etcd, ETCD_FAULTS, seed=6641, steps=2, fixed={'backend': 'bird'})


def nodes_that_register(lab):
    with Etcd(lab, register=True) as etcd:
        _run(lab, 'nodes_that_register', etcd, ETCD_FAULTS, seed=3, steps=2,
             fixed={'backend': 'bird', 'reflector': ''}, blocks=[], workload=False)


def a_weftd_killed_at_any_moment_finds_its_way(lab):
    """kill -9 in the middle of a reload, or of a start: the next start comes to the state of one that was left alone,
    no packet is lost, no file is left over."""
    for name in 'abc':
        lab.node(name)
    kills, seed = int(lab.arguments.get('kills', 8)), lab.arguments.get('seed', '1')
    rng = random.Random(f'{seed}/kills')
    shapes = [Shape('vxlan always', 'vxlan always'), Shape('vxlan cross subnet', 'vxlan cross subnet'),
              Shape('ipip cross subnet', 'vxlan always')]
    chaos = Chaos(lab, seed, File(), 'a_weftd_killed_at_any_moment_finds_its_way')
    chaos.start()
    a, *others = chaos.nodes
    with lab.traffic(family=(4, 6), milliseconds=float(lab.arguments.get('milliseconds', 10))) as traffic:
        chaos.traffic = traffic
        undisturbed = {}
        for shape in reversed(shapes):  # IPIP first: tunl0, once up, stays up
            chaos.reshape(shape, chaos.nodes, lambda: 0)
            chaos.settle()
            undisturbed[shape] = numberless(a.kernel.snapshot())
        files = _files(a)
        chaos.expect_no_loss('undisturbed')
        restarts = []
        for number in range(kills):
            when = rng.choice(('reload', 'start'))
            after = rng.uniform(0, 0.3) if rng.random() < 0.7 else rng.uniform(0, 2)
            if when == 'reload':
                chaos.reshape(rng.choice(shapes), [*others, a], lambda: 0)
            else:
                a.kill()
                a.start()
            lab.pause(after)
            a.kill()
            a.start()
            began = time.monotonic()
            chaos.settle()
            restarts.append(time.monotonic() - began)
            story = f'seed {seed}, kill {number}: {after * 1000:.0f} ms after a {when}, {chaos.shape}'
            chaos.expect_no_loss(story)
            differs = set(numberless(a.kernel.snapshot())) ^ set(undisturbed[chaos.shape])
            if differs:
                raise Failure(f'{story}: not the state of one that was left alone: {differs}')
            if _files(a) != files:
                raise Failure(f'{story}: files: {_files(a) ^ files}')
    lab.say(f'  {kills} kills; settled again after {sum(restarts) / kills:.1f} s, at most {max(restarts):.1f} s; '
            f'{traffic.sent()} packets, none lost')


def _files(node):
    return {os.path.join(place, name) for place, _, names in os.walk(node.directory) for name in names}
