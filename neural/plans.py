"""Plans of scenes: which recordings play, when, where, how loud; plain numbers.

A list of plans can be frozen by a hash; `unstir.neural.render` turns a plan into sound.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

STEMS = ("speech", "music", "effects")
FOLD_HZ = 7300.0  # below the band limit of speech recorded at 16 kHz
ROOM_S = 1.2  # reverberation is cut here; longer tails belong to halls, not to scenes


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a clip and where it goes.

    ``clip`` is the clip's path, ``start`` the first sample taken from it, ``at`` where it
    lands in the scene, ``n_samples`` how long it is there; ``pan`` runs from -1 (left) to 1.
    """

    clip: str
    start: int
    at: int
    n_samples: int
    gain_db: float = 0.0
    pan: float | None = None  # None keeps the clip's own channels


@dataclass(frozen=True, slots=True)
class Bus:
    """Pieces that share speed, place, room, equalizer and level.

    Parameters
    ----------
    pieces : tuple of Piece
        What plays.
    speed : float
        1.1 plays a tenth faster and higher.
    pan : tuple of float or None
        Where it is at the beginning and at the end, -1 to 1; None keeps the channels.
    width : float
        What the side signal is multiplied by; 0 gives mono.
    swap : bool
        Whether left and right change places.
    room : str
        Path of a room response among the clips, or empty.
    wet_db : float
        Level of the room's sound below the direct one.
    tilt_db : tuple of float
        Gain at 80, 400, 2000 and 10000 Hz, joined by straight lines over log frequency.
    low_hz, high_hz : float
        Band limits, 0 for none.
    level_db : float
        Level within its stem.
    fold_db : float
        Gain of a mirror image of what lies below `FOLD_HZ` above it, 0 for none: treble for
        voices that were recorded without.
    backward : bool
        Whether every piece plays from its end.
    """

    pieces: tuple[Piece, ...]
    speed: float = 1.0
    pan: tuple[float, float] | None = None
    width: float = 1.0
    swap: bool = False
    room: str = ""
    wet_db: float = -60.0
    tilt_db: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    low_hz: float = 0.0
    high_hz: float = 0.0
    level_db: float = 0.0
    fold_db: float = 0.0
    backward: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a scene is made of.

    Parameters
    ----------
    n_samples : int
        Its length at 44.1 kHz.
    speech, music, effects : tuple of Bus
        What each stem is made of; empty is silent.
    level_db : tuple of float
        Level of the three stems in dBFS, over their active parts.
    automation_db : tuple of tuple of float
        Per stem, gains at equal distances over the scene.
    duck_db : float
        How far the music goes down under speech.
    mono : bool
        Whether both channels are the same.
    high_hz : float
        Band limit of the whole scene, 0 for none.
    mix_db : float
        Level of the mix, root mean square in dBFS.
    holes_db : float
        How far below its loudest neighbors of the mix a cell is lost from all stems, as a codec
        that saves bits loses it; 0 for none.
    """

    n_samples: int
    speech: tuple[Bus, ...] = ()
    music: tuple[Bus, ...] = ()
    effects: tuple[Bus, ...] = ()
    level_db: tuple[float, float, float] = (-24.0, -30.0, -28.0)
    automation_db: tuple[tuple[float, ...], ...] = field(default=((0.0,), (0.0,), (0.0,)))
    duck_db: float = 0.0
    mono: bool = False
    high_hz: float = 0.0
    mix_db: float = -29.0
    holes_db: float = 0.0


def digest(scenes: Sequence[Scene]) -> str:
    """Return the SHA-256 of a list of plans, so that it can be frozen.

    What plans could not say when the first lists were frozen counts only where it is said.
    """
    plain = [asdict(scene) for scene in scenes]
    for plan in plain:
        if not plan["holes_db"]:
            del plan["holes_db"]
        for bus in (bus for stem in STEMS for bus in plan[stem]):
            if not bus["backward"]:
                del bus["backward"]
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
