"""A BIRD that cannot run, or that somebody else runs: what is told of it, and what goes on without it."""
import contextlib
import json
import os
import signal
import socket
import subprocess

from weftlab.lab import becomes, eventually
from weftlab.liveness import Liveness

POOLS = 'pool 10.65.0.0/16 { vxlan always; }\npool 10.66.0.0/16 { ipip always; }\n'
PROGRAM, LIVE, SOCKET = '/run/weft/bird', '/var/lib/weft/bird.conf', '/run/weft/bird.ctl'


def _config(lab, bgp, mode='bird', more=''):
    return lab.config(POOLS + more, settings=f'calico_backend {mode}; protocol bgp {{ {bgp} }}', families=(4,))


def _nodes(lab):
    """Their first address is in the VXLAN pool, their second in that of IPIP."""
    return [lab.node(name, blocks=[f'10.65.{number}.0/26', f'10.66.{number}.0/26'])
            for number, name in enumerate('ac')]


def _reaches_by_ipip(one, other):
    return one.workload.ping(other.workload.addresses[1], wait=0.5)


# -- what keeps BIRD from running on the first node, which this puts right again at its end

def _install(node, script=None):
    """In BIRD's place: BIRD, or a shell script."""
    path = f'{node.directory}/run/bird'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if script is None:
        os.symlink('/usr/sbin/bird', path)
        return
    with open(path, 'w') as file:
        file.write(f'#!/bin/sh\n{script}\n')
    os.chmod(path, 0o755)


@contextlib.contextmanager
def _a_program_that_fails(node):
    _install(node, '[ "$1" = -f ] && { echo "bird: no more memory"; exit 1; }; exec /usr/sbin/bird "$@"')
    node.bird.kill()
    yield
    _install(node)


@contextlib.contextmanager
def _no_program(node):
    os.unlink(f'{node.directory}/run/bird')
    node.bird.kill()
    yield
    _install(node)


@contextlib.contextmanager
def _an_old_program(node):
    _install(node, 'echo "BIRD version 1.6.8" >&2; exit 1')
    node.bird.kill()
    yield
    _install(node)


@contextlib.contextmanager
def _a_taken_port(node):
    with _no_program(node), node.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda: taken.bind(('0.0.0.0', 179)) is None, 'BIRD has let go of its port')
        taken.listen()
        _install(node)
        yield


@contextlib.contextmanager
def _a_bird_that_is_stuck(node):
    process = node.bird.process()
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


# What happens, the words for it, and within how many seconds they are told: a BIRD may be busy for ten.
TROUBLES = ((_no_program, f'BIRD cannot be run: {PROGRAM}: No such file or directory; install bird2 (2.0.12 or later)', 8),
            (_an_old_program, f'{PROGRAM}: BIRD 1.6.8 will not do: weft needs 2.0.12', 8),
            (_a_taken_port, 'BIRD cannot listen on BGP port 179: process', 20),
            (_a_bird_that_is_stuck, f'control socket {SOCKET}: BIRD does not answer', 20),
            (_a_program_that_fails, 'BIRD ended as soon as it was started: bird: no more memory', 8))


def each_trouble_is_named_everywhere_and_vxlan_and_liveness_do_not_mind(lab):
    a, c = nodes = _nodes(lab)
    for node in nodes:
        _install(node)
    lab.start(_config(lab, f'bird "{PROGRAM}";'))
    for trouble, words, within in TROUBLES:
        for node in nodes:
            eventually(node.ready, f'{node} is ready', 60)
        eventually(lambda: _reaches_by_ipip(a, c), 'IPIP works', 30)
        log = len(a.log())
        with Liveness(nodes) as liveness, lab.traffic([(a.workload, c.workload), (c.workload, a.workload)],
                                                      milliseconds=4) as traffic:
            with trouble(a):
                def told():
                    status, body = a.get('/readiness')
                    said = [r['text'] for r in json.loads(body)['reasons'] if r['blocking'] and r['object'] == 'bird']
                    return status == 503 and any(words in text for text in said) or (status, said)
                becomes(told, True, f'{trouble.__name__}: readiness says so', within)
                # Prose is broken at the width of a terminal.
                assert words in ' '.join(a.weftctl('show', 'status').split()), a.weftctl('show', 'status')
                assert a.run(lab.program('weftctl'), 'ready', check=False).returncode == 1
                assert a.log()[log:].count(f' bird: {words}') == 1, a.log()[log:]
                assert a.metric('weft_ready') == {'': 0}
            eventually(a.ready, f'{trouble.__name__}: ready again', 60)
        liveness.verify()
        lab.say(f'  {trouble.__name__}: sent {traffic.sent()}, lost {traffic.lost()}')
        assert traffic.lost() == {}, traffic.lost()


# -- spawn no

class Owner:
    """Somebody who runs a BIRD of his own on a node, with a configuration that includes weft's, or not."""

    def __init__(self, node):
        self.node, self.process = node, None

    def configure(self, include=True):
        with open(f'{self.node.directory}/run/own.conf', 'w') as file:
            file.write(f'include "{LIVE}";\n' if include else 'router id 192.0.2.99;\nprotocol device { }\n')

    def start(self, *options):
        self.process = self.node.popen('/usr/sbin/bird', '-f', '-c', '/run/weft/own.conf', '-s', SOCKET, '-P',
                                       '/run/weft/own.pid', *options, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def a_bird_of_somebody_else_is_attached_to_configured_and_adopted_again(lab):
    a, c = _nodes(lab)
    owner = Owner(a)
    spawn = _config(lab, '')
    attach = _config(lab, 'spawn no;')
    c.write(spawn)
    c.start()
    a.write(attach)
    a.start()
    try:
        _attach(lab, a, c, owner, attach)
    finally:
        owner.end()


def _attach(lab, a, c, owner, attach):
    eventually(lambda: f"nobody answers on {SOCKET}: start BIRD ('spawn no'" in a.get('/readiness')[1],
               'it says whom it waits for')
    assert a.get('/readiness')[0] == 503 and 'Mesh_198_51_100_13' in a.run('cat', LIVE).stdout

    owner.configure(include=False)
    owner.start()
    eventually(lambda: f'runs another configuration than {LIVE}: include that' in a.get('/readiness')[1],
               'a BIRD that does not include the file is told so', 30)
    owner.configure()  # weftd says `configure` every few seconds
    eventually(a.ready, 'a is ready', 40)
    eventually(lambda: _reaches_by_ipip(a, c), 'IPIP works')
    first = owner.process.pid

    more = 'node "d" { address 192.0.2.14/24; block 10.66.3.0/26; }\n'
    lab.reload(attach + more, [a])
    eventually(lambda: 'Mesh_192_0_2_14' in a.bird.sessions(), 'a change reaches BIRD')
    lab.reload(attach, [a])
    becomes(lambda: sorted(a.bird.sessions()), ['Mesh_198_51_100_13'], 'and back')

    for options in ((), ('-R',)):
        log = len(a.log())
        owner.end()
        eventually(lambda: a.get('/readiness')[0] == 503, 'its end is told', 10)
        owner.start(*options)
        eventually(a.ready, 'a is ready again', 60)
        assert 'BIRD started' not in a.log()[log:] and owner.process.poll() is None
    assert a.metric('weft_bird_restarts_total') == {'': 0} and a.bird.process() == 0
    eventually(lambda: _reaches_by_ipip(a, c), 'IPIP works', 30)

    log, running = len(a.log()), owner.process.pid
    assert a.stop() == 0
    a.start()
    eventually(a.ready, 'the next weftd is ready', 40)
    assert owner.process.pid == running != first and 'Mesh_198_51_100_13' in a.bird.established()

    lab.reload(attach.replace('calico_backend bird', 'calico_backend vxlan'), [a])
    becomes(a.bird.sessions, {}, 'without BGP it has no sessions')
    eventually(lambda: a.kernel.routes(4, protocol='12') == [], 'nor routes')
    assert owner.process.poll() is None, 'and runs'
    eventually(a.ready, 'a is ready')
    assert a.workload.pings(c.workload, 4)
    lab.reload(attach, [a])
    eventually(lambda: _reaches_by_ipip(a, c), 'IPIP works once more', 40)
