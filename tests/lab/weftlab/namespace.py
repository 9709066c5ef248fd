"""A network namespace by name, entered without a process of its own.

Sockets belong to the namespace they were made in, so one process can hold sockets in many: `with ns.entered()` switches
the calling thread for as long as it takes to open them.
"""
import contextlib
import ctypes
import os
import socket
import subprocess

from .rtnetlink import Configurator

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f'{what}: {os.strerror(number)}')


def run(*command, check=True, input=None):
    """Runs a program; its standard output. What it says on failure is part of the exception."""
    done = subprocess.run([str(c) for c in command], input=input, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise RuntimeError(f'{" ".join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}{done.stdout.strip()}')
    return done.stdout


def remove_all():
    """Names that a failed construction left behind. Only the lab's own /run/netns is ever seen here."""
    for name in os.listdir('/run/netns'):
        _libc.umount2(f'/run/netns/{name}'.encode(), MNT_DETACH)
        os.unlink(f'/run/netns/{name}')


class Namespace:
    """One network namespace, under its name in /run/netns as `ip netns` keeps them."""

    def __init__(self, name):
        self.name = name
        path = f'/run/netns/{name}'
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
        home = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(_libc.unshare(CLONE_NEWNET), f'make namespace {name}')
            check(_libc.mount(b'/proc/thread-self/ns/net', path.encode(), None, MS_BIND, None), f'name namespace {name}')
        finally:
            check(_libc.setns(home, CLONE_NEWNET), 'return')
            os.close(home)
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.configure = Configurator(self)
        for which in ('default', 'all'):
            self.sysctl(f'net/ipv6/conf/{which}/accept_dad', 0)
            self.sysctl(f'net/ipv6/conf/{which}/accept_ra', 0)
        self.configure.set_link('lo', up=True)

    def fileno(self):
        return self._fd

    def remove(self):
        self.configure.close()
        os.close(self._fd)
        path = f'/run/netns/{self.name}'
        check(_libc.umount2(path.encode(), MNT_DETACH), f'remove namespace {self.name}')
        os.unlink(path)

    @contextlib.contextmanager
    def entered(self):
        home = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(_libc.setns(self._fd, CLONE_NEWNET), f'enter namespace {self.name}')
            yield self
        finally:
            check(_libc.setns(home, CLONE_NEWNET), 'return')
            os.close(home)

    def socket(self, *arguments):
        with self.entered():
            return socket.socket(*arguments)

    def sysctl(self, path, value=None):
        """Reads or writes /proc/sys/PATH as this namespace sees it."""
        with self.entered(), open(f'/proc/sys/{path}', 'r' if value is None else 'w') as file:
            return file.read().strip() if value is None else file.write(str(value))

    def ip(self, text, check=True):
        """`ip` commands, one a line: ns.ip('link set eth0 up')."""
        lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
        if len(lines) == 1:
            return run('ip', '-n', self.name, *lines[0].split(), check=check)
        return run('ip', '-n', self.name, '-batch', '-', input='\n'.join(lines) + '\n', check=check)

    def popen(self, command, hostname=None, mounts=(), **options):
        """Starts a program in here. `hostname`: in a UTS namespace of its own; `mounts`: pairs (directory, place) that
        it sees bound there."""
        if not hostname and not mounts:  # without code between fork and exec, the child is made the fast way
            with self.entered():
                return subprocess.Popen([str(c) for c in command], **options)

        def enter():
            check(_libc.setns(self._fd, CLONE_NEWNET), 'setns')
            check(_libc.unshare(CLONE_NEWUTS | CLONE_NEWNS), 'unshare')
            if hostname:
                check(_libc.sethostname(hostname.encode(), len(hostname)), 'sethostname')
            check(_libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None), 'make mounts private')
            check(_libc.mount(b'lab', b'/sys', b'sysfs', 0, None), "show this namespace's devices in /sys")
            for directory, place in mounts:
                check(_libc.mount(directory.encode(), place.encode(), None, MS_BIND, None), f'bind {place}')
        return subprocess.Popen([str(c) for c in command], preexec_fn=enter, **options)

    def run(self, *command, check=True, **enter):
        process = self.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             **enter)
        out, err = process.communicate(timeout=60)
        if check and process.returncode != 0:
            raise RuntimeError(f'{self.name}: {" ".join(map(str, command))}: exit {process.returncode}: {err.strip()}{out}')
        return subprocess.CompletedProcess(command, process.returncode, out, err)
