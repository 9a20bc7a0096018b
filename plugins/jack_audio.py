"""Sound to and from a JACK server (jackd, or PipeWire in its place)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from unstir.errors import AudioError, SettingsError
from unstir.types import Waveform

Cycle = Callable[[Waveform, Waveform], None]  # what came in; what goes out, to be filled


class JackAudio:
    """A client of a JACK server; made by `open_jack`.

    Parameters
    ----------
    client : jack.Client
        Not active yet, its ports registered.

    Attributes
    ----------
    xruns : int
        Times that the server was late.
    fault : Exception or None
        What ended the sound: raised by the callback, or the server that went away.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.xruns = 0
        self.fault: Exception | None = None
        self._in = self._out = np.zeros((0, 0), np.float32)

    @property
    def name(self) -> str:
        """The client's name; the server makes it unique."""
        return str(self._client.name)

    @property
    def period(self) -> int:
        """Samples that the server asks for at a time; it may change."""
        return int(self._client.blocksize)

    def start(self, cycle: Cycle) -> None:
        """Let the server call ``cycle`` from now on, and connect the loudspeakers.

        Parameters
        ----------
        cycle : callable
            Is given (inputs, samples) and fills (outputs, samples), on the server's thread: it
            must not wait. If it raises, silence is played, and `fault` says why.
        """
        import jack

        def process(frames: int) -> None:
            try:
                if self._out.shape[1] != frames:
                    self._in = np.zeros((len(self._client.inports), frames), np.float32)
                    self._out = np.zeros((len(self._client.outports), frames), np.float32)
                for row, port in zip(self._in, self._client.inports, strict=True):
                    row[:] = port.get_array()
                cycle(self._in, self._out)
            except Exception as error:
                self.fault = error
                self._out = np.zeros((len(self._client.outports), frames), np.float32)
            for row, port in zip(self._out, self._client.outports, strict=True):
                port.get_array()[:] = row
            if self.fault is not None:
                raise jack.CallbackExit

        def count(delayed_us: float) -> None:
            self.xruns += 1

        def gone(status: Any, reason: str) -> None:
            self.fault = AudioError("the JACK server went away; start it and try again")

        self._client.set_process_callback(process)
        self._client.set_xrun_callback(count)
        self._client.set_shutdown_callback(gone)
        self._client.activate()
        self._connect()

    def stop(self) -> None:
        """Let the server call no more."""
        self._client.deactivate()

    def _connect(self) -> None:
        """Connect the first loudspeakers and microphones; one channel sounds on both sides."""
        ports, own = self._client.get_ports, self._client
        speakers: Sequence[Any] = ports(is_physical=True, is_input=True, is_audio=True)
        microphones: Sequence[Any] = ports(is_physical=True, is_output=True, is_audio=True)
        pairs = list(zip(own.outports, speakers, strict=False))
        if len(own.outports) == 1:
            pairs = [(own.outports[0], speaker) for speaker in speakers[:2]]
        pairs += zip(microphones, own.inports, strict=False)
        import jack

        for source, target in pairs:
            with contextlib.suppress(jack.JackError):  # somebody was faster; it is the same wire
                own.connect(source, target)


@contextmanager
def open_jack(*, n_in: int, n_out: int, sample_rate: int) -> Iterator[JackAudio]:
    """Give a client of the JACK server, with ports ``in_1`` and on, and ``out_1`` and on.

    Parameters
    ----------
    n_in, n_out : int
        Ports.
    sample_rate : int
        That the server must run at.

    Raises
    ------
    SettingsError
        If the package or its library is not installed, or the server runs at another rate.
    AudioError
        If no server answers.
    """
    try:
        import jack
    except ImportError:
        raise SettingsError(
            "sound in real time needs the package JACK-Client, which is not installed; install "
            "it with pip install 'unstir[live]'"
        ) from None
    except OSError:
        raise SettingsError(
            "the JACK library is not installed; install jackd or PipeWire's JACK from your system"
        ) from None
    # What the library prints comes back as a sentence of ours.
    jack.set_error_function(lambda text: None)
    jack.set_info_function(lambda text: None)
    try:
        client = jack.Client("unstir", no_start_server=True)
    except jack.JackError:
        raise AudioError(
            "no JACK server answers; start one, such as jackd or PipeWire, and try again"
        ) from None
    try:
        if client.samplerate != sample_rate:
            raise SettingsError(
                f"the sound has {sample_rate} Hz and the JACK server runs at {client.samplerate}; "
                f"start the server with -r {sample_rate}"
            )
        for k in range(n_in):
            client.inports.register(f"in_{k + 1}")
        for k in range(n_out):
            client.outports.register(f"out_{k + 1}")
        yield JackAudio(client)
    finally:
        client.deactivate()
        client.close()
