"""The process in which a VST3 plug-in lives: ``python -m unstir.plugins.vst3_host``.

Pedalboard is the host; the frames of `vst3_link` come in and go out. Requests, in their order:

``load``
    ``path``, ``plugin`` ("" for the only one), the state as bytes. Answers ``names``, and
    ``name`` and ``parameters`` if one was meant.
``set``
    ``values`` by name.
``open``
    ``sample_rate``, ``n_channels``, ``groups``: lists of one or two channels that belong
    together. Answers ``latency`` in samples.
``run``
    Sound, a whole number of blocks: float32, channel after channel. Answers as much.
``state``
    Instead of ``open``: answers ``parameters``, and the state as bytes.
"""

import os
import queue
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from pedalboard import VST3Plugin

from unstir.plugins.vst3_link import BLOCK, read_frame, write_frame
from unstir.types import Waveform

MOST = 2**28  # bytes of one request
RATE = 48000  # hertz, while nobody has said


@dataclass(slots=True)
class Part:
    """A plug-in and the channels it plays; one channel into both sides if it is only stereo."""

    plugin: Any
    channels: tuple[int, ...]
    width: int

    def run(self, block: Waveform, sample_rate: int) -> Waveform:
        """Return as many samples as came, as late as the plug-in is."""
        rows = [self.channels[min(i, len(self.channels) - 1)] for i in range(self.width)]
        out = np.zeros((self.width, BLOCK), np.float32)
        given = self.plugin.process(
            np.ascontiguousarray(block[rows]), sample_rate, buffer_size=BLOCK, reset=False
        )
        if given.size:  # else it has no channels either
            # Pedalboard may leave out what the plug-in gives before its latency is over.
            out[:, BLOCK - given.shape[1] :] = given
        return out[: len(self.channels)]


class Host:
    """One plug-in, in as many instances as the channels need."""

    def __init__(self) -> None:
        self._path = self._name = ""
        self._state = b""
        self._values: Mapping[str, Any] = {}
        self._trial: Any = None  # the one that is asked, and not played
        self._parts: list[Part] = []
        self._sample_rate = 0

    def answer(self, request: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request."""
        match request["do"]:
            case "load":
                return self._load(request["path"], request["plugin"], body), b""
            case "set":
                self._values = request["values"]
                set_values(self._trial, self._values)
                return {}, b""
            case "open":
                groups = request["groups"]
                return self._open(request["sample_rate"], request["n_channels"], groups), b""
            case "run":
                return {}, self._run(body)
            case "state":
                return self._read_state()
        raise ValueError(f"no request {request['do']!r}")

    def _make(self) -> Any:
        plugin: Any = VST3Plugin(self._path, plugin_name=self._name)
        if self._state:
            plugin.raw_state = self._state
        set_values(plugin, self._values)
        return plugin

    def _load(self, path: str, plugin: str, state: bytes) -> dict[str, Any]:
        names = list(VST3Plugin.get_plugin_names_for_file(path))
        # Pedalboard takes any name where there is but one plug-in, so the name is compared here.
        self._path, self._state = path, state
        self._name = plugin or (names[0] if len(names) == 1 else "")
        if self._name not in names:
            return {"names": names}
        self._trial = self._make()
        if self._trial.is_instrument:
            raise ValueError("it is an instrument and no effect")
        return {"names": names, "name": self._name, "parameters": parameters_of(self._trial)}

    def _open(
        self, sample_rate: int, n_channels: int, groups: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        trial = self._trial
        if fits(trial, n_channels, sample_rate):
            groups = [range(n_channels)]
        elif not any(fits(trial, width, sample_rate) for width in (1, 2)):
            raise ValueError("it takes neither one channel nor two")
        elif not fits(trial, 2, sample_rate):
            groups = [[channel] for group in groups for channel in group]
        self._parts = []
        for group in groups:
            width = len(group) if fits(trial, len(group), sample_rate) else 2
            self._parts.append(Part(self._make(), tuple(group), width))
        # What the parameters do to the latency shows after a block.
        play_silence(trial, self._parts[0].width, sample_rate)
        self._sample_rate = sample_rate
        return {"latency": trial.reported_latency_samples}

    def _run(self, body: bytes) -> bytes:
        n_channels = sum(len(part.channels) for part in self._parts)
        sound = np.frombuffer(body, np.float32).reshape(n_channels, -1)
        done = np.empty_like(sound)
        for start in range(0, sound.shape[1], BLOCK):
            here = slice(start, start + BLOCK)
            for part in self._parts:
                done[list(part.channels), here] = part.run(sound[:, here], self._sample_rate)
        return done.tobytes()

    def _read_state(self) -> tuple[dict[str, Any], bytes]:
        # Parameters reach the state with the first block.
        play_silence(self._trial, 2 if fits(self._trial, 2, RATE) else 1, RATE)
        return {"parameters": parameters_of(self._trial)}, self._trial.raw_state


def set_values(plugin: Any, values: Mapping[str, Any]) -> None:
    """Set parameters by name."""
    for name, value in values.items():
        kind = plugin.parameters[name].type
        setattr(plugin, name, bool(value) if kind is bool else value)


def play_silence(plugin: Any, width: int, sample_rate: int) -> None:
    """Give a plug-in a block of silence."""
    silence = np.zeros((width, BLOCK), np.float32)
    plugin.process(silence, sample_rate, buffer_size=BLOCK, reset=False)


def fits(plugin: Any, width: int, sample_rate: int) -> bool:
    """Return whether a plug-in plays a number of channels: it is given none of their samples."""
    try:
        plugin.process(np.zeros((width, 0), np.float32), sample_rate, reset=False)
    except ValueError:
        return False
    return True


def parameters_of(plugin: Any) -> list[dict[str, Any]]:
    """Return name, present value, and range or choices of every parameter, as JSON."""
    found: list[dict[str, Any]] = []
    for name, parameter in plugin.parameters.items():
        value = getattr(plugin, name)
        if parameter.type is str:
            entry: dict[str, Any] = {
                "value": str(value),
                "choices": [str(v) for v in parameter.valid_values],
            }
        elif parameter.type is bool:
            entry = {"value": float(value), "low": 0.0, "high": 1.0}
        else:
            low, high = (float(end) for end in parameter.range[:2])
            entry = {"value": float(value), "low": min(low, high), "high": max(low, high)}
        found.append({"name": name} | entry)
    return found


def _listen(pipe: IO[bytes], requests: "queue.SimpleQueue[tuple[dict[str, Any], bytes]]") -> None:
    try:
        while True:
            requests.put(read_frame(pipe, MOST))
    finally:
        os._exit(0)  # whoever asked is gone; the plug-in may hang and need not agree


def main() -> None:
    """Answer requests until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C means the program that asks
    # What the plug-in prints, or reads, must not come between the frames.
    asking, answering = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    requests: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asking, requests), daemon=True).start()
    host = Host()
    while True:  # on the main thread, where plug-ins want to be
        request, body = requests.get()
        try:
            answer, out = host.answer(request, body)
        except Exception as error:
            answer, out = {"error": " ".join(f"{error}".split()) or type(error).__name__}, b""
        write_frame(answering, answer, out)


if __name__ == "__main__":
    main()
