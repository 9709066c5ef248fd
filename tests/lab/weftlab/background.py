"""What goes on beside a scenario."""
import threading


class Background:
    """Runs `_follow` in a thread of its own between `with` and its end; it returns soon after `_stop` is set."""

    def __init__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
