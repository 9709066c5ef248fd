"""All that can happen to a cluster, in an order that a seed decides, under continuous traffic (weftlab/chaos.py).

Two seeds run with every test, picked because their first steps have something of everything. By hand, more steps and
other seeds:

    tests/lab/run chaos -k file --argument seed=17 --argument steps=40 --deadline 3600
    tests/lab/run chaos -k directory --argument seed=17 --argument steps=40 --deadline 3600
    ... --argument nodes=abcde --argument milliseconds=2
    ... --argument faults=drift,kill      only faults whose names contain one of these
    ... --argument only=3,7               only these steps of the seed
    ... --argument log=500                so many lines of each weftd's log, at level debug, when it fails
    tests/lab/run chaos -k killed --argument kills=200 --deadline 3600
"""
import os
import random
import shutil
import time

from weftlab.chaos import Chaos, Shape
from weftlab.kernel import numberless
from weftlab.lab import Failure, eventually

# Times are short, so that a run sees many changes; what does not answer is waited for longer than any step lasts.
HANDOVER = 'handover { prove 120 s; quiet 1 s; at most 20 s; }'

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


# -- the configuration, as one file and as a directory of Calico's resources

def _settings(chaos, shape):
    mtu = f'mtu {shape.mtu}; ' if shape.mtu else ''
    log = 'log stderr all; ' if 'log' in chaos.lab.arguments else ''
    return f'{log}{HANDOVER}\nprotocol vxlan {{ id {shape.vni}; port {shape.port}; {mtu}}}\n'


def _pool(cidr, mode):
    return f'pool {cidr} {{ {"" if mode == "never" else mode + ";"} }}\n'


def _file(chaos, node, shape):
    pools = _pool('10.65.0.0/16', shape.v4) + _pool('fd00:65::/48', shape.v6)
    node.write(chaos.lab.config(pools, settings=f'calico_backend {shape.backend}; {_settings(chaos, shape)}'))
    if node.process:
        node.reload()


def _directory(node):
    return f'{node.directory}/etc/cluster'


def _replace(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + '.new', 'w') as file:
        file.write(text)
    os.rename(path + '.new', path)


def _ip_pool(family, cidr, mode):
    kind, _, place = mode.partition(' ')
    word = {'always': 'Always', 'cross subnet': 'CrossSubnet', '': 'Never'}[place]
    return (f'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {{name: pool{family}}}\nspec:\n  cidr: {cidr}\n'
            f'  ipipMode: {word if kind == "ipip" else "Never"}\n  vxlanMode: {word if kind == "vxlan" else "Never"}\n')


def _manifest(node):
    text = (f'apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {node.name}}}\nspec:\n  bgp:\n'
            f'    ipv4Address: {node.address(4)}/{node.subnet.v4.prefixlen}\n'
            f'    ipv6Address: {node.address(6)}/{node.subnet.v6.prefixlen}\n')
    for number, block in enumerate(node.blocks):
        text += (f'---\napiVersion: crd.projectcalico.org/v1\nkind: BlockAffinity\n'
                 f'metadata: {{name: {node.name}-{number}}}\nspec: {{cidr: "{block}", deleted: "false", node: {node.name}, state: confirmed, type: host}}\n')
    return text


def _resources(chaos, node, shape):
    """Pools and calico_backend in one file, replaced at once: each half of such a change is another cluster."""
    for other in chaos.nodes:
        _replace(f'{_directory(node)}/nodes/{other.name}.yaml', _manifest(other))
    _replace(f'{_directory(node)}/cluster.yaml', '---\n'.join((
        _ip_pool(4, '10.65.0.0/16', shape.v4), _ip_pool(6, 'fd00:65::/48', shape.v6),
        f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: calico-config, namespace: kube-system}}\n'
        f'data: {{calico_backend: {shape.backend}}}\n')))
    node.write(f'source directory "{_directory(node)}" {{ }}\n{_settings(chaos, shape)}')
    if node.process:
        node.reload()


# -- faults: what happens, and what it may cost

def transition(chaos, rng):
    """Nodes read another configuration one after another. Costs nothing."""
    shape, nodes, slow = Shape.draw(rng), rng.sample(chaos.nodes, len(chaos.nodes)), rng.choice((0.05, 0.5, 1.5))
    chaos.reshape(shape, nodes, lambda: rng.uniform(0, slow))
    return f'now {shape}; {_names(nodes)} up to {slow} s apart'


def transition_with_kill_weftd(chaos, rng):
    """The same, and a weftd is killed on the way and comes back. Costs nothing."""
    shape, nodes, victim = Shape.draw(rng), rng.sample(chaos.nodes, len(chaos.nodes)), rng.choice(chaos.nodes)
    after, pause, down = rng.randrange(len(nodes)), rng.uniform(0, 1), rng.uniform(0, 1)
    chaos.reshape(shape, nodes[:after + 1], lambda: rng.uniform(0, 0.5))
    chaos.lab.pause(pause)
    victim.kill()
    chaos.lab.pause(down)
    victim.start()
    chaos.reshape(shape, nodes[after + 1:], lambda: rng.uniform(0, 0.5))
    return (f'now {shape}; {_names(nodes)}; weftd of {victim} killed {pause:.1f} s after {nodes[after]}, started '
            f'{down:.1f} s later')


def transition_before_the_last_is_over(chaos, rng):
    """Two at once, each in another order. Costs nothing."""
    first, second = Shape.draw(rng), Shape.draw(rng)
    orders = [rng.sample(chaos.nodes, len(chaos.nodes)) for _ in range(2)]
    pause = rng.uniform(0, 2)
    chaos.reshape(first, orders[0], lambda: rng.uniform(0, 0.5))
    chaos.lab.pause(pause)
    chaos.reshape(second, orders[1], lambda: rng.uniform(0, 0.5))
    return f'now {first}; {_names(orders[0])}; and {pause:.1f} s later {second}; {_names(orders[1])}'


def kill_weftd(chaos, rng):
    """Costs nothing: the kernel and BIRD go on."""
    node, pause = rng.choice(chaos.nodes), rng.uniform(0, 1)
    node.kill()
    chaos.lab.pause(pause)
    node.start()
    return f'weftd of {node} killed, started {pause:.1f} s later'


def kill_bird(chaos, rng):
    """Costs nothing: its routes stay in the kernel, and the others keep them (graceful restart)."""
    node = rng.choice(chaos.nodes)
    before = node.bird.process()
    if not before:
        return f'{node} has no BIRD to kill'
    node.bird.kill()
    eventually(lambda: node.bird.process() not in (0, before), f'{node} has another BIRD', 30)
    return f'BIRD of {node} killed'


def kill_both(chaos, rng):
    """Costs nothing."""
    node, pause = rng.choice(chaos.nodes), rng.uniform(0, 1)
    node.kill()
    if node.bird.process():
        node.bird.kill()
    chaos.lab.pause(pause)
    node.start()
    return f'weftd and BIRD of {node} killed, started {pause:.1f} s later'


def restart_all(chaos, rng):
    """All weftds are stopped and started, as an upgrade does. Costs nothing."""
    nodes = rng.sample(chaos.nodes, len(chaos.nodes))
    for node in nodes:
        node.restart()
        chaos.lab.pause(rng.uniform(0, 0.5))
    return f'weftds restarted: {_names(nodes)}'


def drift(chaos, rng):
    """Somebody changes what is weft's on one node. Costs what that node sends and gets until it is repaired."""
    node = rng.choice(chaos.nodes)
    name, command = _something_of_ours(node, rng)
    began = time.monotonic()
    node.run('sh', '-c', command)
    took = chaos.excuse(node, began, f'`{command}` on {node}', within=10)
    return f'{name} on {node}: `{command}`, {took * 1000:.0f} ms'


def _something_of_ours(node, rng):
    """(what, a command) for one of the objects that this node has now."""
    kinds = {}
    for route in node.kernel.routes(protocol=80):
        family = '-6 ' if ':' in route['dst'] else ''
        wrong = node.subnet.router(6 if family else 4)
        if route['type'] == 'blackhole':
            kinds.setdefault('blackhole deleted', []).append(
                f'ip {family}route del blackhole {route["dst"]} metric {route["metric"]}')
            continue
        metric = f'metric {route["metric"]}' if 'metric' in route else ''
        kinds.setdefault('route deleted', []).append(f'ip {family}route del {route["dst"]} {metric}')
        kinds.setdefault('route changed', []).append(
            f'ip {family}route replace {route["dst"]} {metric} via {wrong} proto 80')
    for route in node.kernel.routes(protocol=12):
        family = '-6 ' if ':' in route['dst'] else ''
        kinds.setdefault("BIRD's route deleted", []).append(
            f'ip {family}route del {route["dst"]} metric {route["metric"]}')
    for nexthop in node.kernel.nexthops():
        if 'blackhole' not in nexthop:
            kinds.setdefault('nexthop deleted', []).append(f'ip nexthop del id {nexthop.split()[1]}')
            kinds['nexthops flushed'] = ['ip nexthop flush proto 80']
    for device in node.kernel.devices('vxlan'):
        if device == 'foreign0':
            continue
        for address, mac in node.kernel.neighbours(device).items():
            kinds.setdefault('neighbour deleted', []).append(f'ip neigh del {address} dev {device}')
            kinds.setdefault('FDB entry deleted', []).append(f'bridge fdb del {mac} dev {device}')
            kinds.setdefault('FDB entry changed', []).append(f'bridge fdb replace {mac} dev {device} dst 192.0.2.99')
        kinds.setdefault('device deleted', []).append(f'ip link del {device}')
        kinds.setdefault('device set down', []).append(f'ip link set {device} down')
        kinds.setdefault('addresses flushed', []).append(f'ip address flush dev {device} scope global')
        kinds.setdefault('MTU changed', []).append(f'ip link set {device} mtu 1290')
    if any(route['dev'] == 'tunl0' for route in node.kernel.routes(4, protocol=12)):
        kinds['device set down'] = kinds.get('device set down', []) + ['ip link set tunl0 down']
        kinds['addresses flushed'] = kinds.get('addresses flushed', []) + ['ip address flush dev tunl0 scope global']
    kind = rng.choice(sorted(kinds))
    return kind, rng.choice(sorted(kinds[kind]))


def broken_reload(chaos, rng):
    """A node is told to read a file with an error, is restarted with it or not, then gets a good one. Costs nothing."""
    node, restarted = rng.choice(chaos.nodes), rng.random() < 0.3
    with open(node.config_file) as file:
        good = file.read()
    name, bad = rng.choice((('cut off', good[:len(good) - 4]), ('empty of sense', 'nonsense'),
                            ('with an unknown mode', good + 'pool 10.99.0.0/16 { vxlan sometimes; }'),
                            ('of a newer version', good + 'protocol quic { }')))
    refused = len(node.log())
    node.write(bad)
    node.reload()
    eventually(lambda: 'refused' in node.log()[refused:], f'{node} refuses the file')
    if restarted:
        node.kill()
        node.start()
        eventually(node.ready, f'{node} is ready on what it last knew', 30)
    chaos.lab.pause(rng.uniform(0, 0.5))
    node.write(good)
    node.reload()
    return f'{node} reads a file {name}{", is restarted with it" if restarted else ""}'


def link_flap(chaos, rng):
    """A cable is pulled and plugged. Costs what is sent through it meanwhile, and until neighbours are resolved."""
    node, down = rng.choice(chaos.nodes), rng.uniform(0.1, 2)
    began = time.monotonic()
    chaos.lab.underlay.unplug(node.port)
    chaos.lab.pause(down)
    chaos.lab.underlay.plug(node.port)
    took = chaos.excuse(node, began, f'the link of {node}', within=down + 5)
    return f'link of {node} down for {down:.1f} s, well after {took:.1f} s'


def clock_jump(chaos, rng):
    """The wall clock of all nodes jumps. Costs nothing."""
    if chaos.lab.here:
        return 'no clock jump: it is the machine\'s own clock'
    seconds = rng.choice((-86400, -3600, -61, 61, 3600, 86400))
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
    chaos.lab.pause(0.5)
    return f'the clock jumps by {seconds} s'


def store_outage(chaos, rng):
    """The directory that a node reads is gone, or a file in it broken; weftd may be restarted then. Costs nothing."""
    node, how, restarted = rng.choice(chaos.nodes), rng.choice(('gone', 'empty', 'broken')), rng.random() < 0.5
    place, aside = _directory(node), _directory(node) + '.aside'
    if how == 'broken':
        _replace(f'{place}/nodes/a.yaml', 'kind: [\n')
    else:
        os.rename(place, aside)
    if how == 'empty':
        os.makedirs(place)
    chaos.lab.pause(rng.uniform(0, 0.5))
    if restarted:
        node.kill()
        node.start()
    chaos.lab.pause(rng.uniform(0.2, 1))
    if how == 'broken':
        _replace(f'{place}/nodes/a.yaml', _manifest(chaos.lab.nodes['a']))
    else:
        shutil.rmtree(place, ignore_errors=True)
        os.rename(aside, place)
    return f'directory of {node} {how} for a while{", weftd restarted" if restarted else ""}'


def _names(nodes):
    return ' '.join(map(str, nodes))


# Some stand in here twice: they are what there is most to go wrong with.
FAULTS = (transition, transition, transition_with_kill_weftd, transition_with_kill_weftd,
          transition_before_the_last_is_over, drift, drift, kill_weftd, kill_bird, kill_both,
          restart_all, broken_reload, link_flap, clock_jump)


def _run(lab, name, render, faults, seed, steps):
    for node in map(lab.node, lab.arguments.get('nodes', 'abc')):
        node.namespace.ip(FOREIGN.format(address=node.address(), gateway=node.subnet.router(4)))
    wanted = lab.arguments.get('faults', '').split(',')
    faults = [fault for fault in faults if any(part in fault.__name__ for part in wanted)]
    only = [int(number) for number in lab.arguments.get('only', '').split(',') if number]
    chaos = Chaos(lab, int(lab.arguments.get('seed', seed)), render, name)
    chaos.run(int(lab.arguments.get('steps', steps)), faults, only)


def nodes_with_a_file(lab):
    _run(lab, 'nodes_with_a_file', _file, FAULTS, seed=2710, steps=5)


def nodes_with_a_directory(lab):
    _run(lab, 'nodes_with_a_directory', _resources, (*FAULTS, store_outage), seed=557, steps=5)


def a_weftd_killed_at_any_moment_finds_its_way(lab):
    """kill -9 in the middle of a reload, or of a start: the next start comes to the state of one that was left alone,
    no packet is lost, no file is left over."""
    for name in 'abc':
        lab.node(name)
    kills, seed = int(lab.arguments.get('kills', 8)), lab.arguments.get('seed', '1')
    rng = random.Random(f'{seed}/kills')
    shapes = [Shape('vxlan always', 'vxlan always'), Shape('vxlan cross subnet', 'vxlan cross subnet'),
              Shape('ipip cross subnet', 'vxlan always')]
    chaos = Chaos(lab, seed, _file, 'a_weftd_killed_at_any_moment_finds_its_way')
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
