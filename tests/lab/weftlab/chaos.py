"""Faults and changes in a random order, made from a seed, under continuous traffic, and what is true after each.

A step does one thing to the cluster and says what that may cost: which pairs of workloads may lose packets, from when
until when (`Excuse`). After it, within a deadline, every node's kernel has to equal its plan, everything foreign has to
be what it was, and every packet that was lost has to be excused. A step draws all it needs from a source of random
numbers of its own, (seed, number): so what step 7 does is the same however long step 6 took, and with other steps left
out.
"""
import dataclasses
import random
import re
import time

from .lab import Failure, eventually

UNDER_WAY = 0.3  # seconds that a packet may be on its way when a fault strikes or ends, on a loaded machine
PATIENCE = 60  # seconds for a node to settle; on an idle machine it takes one or two, a handover about five


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the cluster is configured to be. Modes as weft.conf has them, 'never' for none."""
    v4: str = 'vxlan always'
    v6: str = 'vxlan always'
    backend: str = 'bird'
    vni: int = 4096
    port: int = 4789
    mtu: int = 0  # of the tunnels; 0: as the underlay allows
    reflector: str = ''  # the node that is one, beside the mesh

    def __str__(self):
        text = f'{self.v4}, IPv6 {self.v6}, backend {self.backend}, VNI {self.vni}, port {self.port}'
        text += f', MTU {self.mtu}' if self.mtu else ''
        return text + (f', {self.reflector} a reflector' if self.reflector else '')

    def modes(self):
        """(family, mode) of each pool."""
        return (4, self.v4), (6, self.v6)

    def connects(self, one, other, family):
        """The underlay knows no workload addresses: without encapsulation packets get no further than their subnet."""
        mode = self.v4 if family == 4 else self.v6
        if mode == 'never':
            return self.backend == 'bird' and one.subnet is other.subnet
        return mode.startswith('vxlan') or self.backend == 'bird'

    @staticmethod
    def draw(rng):
        shape = Shape(v4=rng.choice(('vxlan always', 'vxlan cross subnet', 'ipip always', 'ipip cross subnet', 'never')),
                      v6=rng.choice(('vxlan always', 'vxlan cross subnet', 'never')),
                      vni=rng.choice((4096, 4096, 77)), port=rng.choice((4789, 4789, 8472)),
                      mtu=rng.choice((0, 0, 1400)),
                      reflector=rng.choice(('', '', 'c')))
        vxlan_alone = shape.v4.startswith('vxlan') and shape.v6.startswith('vxlan')
        return dataclasses.replace(shape, backend=rng.choice(('bird', 'vxlan')) if vxlan_alone else 'bird')


@dataclasses.dataclass
class Excuse:
    """Packets to and from these nodes may be lost if they were sent in this time, or were under way in it."""
    nodes: set
    begin: float
    end: float
    why: str

    def covers(self, loss):
        return ({loss.one.node.name, loss.other.node.name} & self.nodes and loss.begin >= self.begin - UNDER_WAY
                and loss.end <= self.end + UNDER_WAY)


class Chaos:
    """A running cluster, what it is configured to be, and the judgement after each step.

    `source`: where the nodes have their cluster from (weftlab/cluster_source.py); `name`: of the scenario, to run it
    again; `nodes`: those that run weftd; `fixed`: fields of its shapes that are the same in all."""

    def __init__(self, lab, seed, source, name, nodes=None, fixed=None):
        self.lab, self.seed, self.source, self.name = lab, seed, source, name
        self.fixed = fixed or {}
        self.nodes = list(lab.nodes.values()) if nodes is None else nodes
        self.shape = dataclasses.replace(Shape(), **self.fixed)
        self.foreign = {}
        self.traffic = None
        self.excuses = []
        self.unconnected = set()  # pairs that this step's shapes do not connect all the time
        self.history = []

    # -- what steps do

    def draw(self, rng):
        return dataclasses.replace(Shape.draw(rng), **self.fixed)

    def start(self):
        for node in self.nodes:
            self.note_foreign(node)
            self.source.render(self, node, self.shape)
            node.start()
        self.source.started(self)
        self.lab.everybody_reaches_everybody(within=PATIENCE)
        self.settle()

    def note_foreign(self, node):
        """What stands beside weft on this node, and is to stay as it is now."""
        self.foreign[node] = self._foreign_of(node)

    def reshape(self, shape, nodes, pause):
        """Another configuration, node after node, `pause()` seconds apart."""
        self._note_unconnected(self.shape)
        self._note_unconnected(shape)
        self.shape = shape
        for node in nodes:
            self.source.render(self, node, shape)
            self.lab.pause(pause())

    def excuse(self, node, begin, why, within):
        """From `begin` until now, or until this node's workloads reach all others and are reached again."""
        pairs = [(one, other, family) for one, other, family in self.traffic.flows
                 if node in (one.node, other.node) and (one, other, family) not in self.unconnected]
        deadline = begin + within
        for one, other, family in pairs:
            eventually(lambda: one.ping(other, wait=0.3, family=family),
                       f'after {why}, {one} pings {other} (IPv{family})', max(0.5, deadline - time.monotonic()))
        self.excuses.append(Excuse({node.name}, begin, time.monotonic(), why))
        return time.monotonic() - begin

    def settle(self, nodes=None):
        """Waits until these nodes' kernels equal their plans, and no change is under way."""
        for node in nodes or self.nodes:
            eventually(lambda: self.source.has_read(node) and _settled(node), f'{node} equals its plan', PATIENCE)

    def expect_no_loss(self, story):
        """Of packets sent since the last time this was asked."""
        lost, _ = self._judge()
        if lost:
            raise Failure(f'{story}: lost {"; ".join(map(str, lost[:12]))}')

    # -- judgement

    def run(self, steps, faults, only=None):
        """`faults`: functions (chaos, rng) that do something and return what, in words."""
        self.start()
        with self.lab.traffic(family=(4, 6), milliseconds=float(self.lab.arguments.get('milliseconds', 10))) as traffic:
            self.traffic = traffic
            self._note_unconnected(self.shape)
            self._judge()
            for number in range(steps):
                if only and number not in only:
                    continue
                rng = random.Random(f'{self.seed}/{number}')
                fault = rng.choice(faults)
                try:
                    self._step(number, fault, rng)
                except Exception as error:
                    raise Failure(self._story(number, fault, error)) from error
        self._purge()

    def _step(self, number, fault, rng):
        self.excuses, self.unconnected = [], set()
        self._note_unconnected(self.shape)
        started = time.monotonic()
        self.history.append(f'{number}: {fault.__name__}')
        words = fault(self, rng)
        self.history[-1] = f'{number}: {words}'
        self.settle()
        lost, excused = self._judge()
        eaten = f', {excused} packets eaten by it' if excused else ''
        self.lab.say(f'  {number:3} {words}{eaten} ({time.monotonic() - started:.1f} s)')
        if lost:
            raise Failure('lost: ' + '; '.join(map(str, lost[:12])))

    def _judge(self):
        """(losses that nothing excuses, how many packets were excused). Also that nothing foreign was touched."""
        self.lab.pause(0.6)  # until it is known of all packets up to now
        losses = [loss for loss in self.traffic.losses() if (loss.one, loss.other, loss.family) not in self.unconnected]
        for node in self.nodes:
            now = self._foreign_of(node)
            if now != self.foreign[node]:
                raise Failure(f'foreign on {node}: ' + _difference(self.foreign[node], now))
        bad = [loss for loss in losses if not any(excuse.covers(loss) for excuse in self.excuses)]
        return bad, sum(loss.packets for loss in losses) - sum(loss.packets for loss in bad)

    def _purge(self):
        """Without weft everything is as before it came."""
        for node in self.nodes:
            node.stop()
            node.purge()
            left = [line for line in node.kernel.snapshot(without=(r'^link: .* tunl0@',)) if re.search(OURS, line)]
            if left:
                raise Failure(f'{node} after --purge: {left}')

    def _note_unconnected(self, shape):
        flows = self.traffic.flows if self.traffic else []
        self.unconnected |= {flow for flow in flows if not shape.connects(flow[0].node, flow[1].node, flow[2])}

    def _foreign_of(self, node):
        kinds = ('address', 'route4', 'nexthop', 'neighbour')  # a program for each: all of them would take seconds
        lines = node.kernel.snapshot(kinds=kinds, without=(OURS,))
        return sorted(re.sub(r' (state|qdisc|group|qlen|linkdown|dead|NO-CARRIER)\b( \S+)?', '', line) for line in lines)

    def _story(self, number, fault, error):
        done = '; '.join(self.history)
        given = {**self.lab.arguments, 'seed': self.seed, 'steps': number + 1}
        return (f'seed {self.seed}, step {number} ({fault.__name__}): {error}\n'
                f'  so far: {done}\n'
                f'  again: tests/lab/run chaos -k {self.name} ' +
                ' '.join(f'--argument {key}={value}' for key, value in given.items()))


OURS = r'vxlan(-v6)?\.calico|weft4|weft6|tunl0|proto (80|bird|12)\b|blackhole'


def _settled(node):
    status, text = node.get('/readiness')
    if status != 200 or 'handover' in text or 'not wanted any more' in text:
        raise Failure(text)
    code, plan = node.ask('plan')
    if code != 19:
        raise Failure(plan)
    return True


def _difference(before, after):
    return '; '.join([f'- {line}' for line in before if line not in after] +
                     [f'+ {line}' for line in after if line not in before])
