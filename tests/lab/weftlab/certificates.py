"""Two CAs and what they have signed, for etcd and those that talk to it; and the files that those read."""
import os
import shutil

from .namespace import run

CONFIG = """\
[ca]
default_ca = any
[any]
database = index
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = names
unique_subject = no
copy_extensions = copy
[names]
organizationName = optional
commonName = optional
"""
# Name -> CA. What has expired did so long ago.
SIGNED = {'server1': 1, 'server1-renewed': 1, 'server2': 2, 'server2-expired': 2, 'client1': 1, 'client2': 2,
          'client2-expired': 2}


class Certificates:
    """`install(who, certificate, ca)` puts them where `who`, 'etcd' or 'node', reads them."""

    def __init__(self, directory, address):
        self.directory = directory
        os.makedirs(directory)
        with open(f'{directory}/config', 'w') as file:
            file.write(CONFIG)
        open(f'{directory}/index', 'w').close()
        script = ['set -e', f'cd {directory}']
        for number in (1, 2):
            script += [f'openssl ecparam -name prime256v1 -genkey -noout -out {number}.key',
                       f'openssl req -x509 -new -key {number}.key -subj /CN=CA{number} -days 9 -out ca{number}.pem']
        for name, ca in SIGNED.items():
            dates = ('20200101000000Z', '20200102000000Z') if 'expired' in name else ('20200101000000Z', '20490101000000Z')
            # etcd's gateway takes no client certificate with a common name while it asks for passwords, too.
            script += [f'openssl req -new -key {ca}.key -subj /{"O" if "client" in name else "CN"}={name} -addext subjectAltName=IP:{address} -out csr',
                       'openssl ca -config config -batch -notext -in csr -cert '
                       f'ca{ca}.pem -keyfile {ca}.key -startdate {dates[0]} -enddate {dates[1]} -out {name}.pem']
        run('sh', '-c', '\n'.join(script))

    def file(self, name):
        return f'{self.directory}/{name}'

    def install(self, who, certificate=None, ca=()):
        """`certificate` of SIGNED, with its key; `ca`: numbers of those that are trusted. What is left out stays."""
        if certificate:
            self._replace(f'{who}.pem', [f'{certificate}.pem'])
            self._replace(f'{who}.key', [f'{SIGNED[certificate]}.key'])
        if ca:
            self._replace(f'{who}-ca.pem', [f'ca{number}.pem' for number in ca])

    def _replace(self, name, sources):
        with open(self.file('new'), 'wb') as new:
            for source in sources:
                with open(self.file(source), 'rb') as file:
                    shutil.copyfileobj(file, new)
        os.rename(self.file('new'), self.file(name))

    def options_of_etcd(self):
        return ('--cert-file', self.file('etcd.pem'), '--key-file', self.file('etcd.key'),
                '--client-cert-auth', '--trusted-ca-file', self.file('etcd-ca.pem'))

    def statements(self):
        """Of `source etcd`."""
        return f'ca "{self.file("node-ca.pem")}"; certificate "{self.file("node.pem")}"; key "{self.file("node.key")}";'
