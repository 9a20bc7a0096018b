"""Plans of training scenes bent and rearranged, so that a small corpus goes a longer way."""

from dataclasses import replace

import numpy as np

from unstir.neural.plans import Bus, Piece


def softer(rng: np.random.Generator, buses: tuple[Bus, ...]) -> tuple[Bus, ...]:
    """Return a second layer of a stem, most often below the first."""
    down_db = float(rng.normal(5, 4))
    return tuple(replace(bus, level_db=bus.level_db - down_db) for bus in buses)


def varied(rng: np.random.Generator, buses: tuple[Bus, ...]) -> tuple[Bus, ...]:
    """Return buses bent further than any film would: what is learned by heart is of no use then.

    A third is faster or slower and of another color, a tenth plays backward, and some have
    lost their treble, as sources at 8 to 32 kHz have.
    """
    found = []
    for bus in buses:
        if rng.random() < 0.35:
            a, b, c, d = (float(x) for x in np.asarray(bus.tilt_db) + rng.normal(0, 4, 4).round(2))
            speed = float(np.clip(bus.speed * np.exp(rng.normal(0, 0.2)), 0.5, 2))
            bus = replace(bus, speed=speed, tilt_db=(a, b, c, d))
        if rng.random() < 0.1:
            bus = replace(bus, backward=True)
        if rng.random() < 0.06:
            bus = replace(bus, high_hz=float(np.exp(rng.uniform(np.log(3500), np.log(15000)))))
        found.append(bus)
    return tuple(found)


def staged(
    rng: np.random.Generator,
    speech: tuple[Bus, ...],
    music: tuple[Bus, ...],
    effects: tuple[Bus, ...],
) -> tuple[tuple[Bus, ...], tuple[Bus, ...], tuple[Bus, ...]]:
    """Return buses as mixers of films place them: dialogue in the very middle, the rest around it.

    Then, and in a scene's own statistics alone, the middle tells what is speech.
    """

    def aside(piece: Piece) -> Piece:
        if piece.pan is None or abs(piece.pan) > 0.2:
            return piece
        side = float(rng.uniform(0.2, 1)) * (1 if rng.random() < 0.5 else -1)
        return replace(piece, pan=side)

    dry = rng.random() < 0.7
    return (
        tuple(replace(bus, pan=(0.0, 0.0), room="" if dry else bus.room) for bus in speech),
        tuple(replace(bus, width=max(bus.width, float(rng.uniform(0.8, 1.5)))) for bus in music),
        tuple(
            replace(
                bus,
                pieces=tuple(aside(piece) for piece in bus.pieces),
                width=max(bus.width, float(rng.uniform(0.8, 1.5))),
            )
            for bus in effects
        ),
    )
