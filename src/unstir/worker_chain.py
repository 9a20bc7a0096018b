"""A chain of effects on a clip: as bands for the equalizer in Reaper, or rendered."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from unstir.errors import SettingsError
from unstir.worker_job import Clip, Job, Outputs, Tell, folder_name

if TYPE_CHECKING:
    from unstir.plugins.chains import Chain

BLOCK = 2**18
LIVE_BANDS = 8  # of the equalizer among the Reaper scripts
BAND_TYPES = (  # in the order of its menu
    *("off", "peak", "low-shelf", "high-shelf"),
    *("high-pass-12", "low-pass-12", "high-pass-6", "low-pass-6", "notch"),
)
BAND_OFF = (0.0, 1000.0, 0.0, 0.7071)


def live_bands(chain: "Chain") -> tuple[tuple[str, ...], float]:
    """Return a chain as bands of the equalizer among the Reaper scripts.

    Parameters
    ----------
    chain : Chain
        Filters and gains only. Passes of higher order become several bands: the poles of a
        Butterworth filter in pairs, and one of first order if their number is odd.

    Returns
    -------
    bands : tuple of str
        For each its kind, frequency in hertz, gain in decibels and Q.
    gain_db : float
        Of all gains together.

    Raises
    ------
    SettingsError
        If an effect is neither filter nor gain, or there are more bands than the equalizer has.

    Examples
    --------
    >>> from unstir.plugins.chains import Chain, Effect
    >>> high_pass = Effect("high-pass", {"cutoff_hz": 80, "order": 3})
    >>> live_bands(Chain("low cut", (high_pass, Effect("gain", {"gain_db": -2}))))
    (('high-pass-6 80.0 0.0 1.0', 'high-pass-12 80.0 0.0 1.0000000000000002'), -2.0)
    """
    from unstir.plugins.equalizer import butterworth_qs

    bands: list[str] = []
    total_db = 0.0
    for effect in chain.effects:
        found = {key: float(v) for key, v in effect.settings.items() if not isinstance(v, str)}
        cutoff_hz, gain_db = found.get("cutoff_hz"), found.get("gain_db", 0.0)
        if effect.name == "gain":
            total_db += gain_db
        elif effect.name in ("high-pass", "low-pass"):
            order = round(found["order"])
            bands += [f"{effect.name}-6 {cutoff_hz} 0.0 1.0"] * (order % 2)
            bands += [f"{effect.name}-12 {cutoff_hz} 0.0 {q}" for q in butterworth_qs(order)]
        elif effect.name in ("peak", "low-shelf", "high-shelf", "notch"):
            bands.append(f"{effect.name} {cutoff_hz} {gain_db} {found['q']}")
        else:
            raise SettingsError(f"{effect.name} is no band of an equalizer")
    if len(bands) > LIVE_BANDS:
        raise SettingsError(f"it takes {len(bands)} bands and the equalizer has {LIVE_BANDS}")
    if not -120 <= total_db <= 60:
        raise SettingsError(f"its gain of {total_db:g} dB is beyond the equalizer's")
    return tuple(bands), total_db


def sliders(chain: "Chain") -> tuple[float, ...]:
    """Return a chain as values of the sliders of the equalizer among the Reaper scripts.

    Returns
    -------
    tuple of float
        Of each band its type, frequency in hertz, gain in decibels and Q; last, the gain of all.

    Raises
    ------
    SettingsError
        As `live_bands`.

    Examples
    --------
    >>> from unstir.plugins.chains import Chain, Effect
    >>> notch = Effect("notch", {"cutoff_hz": 50})
    >>> sliders(Chain("hum", (notch,)))[:8]
    (8.0, 50.0, 0.0, 30.0, 0.0, 1000.0, 0.0, 0.7071)
    """
    bands, gain_db = live_bands(chain)
    values: list[float] = []
    for band in bands:
        kind, *numbers = band.split(" ")
        values += [float(BAND_TYPES.index(kind)), *map(float, numbers)]
    return (*values, *BAND_OFF * (LIVE_BANDS - len(bands)), gain_db)


def live_chain(job: Job) -> dict[str, object]:
    """Return the bands of a chain that needs no rendering, else nothing."""
    from unstir.plugins.chains import find_chain

    chain = find_chain(job.chain)
    try:
        bands, gain_db = live_bands(chain)
    except SettingsError:
        return {}
    numbered = {f"band_{i}": band for i, band in enumerate(bands, 1)}
    return {"chain": chain.name, "live": 1, "bands": len(bands), "gain_db": gain_db, **numbered}


def chain_clip(job: Job, clip: Clip, heard: Path, method: str, tell: Tell) -> Outputs:
    """Render a chain over the clip."""
    from unstir.audio import open_audio
    from unstir.plugins.chains import find_chain
    from unstir.plugins.leveling import Again
    from unstir.riff import WavWriter

    chain = find_chain(job.chain)
    if chain.keys:
        raise SettingsError(
            f"{chain.name} listens to {', '.join(chain.keys)}, which one stem alone does not "
            "give; use 'unstir remix'"
        )
    try:
        live_bands(chain)
        why = "" if job.live else "the equalizer is not there"
    except SettingsError as error:
        why = str(error)
    path = job.out / f"{folder_name(clip, heard, json.dumps(chain.to_json()))}.wav"
    temporary = path.with_name(path.name + ".part")
    with open_audio(heard) as reader:
        info = reader.info
        n_samples = int(info.n_samples or 0)
        fixed = chain.survey(
            Again(lambda: reader.blocks(BLOCK)), info.sample_rate, layout=info.layout
        )
        stream = fixed.open(info.sample_rate, info.n_channels)
        done = 0
        with WavWriter(
            temporary,
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            n_samples=n_samples,
            subtype="FLOAT",
            layout=info.layout,
        ) as writer:
            for block in reader.blocks(BLOCK):
                writer.write(ready := stream.process(block))
                done += ready.shape[1]
                tell("separating", done, n_samples)
            # The stem keeps its length, so that it stays in its place; tails beyond it are cut.
            writer.write(stream.finish(0)[:, : n_samples - done])
    os.replace(temporary, path)
    linear = int(chain.linear)
    return [{"file": path.absolute(), "chain": chain.name, "linear": linear, "why": why}]
