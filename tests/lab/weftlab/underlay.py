"""The underlay: one bridge for each subnet, all in the namespace `fabric`; a router namespace joins the subnets.

It knows nothing of workload addresses: a packet to one that arrives here unencapsulated for another subnet dies at the
router, as it would in a data centre.
"""
import ipaddress

from .namespace import Namespace


class Subnet:
    def __init__(self, name, v4, v6):
        self.name = name
        self.v4, self.v6 = ipaddress.ip_network(v4), ipaddress.ip_network(v6)

    def router(self, family):
        return self.host(1, family)

    def host(self, number, family):
        """192.0.2.11 and 2001:db8::11: the number is read as the text that people see in both families."""
        if family == 4:
            return self.v4[number]
        return self.v6[int(str(number), 16)]


SUBNETS = (Subnet('one', '192.0.2.0/24', '2001:db8::/64'), Subnet('two', '198.51.100.0/24', '2001:db8:1::/64'))


class Underlay:
    def __init__(self, mtu=1500):
        self.mtu = mtu
        self.fabric = Namespace('fabric')
        self.router = Namespace('router')
        self.subnets = {s.name: s for s in SUBNETS}
        for subnet in SUBNETS:
            self.fabric.configure.add_bridge(subnet.name, mtu)
            self.fabric.configure.set_link(subnet.name, up=True)
            self.attach(self.router, subnet, f'router-{subnet.name}', subnet.name)
            for family, network in ((4, subnet.v4), (6, subnet.v6)):
                self.router.configure.add_address(subnet.name, f'{subnet.router(family)}/{network.prefixlen}')
        for path in ('net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'):
            self.router.sysctl(path, 1)

    def remove(self):
        self.router.remove()
        self.fabric.remove()

    def attach(self, namespace, subnet, port, device):
        """A cable from `device` in `namespace` to the subnet's bridge, where its end is called `port`."""
        self.fabric.configure.add_veth(port, device, namespace, self.mtu)
        self.fabric.configure.set_link(port, up=True, master=subnet.name)
        namespace.configure.set_link(device, up=True)

    def unplug(self, port):
        self.fabric.configure.set_link(port, up=False)

    def plug(self, port):
        self.fabric.configure.set_link(port, up=True)
