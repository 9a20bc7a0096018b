"""A MIDI control surface: its faders move gains, its buttons mute, and both are told back.

=========================  ==================================================================
controller 7, channel k    the k-th stem, as in automation files
chosen controllers         the k-th of them, on any channel, is the k-th stem
pitch bend, channel k      the k-th stem: the faders of Mackie Control, 14 bits
notes 16 to 23, 8 to 15    mute and solo of the first eight stems, as Mackie Control has them
=========================  ==================================================================

The law is `unstir.plugins.automation.fader_db`. A step of a controller is 129 of pitch bend;
between steps the gain goes in a straight line in decibels, below the first step is silence, and
half a step around the detent is 0 dB, since no hand finds one place in 16384.

A fader that was moved is sent its own message back, without which the motors of Mackie Control
fall back; a message that changes nothing is not answered, so that no loop of cables rings.
A button that was pressed is answered with its light, on or off, and its release is ignored, as is
everything else (the touch of a fader, other buttons, knobs).
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.automation import DETENT, VOLUME, fader_db

TOP = 127
FINE = 129  # of pitch bend in a step: 127 of them are 16383
CENTER = 8192  # pitch bend as mido counts it begins this far below 0
MUTE, SOLO, STRIPS = 16, 8, 8  # first note of the buttons of Mackie Control, and how many
ON = 127  # velocity of a button that is pressed, and of a light
VIRTUAL = "virtual"
# JACK first: where it runs, its ports are seen there, and ALSA complains where it is not.
_BACKENDS = ("mido.backends.rtmidi/UNIX_JACK", "mido.backends.rtmidi")


def position_db(position: float) -> float:
    """Return the gain of a fader between 0 and 127.

    Parameters
    ----------
    position : float
        In steps of a controller.

    Returns
    -------
    float
        In decibels.

    Examples
    --------
    >>> [round(position_db(p), 2) for p in (0.9, 1, 50.25, 99.6, 100.4, 127)]
    [-inf, -59.4, -29.85, 0.0, 0.0, 6.0]
    """
    if position < 1:
        return -math.inf
    if abs(position - DETENT) <= 0.5:
        return 0.0
    below = min(math.floor(position), TOP - 1)
    low, high = fader_db(below), fader_db(below + 1)
    return low + (high - low) * (position - below)


def fader_position(gain_db: float) -> float:
    """Return where a fader stands for a gain: the inverse of `position_db`.

    Parameters
    ----------
    gain_db : float
        In decibels. A fader ends at +6 dB: it stands there for more.

    Returns
    -------
    float
        0 to 127.

    Examples
    --------
    >>> [fader_position(gain_db) for gain_db in (-math.inf, -30.0, 0.0, 6.0, 12.0)]
    [0.0, 50.0, 100.0, 127.0, 127.0]
    """
    lowest_db, highest_db = fader_db(1), fader_db(TOP)
    if gain_db < lowest_db:
        return 0.0
    if gain_db <= 0:
        return DETENT - gain_db / lowest_db * (DETENT - 1)
    return DETENT + min(gain_db / highest_db, 1.0) * (TOP - DETENT)


@dataclass(frozen=True, slots=True)
class Surface:
    """What the faders and buttons of a surface do.

    Parameters
    ----------
    gains_db : dict of str to float
        The gains that they move, in order of the stems.
    controllers : tuple of int
        Controllers, 0 to 127, one for each stem; none: controller 7 on channel k.
    muted, soloed : set of str
        The stems that the buttons mute and solo.

    Raises
    ------
    SettingsError
        If a controller is out of range or comes twice.

    Examples
    --------
    >>> import mido
    >>> surface = Surface({"speech": 0.0, "music": 0.0})
    >>> half = mido.Message("control_change", channel=1, control=7, value=50)
    >>> surface.receive(half) == half, surface.gains_db["music"]
    (True, -30.0)
    """

    gains_db: dict[str, float]
    controllers: tuple[int, ...] = ()
    muted: set[str] = field(default_factory=set)
    soloed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        given = self.controllers
        if any(not 0 <= n <= TOP for n in given) or len(set(given)) < len(given):
            raise SettingsError(
                f"the controllers {', '.join(map(str, given))} came; "
                f"numbers from 0 to {TOP} that differ are wanted"
            )

    def receive(self, message: Any) -> Any:
        """Move a gain, mute or solo; return what is to be sent back, or None.

        Parameters
        ----------
        message : mido.Message
            From the surface.

        Returns
        -------
        mido.Message or None
        """
        stems = tuple(self.gains_db)
        if message.type == "note_on":
            for first, chosen in ((MUTE, self.muted), (SOLO, self.soloed)):
                k = message.note - first
                if message.velocity and 0 <= k < min(STRIPS, len(stems)):
                    chosen ^= {stems[k]}
                    return _light(message.note, stems[k] in chosen)
            return None
        moved = self._moved(message)
        if moved is None or moved[0] >= len(stems):
            return None
        stem, gain_db = stems[moved[0]], position_db(moved[1])
        if self.gains_db[stem] == gain_db:
            return None
        self.gains_db[stem] = gain_db
        return message

    def _moved(self, message: Any) -> tuple[int, float] | None:
        """Return which fader a message moves, and to where from 0 to 127."""
        if message.type == "pitchwheel":
            return message.channel, (message.pitch + CENTER) / FINE
        if message.type != "control_change":
            return None
        if self.controllers:
            if message.control not in self.controllers:
                return None
            return self.controllers.index(message.control), message.value
        return (message.channel, message.value) if message.control == VOLUME else None

    def greeting(self) -> list[Any]:
        """Return messages that move the faders to where the gains are, of both kinds, and lights.

        Returns
        -------
        list of mido.Message
            Of the first 16 stems, since there are no more channels.
        """
        import mido

        found = []
        for k, gain_db in enumerate(self.gains_db.values()):
            position = fader_position(gain_db)
            channel, control = k, VOLUME
            if self.controllers:
                channel, control = 0, self.controllers[k] if k < len(self.controllers) else -1
            if control >= 0 and channel < 16:
                message = {"channel": channel, "control": control, "value": round(position)}
                found.append(mido.Message("control_change", **message))
            if k < 16:
                pitch = round(position * FINE) - CENTER
                found.append(mido.Message("pitchwheel", channel=k, pitch=pitch))
        for k, stem in enumerate(tuple(self.gains_db)[:STRIPS]):
            found += [_light(MUTE + k, stem in self.muted), _light(SOLO + k, stem in self.soloed)]
        return found


def _light(note: int, on: bool) -> Any:
    import mido

    return mido.Message("note_on", note=note, velocity=ON if on else 0)


@contextmanager
def connected(surface: Surface, port: str) -> Iterator[bool]:
    """Connect a surface, greet it, and let its faders move gains until the block is left.

    Parameters
    ----------
    surface : Surface
        What the faders do.
    port : str
        Part of the name of its ports, in any case; ``"virtual"`` makes a port named unstir for
        others to connect to.

    Yields
    ------
    bool
        Whether it can be sent something; without, motors stand still.

    Raises
    ------
    SettingsError
        If python-rtmidi is not installed, or there is no MIDI here.
    UnknownNameError
        If there is no such port; the message lists those there are.
    """
    with ExitStack() as stack:
        backend, source, target = _find(port)
        virtual = port == VIRTUAL
        sending: Any = None

        def receive(message: Any) -> None:
            answer = surface.receive(message)
            if answer is not None and sending is not None:
                sending.send(answer)

        # Heard first, greeted last: JACK garbles what is sent while a client joins.
        stack.enter_context(backend.open_input(source, virtual=virtual, callback=receive))
        if target is not None:
            sending = stack.enter_context(backend.open_output(target, virtual=virtual))
            for message in surface.greeting():
                sending.send(message)
        yield sending is not None


def _find(port: str) -> tuple[Any, str, str | None]:
    """Return a backend, and the ports of it to hear and to send to."""
    import mido

    names: list[str] = []
    reason = ""
    for entry in _BACKENDS:
        backend = mido.Backend(entry)
        try:
            sources, targets = backend.get_input_names(), backend.get_output_names()
        except ImportError:
            raise SettingsError(
                "--midi needs the package python-rtmidi, which is not installed; install it with "
                "pip install 'unstir[live]'"
            ) from None
        except Exception as error:  # whatever the system's MIDI says if it is not there
            reason = " ".join(str(error).split())
            continue
        if port == VIRTUAL:
            return backend, "unstir", "unstir"
        found = [name for name in sources if port.casefold() in name.casefold()]
        if found:
            other = [name for name in targets if port.casefold() in name.casefold()]
            return backend, found[0], other[0] if other else None
        names += sources
    if reason and not names:
        raise SettingsError(f"no MIDI port {port!r} was found ({reason}); connect the surface")
    raise UnknownNameError(
        f"there is no MIDI port {port!r}; there are: {', '.join(names) or 'none'}"
    )
