"""Whom the nodes peer with: route reflectors, routers of other makes, with passwords right and wrong."""
import json

from weftlab.lab import becomes, eventually
from weftlab.tor import ANNOUNCED, Frr, GoBgp

POOL = 'pool 10.65.0.0/16 { ipip cross subnet; }\n'
BLOCKS = {'10.65.0.0/26', '10.65.1.0/26'}


def _config(lab, bgp='', nodes=None):
    return lab.config(POOL, nodes, settings=f'calico_backend bird; protocol bgp {{ {bgp} }}', families=(4,))


def five_nodes_with_two_route_reflectors_and_no_mesh(lab):
    a, b, c, d, e = nodes = [lab.node(name) for name in 'abcde']
    for reflector in (d, e):
        reflector.statements = ['route reflector cluster id 1.0.0.1;']
    lab.start(_config(lab, 'mesh no;'))
    lab.everybody_reaches_everybody(family=4, within=60)
    for node in (a, b, c):
        becomes(lambda: sorted(node.bird.established()), ['Mesh_192_0_2_14', 'Mesh_198_51_100_15'],
                f'{node} peers with the reflectors alone')
    becomes(lambda: len(d.bird.established()), 4, 'd peers with everybody')
    with lab.watch() as seen:
        assert a.workload.pings(b.workload, 4) and a.workload.pings(c.workload, 4)
        eventually(lambda: seen.count(kind='plain', protocol=1) == 2 and seen.between(a, c, 'ipip') == 2,
                   'straight to the node, not through a reflector', 3)


def _learns_from_and_teaches(lab, make):
    a, b = lab.node('a'), lab.node('b')
    with make(lab, [a, b], 'tor-secret') as tor:
        lab.start(_config(lab, f'neighbor {tor.address} as 65000 {{ password "tor-secret"; }} password "mesh-secret";'))
        becomes(tor.learnt, BLOCKS, 'the router has the pools\' routes and no others', 40)
        for node in (a, b):
            eventually(lambda: node.kernel.routes(4, dst=ANNOUNCED, protocol='12', gateway=str(tor.address)),
                       f'{node} has the router\'s route', 20)
        lab.everybody_reaches_everybody(family=4, within=30)
        eventually(a.ready, 'a is ready', 30)
        _keeps_its_secrets(lab, a, b)


def _keeps_its_secrets(lab, a, b):
    """Both passwords hold this word: the mesh's, and that of the router."""
    said = [a.log(), a.get('/readiness')[1], a.get('/metrics')[1]]
    other = f'{a.directory}/run/other.conf'
    with open(a.config_file) as file, open(other, 'w') as changed:
        changed.write(file.read().replace('mesh-secret', 'another-secret'))
    commands = [('show', what) for what in ('status', 'nodes', 'bgp', 'protocols', 'config', 'events')]
    commands += [('explain', str(b.workload.address())), ('plan', '/run/weft/other.conf'), ('ready',)]
    for command in commands:
        for words in (command, ('--json', *command)):
            done = a.run(lab.program('weftctl'), *words, check=False)
            said.append(done.stdout + done.stderr)
    assert '***' in said[-4] + said[-3] and 'BIRD' in said[-4], f'the plan changes a password: {said[-4]}'
    for text in said:
        assert 'secret' not in text, text
    holders = a.run('grep', '-rl', 'secret', '/var/lib/weft', '/run/weft', check=False).stdout.split()
    assert '/var/lib/weft/bird.conf' in holders, holders
    for path in holders:
        mode = a.run('stat', '-c', '%a', path).stdout.strip()
        assert path == '/run/weft/other.conf' or mode.endswith('0'), f'{path} has mode {mode}'
    a.run('rm', '/run/weft/other.conf')


def frr_as_top_of_rack_learns_the_pools_routes_and_teaches_its_own(lab):
    _learns_from_and_teaches(lab, Frr)


def gobgp_as_top_of_rack_learns_the_pools_routes_and_teaches_its_own(lab):
    _learns_from_and_teaches(lab, GoBgp)


def a_wrong_password_keeps_that_session_down_and_no_other(lab):
    a, b = lab.node('a'), lab.node('b')
    with Frr(lab, [a, b], 'right') as tor:
        lab.start(_config(lab, f'neighbor {tor.address} as 65000 {{ password "wrong"; }} password "mesh-secret";'))
        lab.everybody_reaches_everybody(family=4, within=30)
        eventually(lambda: [r for r in json.loads(a.get('/readiness')[1])['reasons']
                            if r['object'] == f'bgp {tor.address}' and 'not established' in r['text']], 'the peer is named')
        eventually(a.ready, 'one session is enough after half a minute', 45)
        up = a.metric('weft_bgp_session_up')
        assert sorted(up.values()) == [0, 1], up
        assert next(v for k, v in up.items() if str(tor.address) in k) == 0, up
        assert tor.learnt() == set()


def an_unexported_pool_stays_at_home_and_a_workload_outside_the_blocks_is_announced(lab):
    a, b = lab.node('a', blocks=['10.65.0.0/26', '10.66.0.0/26']), lab.node('b', blocks=['10.65.1.0/26', '10.66.1.0/26'])
    a.add_workload('w1', '10.65.1.40')  # a borrowed address: in b's block, at a
    pools = POOL + 'pool 10.66.0.0/16 { export no; }\n'
    with Frr(lab, [a], 'secret') as tor:
        neighbor = f'protocol bgp {{ neighbor {tor.address} as 65000 {{ password "secret"; node "a"; }} }}'
        lab.start(lab.config(pools, settings=f'calico_backend bird; {neighbor}', families=(4,)))
        becomes(tor.learnt, BLOCKS | {'10.65.1.40/32'}, 'no route of the unexported pool', 40)
