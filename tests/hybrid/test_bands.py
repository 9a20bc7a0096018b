import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sounds import mixture_of, scene
from unstir.errors import SettingsError
from unstir.hybrid.bands import Bands, crossover, gate
from unstir.types import FILM, SONG, Mixture

RATE = 44100


def tone(frequency_hz: float, seconds: float = 1) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.sin(2 * np.pi * frequency_hz * t).astype(np.float32)[None]


def shares(method: Bands, sound: np.ndarray, state=None) -> dict[str, float]:
    """Return the amplitude of each stem relative to the mix, away from the ends."""
    stems = method.separate(Mixture(sound, RATE), state)
    inner = slice(RATE // 8, -RATE // 8)
    level = np.std(sound[:, inner])
    return {name: float(np.std(value[:, inner]) / level) for name, value in stems.items()}


@pytest.mark.parametrize(
    ("frequency_hz", "film", "song"),
    [(40, (0, 0.5, 0.5), (0, 1)), (14000, (0, 0, 1), (0.5, 0.5))],
)
def test_tones_outside_the_voice_band_go_where_the_mapping_says(
    frequency_hz: float, film: tuple[float, ...], song: tuple[float, ...]
) -> None:
    sound = tone(frequency_hz)
    for stems, wanted in ((FILM, film), (SONG, song)):
        got = shares(Bands(stems), sound)
        np.testing.assert_allclose([got[name] for name in stems], wanted, atol=2e-3)


def test_a_tone_in_the_voice_band_is_the_voices_by_its_part_when_it_is_loud_for_the_file() -> None:
    state = {"voice_power": np.asarray(1e-9)}
    got = shares(Bands(voice_part=0.6), tone(1000), state)
    np.testing.assert_allclose([got[name] for name in FILM], [0.6, 0.2, 0.2], atol=2e-3)


def test_the_closed_gate_takes_its_range_from_the_voice() -> None:
    state = {"voice_power": np.asarray(1e9)}
    for range_db in (0, 6.0, 20.0):
        got = shares(Bands(SONG, voice_part=0.8, range_db=range_db), tone(1000), state)
        voice = 0.8 * 10 ** (-range_db / 20)
        np.testing.assert_allclose([got[n] for n in SONG], [voice, 1 - voice], atol=2e-3)


def test_the_gate_follows_the_level_of_the_file_and_not_of_the_window() -> None:
    quiet, loud = 0.05 * tone(1000), tone(1000)
    method = Bands(voice_part=1.0, range_db=40.0)
    state = method.survey([Mixture(quiet, RATE), Mixture(loud, RATE, RATE)])
    assert shares(method, loud, state)["speech"] > 0.95
    assert shares(method, quiet, state)["speech"] < 0.05


@given(corner_hz=st.floats(1, 20000), octaves=st.floats(0.01, 4))
def test_crossover_weights_rise_from_zero_to_one_through_a_half(
    corner_hz: float, octaves: float
) -> None:
    grid = np.concatenate([[0.0], corner_hz * 2.0 ** np.array([-9, -0.2, 0, 0.2, 9]) ** 1])
    weights = crossover(grid, corner_hz, octaves=octaves)
    assert weights[0] == 0 and weights[1] == 0 and weights[-1] == 1
    assert (np.diff(weights) >= 0).all()
    np.testing.assert_allclose(weights[3], 0.5, atol=1e-6)
    np.testing.assert_allclose(weights[2] + weights[4], 1, atol=1e-6)


def test_the_gate_opens_and_closes_with_its_time_constants() -> None:
    level_db = np.concatenate([np.full(50, -60.0), np.zeros(200), np.full(200, -60.0)])
    opening = gate(
        level_db, threshold_db=-20, hysteresis_db=6, attack_s=0.05, release_s=0.2, hop_s=0.01
    )
    assert not opening[:50].any()
    np.testing.assert_allclose(opening[50 + 4], 1 - np.exp(-1), atol=1e-5)
    np.testing.assert_allclose(opening[250 + 19], np.exp(-1), atol=1e-5)


def test_the_gate_holds_between_its_two_thresholds() -> None:
    wavering = np.array([-30.0, -22, -19, -22, -25, -22, -27, -22])
    opening = gate(wavering, threshold_db=-20, hysteresis_db=6, attack_s=0, release_s=0, hop_s=0.01)
    np.testing.assert_array_equal(opening, [0, 0, 1, 1, 1, 1, 0, 0])


def test_a_louder_signal_never_closes_the_gate(rng) -> None:
    level_db = rng.uniform(-40, 0, 300)
    for rise_db in (0.5, 5, 50):
        low, high = (
            gate(level, threshold_db=-20, hysteresis_db=4, attack_s=0.01, release_s=0.1, hop_s=0.01)
            for level in (level_db, level_db + rise_db)
        )
        assert (high >= low).all()


def test_binary_masks_give_cells_whole_or_split_ties_evenly() -> None:
    mix = Mixture(mixture_of(scene(1, RATE)), RATE)
    for mask in Bands(mask="binary").estimate(mix).masks.values():
        assert np.isin(mask, [0, 0.5, 1]).all()


def test_one_channel_is_treated_as_the_same_sound_in_two() -> None:
    x = mixture_of(scene(1, RATE, channels=1))
    mono = Bands().separate(Mixture(x, RATE))
    both = Bands().separate(Mixture(np.repeat(x, 2, axis=0), RATE))
    for name in FILM:
        np.testing.assert_allclose(both[name], np.repeat(mono[name], 2, axis=0), atol=1e-5)


@pytest.mark.parametrize("decade", [-6, -3, 4])
def test_a_gain_on_the_mix_is_a_gain_on_the_stems(decade: int) -> None:
    x = mixture_of(scene(2, RATE))
    plain, scaled = [], []
    for gain, stems in ((1.0, plain), (10.0**decade, scaled)):
        mix = Mixture((np.float32(gain) * x).astype(np.float32), RATE)
        stems.append(Bands().separate(mix, Bands().survey([mix])))
    for name in FILM:
        np.testing.assert_allclose(
            scaled[0][name] / np.float32(10.0**decade), plain[0][name], atol=1e-5
        )


@pytest.mark.parametrize("surveyed", [True, False])
def test_silence_stays_silent_and_finite(surveyed: bool) -> None:
    mix = Mixture(np.zeros((2, 5000), np.float32), RATE)
    state = Bands().survey([mix]) if surveyed else None
    assert not any(value.any() for value in Bands().separate(mix, state).values())
    assert all(np.isfinite(m).all() for m in Bands().estimate(mix, state=state).masks.values())


def test_over_a_silent_survey_every_sound_opens_the_gate() -> None:
    state = Bands().survey([Mixture(np.zeros((1, 5000), np.float32), RATE)])
    np.testing.assert_allclose(shares(Bands(), tone(1000), state)["speech"], 0.6, atol=2e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"voice_low_hz": 0},
        {"voice_low_hz": 9000},
        {"voice_part": 1.5},
        {"hysteresis_db": -1},
        {"attack_ms": -1},
        {"release_ms": -1},
        {"range_db": -1},
        {"mask": "hard"},
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Bands(**wrong)
