"""What a scenario is given: an underlay with two subnets, nodes on it, one weft.conf for all of them."""
import json
import os
import shutil
import time

from . import namespace
from .node import Node
from .traffic import Traffic
from .underlay import Underlay
from .watch import Watch

# name -> (subnet, host number): a, b and d share a subnet, c and e are behind the router.
PLACES = {'a': ('one', 11), 'b': ('one', 12), 'c': ('two', 13), 'd': ('one', 14), 'e': ('two', 15)}


class Failure(AssertionError):
    """A scenario's expectation that did not come true."""


def eventually(condition, what=None, within=10.0, every=0.02):
    """Waits until condition() is true and returns its value. An exception counts as not yet."""
    deadline, last = time.monotonic() + within, None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = repr(value)
        except Exception as error:  # the thing asked for may not exist yet
            last = f'{type(error).__name__}: {error}'
        if time.monotonic() >= deadline:
            raise Failure(f'{what or "the condition"} did not come true within {within:g} s; last: {last}')
        time.sleep(every)
        every = min(every * 1.5, 0.2)


def becomes(read, wanted, what, within=10.0):
    """Waits until read() == wanted; on failure tells what it was instead."""
    seen = []

    def is_so():
        seen[:] = [read()]
        return seen[0] == wanted
    try:
        eventually(is_so, what, within)
    except Failure:
        raise Failure(f'{what}: not within {within:g} s: it is {seen[0] if seen else "unreadable"}, not {wanted}') from None


def always(condition, what, during=1.0):
    """Checks that condition() stays true for a while."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        if not condition():
            raise Failure(f'{what}: not any more')
        time.sleep(0.05)


def pools(modes):
    """The two pools that the lab's nodes take their blocks from."""
    return f'pool 10.65.0.0/16 {{ {modes} }}\npool fd00:65::/48 {{ {modes} }}\n'


class Lab:
    def __init__(self, bin_directory, arguments=(), underlay_mtu=1500):
        self.bin = bin_directory
        self.arguments = dict(a.split('=', 1) for a in arguments)
        self.nodes = {}
        self.underlay = None
        self.underlay_mtu = underlay_mtu
        self.say = print
        self.here = False  # in namespaces of the machine's own kernel, not in User Mode Linux
        self.visitors = False
        shutil.rmtree('/run/lab/nodes', ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            node.remove()
        self.nodes = {}
        if self.underlay:
            self.underlay.remove()
            self.underlay = None
        namespace.remove_all()

    def program(self, name):
        path = f'{self.bin}/{name}'
        if not os.path.exists(path):
            raise Failure(f'{name} is not built: {path} is missing')
        return path

    # -- topology

    def node(self, name, subnet=None, number=None, blocks=None, workload=True):
        """A node with its blocks and one workload w0 that has the third address of each: node a has 10.65.0.0/26 and
        fd00:65::/122, b 10.65.1.0/26 and fd00:65::100/122, and so on."""
        if not self.underlay:
            self.underlay = Underlay(self.underlay_mtu)
        place, host = PLACES.get(name, ('one', 16 + len(self.nodes)))
        index = ord(name[0]) - ord('a')
        if blocks is None:
            blocks = [f'10.65.{index}.0/26', f'fd00:65::{index:x}00/122']
        node = Node(self, name, self.underlay.subnets[subnet or place], number or host, blocks)
        self.nodes[name] = node
        if workload:
            node.add_workload('w0', *(b[2] for b in node.blocks))
        return node

    def three_nodes(self):
        """a and b in one subnet, c in another."""
        return [self.node(name) for name in 'abc']

    @property
    def workloads(self):
        return [w for n in self.nodes.values() for w in n.workloads.values()]

    def pairs(self):
        return [(one, other) for one in self.workloads for other in self.workloads if one is not other]

    # -- configuration

    def config(self, pools, nodes=None, settings='calico_backend vxlan;', families=(4, 6)):
        """weft.conf's text for these nodes (default: all), as they are now."""
        if 'handover' not in settings:
            settings += ' handover { quiet 1 s; }'  # scenarios have less patience than operators
        text = [settings, pools]
        for node in self.nodes.values() if nodes is None else nodes:
            lines = [f'address {node.address(f)}/{(node.subnet.v4 if f == 4 else node.subnet.v6).prefixlen};'
                     for f in families]
            lines += [f'block {block};' for block in node.blocks if block.version in families]
            lines += node.statements
            text.append(f'node "{node.name}" {{ {" ".join(lines)} }}')
        return '\n'.join(text) + '\n'

    def start(self, config, nodes=None):
        """Writes the same file on every node and starts weftd there."""
        for node in nodes or self.nodes.values():
            node.write(config)
            node.start()

    def reload(self, config, nodes=None):
        for node in nodes or self.nodes.values():
            node.write(config)
        for node in nodes or self.nodes.values():
            node.reload()

    # -- expectations

    @staticmethod
    def pause(seconds):
        """For traffic to flow meanwhile. To wait for something, say what: `eventually`."""
        time.sleep(seconds)

    def everybody_reaches_everybody(self, within=15.0, family=None, pairs=None):
        for one, other in pairs or self.pairs():
            eventually(lambda: one.pings(other, family, wait=0.5), f'{one} pings {other}', within)

    def settled(self, nodes=None, quiet=0.3):
        """Waits until no node's kernel state has changed for a while."""
        for node in nodes or self.nodes.values():
            eventually(lambda: node.kernel.is_quiet(quiet), f'the kernel state of {node} settles')

    def watch(self, port=4789):
        """Counts what crosses the underlay: `with lab.watch() as seen: ...; seen.count(kind='vxlan')`."""
        return Watch(self.underlay.fabric, {n.port: n.name for n in self.nodes.values()}, port)

    def traffic(self, pairs=None, family=4, milliseconds=1.0):
        """A steady stream between workloads: `with lab.traffic() as t: ...` and then t.lost() == {}."""
        return Traffic(self.program('weft-probe'), pairs or self.pairs(), family, milliseconds)

    def visit(self, node, words):
        """With --shell: says `words`, gives the user a shell on this node and waits until it is left."""
        if not self.visitors:
            return
        self.say(words)
        self.say(f'VISIT {node.process.pid}')
        eventually(lambda: os.path.exists('/run/lab/host/visited'), 'the end of the visit', float('inf'))

    def evidence(self):
        """What an engineer wants to see when a scenario failed."""
        text = []
        for node in self.nodes.values():
            state = 'not running'
            if node.process:
                state = 'running' if node.process.poll() is None else f'exited with {node.process.returncode}'
            text.append(f'--- node {node.name}: weftd {state}; the end of its log:')
            text += node.log().splitlines()[-int(self.arguments.get('log', 15)):]
            if node.bird.process():
                text += ['  ' + line for line in node.run('birdc', '-s', '/run/weft/bird.ctl', 'show', 'protocols',
                                                         check=False).stdout.splitlines()]
            for command in ('ip -d -br address show', 'ip -4 route show', 'ip -6 route show', 'ip nexthop show'):
                words = command.split()
                out = node.namespace.run(*words, check=False).stdout
                text += [f'  {line}' for line in out.splitlines() if 'fe80::' not in line][:25]
        return '\n'.join(text)
