"""The BIRD of a node, as its operator would ask it, and the processes that stand for it."""
import os
import re
import signal


class Bird:
    def __init__(self, node):
        self.node = node

    def ask(self, *command):
        """What `birdc COMMAND` prints on the node."""
        return self.node.run('birdc', '-s', '/run/weft/bird.ctl', *command).stdout

    def process(self):
        """The process id of the BIRD that weftd started, or 0."""
        try:
            with open(f'{self.node.directory}/state/bird.pid') as file:
                process = int(file.read())
            with open(f'/proc/{process}/cmdline', 'rb') as file:
                return process if b'bird.conf' in file.read() else 0
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return 0

    def kill(self):
        os.kill(self.process(), signal.SIGKILL)

    def sessions(self):
        """Protocol -> (state, since when, what it says), of BGP."""
        rows = re.findall(r'^(\S+) +BGP +\S+ +(\S+) +(\S+) *(.*)$', self.ask('show', 'protocols'), re.M)
        return {name: (state, since, info.strip()) for name, state, since, info in rows}

    def established(self):
        return {name for name, (_, _, info) in self.sessions().items() if info.startswith('Established')}
