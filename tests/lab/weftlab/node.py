"""A node: a namespace cabled to the underlay, a weftd with /run/weft, /var/lib/weft and a hostname of its own, and
workloads behind it."""
import http.client
import ipaddress
import os
import re
import signal
import socket
import subprocess
import time

from . import kernel as kernel_module
from .bird import Bird
from .namespace import Namespace
from .ping import ping

EVERYTHING = {4: '0.0.0.0/0', 6: '::/0'}


class Workload:
    """A namespace with addresses out of its node's blocks: behind a veth with routes to it, as Calico's CNI makes them,
    or with others on a bridge that holds the block's first host address as gateway."""

    def __init__(self, node, name, addresses, bridge=None, mtu=1500):
        self.node, self.name = node, name
        self.addresses = [ipaddress.ip_address(a) for a in addresses]
        self.namespace = Namespace(f'{node.name}-{name}')
        self.port = f'weft{name}'
        host, guest = node.namespace.configure, self.namespace.configure
        host.add_veth(self.port, 'eth0', self.namespace, mtu)
        guest.set_link('eth0', up=True)
        host.set_link(self.port, up=True, master=bridge)
        if not bridge:
            host.add_address(self.port, '169.254.1.1/32', scope=253)
            host.add_address(self.port, 'fe80::1/64')
        for address in self.addresses:
            first = address == self.address(address.version)
            if bridge:
                block = next(b for b in node.blocks if address in b)
                guest.add_address('eth0', f'{address}/{block.prefixlen}')
                if first:
                    guest.add_route(EVERYTHING[address.version], gateway=block[1])
            else:
                host.add_route(f'{address}/{address.max_prefixlen}', device=self.port)
                guest.add_address('eth0', f'{address}/{address.max_prefixlen}')
                if first:
                    gateway = '169.254.1.1' if address.version == 4 else 'fe80::1'
                    guest.add_route(EVERYTHING[address.version], 'eth0', gateway, True)

    def __str__(self):
        return f'{self.node.name}/{self.name}'

    def address(self, family=4):
        return next((a for a in self.addresses if a.version == family), None)

    def ping(self, destination, size=84, wait=1.0, family=4):
        """One echo request to a workload, node or address."""
        if isinstance(destination, (Workload, Node)):
            destination = destination.address(family)
        return ping(self.namespace, destination, self.address(ipaddress.ip_address(str(destination)).version), size, wait)

    def pings(self, other, family=None, size=84, wait=1.0):
        """True when `other` answers in `family`, or in every family that both have."""
        families = [family] if family else [f for f in (4, 6) if self.address(f) and other.address(f)]
        return all(self.ping(other, size, wait, f) for f in families)

    def remove(self):
        self.node.namespace.configure.delete_link(self.port)
        self.namespace.remove()


class Node:
    def __init__(self, lab, name, subnet, number, blocks):
        self.lab, self.name, self.subnet, self.number = lab, name, subnet, number
        self.blocks = [ipaddress.ip_network(b) for b in blocks]
        self.namespace = Namespace(name)
        self.kernel = kernel_module.Kernel(self.namespace)
        self.workloads = {}
        self.process = None
        self.programs = {}  # others that run here until the node is removed: name -> process
        self.options = []  # further arguments of weftd
        self.environment = {}  # further variables of weftd
        self.statements = []  # further ones of its block in weft.conf
        self.bird = Bird(self)
        self.directory = f'/run/lab/nodes/{name}'
        for part in ('run', 'state', 'etc'):
            os.makedirs(f'{self.directory}/{part}', exist_ok=True)
        self.port = f'node-{name}'
        lab.underlay.attach(self.namespace, subnet, self.port, 'eth0')
        self.namespace.sysctl('net/ipv4/conf/all/promote_secondaries', 1)
        self.addresses = {}
        self.readdress(number)

    def __str__(self):
        return self.name

    @property
    def workload(self):
        return self.workloads['w0']

    @property
    def config_file(self):
        return f'{self.directory}/etc/weft.conf'

    @property
    def log_file(self):
        return f'{self.directory}/log'

    def address(self, family=4):
        return self.addresses[family]

    def owns(self, address):
        """Is it this node's address or within its blocks?"""
        if not address:
            return False
        address = ipaddress.ip_address(address)
        return address in self.addresses.values() or any(address in b for b in self.blocks)

    def readdress(self, number):
        """Gives the node another host number in its subnet, as an administrator would: new address first."""
        old = dict(self.addresses)
        for family, network in ((4, self.subnet.v4), (6, self.subnet.v6)):
            self.addresses[family] = self.subnet.host(number, family)
            configure = self.namespace.configure
            configure.add_address('eth0', f'{self.addresses[family]}/{network.prefixlen}')
            if family in old:
                configure.delete_address('eth0', f'{old[family]}/{network.prefixlen}')
            configure.add_route(EVERYTHING[family], gateway=self.subnet.router(family), replace=True)
        self.number = number

    def move(self, subnet, number):
        """Cables the node to another subnet, with addresses of that one."""
        for family, network in ((4, self.subnet.v4), (6, self.subnet.v6)):
            self.namespace.configure.delete_address('eth0', f'{self.addresses[family]}/{network.prefixlen}')
        self.addresses = {}
        self.subnet = self.lab.underlay.subnets[subnet]
        self.lab.underlay.fabric.configure.set_link(self.port, up=True, master=subnet)
        self.readdress(number)

    def add_workload(self, name, *addresses, bridge=None, mtu=1500):
        self.workloads[name] = Workload(self, name, addresses, bridge, mtu)
        return self.workloads[name]

    # -- weftd

    def _mounts(self):
        return ((f'{self.directory}/run', '/run/weft'), (f'{self.directory}/state', '/var/lib/weft'))

    def popen(self, *command, **options):
        return self.namespace.popen(command, hostname=self.name, mounts=self._mounts(), **options)

    def run(self, *command, check=True):
        """Runs a program as it would run on this node: its network, host name, /run/weft and /var/lib/weft."""
        return self.namespace.run(*command, check=check, hostname=self.name, mounts=self._mounts())

    def write(self, text):
        with open(self.config_file + '.new', 'w') as file:
            file.write(text)
        os.rename(self.config_file + '.new', self.config_file)

    def start(self, *options):
        assert self.process is None, f'weftd of {self.name} runs already'
        with open(self.log_file, 'a') as log:
            self.process = self.popen(self.lab.program('weftd'), '-c', self.config_file, *self.options, *options,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      env={**os.environ, **self.environment})

    def reload(self):
        """SIGHUP; one that has just been started is waited for until it listens to it, as an init system would."""
        deadline = time.monotonic() + 30
        while not self._catches(signal.SIGHUP) and self.process.poll() is None:
            assert time.monotonic() < deadline, f'weftd of {self.name} does not listen to SIGHUP'
            time.sleep(0.01)
        self.process.send_signal(signal.SIGHUP)

    def _catches(self, number):
        with open(f'/proc/{self.process.pid}/status') as file:
            caught = re.search(r'^SigCgt:\s*(\w+)', file.read(), re.M)
        return bool(int(caught[1], 16) >> (number - 1) & 1)

    def stop(self, wait=10):
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM, wait)

    def kill(self):
        return self._end(signal.SIGKILL, 10)

    def _end(self, number, wait):
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f'weftd of {self.name} did not end within {wait} s of signal {number}') from None

    def restart(self):
        status = self.stop()
        self.start()
        return status

    def purge(self):
        return self.run(self.lab.program('weftd'), '--purge', '-c', self.config_file)

    def get(self, path, port=9099):
        """(status, body) of weftd's HTTP endpoint on this node."""
        with self.namespace.entered():
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
            connection.connect()
        try:
            connection.request('GET', path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ready(self):
        return self.process is not None and self.get('/readiness')[0] == 200

    def metric(self, name):
        """A metric's samples: labels as text -> value."""
        found = re.findall(rf'^{name}(\{{.*\}})? (\S+)$', self.get('/metrics')[1], re.M)
        return {labels: float(value) for labels, value in found}

    def weftctl(self, *command, check=True):
        """What `weftctl COMMAND` prints on this node."""
        return self.run(self.lab.program('weftctl'), *command, check=check).stdout

    def ask(self, *command):
        """(code, text) of what weftd answers on its control socket; without a program, which costs time here."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(f'{self.directory}/run/weft.ctl')
            connection.sendall(' '.join(command).encode() + b'\n')
            lines, answer = [], connection.makefile()
            answer.readline()  # the greeting
            for line in answer:
                lines.append(line.rstrip('\n')[5:] if line[0] != ' ' else line[1:].rstrip('\n'))
                if re.match(r'\d{4} ', line):
                    return int(line[:4]), '\n'.join(lines)
        raise ConnectionError(f'weftd of {self.name} hung up')

    def weftd_fails(self, *options, wait=10):
        """Runs a weftd that is expected to give up: (exit status, what it said)."""
        process = self.popen(self.lab.program('weftd'), '-c', self.config_file, *self.options, *options,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            out, _ = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f'weftd on {self.name} went on running: {process.communicate()[0]}') from None
        return process.returncode, out

    def log(self):
        try:
            with open(self.log_file, errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def remove(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        if self.bird.process():
            self.bird.kill()
        for program in self.programs.values():
            program.kill()
            program.wait()
        for workload in self.workloads.values():
            workload.remove()
        self.namespace.remove()
