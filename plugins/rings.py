"""Sound between threads that must not wait for each other, and the threads themselves."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from unstir.types import Waveform


class Ring:
    """Samples between two threads, one that writes and one that reads; neither ever waits.

    Parameters
    ----------
    n_channels, capacity : int
        Samples that it holds, per channel.

    Attributes
    ----------
    n_written, n_read : int
        Samples that ever came and went; each is set by one of the threads only.

    Examples
    --------
    >>> ring, out = Ring(1, 4), np.zeros((1, 3), np.float32)
    >>> ring.write(np.ones((1, 6), np.float32))
    4
    >>> ring.read(out), ring.n_held
    (3, 1)
    """

    def __init__(self, n_channels: int, capacity: int) -> None:
        self._held = np.zeros((n_channels, capacity), np.float32)
        self.n_written = self.n_read = 0

    @property
    def n_held(self) -> int:
        """Samples that can be read."""
        return self.n_written - self.n_read

    @property
    def n_free(self) -> int:
        """Samples for which there is room."""
        return self._held.shape[1] - self.n_held

    def write(self, block: Waveform) -> int:
        """Take as much of (channels, samples) as there is room for; return how much."""
        n: int = min(block.shape[1], self.n_free)
        at = self.n_written % self._held.shape[1]
        first = min(n, self._held.shape[1] - at)
        self._held[:, at : at + first] = block[:, :first]
        self._held[:, : n - first] = block[:, first:n]
        self.n_written += n  # last: what the reader counts must be there
        return n

    def read(self, out: Waveform) -> int:
        """Fill the beginning of (channels, samples) with what there is; return how much."""
        n: int = min(out.shape[1], self.n_held)
        at = self.n_read % self._held.shape[1]
        first = min(n, self._held.shape[1] - at)
        out[:, :first] = self._held[:, at : at + first]
        out[:, first:n] = self._held[:, : n - first]
        self.n_read += n
        return n

    def skip(self, n_samples: int) -> None:
        """Let that many go unread, or all if there are fewer."""
        self.n_read += min(n_samples, self.n_held)


class Outlet:
    """What a callback plays: pushed by one thread, pulled by the callback.

    Parameters
    ----------
    n_channels : int
        Of the sound.
    capacity : int
        Samples that the callback can be behind; what exceeds them waits before the ring.

    Attributes
    ----------
    underruns : int
        Pulls that found too little.
    n_pulled : int
        Samples that were played, silence included.
    """

    def __init__(self, n_channels: int, capacity: int) -> None:
        self._ring = Ring(n_channels, capacity)
        self._waiting: deque[Waveform] = deque()
        self._ended = False
        self.underruns = self.n_pulled = 0

    @property
    def n_held(self) -> int:
        """Samples that can be pulled now."""
        return self._ring.n_held

    def push(self, sound: Waveform) -> None:
        """Take the next samples, any number."""
        self._waiting.append(sound)
        self.flush()

    def flush(self) -> bool:
        """Move on what waits; return whether all of it went."""
        while self._waiting:
            sound = self._waiting[0]
            n = self._ring.write(sound)
            if n < sound.shape[1]:
                self._waiting[0] = sound[:, n:]
                return False
            self._waiting.popleft()  # after the write, so that `done` never sees neither
        return True

    def end(self) -> None:
        """Say that nothing more will be pushed."""
        self._ended = True

    @property
    def done(self) -> bool:
        """Whether everything was pulled, and nothing more will come."""
        return self._ended and not self._waiting and not self._ring.n_held

    def pull(self, out: Waveform, *, catch_up: bool = False) -> None:
        """Fill (channels, samples), with silence where there is nothing; never waits.

        Parameters
        ----------
        out : ndarray of float32
            What is played next.
        catch_up : bool
            Whether sound that is late is left out, so that the delay stays what it is, instead
            of being played later.
        """
        if catch_up:
            self._ring.skip(self.n_pulled - self._ring.n_read)
        over = self.done
        n = self._ring.read(out)
        out[:, n:] = 0
        self.n_pulled += out.shape[1]
        # At the very end the last block is short, and that is as it should be.
        if n < out.shape[1] and not over and not self.done:
            self.underruns += 1


@contextmanager
def running(steps: Sequence[Callable[[], bool]], pause_s: float) -> Iterator[list[Exception]]:
    """Run every step on a thread of its own, again and again, until the block is left.

    Parameters
    ----------
    steps : sequence of callable
        Do a little and return whether there was anything to do.
    pause_s : float
        How long to wait where there was not.

    Yields
    ------
    list of Exception
        What went wrong so far; a step that raised is not run again.
    """
    faults: list[Exception] = []
    stop = threading.Event()

    def run(step: Callable[[], bool]) -> None:
        try:
            while not stop.is_set():
                if not step():
                    stop.wait(pause_s)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        stop.set()
        for thread in threads:
            thread.join()
