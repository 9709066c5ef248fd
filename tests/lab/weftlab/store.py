"""etcd on a machine of its own in the underlay, in Calico's layout; and a proxy that misbehaves in front of it."""
import base64
import http.client
import ipaddress
import json
import selectors
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

from .certificates import Certificates
from .lab import eventually

POOL = {'kind': 'IPPool', 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': 'p'}}
RESOURCES = '/calico/resources/v3/projectcalico.org'


def _text(text):
    return base64.b64encode(text.encode()).decode()


def _end(prefix):
    """The first key after all that begin so."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Store:
    """One member or several, all on one machine, each on a port of its own. `source`: further statements of the nodes'
    `source etcd`; `tls`: with certificates, the first CA's."""

    def __init__(self, lab, members=1, options=(), source='', tls=False):
        self.node = lab.node('store', subnet='one', number=20, blocks=[], workload=False)
        self.options = tuple(options)
        self.source = source
        self.scheme, self.certificates = 'http', None
        if tls:
            self.scheme, self.certificates = 'https', Certificates(f'{self.node.directory}/tls', self.node.address())
            self.certificates.install('etcd', 'server1', ca=(1,))
            self.certificates.install('node', 'client1', ca=(1,))
            self.options += self.certificates.options_of_etcd()
            self.source += self.certificates.statements()
        self.operator = 'client1'  # whose certificate this program shows
        self.token = None
        self.names = [f'm{number}' for number in range(members)]
        self.processes = self.node.programs
        self.start()

    def config(self, settings, urls=None):
        """weft.conf's text, the same for all: in it there is no node, no pool and no block."""
        endpoints = ' '.join(f'endpoint "{url}";' for url in urls or self.urls)
        return f'{settings} handover {{ quiet 1 s; }}\nsource etcd {{ {endpoints} register yes; {self.source} }}\n'

    def serve(self, lab, names, settings, urls=None):
        """Nodes that know no more than that, once they have registered and reach each other: each with a workload in the
        block that it has got."""
        nodes = [lab.node(name, blocks=[], workload=False) for name in names]
        lab.start(self.config(settings, urls), nodes)
        self.populate(lab, nodes)
        return nodes

    def populate(self, lab, nodes):
        for node in nodes:
            eventually(lambda: self.block(node.name), f'{node} has a block', 30)
            node.blocks = [self.block(node.name)]
            node.add_workload('w0', node.blocks[0][2])
        lab.everybody_reaches_everybody(family=4, within=30)

    def url(self, name=None):
        return f'{self.scheme}://{self.node.address()}:{2379 + 100 * self.names.index(name or self.names[0])}'

    @property
    def urls(self):
        return [self.url(name) for name in self.names]

    def _peer(self, name):
        return f'http://127.0.0.1:{2380 + 100 * self.names.index(name)}'

    def _data(self, name):
        return f'{self.node.directory}/state/etcd-{name}'

    def start(self, *names):
        for name in names or self.names:
            with open(self.node.log_file, 'a') as log:
                self.processes[name] = self.node.popen(
                    'etcd', '--name', name, '--data-dir', self._data(name),
                    '--listen-client-urls', self.url(name), '--advertise-client-urls', self.url(name),
                    '--listen-peer-urls', self._peer(name), '--initial-advertise-peer-urls', self._peer(name),
                    '--initial-cluster', ','.join(f'{n}={self._peer(n)}' for n in self.names), *self.options,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for name in names or self.names:
            eventually(lambda: self._get('/health', name) == {'health': 'true'}, f'etcd {name} is there', 30)

    def stop(self, *names, data=True):
        """Killed; without its data where `data` is false."""
        for name in names or self.names:
            process = self.processes.pop(name)
            process.kill()
            process.wait()
            if not data:
                shutil.rmtree(self._data(name))

    def ctl(self, *words, member=None):
        """What `etcdctl` says. A program costs time here: for what is asked often there are the methods below."""
        urls = self.url(member) if member else ','.join(self.url(name) for name in self.processes)
        process = self.node.run('env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', urls, *words, check=False)
        return process.stdout + process.stderr

    def _get(self, path, name):
        return self._exchange(name, 'GET', path)

    def _post(self, path, body, name=None):
        said = self._exchange(name or next(iter(self.processes)), 'POST', path, json.dumps(body))
        if self.token and 'invalid auth token' in said.get('message', ''):
            self.log_in()
            said = self._exchange(name or next(iter(self.processes)), 'POST', path, json.dumps(body))
        return said

    def _exchange(self, name, method, path, body=None):
        where = self.url(name).removeprefix(f'{self.scheme}://')
        if self.certificates:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # what it shows is the nodes' to judge
            context.load_cert_chain(self.certificates.file(f'{self.operator}.pem'),
                                    self.certificates.file(f'{self.operator[-1]}.key'))
            connection = http.client.HTTPSConnection(where, timeout=10, context=context)
        else:
            connection = http.client.HTTPConnection(where, timeout=10)
        with self.node.namespace.entered():
            connection.connect()
        try:
            connection.request(method, path, body, {'Authorization': self.token} if self.token else {})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def status(self):
        """Member's name -> what its status says."""
        return {name: self._post('/v3/maintenance/status', {}, name) for name in self.processes}

    def leader(self):
        for name, status in self.status().items():
            if status['header']['member_id'] == status['leader']:
                return name
        return None

    def compact(self):
        """All that is not the present."""
        revision = self._post('/v3/kv/range', {'key': _text('x')})['header']['revision']
        return self._post('/v3/kv/compaction', {'revision': revision, 'physical': True})

    def delete(self, prefix):
        return self._post('/v3/kv/deleterange', {'key': _text(prefix), 'range_end': _text(_end(prefix))})

    def put(self, key, value):
        """True, or what etcd says against it."""
        said = self._post('/v3/kv/put', {'key': _text(key), 'value': _text(value if isinstance(value, str)
                                                                          else json.dumps(value))})
        return said.get('message', True)

    def put_all(self, values):
        """Keys -> values as JSON, in one transaction; its revision."""
        puts = [{'requestPut': {'key': _text(key), 'value': _text(json.dumps(value))}} for key, value in values.items()]
        return int(self._post('/v3/kv/txn', {'success': puts})['header']['revision'])

    def ask_for_passwords(self, user, password):
        """From now on whoever has none may do nothing, and this user what a node has to."""
        everything = {'permType': 'READWRITE', 'key': _text('/calico/'), 'range_end': _text(_end('/calico/'))}
        for path, body in (('user/add', {'name': 'root', 'password': 'root'}), ('role/add', {'name': 'root'}),
                           ('user/grant', {'user': 'root', 'role': 'root'}), ('role/add', {'name': 'weft'}),
                           ('role/grant', {'name': 'weft', 'perm': everything}),
                           ('user/add', {'name': user, 'password': password}),
                           ('user/grant', {'user': user, 'role': 'weft'}), ('enable', {})):
            said = self._post(f'/v3/auth/{path}', body)
            assert 'error' not in said, (path, said)
        self.log_in()

    def log_in(self):
        self.token = None
        self.token = self._post('/v3/auth/authenticate', {'name': 'root', 'password': 'root'})['token']

    def save(self, file):
        """A snapshot of the data, as an administrator makes one."""
        assert 'saved' in self.ctl('snapshot', 'save', file).lower()

    def restore(self, file):
        """In place of all data; the store is stopped before and runs afterwards."""
        name, = self.names
        self.stop(data=False)
        self.node.run('env', 'ETCDCTL_API=3', 'etcdctl', 'snapshot', 'restore', file, '--name', name, '--data-dir',
                      self._data(name), '--initial-cluster', f'{name}={self._peer(name)}',
                      '--initial-advertise-peer-urls', self._peer(name))
        self.start()

    def pool(self, **fields):
        spec = {'cidr': '10.65.0.0/16', 'blockSize': 26, 'ipipMode': 'Never', 'vxlanMode': 'Never', **fields}
        assert self.put(f'{RESOURCES}/ippools/p', {**POOL, 'spec': spec}) is True

    def stranger(self, number):
        """A node that is in the store only, with a block; the block."""
        name, block = f'stranger{number}', f'10.65.{200 + number}.0/26'
        for key, value in (
                (f'{RESOURCES}/nodes/{name}', {
                    'kind': 'Node', 'apiVersion': 'projectcalico.org/v3', 'metadata': {'name': name},
                    'spec': {'bgp': {'ipv4Address': f'192.0.2.{200 + number}/24'}, 'ipv4VXLANTunnelAddr': block[:-3]}}),
                (f'/calico/ipam/v2/host/{name}/ipv4/block/{block.replace("/", "-")}',
                 {'state': 'confirmed', 'deleted': False})):
            said = self.put(key, value)
            assert said is True, said
        return block

    def get(self, prefix):
        """Key -> value, both as text."""
        found = self._post('/v3/kv/range', {'key': _text(prefix), 'range_end': _text(_end(prefix))}).get('kvs', [])
        return {base64.b64decode(each['key']).decode(): base64.b64decode(each.get('value', '')).decode() for each in found}

    def revisions(self, prefix):
        """Key -> when it was written last."""
        found = self._post('/v3/kv/range', {'key': _text(prefix), 'range_end': _text(_end(prefix)), 'keys_only': True})
        return {base64.b64decode(each['key']).decode(): each['mod_revision'] for each in found.get('kvs', [])}

    def object(self, name):
        return json.loads(self.get(f'{RESOURCES}/nodes/{name}')[f'{RESOURCES}/nodes/{name}'])

    def spec(self, name):
        return self.object(name)['spec']

    def block(self, name, family=4):
        """The node's block, by its affinity."""
        key, = self.get(f'/calico/ipam/v2/host/{name}/ipv{family}/block/')
        return ipaddress.ip_network('/'.join(key.rsplit('/', 1)[1].rsplit('-', 1)))


class Proxy(threading.Thread):
    """Between the nodes and one port of the store: passes bytes on, late, in part, or not at all, and counts requests."""

    def __init__(self, store, port=2378):
        super().__init__(daemon=True)
        self.store = store
        self.url = f'{store.scheme}://{store.node.address()}:{port}'
        self.requests = 0  # and watches; connections that were refused count too. Of TLS connections alone are seen
        self.connections = 0
        self._mode, self._limit = 'pass', 0
        self._listener = store.node.namespace.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((str(store.node.address()), port))
        self._listener.listen(100)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._late = []  # (when, socket, bytes)
        self._passed = {}  # of the store's bytes, by the node's socket
        self._cut = False
        self._over = False
        self.start()

    def set(self, mode, limit=0):
        """pass; delay: `limit` seconds each way; truncate, reset: after `limit` bytes from the store; refuse: no
        connections, and those that there are end."""
        self._passed = dict.fromkeys(self._passed, 0)
        self._mode, self._limit = mode, limit
        self._cut = mode == 'refuse'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over = True
        self.join()

    def run(self):
        while not self._over:
            if self._cut:
                self._cut = False
                self._close(*(k.fileobj for k in list(self._selector.get_map().values()) if k.fileobj is not self._listener))
            for key, _ in self._selector.select(0.02):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj.fileno() >= 0:
                    self._pass(key.fileobj, *key.data)
            due, self._late = ([e for e in self._late if e[0] <= time.monotonic()],
                               [e for e in self._late if e[0] > time.monotonic()])
            for _, to, data in due:
                self._send(to, data)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()

    def _accept(self):
        node, _ = self._listener.accept()
        self.connections += 1
        if self._mode == 'refuse':
            self.requests += 1
            return node.close()
        store = self.store.node.namespace.socket()
        try:
            store.connect((str(self.store.node.address()), 2379))
        except OSError:
            self.requests += 1
            store.close()
            return node.close()
        self._passed[node] = 0
        self._selector.register(node, selectors.EVENT_READ, (store, True))
        self._selector.register(store, selectors.EVENT_READ, (node, False))

    def _close(self, *pair, reset=False):
        for each in pair:
            self._passed.pop(each, None)
            if each.fileno() < 0:
                continue
            self._selector.unregister(each)
            if reset:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            each.close()

    def _pass(self, source, to, from_node):
        try:
            data = source.recv(65536)
        except OSError:
            data = b''
        if not data or self._mode == 'refuse':
            return self._close(source, to)
        if from_node:
            self.requests += data.count(b'POST /v3/')
        elif self._mode in ('truncate', 'reset'):
            data = data[:max(0, self._limit - self._passed[to])]
            self._passed[to] += len(data)
            self._send(to, data)
            if self._passed[to] >= self._limit:
                self._close(to, source, reset=self._mode == 'reset')
            return None
        if self._mode == 'delay':
            return self._late.append((time.monotonic() + self._limit, to, data))
        return self._send(to, data)

    @staticmethod
    def _send(to, data):
        try:
            to.sendall(data)
        except OSError:
            pass  # its other end notices
