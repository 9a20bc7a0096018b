"""Masters come out as loud as they should, whatever a limiter takes, or say that they do not."""

from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import soundfile as sf

from tests.small_films import sound as film_sound
from unstir.loudness import Meter
from unstir.plugins.chains import Chain, find_chain
from unstir.plugins.effects import Effect
from unstir.plugins.rack import StemRack
from unstir.plugins.remix import Remix, remix
from unstir.plugins.strips import Strip
from unstir.settings import Listener, Note, Progress, Settings
from unstir.types import Waveform

RATE = 48000


def through(chain: Chain, sound: Waveform) -> Waveform:
    stream = chain.open(RATE, len(sound))
    return np.concatenate([stream.process(sound), stream.finish(0)], axis=1)


def mixed(
    source: Path, out: Path, rack: StemRack, listener: Listener = lambda event: None
) -> Remix:
    return remix(source, out, rack, settings=Settings(method="midside"), listener=listener)


def lufs(sound: Waveform) -> float | None:
    meter = Meter(RATE, len(sound))
    meter.push(sound)
    return meter.integrated_lufs()


def bangs(level: float, rng: np.random.Generator) -> Waveform:
    """Return a hum of noise with a hard bang every two seconds."""
    sound = level * rng.standard_normal((2, 5 * RATE))
    fall = np.exp(-np.arange(RATE // 4) / 2000)
    for at in range(RATE, 5 * RATE, 2 * RATE):
        sound[:, at : at + RATE // 4] += 0.4 * fall * rng.standard_normal((2, RATE // 4))
    return np.clip(sound, -1, 1).astype(np.float32)


@pytest.mark.parametrize(("name", "target_lufs"), [("broadcast", -23), ("streaming", -14)])
@pytest.mark.parametrize("level", [0.02, 0.05])
def test_what_the_limiter_takes_from_bangs_is_made_up_for(
    name: str, target_lufs: float, level: float, rng: np.random.Generator
) -> None:
    sound = bangs(level, rng)
    chain = find_chain(name).survey([sound], RATE)
    mastered = through(chain, sound)
    assert lufs(mastered) == pytest.approx(target_lufs, abs=0.3)
    peak = np.abs(scipy.signal.resample_poly(mastered.astype(np.float64), 8, 1, axis=1)).max()
    assert 20 * np.log10(peak) <= -1


def test_what_can_be_read_once_is_leveled_without_making_up(rng: np.random.Generator) -> None:
    sound = bangs(0.05, rng)
    once = find_chain("streaming").survey(iter([sound]), RATE)
    again = find_chain("streaming").survey([sound], RATE)
    assert lufs(through(once, sound)) < -14.8
    assert float(again.effects[0].parameters["gain_db"]) > float(
        once.effects[0].parameters["gain_db"]
    )


def test_no_more_than_12_db_are_made_up(rng: np.random.Generator) -> None:
    clicks = np.zeros((2, 4 * RATE), np.float32)
    clicks[:, ::4800] = 0.9
    once, again = (
        find_chain("streaming").survey(given, RATE) for given in (iter([clicks]), [clicks])
    )
    given_db, first_db = (float(c.effects[0].parameters["gain_db"]) for c in (again, once))
    assert given_db <= first_db + 12
    assert lufs(through(again, clicks)) < -14.5


def test_a_stem_is_leveled_with_what_its_own_chain_takes(rng: np.random.Generator) -> None:
    speech, music = bangs(0.05, rng), (0.1 * rng.standard_normal((2, 5 * RATE))).astype(np.float32)
    chain = Chain(
        "loud",
        (
            Effect("loudness", {"target_lufs": -14}),
            Effect("limiter"),
            Effect(
                "ducking", {"by": "music", "threshold_db": -30, "range_db": -6, "lookahead_ms": 20}
            ),
        ),
    )
    rack = StemRack({"speech": Strip(chain), "music": Strip(mute=True)})
    found = rack({"speech": speech, "music": music}, RATE)
    assert lufs(found) == pytest.approx(-14, abs=0.3)


def test_a_master_that_misses_its_loudness_says_so(tmp_path: Path) -> None:
    clicks = np.zeros((2, 2 * RATE), np.float32)
    clicks[:, :: RATE // 10] = 0.9
    sf.write(tmp_path / "a.wav", clicks.T, RATE, subtype="PCM_24")
    rack = StemRack(master=find_chain("streaming"))
    result = mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack)
    found = result.report["loudness_lufs"]
    assert found < -14.5
    (note,) = [text for text in result.report["notes"] if "LUFS" in text]
    assert note.startswith(f"master: the sound has {found:.1f} LUFS instead of -14")


@pytest.mark.parametrize(("name", "target_lufs"), [("broadcast", -23), ("streaming", -14)])
def test_pyloudnorm_finds_the_loudness_of_the_delivered_master(
    name: str, target_lufs: float, rng: np.random.Generator, tmp_path: Path
) -> None:
    sf.write(tmp_path / "a.wav", bangs(0.02, rng).T, RATE, subtype="PCM_24")
    result = mixed(tmp_path / "a.wav", tmp_path / "b.wav", StemRack(master=find_chain(name)))
    delivered, rate = sf.read(tmp_path / "b.wav")
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")  # the class that keeps to BS.1770
    found_lufs = meter.integrated_loudness(delivered)
    assert found_lufs == pytest.approx(result.report["loudness_lufs"], abs=0.02)
    assert found_lufs == pytest.approx(target_lufs, abs=0.3)


def test_a_limited_master_meets_its_loudness_and_tells_its_progress(tmp_path: Path) -> None:
    x = np.clip(film_sound(2, 3 * RATE), -0.2, 0.2)
    x[:, RATE : RATE + 2000] *= 5
    sf.write(tmp_path / "a.wav", x.T, RATE, subtype="PCM_24")
    stages = []

    def listen(event: Progress | Note) -> None:
        stages.append(event.stage if isinstance(event, Progress) else event.text)

    rack = StemRack(master=find_chain("streaming"))
    result = mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack, listen)
    assert result.report["loudness_lufs"] == pytest.approx(-14, abs=0.3)
    assert "leveling" in stages
    assert not any("LUFS" in text for text in stages)
