"""Changes that a running cluster meets, node after node, while packets flow between all workloads: none is lost.

Three things are lost of necessity (`known`), and are no fault of the order in which weft does them: what is sent to a
block, or in a family, before the sender has read of it; what is sent to a MAC that a VTEP has no more, or not yet (MAC,
below); and whatever the machine itself loses, which the control stream within node a shows.

The rate is what each stream sent in fact. User Mode Linux has one processor: three nodes' seven streams reach 1,000 a
second each on a quiet machine, five nodes' twenty-one 460 to 1,000 beside other work.

The fixed subset runs with every test. By hand: the whole table, at any pace and rate:

    tests/lab/run lossless -k table --deadline 3600 --argument full=1 --argument pause=5 --argument milliseconds=1
    ... --argument only=VNI --argument nodes=abcde
    ... --argument 'only==VXLAN always,=another VNI' --argument times=5     exactly these, over and over
    ... --argument rows=13-19   a slice of the table, from one row to another; best one that begins at VXLAN always
    ... --argument log=500      so many lines of each weftd's log, at level debug, when packets were lost
"""
import ipaddress
import re
import time

from weftlab.lab import eventually
from weftlab.traffic import Connection

HANDOVER = 'handover { prove 60 s; quiet 1 s; at most 20 s; }'


POOL4, POOL6 = '10.65.0.0/16', 'fd00:65::/48'


def _pool(mode, cidr=POOL4):
    return f'pool {cidr} {{ {mode} }}\n'


def _pool6(mode):
    return _pool(mode, POOL6)


class Step:
    """A configuration to go to. `only`: the nodes whose pairs count (the underlay routes no workload addresses, so
    plain pools serve one subnet); `quick`: part of the fixed subset; `known`: why packets to the workloads that
    `concerns` names, as 'c/' or 'mover', are lost of necessity. Others' are not excused. `hasty`: the next one comes
    before this one is through on all nodes."""

    def __init__(self, name, pools, settings='', backend='bird', only=None, quick=False, known='', concerns='/',
                 before=None, after=None, node_c='', both=False, pairs=None, hasty=False):
        self.name, self.pools, self.settings, self.backend, self.only = name, pools, settings, backend, only
        self.quick, self.known, self.concerns = quick, known, concerns
        self.before, self.after, self.node_c, self.both, self.pairs = before, after, node_c, both, pairs
        self.hasty = hasty
        self.family = 6 if POOL6 in pools else 4

    def config(self, lab):
        log = 'log stderr all; ' if 'log' in lab.arguments else ''
        text = lab.config(self.pools, settings=f'calico_backend {self.backend}; {HANDOVER} {log}{self.settings}',
                          families=(self.family,))
        if self.both:  # a tunnel address of each kind, whichever pool a node's block lies in
            text = re.sub(r'block (\S+)/26;', r'block \1/26; vxlan address \1; ipip address \1;', text)
        return text.replace('node "c" { ', f'node "c" {{ {self.node_c} ')


VXLAN, CROSS, IPIP, IPIP_CROSS = (_pool(m) for m in ('vxlan always;', 'vxlan cross subnet;', 'ipip always;',
                                                     'ipip cross subnet;'))
SPLIT = _pool('vxlan always;', '10.65.0.0/23') + _pool('ipip always;', '10.65.2.0/23') + _pool('ipip always;', '10.65.4.0/22')
PLAIN = _pool('')
VXLAN6, CROSS6, PLAIN6 = (_pool6(m) for m in ('vxlan always;', 'vxlan cross subnet;', ''))
# How packets travel in the end: between a and b, which share a subnet, and between a and c.
WAYS = {VXLAN: ('vxlan', 'vxlan'), CROSS: ('plain', 'vxlan'), IPIP: ('ipip', 'ipip'), IPIP_CROSS: ('plain', 'ipip'),
        SPLIT: ('vxlan', 'ipip'), PLAIN: ('plain', None),
        VXLAN6: ('vxlan', 'vxlan'), CROSS6: ('plain', 'vxlan'), PLAIN6: ('plain', None)}


def _second_address(lab):
    """c gets a second address on its interface, and that is what the file says from now on."""
    c = lab.nodes['c']
    c.old = c.addresses[4]
    c.addresses[4] = c.subnet.host(33, 4)
    c.namespace.configure.add_address('eth0', f'{c.addresses[4]}/24')


def _second_interface(lab):
    """c gets another interface, and the address on it is what the file says from now on: the tunnels' other parent."""
    c = lab.nodes['c']
    c.old = c.addresses[4]
    c.addresses[4] = c.subnet.host(43, 4)
    lab.underlay.attach(c.namespace, c.subnet, 'port-c-second', 'eth1')
    c.namespace.configure.add_address('eth1', f'{c.addresses[4]}/24')


def _migrating_workload(lab):
    """A second block of b moves to c while its workload runs in both places, as in a live migration: a packet to it is
    lost only when it reaches neither."""
    b, c = lab.nodes['b'], lab.nodes['c']
    block = ipaddress.ip_network('10.65.129.0/26')
    if block not in b.blocks and block not in c.blocks:
        b.blocks.append(block)
        for node in (b, c):
            node.add_workload('mover', block[2])
    else:
        b.blocks.remove(block)
        c.blocks.append(block)


def _migration_pairs(lab):
    a, b, c = (lab.nodes[name] for name in 'abc')
    movers = [node.workloads['mover'] for node in (b, c)]
    return [(one, other) for one, other in lab.pairs() if one not in movers and other not in movers] + [
        (a.workload, movers[0]), (movers[0], a.workload), (movers[1], a.workload)]


def _migration_is_over(lab):
    for name in 'bc':
        node = lab.nodes[name]
        node.blocks = [block for block in node.blocks if str(block) != '10.65.129.0/26']
        node.workloads.pop('mover').remove()


def _reflector_comes(lab):
    reflector = lab.node('r', blocks=[], workload=False)
    reflector.statements = ['route reflector cluster id 1.0.0.1;']


def _reflector_goes(lab):
    lab.nodes['r'].stop()
    lab.nodes.pop('r').remove()


def _routes_of_somebody_else(lab):
    """a and b have routes of the administrator's to each other, worse than weft's and BIRD's."""
    for one, other in (('a', 'b'), ('b', 'a')):
        one, other = lab.nodes[one], lab.nodes[other]
        one.namespace.ip(f'route replace {other.blocks[0]} via {other.address()} metric 4096 proto static')


def _without_routes_of_somebody_else(lab):
    for one, other in (('a', 'b'), ('b', 'a')):
        lab.nodes[one].namespace.ip(f'route del {lab.nodes[other].blocks[0]} metric 4096 proto static')


def _first_address_goes(lab):
    c = lab.nodes['c']
    c.namespace.configure.delete_address('eth0', f'{c.old}/24')
    c.namespace.configure.add_route('0.0.0.0/0', gateway=c.subnet.router(4), replace=True)


# A VTEP has one MAC, and its kernel takes frames for another as somebody else's (eth_type_trans, ip_rcv). So from the
# moment that c has the new one to the moment that a sender has read of it, that sender's packets to c are lost.
MAC = 'a VTEP drops frames for a MAC it has no more, or not yet'
STEPS = [
    Step('VXLAN always', VXLAN),
    Step('VXLAN always -> cross subnet', CROSS, quick=True),
    Step('VXLAN cross subnet -> always', VXLAN),
    Step('VXLAN always -> IPIP always', IPIP, quick=True),
    Step('IPIP always -> cross subnet', IPIP_CROSS),
    Step('IPIP cross subnet -> always', IPIP),
    Step('IPIP always -> never', PLAIN, only='ab'),
    Step('never -> IPIP always', IPIP, only='ab'),
    Step('IPIP always -> VXLAN cross subnet', CROSS),
    Step('VXLAN cross subnet -> IPIP cross subnet', IPIP_CROSS),
    Step('IPIP cross subnet -> VXLAN always', VXLAN, quick=True),
    Step('VXLAN always -> never (plain, BGP)', PLAIN, only='ab'),
    Step('never (plain, BGP) -> VXLAN always', VXLAN, only='ab'),
    Step('another VNI', VXLAN, 'protocol vxlan { id 77; }', quick=True),
    Step('another port', VXLAN, 'protocol vxlan { id 77; port 8472; }', quick=True),
    Step('VNI and port back', VXLAN),
    Step('a smaller MTU', VXLAN, 'protocol vxlan { mtu 1400; }'),
    Step('the MTU back', VXLAN),
    Step('a pool is split in two encapsulations', SPLIT, both=True),
    Step('and joined', VXLAN, both=True),
    Step('calico_backend bird -> vxlan', VXLAN, backend='vxlan'),
    Step('calico_backend vxlan -> bird', VXLAN),
    Step('IPIP for what follows', IPIP, quick=True),
    Step('calico_backend bird, IPIP -> vxlan, VXLAN', VXLAN, backend='vxlan', quick=True),
    Step('calico_backend vxlan, VXLAN -> bird, IPIP', IPIP, quick=True),
    Step('back to VXLAN', VXLAN),
    Step('another device name', VXLAN, 'protocol vxlan { device "weft.4"; }'),
    Step('the device name back', VXLAN),
    Step('another tunnel address of node c', VXLAN, node_c='vxlan address 10.65.2.1;'),
    Step('the tunnel address back', VXLAN),
    Step('another MAC of node c', VXLAN, node_c='vxlan mac 66:00:00:00:00:cc;',
         known=MAC, concerns='c/'),
    Step('the MAC back', VXLAN, known=MAC, concerns='c/'),
    Step('another address of node c, the old one still there', VXLAN, before=_second_address, after=_first_address_goes),
    Step('another parent of node c: an address on another interface', VXLAN, before=_second_interface),
    Step('a new block of node b, which is going to move', VXLAN, before=_migrating_workload,
         known='sent before the sender had read of the block', concerns='mover'),
    Step('the block moves to node c, its workload runs on both', VXLAN, before=_migrating_workload,
         pairs=_migration_pairs, after=_migration_is_over),
    Step('IPIP cross subnet for what follows', IPIP_CROSS),
    Step('a route reflector beside the mesh', IPIP_CROSS, before=_reflector_comes),
    Step('the mesh goes, the reflector stays', IPIP_CROSS, 'protocol bgp { mesh no; }'),
    Step('the mesh comes back', IPIP_CROSS, after=_reflector_goes),
    Step('the reflector is gone', IPIP_CROSS),
    Step('node c of the mesh becomes a reflector', IPIP_CROSS, node_c='route reflector cluster id 1.0.0.1;'),
    Step('node c of the mesh is none any more', IPIP_CROSS),
    Step('VXLAN for what follows', VXLAN),
    Step('VXLAN always -> IPIP cross subnet, and c becomes a reflector', IPIP_CROSS,
         node_c='route reflector cluster id 1.0.0.1;'),
    Step('and back', VXLAN),
    Step('to IPIP always, and another change before all is through', IPIP, hasty=True),
    Step('to VXLAN always, and another', VXLAN, hasty=True),
    Step('to IPIP cross subnet', IPIP_CROSS),
    Step('the sessions get a password', IPIP_CROSS, 'protocol bgp { password "secret"; }'),
    Step('and have none any more', IPIP_CROSS),
    Step('calico_backend bird -> none, with routes of somebody else', PLAIN, backend='none', only='ab',
         before=_routes_of_somebody_else),
    Step('calico_backend none -> bird', IPIP_CROSS, only='ab', after=_without_routes_of_somebody_else),
    Step('IPv6: VXLAN always', VXLAN6, quick=True, known='sent before both ends had read of the first IPv6 pool'),
    Step('IPv6: VXLAN always -> cross subnet', CROSS6, quick=True),
    Step('IPv6: VXLAN cross subnet -> always', VXLAN6),
    Step('IPv6: another VNI', VXLAN6, 'protocol vxlan { id 77; }'),
    Step('IPv6: the VNI back', VXLAN6),
    Step('IPv6: VXLAN always -> never (plain, BGP)', PLAIN6, only='ab'),
    Step('IPv6: never (plain, BGP) -> VXLAN cross subnet', CROSS6, only='ab'),
    Step('IPv6: calico_backend bird -> vxlan', CROSS6, backend='vxlan'),
]


def _settled(lab):
    """No node is on the way any more."""
    for node in lab.nodes.values():
        def there():
            status, text = node.get('/readiness')
            return status == 200 and 'handover' not in text and 'not wanted any more' not in text
        eventually(there, f'{node} has come through', 60)


def _arrived(lab, step, failures):
    """The packets travel as the configuration says, and nothing of the way there is left."""
    a, b, c = (lab.nodes[name] for name in 'abc')
    port = int((re.findall(r'port (\d+)', step.settings) or [4789])[0])
    if step.backend == 'none':
        return
    for other, way in ((b, WAYS[step.pools][0]), (c, WAYS[step.pools][1])):
        if not way:
            continue
        with lab.watch(port=port) as seen:
            # Where the pool is split, the answer comes back the other way.
            wanted = 1 if step.both else 2
            try:
                eventually(lambda: a.workload.pings(other.workload, step.family) and seen.between(a, other, way) >= wanted,
                           f'packets between a and {other} travel as {way}', 5)
            except AssertionError as error:
                failures.append(f'{step.name}: {error}')
    for node in lab.nodes.values():
        devices = node.kernel.devices('vxlan')
        if len(devices) != ('vxlan' in step.pools):
            failures.append(f'{step.name}: {node} has the devices {devices}')


def _run(lab, steps):
    for name in lab.arguments.get('nodes', 'abc'):
        lab.node(name)
    # Within node a, where no change of routes touches it: what is lost there the machine loses, not weft.
    control = (lab.nodes['a'].workload, lab.nodes['a'].add_workload('w1', '10.65.0.3', 'fd00:65::3'))
    pause = float(lab.arguments.get('pause', 1))
    milliseconds = float(lab.arguments.get('milliseconds', 5))
    lab.start(STEPS[0].config(lab))
    lab.everybody_reaches_everybody(family=4, within=30)
    _settled(lab)
    failures = []
    for number, step in enumerate(steps):
        if step.before:
            step.before(lab)
        pairs = step.pairs(lab) if step.pairs else lab.pairs()
        pairs = [(x, y) for x, y in pairs if control[1] not in (x, y) and all(w.address(step.family) for w in (x, y))
                 and (not step.only or {x.node.name, y.node.name} <= set(step.only))]
        config = step.config(lab)
        nodes = list(lab.nodes.values())
        order = nodes[number % len(nodes):] + nodes[:number % len(nodes)]
        started = time.monotonic()
        with lab.traffic([*pairs, control], step.family, milliseconds) as traffic:
            lab.pause(0.2)
            for node in order:
                node.write(config)
                node.reload() if node.process else node.start()
                lab.pause(pause)
            try:
                step.hasty or _settled(lab)
            except AssertionError as error:
                failures.append(f'{step.name}: {error}')
            lab.pause(0.2)
        lost = traffic.lost()
        by_itself = lost.pop(f'{control[0]} -> {control[1]}', 0)
        lab.say(f'  {step.name:60} {traffic.rate():4.0f}/s  sent {traffic.sent():7}  lost {sum(lost.values()):5}  '
                f'control lost {by_itself:3}  longest gap {traffic.longest_gap_ms():4.0f} ms  '
                f'in {time.monotonic() - started:5.1f} s'
                + (f'  {step.known}' if lost and step.known else '') + (f'  {lost}' if lost else ''))
        if not step.hasty:
            _arrived(lab, step, failures)
        excused = [pair for pair in lost if step.known and step.concerns in pair.split(' -> ')[1]]
        if len(excused) < len(lost):
            failures.append(f'{step.name}: lost {lost}')
        if step.after:
            step.after(lab)
    assert not failures, '; '.join(failures)


def _is_called(step, name):
    return step.name == name[1:] if name[0] == '=' else name in step.name


def the_table(lab):
    chosen = STEPS[1:] if lab.arguments.get('full') else [step for step in STEPS[1:] if step.quick]
    if 'only' in lab.arguments:
        chosen = [step for step in STEPS if any(_is_called(step, name) for name in lab.arguments['only'].split(','))]
    if 'rows' in lab.arguments:
        first, last = map(int, lab.arguments['rows'].split('-'))
        chosen = STEPS[first:last + 1]
    _run(lab, chosen * int(lab.arguments.get('times', 1)))


def connections_live_through_it(lab):
    """TCP through every kind of handover: no reset, no stall, no black hole where packets must be smaller than before.
    Segments sent again are told, not judged: two paths at once reorder, and the sender takes that for loss. By hand,
    with --argument full=1, through all of the table that asks for nothing but another configuration."""
    a, b, c = lab.three_nodes()
    beside = a.add_workload('w1', '10.65.0.3')
    lab.start(STEPS[0].config(lab))
    lab.everybody_reaches_everybody(family=4, within=30)
    _settled(lab)
    quick = ('VXLAN always -> cross subnet', 'VXLAN cross subnet -> always', 'a smaller MTU',
             'VXLAN always -> IPIP always', 'IPIP cross subnet -> VXLAN always', 'another VNI')
    # Without the reflector that its row brings along, nothing would be learnt once the mesh is gone.
    plain = [step for step in STEPS if step.family == 4 and 'mesh no' not in step.settings
             and not (step.only or step.before or step.after or step.known)]
    steps = plain if lab.arguments.get('full') else [step for step in plain if step.name in quick]
    assert lab.arguments.get('full') or len(steps) == len(quick), [step.name for step in steps]
    with Connection(a.workload, b.workload) as near, Connection(c.workload, a.workload, port=7789) as far, \
            Connection(a.workload, beside, port=7790) as control:
        for step in steps:
            for node in (b, c, a):
                node.write(step.config(lab))
                node.reload()
                lab.pause(0.5)
            _settled(lab)
            for connection in (near, far):
                before = connection.received
                eventually(lambda: connection.received > before + 20_000, f'{step.name}: {connection.name} goes on', 5)
                assert connection.error is None, f'{step.name}: {connection.name}: {connection.error}'
                stall = connection.longest_stall_ms(control)
                assert stall < 200, f'{step.name}: {connection.name} stood still for {stall:.0f} ms'
    for connection in (near, far, control):
        lab.say(f'  {connection.name}: {len(steps)} handovers, {connection.received >> 10} KiB, longest stall '
                f'{connection.longest_stall_ms(control):.0f} ms, {connection.retransmitted} segments sent again')
