"""The cluster that packaging/quickstart shows: three nodes, and what became of the packets between their workloads.

What it says is for somebody who has never seen weft; it fails when anything is not as it says. --argument mode=MODE
chooses the pools' encapsulation: cross (the default), always, never or ipv6.
"""
from weftlab.lab import eventually, pools

MODES = {
    'cross': 'VXLAN between subnets, direct within one',
    'always': 'VXLAN between all nodes',
    'never': 'no tunnel',
    'ipv6': 'VXLAN between subnets, direct within one; IPv6 pools only',
}


def three_nodes_whose_workloads_reach_each_other(lab):
    mode = lab.arguments.get('mode', 'cross')
    nodes = lab.three_nodes()
    config = _config(lab, mode)
    _introduce(lab, mode, nodes, config)
    lab.start(config)
    for node in nodes:
        eventually(node.ready, f'weftd of {node} says that it is ready')
    families = (6,) if mode == 'ipv6' else (4, 6)
    answered, asked = _pings(lab, families, expected=mode != 'never')
    _paths(lab, mode, families)
    _kernel(lab, mode, *nodes)
    lab.visit(nodes[0], """
The cluster is yours until you leave this shell (exit). You are on node a: `weftctl` asks its weftd, `ip` shows its
kernel, `ip netns exec a-w0 ping 10.65.2.2` pings from its workload. Node c: `ip netns exec c ip route`, and
`weftctl -s /run/lab/nodes/c/run/weft.ctl`. Each node's weft.conf and log are in /run/lab/nodes.
""")
    lab.say('')
    if mode == 'never':
        lab.say(f'quickstart: 0 of {asked} pings answered and no tunnel left, which is what the configuration says.')
        return
    paths = ', '.join(f'{one}-{other} {_path(mode, one, other).replace("vxlan", "through VXLAN")}'
                      for one, other in _neighbourhood(nodes))
    lab.say(f'quickstart: {answered} of {asked} pings answered; {paths}: as the configuration says.')


def _config(lab, mode):
    if mode == 'ipv6':
        return lab.config('pool fd00:65::/48 { vxlan cross subnet; }\n', families=(6,))
    return lab.config(pools({'cross': 'vxlan cross subnet;', 'always': 'vxlan always;', 'never': 'vxlan never;'}[mode]))


def _neighbourhood(nodes):
    """Each two nodes once."""
    return [(one, other) for i, one in enumerate(nodes) for other in nodes[i + 1:]]


def _path(mode, one, other):
    """How the configuration wants packets between these nodes to go."""
    return 'direct' if mode == 'never' or mode != 'always' and one.subnet is other.subnet else 'vxlan'


def _introduce(lab, mode, nodes, config):
    lab.say(f'''Three nodes, each a network namespace that runs weftd; a router joins their two subnets and knows nothing of workloads.

  node  its address on the underlay            its workload's addresses''')
    for node in nodes:
        ours, theirs = (' '.join(f'{str(x.address(f)):<13}' for f in (4, 6)) for x in (node, node.workload))
        lab.say(f'  {node.name}     {ours:<38} {theirs}'.rstrip())
    lab.say(f'\nThe same weft.conf on every node ({MODES[mode]}):\n')
    for line in filter(None, config.splitlines()):
        lab.say(f'  {line}')


def _pings(lab, families, expected):
    """Every workload to every other: (answered, asked)."""
    lab.say('\n1. Every workload pings every other\n')
    answered = asked = 0
    for one, other in lab.pairs():
        if expected:
            eventually(lambda: all(one.ping(other, family=f, wait=0.5) for f in families), f'{one} pings {other}', 15)
        told = []
        for family in families:
            reply = one.ping(other, family=family, wait=1 if expected else 0.3)
            told.append(f'{str(other.address(family)):<13}'
                        + (f' answers in {reply.milliseconds:.2f} ms' if reply else ' does not answer'))
            assert bool(reply) == expected, f'{one} pings {other.address(family)}: {reply}'
            answered, asked = answered + bool(reply), asked + 1
        lab.say(f'  {one.node} -> {other.node}   ' + '    '.join(told))
    return answered, asked


def _paths(lab, mode, families):
    """Once more between each two nodes, with every packet counted where it enters the underlay."""
    lab.say('\n2. How the packets travelled: the same again, counted on the underlay between each two nodes\n')
    for one, other in _neighbourhood(list(lab.nodes.values())):
        with lab.watch() as seen:
            for family in families:
                one.workload.ping(other.workload, family=family, wait=1 if mode != 'never' else 0.3)
                other.workload.ping(one.workload, family=family, wait=1 if mode != 'never' else 0.3)
            wanted, other_kind = ('vxlan', 'plain') if _path(mode, one, other) == 'vxlan' else ('plain', 'vxlan')
            packets = (2 if mode == 'never' else 4) * len(families)  # without answers, half as many
            eventually(lambda: seen.between(one, other, wanted) == packets, f'{packets} packets between {one} and {other}', 3)
            assert seen.between(one, other, other_kind) == 0, seen.packets(kind=other_kind)
            size = {kind: f'{seen.bytes_between(one, other, kind)} bytes' for kind in ('vxlan', 'plain')}
        path = {'vxlan': 'encapsulated', 'plain': 'unanswered' if mode == 'never' else 'direct'}[wanted]
        lab.say(f'  {one} - {other}   {path:<13} {packets} packets: {size["vxlan"]:>10} of VXLAN (UDP port 4789), '
                f'{size["plain"]:>9} unencapsulated')


def _show(lab, node, command, meaning):
    lab.say(f'\n  {node}# {command:<40} # {meaning}')
    for line in node.run(*command.split()).stdout.splitlines():
        lab.say(f'  {line.strip()}')


def _kernel(lab, mode, a, b, c):
    lab.say('\n3. Why: what weftd has written into the kernel of node a')
    meaning = "to each node's block: the node itself, or its tunnel address"
    if mode != 'ipv6':
        _show(lab, a, 'ip -4 route show proto 80', meaning)
    _show(lab, a, 'ip -6 route show proto 80', meaning if mode == 'ipv6' else 'the same for IPv6')
    if mode == 'never':
        for node in (a, b, c):
            assert node.kernel.devices('vxlan') == [], f'{node} has a tunnel device'
        lab.say('\n  Nothing: the packets followed the default route to a router that does not know the workloads. No node has a\n'
                '  VXLAN device. Routes of pools without a tunnel are for BGP to distribute: calico_backend bird.')
        return
    device = 'vxlan-v6.calico' if mode == 'ipv6' else 'vxlan.calico'
    _show(lab, a, f'ip neigh show dev {device}', "tunnel address -> the other end's MAC")
    _show(lab, a, f'bridge fdb show dev {device}', 'that MAC -> its node on the underlay')
    if mode != 'ipv6':
        lab.say('\n  vxlan-v6.calico holds the same for IPv6. And as weftd sees it, wanted and found:')
    lab.say('\n  a# weftctl show routes')
    for line in a.weftctl('show', 'routes').splitlines():
        lab.say(f'  {line}')
    _agrees(mode, a, (b, c))


def _agrees(mode, node, others):
    """Routes, neighbours and FDB of this node lead to the others as the configuration says."""
    for family, device in ((4, 'vxlan.calico'), (6, 'vxlan-v6.calico')):
        if (family, mode) == (4, 'ipv6'):
            assert node.kernel.link(device) is None, f'{node} has {device}'
            continue
        for other in others:
            route, = node.kernel.routes(family, dst=next(b for b in other.blocks if b.version == family))
            wanted = device if _path(mode, node, other) == 'vxlan' else 'eth0'
            assert route['dev'] == wanted, f'{route["dst"]} leaves through {route["dev"]}, not {wanted}'
            if wanted == device:
                mac = node.kernel.neighbours(device)[route['gateway']]
                assert node.kernel.fdb(device)[mac] == str(other.address(family)), node.kernel.fdb(device)
