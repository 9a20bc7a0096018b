"""Compressed packets on their way from file to file, and when they are decoded."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from unstir.errors import AudioError

_REORDERED = 64  # packets looked at to learn how far pictures are stored out of order


def ordered_packets(source: Any, indices: tuple[int, ...]) -> Iterator[Any]:
    """Yield the packets of some streams of an open container, all with a decoding time.

    Raises
    ------
    AudioError
        If a packet has no time at all, or is shown further out of order than is followed.
    """
    clocks: dict[int, _Clock] = {}
    streams = [source.streams[index] for index in indices]
    for packet in source.demux(streams) if streams else ():
        if not packet.size:
            continue
        index = packet.stream_index
        if packet.dts is None and index not in clocks:
            clocks[index] = _Clock()
        if index in clocks:
            yield from clocks[index].push(packet)
        else:
            yield packet
    for clock in clocks.values():
        yield from clock.rest()


class _Clock:
    """Decoding times for packets that only say when they are shown.

    They come in decoding order. The times at which they are decoded are the times at
    which they are shown, sorted, and as many packets earlier as the most belated one
    asks: no packet may be shown before it is decoded.
    """

    def __init__(self) -> None:
        self._held: deque[Any] = deque()
        self._times: list[int] = []  # of the packets held, and of those before, not yet given out
        self._lead: int | None = None
        self._last: int | None = None

    def push(self, packet: Any) -> Iterator[Any]:
        """Take the next packet; yield those whose time is settled."""
        if packet.pts is None:
            raise AudioError("a packet without any time came; convert the video first")
        self._held.append(packet)
        self._times.append(packet.pts)
        if len(self._held) >= _REORDERED:
            yield self._next()

    def rest(self) -> Iterator[Any]:
        """Yield what is left."""
        while self._held:
            yield self._next()

    def _next(self) -> Any:
        self._times.sort()
        if self._lead is None:
            ranks = [self._times.index(packet.pts) for packet in self._held]
            self._lead = max(i - rank for i, rank in enumerate(ranks))
            step = max(1, self._times[1] - self._times[0]) if len(self._times) > 1 else 1
            before = [self._times[0] - step * k for k in range(self._lead, 0, -1)]
            self._times = before + self._times
        packet, time = self._held.popleft(), self._times.pop(0)
        packet.dts = time if self._last is None else max(time, self._last + 1)
        self._last = packet.dts
        if packet.dts > packet.pts:
            raise AudioError(
                "the video stores its pictures further out of order than is followed here; "
                "convert it to MP4 first"
            )
        return packet
