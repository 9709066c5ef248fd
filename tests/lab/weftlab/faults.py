"""What can happen to a cluster: functions (chaos, rng) that do it and return what, in words (weftlab/chaos.py). Each says
what it may cost."""
import os
import shutil
import time

from .cluster_source import replace
from .lab import eventually


def transition(chaos, rng):
    """Nodes read another configuration one after another. Costs nothing."""
    shape, nodes, slow = chaos.draw(rng), rng.sample(chaos.nodes, len(chaos.nodes)), rng.choice((0.05, 0.5, 1.5))
    chaos.reshape(shape, nodes, lambda: rng.uniform(0, slow))
    return f'now {shape}; {_names(nodes)} up to {slow} s apart'


def transition_with_kill_weftd(chaos, rng):
    """The same, and a weftd is killed on the way and comes back. Costs nothing."""
    shape, nodes, victim = chaos.draw(rng), rng.sample(chaos.nodes, len(chaos.nodes)), rng.choice(chaos.nodes)
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
    first, second = chaos.draw(rng), chaos.draw(rng)
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
        elsewhere = '2001:db8::99' if 'v6' in device or 'weft6' in device else '192.0.2.99'
        for address, mac in node.kernel.neighbours(device).items():
            kinds.setdefault('neighbour deleted', []).append(f'ip neigh del {address} dev {device}')
            kinds.setdefault('FDB entry deleted', []).append(f'bridge fdb del {mac} dev {device}')
            kinds.setdefault('FDB entry changed', []).append(f'bridge fdb replace {mac} dev {device} dst {elsewhere}')
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
    place, aside = chaos.source.of(node), chaos.source.of(node) + '.aside'
    if how == 'broken':
        replace(f'{place}/nodes/a.yaml', 'kind: [\n')
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
        replace(f'{place}/nodes/a.yaml', chaos.source.manifest(chaos.lab.nodes['a'], chaos.shape))
    else:
        shutil.rmtree(place, ignore_errors=True)
        os.rename(aside, place)
    return f'directory of {node} {how} for a while{", weftd restarted" if restarted else ""}'


def etcd_dies(chaos, rng):
    """etcd is killed, perhaps just after a change, perhaps a weftd as well, and they come back. Costs nothing."""
    shape, victim = rng.choice((None, chaos.draw(rng))), rng.choice((None, *chaos.nodes))
    pause, down = rng.uniform(0, 1), rng.uniform(0.1, 2)
    if shape:
        chaos.reshape(shape, chaos.nodes, lambda: 0)
        chaos.lab.pause(pause)
    chaos.source.store.stop()
    _restart_meanwhile(chaos, victim, down)
    chaos.source.store.start()
    return (f'etcd killed{f" {pause:.1f} s after {shape}" if shape else ""}, started {down:.1f} s later'
            f'{f"; meanwhile weftd of {victim} restarted" if victim else ""}')


def etcd_is_cut_off(chaos, rng):
    """Some nodes lose their connections to etcd and get no new ones, or none that are of use, while the cluster
    changes, perhaps more than once, and perhaps what changed is compacted away; a weftd may be restarted. Costs
    nothing."""
    nodes = rng.sample(chaos.nodes, rng.randint(1, len(chaos.nodes)))
    how, limit = rng.choice((('refuse', 0), ('refuse', 0), ('reset', 0), ('truncate', 300), ('delay', 0.5)))
    shapes, compacted = [chaos.draw(rng) for _ in range(rng.randint(1, 2))], rng.random() < 0.5
    victim, down = rng.choice((None, *nodes)), rng.uniform(0.1, 2)
    for node in nodes:
        chaos.source.proxies[node].set(how, limit)
    for shape in shapes:
        chaos.reshape(shape, chaos.nodes, lambda: 0)
        chaos.lab.pause(down / 2)
    if compacted:
        chaos.source.store.compact()
    _restart_meanwhile(chaos, victim, down)
    for node in nodes:
        chaos.source.proxies[node].set('pass')
    return (f'{_names(nodes)} cut off from etcd ({how}) for {down * (1 + len(shapes) / 2):.1f} s, meanwhile '
            f'{" and then ".join(map(str, shapes))}{", compacted" if compacted else ""}'
            f'{f", weftd of {victim} restarted" if victim else ""}')


def _restart_meanwhile(chaos, victim, seconds):
    if not victim:
        return chaos.lab.pause(seconds)
    chaos.lab.pause(seconds / 3)
    victim.kill()
    chaos.lab.pause(seconds / 3)
    victim.start()
    return chaos.lab.pause(seconds / 3)


def _names(nodes):
    return ' '.join(map(str, nodes))


# Some stand in here twice: they are what there is most to go wrong with.
FAULTS = (transition, transition, transition_with_kill_weftd, transition_with_kill_weftd,
          transition_before_the_last_is_over, drift, drift, kill_weftd, kill_bird, kill_both,
          restart_all, broken_reload, link_flap, clock_jump)
DIRECTORY_FAULTS = (*FAULTS, store_outage)
ETCD_FAULTS = (*FAULTS, etcd_dies, etcd_dies, etcd_is_cut_off, etcd_is_cut_off, etcd_is_cut_off)
