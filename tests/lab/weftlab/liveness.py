"""Whether nodes are alive, asked all the time."""
from .background import Background


class Liveness(Background):
    """Asks each node's /liveness again and again between `with` and its end."""

    def __init__(self, nodes, every=0.2):
        self.nodes, self.every, self.asked, self.wrong = nodes, every, 0, []
        super().__init__()

    def _follow(self):
        while not self._stop.wait(self.every):
            for node in self.nodes:
                try:
                    status = node.get('/liveness')[0]
                except OSError as error:
                    status = error
                self.asked += 1
                if status != 200:
                    self.wrong.append((node.name, status))

    def verify(self):
        """Asked after the end of `with`: it was asked for, and every answer was 200."""
        assert self.asked > 10 and self.wrong == [], (self.asked, self.wrong)
