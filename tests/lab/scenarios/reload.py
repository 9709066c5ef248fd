"""A file that changes under running nodes: traffic follows, nothing stale stays."""
import os

from weftlab.kernel import Monitor
from weftlab.lab import becomes, eventually, pools
from weftlab.namespace import run

POOLS = pools('vxlan cross subnet;')


def _mentions(node, *texts):
    """Lines of the node's whole kernel state that still speak of these."""
    return [line for line in node.kernel.snapshot() if any(f' {t}' in line for t in texts)]


def a_node_is_added(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    d, e = lab.node('d'), lab.node('e')
    config = lab.config(POOLS)
    lab.start(config, [d, e])
    lab.reload(config, [a, b, c])
    lab.everybody_reaches_everybody(pairs=[(x.workload, y.workload) for x in (a, b, c) for y in (d, e)])
    becomes(lambda: len(a.kernel.fdb('vxlan.calico')), 4, 'a has four VTEPs')


def a_node_is_removed(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.reload(lab.config(POOLS, [a, b]), [a, b])
    for node in (a, b):
        becomes(lambda: _mentions(node, '10.65.2.', 'fd00:65::200', '198.51.100.13', '2001:db8:1::13'), [],
                   f'nothing of c is left on {node}')
    lab.everybody_reaches_everybody(pairs=[(a.workload, b.workload)])


def a_block_moves_to_another_node(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    for block in (b.blocks[0], b.blocks[1]):
        b.blocks.remove(block)
        c.blocks.append(block)
    addresses = b.workload.addresses
    b.workloads.pop('w0').remove()
    b.add_workload('w0')
    moved = c.add_workload('w1', *addresses)
    lab.reload(lab.config(POOLS))
    pairs = [(one, other) for one in (a.workload, c.workload, moved) for other in (a.workload, c.workload, moved)
             if one is not other]
    lab.everybody_reaches_everybody(pairs=pairs)
    for family, block, device in ((4, '10.65.1.0/26', 'vxlan.calico'), (6, 'fd00:65::100/122', 'vxlan-v6.calico')):
        eventually(lambda: [r['dev'] for r in a.kernel.routes(family, dst=block)] == [device], f'{block} through {device}')
        becomes(lambda: [r['type'] for r in c.kernel.routes(family, dst=block)], ['blackhole'], f'{block} is now local to c')
    for node in (a, c):
        becomes(lambda: _mentions(node, '192.0.2.12', '2001:db8::12'), [], f'{node} has no path to b, which has no block')


def a_node_changes_its_address(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    c.readdress(33)
    b.readdress(22)
    lab.reload(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    for node in (a, b, c):
        becomes(lambda: _mentions(node, '192.0.2.12', '198.51.100.13', '2001:db8::12', '2001:db8:1::13'), [],
                   f'no old address is left on {node}')


def a_node_moves_to_the_other_subnet(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    b.move('two', 14)
    lab.reload(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    with lab.watch() as seen:
        assert a.workload.pings(b.workload) and b.workload.pings(c.workload)
        eventually(lambda: seen.between(a, b, 'vxlan') == 4 and seen.between(b, c, 'plain') == 4, 'paths follow', 3)


def a_pool_changes_its_encapsulation(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    for mode in ('vxlan always;', 'vxlan cross subnet;'):
        lab.reload(lab.config(pools(mode)))
        device = 'vxlan.calico' if 'always' in mode else 'eth0'
        eventually(lambda: a.kernel.routes(4, dst='10.65.1.0/26')[0]['dev'] == device, f'{mode} goes through {device}')
        lab.everybody_reaches_everybody()


def the_same_file_again_writes_nothing(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.settled()
    with Monitor(a.namespace) as monitor:
        lab.reload(lab.config(POOLS))
        lab.settled()
        lab.pause(0.5)
        assert monitor.events() == [], monitor.events()


def a_restart_writes_nothing(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.settled()
    before = a.kernel.snapshot()
    with Monitor(a.namespace) as monitor:
        assert a.restart() == 0
        lab.settled()
        lab.pause(0.5)
        assert monitor.events() == [], monitor.events()
    assert a.kernel.snapshot() == before


def a_file_is_checked_without_being_used(lab):
    a = lab.node('a')
    before = a.kernel.snapshot()
    for text, status, words in ((lab.config(POOLS), 0, ''), ('pool 10.65.0.0/16 { vxlan sometimes; }', 1, ':1:27: ')):
        a.write(text)
        done = a.run(lab.program('weftd'), '-p', '-c', a.config_file, check=False)
        assert (done.returncode, done.stdout) == (status, ''), done
        assert words in done.stderr and bool(words) == bool(done.stderr), done.stderr
    assert a.weftd_fails()[0] == 1, 'it does not start with a broken file'
    assert a.kernel.snapshot() == before


def the_installed_configuration_starts_and_touches_nothing(lab):
    a = lab.node('a')
    before = a.kernel.snapshot()
    with open('/run/lab/source/packaging/etc/weft.conf') as file:
        lab.start(file.read())
    eventually(a.ready, 'a lone node with nothing to do is ready')
    assert a.kernel.snapshot() == before


def the_command_lines_socket_wins(lab):
    a = lab.node('a')
    lab.node('c')
    a.write(lab.config(POOLS + 'control { socket "/run/weft/files.ctl"; }\n'))
    a.start('-s', '/run/weft/lines.ctl')
    eventually(lambda: a.weftctl('-s', '/run/weft/lines.ctl', 'ready'), 'it answers there')
    assert os.listdir(f'{a.directory}/run') == ['lines.ctl']


def stopped_daemons_leave_the_routes(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.settled()
    before = a.kernel.snapshot()
    assert [node.stop() for node in (a, b, c)] == [0, 0, 0]
    assert a.kernel.snapshot() == before
    lab.everybody_reaches_everybody()


def a_killed_daemon_finds_its_state_again(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.settled()
    before = a.kernel.snapshot()
    a.kill()
    a.start()
    lab.settled()
    assert a.kernel.snapshot() == before


def a_broken_file_changes_nothing(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.settled()
    before = a.kernel.snapshot()
    with Monitor(a.namespace) as monitor:
        for text in ('pool 10.65.0.0/16 { vxlan sometimes; }', 'pool 10.65.0.1/16 { }', lab.config(POOLS)[:-3],
                     lab.config(POOLS) + 'protocol quic { }'):  # the last as of a newer version
            seen = len(a.log())
            lab.reload(text, [a])
            eventually(lambda: 'weft.conf:' in a.log()[seen:], f'a tells what is wrong with {text[:30]!r}')
        lab.pause(0.3)
        assert monitor.events() == [], monitor.events()
    assert a.kernel.snapshot() == before
    assert a.process.poll() is None
    lab.reload(lab.config(pools('vxlan always;')), [a])
    eventually(lambda: a.kernel.routes(4, dst='10.65.1.0/26')[0]['dev'] == 'vxlan.calico', 'a good file is taken again')


def _a_module_is_missing(lab, module, before, after):
    """The file asks for devices that the kernel cannot make: refused, and nothing is another than it was."""
    if lab.here:  # this machine's modules stay
        return
    a, b, c = lab.three_nodes()
    lab.start(lab.config(before, settings='calico_backend bird;', families=(4,)))
    lab.everybody_reaches_everybody(family=4, within=30)
    for node in (a, b, c):
        eventually(node.ready, f'{node} is ready', 30)
    loader = a.namespace.sysctl('kernel/modprobe')
    a.namespace.sysctl('kernel/modprobe', '/bin/false')
    try:
        run('rmmod', module)
        kernel, answer = a.kernel.snapshot(), a.weftctl('show', 'config')
        with lab.traffic(milliseconds=10) as traffic:
            a.write(lab.config(after, settings='calico_backend bird;', families=(4,)))
            for words in (('plan',), ('configure',)):
                done = a.run(lab.program('weftctl'), *words, check=False)
                assert done.returncode == 1 and f'no {module} module, which pool 10.65.0.0/16 needs' in done.stderr, done
            a.reload()
            eventually(lambda: a.metric('weft_config_reloads_total')['{result="error"}'] == 2, 'the signal is refused too')
            lab.pause(0.5)
        assert traffic.lost() == {}, traffic.lost()
        assert a.kernel.snapshot() == kernel and a.weftctl('show', 'config') == answer
        assert a.ready()
    finally:
        a.namespace.sysctl('kernel/modprobe', loader)
        run(loader, module)
    a.weftctl('configure')


def a_file_that_needs_ipip_where_there_is_none_changes_nothing(lab):
    _a_module_is_missing(lab, 'ipip', 'pool 10.65.0.0/16 { vxlan always; }\n', 'pool 10.65.0.0/16 { ipip always; }\n')


def a_file_that_needs_vxlan_where_there_is_none_changes_nothing(lab):
    _a_module_is_missing(lab, 'vxlan', 'pool 10.65.0.0/16 { ipip always; }\n', 'pool 10.65.0.0/16 { vxlan always; }\n')


def an_unconfirmed_configuration_is_undone(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    lab.settled()
    before = [r for r in a.kernel.routes(4, protocol=80)]
    a.write(lab.config(POOLS, [a, b]))
    with lab.traffic([(a.workload, b.workload), (b.workload, a.workload)], milliseconds=5) as traffic:
        a.weftctl('configure', 'timeout', '1')
        eventually(lambda: not a.kernel.routes(4, dst='10.65.2.0/26'), 'a has the new configuration')
        becomes(lambda: [r['dst'] for r in a.kernel.routes(4, protocol=80)], [r['dst'] for r in before],
                'a is back at the old one', 5)
        a.weftctl('configure', 'timeout', '1')
        a.weftctl('configure', 'confirm')
        lab.pause(1.5)
    assert not a.kernel.routes(4, dst='10.65.2.0/26'), 'what is confirmed stays'
    assert traffic.lost() == {}, traffic.lost()


def a_plan_says_what_a_reload_then_does(lab):
    a, b, c = lab.three_nodes()
    lab.start(lab.config(POOLS))
    lab.everybody_reaches_everybody()
    weftctl, weftd = lab.program('weftctl'), lab.program('weftd')
    with Monitor(a.namespace) as monitor:
        assert a.run(weftctl, 'plan', check=False).returncode == 0
        a.write(lab.config(POOLS, [a, b]))
        planned = a.run(weftctl, 'plan', check=False)
        assert planned.returncode == 2 and '10.65.2.0/26' in planned.stdout, planned
        as_json = a.run(weftctl, 'plan', '--json', check=False)
        assert as_json.returncode == 2 and all(line.startswith('{') for line in as_json.stdout.splitlines()), as_json
        dry = a.run(weftd, '--dry-run', '-c', a.config_file, check=False)
        assert dry.returncode == 2 and '10.65.2.0/26' in dry.stdout, dry
        a.write('nonsense')
        assert a.run(weftctl, 'plan', check=False).returncode == 1
        assert a.run(weftd, '--dry-run', '-c', a.config_file, check=False).returncode == 1
        assert monitor.events() == [], monitor.events()
    a.write(lab.config(POOLS, [a, b]))
    a.weftctl('configure')
    eventually(lambda: a.run(weftctl, 'plan', check=False).returncode == 0, 'nothing is left to do')
