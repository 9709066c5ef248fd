"""A top-of-rack router on the underlay: another BGP implementation, in AS 65000, that announces 203.0.113.0/24."""
import json
import os
import subprocess

from .lab import eventually
from .namespace import Namespace

ANNOUNCED = '203.0.113.0/24'


class Router:
    """Peers with these nodes' addresses; `learnt()` are the prefixes it has from them."""

    def __init__(self, lab, nodes, password, number=100):
        subnet = nodes[0].subnet
        self.address = subnet.host(number, 4)
        self.namespace = Namespace('tor')
        lab.underlay.attach(self.namespace, subnet, 'port-tor', 'eth0')
        self.namespace.configure.add_address('eth0', f'{self.address}/{subnet.v4.prefixlen}')
        self.peers = [str(node.address()) for node in nodes]
        self.password = password
        self.directory = '/run/lab/tor'
        os.makedirs(self.directory, exist_ok=True)
        self.processes = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        self.namespace.remove()

    def run(self, *command):
        with open(f'{self.directory}/log', 'a') as log:
            self.processes.append(self.namespace.popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def write(self, name, text):
        path = f'{self.directory}/{name}'
        with open(path, 'w') as file:
            file.write(text)
        return path


class Frr(Router):
    def start(self):
        lines = ['router bgp 65000', ' bgp router-id 192.0.2.100', ' no bgp ebgp-requires-policy',
                 ' no bgp network import-check']
        for peer in self.peers:
            lines += [f' neighbor {peer} remote-as 64512', f' neighbor {peer} password {self.password}',
                      f' neighbor {peer} timers connect 2']
        lines += [' address-family ipv4 unicast', f'  network {ANNOUNCED}', ' exit-address-family']
        config = self.write('bgpd.conf', '\n'.join(lines) + '\n')
        self.run('/usr/lib/frr/bgpd', '-S', '-Z', '-f', config, '-i', f'{self.directory}/bgpd.pid', '--vty_socket',
                 self.directory, '-P', '0')

    def learnt(self):
        done = self.namespace.run('vtysh', '--vty_socket', self.directory, '-c', 'show bgp ipv4 unicast json')
        routes = json.loads(done.stdout)['routes']
        return {prefix for prefix, paths in routes.items() if any(path.get('nexthops') and path.get('path') for path in paths)}


class GoBgp(Router):
    def start(self):
        text = '[global.config]\n  as = 65000\n  router-id = "192.0.2.100"\n'
        for peer in self.peers:
            text += (f'[[neighbors]]\n  [neighbors.config]\n    neighbor-address = "{peer}"\n    peer-as = 64512\n'
                     f'    auth-password = "{self.password}"\n'
                     '  [neighbors.timers.config]\n    connect-retry = 5\n')
        self.run('gobgpd', '-t', 'toml', '-f', self.write('gobgpd.conf', text))
        eventually(lambda: self.namespace.run('gobgp', 'global', 'rib', 'add', ANNOUNCED), 'GoBGP takes a route', 30)

    def learnt(self):
        routes = json.loads(self.namespace.run('gobgp', '-j', 'global', 'rib').stdout or '{}')
        return {prefix for prefix, paths in routes.items() if prefix != ANNOUNCED}
