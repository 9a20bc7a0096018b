from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from tests.sounds import mixture_of, scene
from unstir.errors import SettingsError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.panning import Panning, azimuth, find_positions
from unstir.mixes import SAMPLE_RATE, film_mixes
from unstir.spectral import analyze
from unstir.types import FILM, SONG, Mixture

RATE = 16000


def panned(sound: np.ndarray, position: float) -> np.ndarray:
    """Return a mono sound at a position from -1 to 1 by the constant-power law."""
    angle = (position + 1) * np.pi / 4
    return np.stack([np.cos(angle) * sound, np.sin(angle) * sound]).astype(np.float32)


def turns(n: int, count: int, seconds: float = 6) -> np.ndarray:
    """Return 0.2 s turns: 1 in every ``count``-th, from the ``n``-th on."""
    t = np.arange(round(seconds * RATE)) // (RATE // 5)
    return (t % count == n).astype(np.float64)


def placed_scene(seconds: float = 6) -> dict[str, np.ndarray]:
    """Speech in the middle, bursts at 0.7, and music that has no position."""
    rng = np.random.default_rng(0)
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    phase = 2 * np.pi * np.cumsum(170 + 20 * np.sin(2 * np.pi * 0.8 * t)) / RATE
    voice = (
        0.1
        * np.clip(np.sin(2 * np.pi * 1.1 * t), 0, 1)
        * sum(np.sin(k * phase) / k for k in range(1, 20))
    )
    bursts = 0.1 * (np.sin(2 * np.pi * 0.31 * t) > 0.9) * rng.standard_normal(n)
    return {
        "speech": panned(voice, 0),
        "music": 0.02 * rng.standard_normal((2, n)).astype(np.float32),
        "effects": panned(bursts, 0.7),
    }


@pytest.mark.parametrize("position", [-1.0, -0.6, 0.0, 0.25, 1.0])
def test_a_panned_sound_is_found_where_it_was_panned(position: float, rng) -> None:
    mix = Mixture(panned(rng.standard_normal(RATE), position), RATE)
    where, depth = azimuth(analyze(mix))
    np.testing.assert_allclose(where, position, atol=1e-3)
    assert depth.min() > 0.99
    np.testing.assert_allclose(Panning().survey([mix])["positions"], [position], atol=0.011)


def test_a_quarter_turn_between_the_channels_leaves_no_null(rng) -> None:
    noise = rng.standard_normal(4 * RATE)
    x = np.stack([noise, scipy.signal.hilbert(noise).imag]).astype(np.float32)
    _, depth = azimuth(analyze(Mixture(x, RATE)))
    assert np.median(depth) == 0


def test_two_noises_at_two_positions_are_found_and_told_apart(rng) -> None:
    left, right = (turns(i, 2) * rng.standard_normal(6 * RATE) for i in (0, 1))
    parts = {"effects": panned(left, -0.6), "speech": panned(right, 0.1)}
    mix = Mixture(mixture_of(parts), RATE)
    method = Panning(voice_low_hz=0)
    state = method.survey([mix])
    np.testing.assert_allclose(state["positions"], [-0.6, 0.1], atol=0.02)
    stems = method.separate(mix, state)
    assert si_sdr_db(parts["speech"], stems["speech"]) > 12
    assert si_sdr_db(parts["effects"], stems["music"] + stems["effects"]) > 12


def test_speech_bursts_and_wide_music_gain_on_every_stem() -> None:
    truth = placed_scene()
    x = mixture_of(truth)
    method = Panning()
    stems = method.separate(Mixture(x, RATE), method.survey([Mixture(x, RATE)]))
    for name, true in truth.items():
        gain_db = si_sdr_db(true, stems[name]) - si_sdr_db(true, x)
        assert gain_db > 4, (name, gain_db)


def test_bursts_beside_the_middle_are_effects_and_what_is_steady_there_music(rng) -> None:
    truth = placed_scene()
    hum = 0.05 * rng.standard_normal(truth["speech"].shape[1])
    for side, bursty in ((truth["effects"], True), (panned(hum, 0.7), False)):
        mix = Mixture(truth["speech"] + truth["music"] + side, RATE)
        state = Panning().survey([mix])
        assert abs(state["positions"][-1] - 0.7) < 0.15
        assert (state["bursts"][-1] > 0.9) if bursty else (state["bursts"][-1] < 0.5)


def test_below_the_voice_the_middle_goes_to_the_others() -> None:
    t = np.arange(2 * RATE) / RATE
    bass, high = panned(np.sin(2 * np.pi * 60 * t), 0), panned(np.sin(2 * np.pi * 2000 * t), 0.8)
    stems = Panning(SONG).separate(Mixture(bass + high, RATE))
    assert si_sdr_db(bass + high, stems["accompaniment"]) > 25
    assert np.std(stems["vocals"]) < 0.05 * np.std(bass)


@pytest.mark.parametrize("stems", [FILM, SONG])
def test_swapping_the_channels_swaps_the_stems(stems: tuple[str, ...]) -> None:
    x = mixture_of(placed_scene(3))
    a, b = (Panning(stems).separate(Mixture(np.ascontiguousarray(y), RATE)) for y in (x, x[::-1]))
    for name in stems:
        assert si_sdr_db(a[name], b[name][::-1]) > 40


def test_positions_hold_for_the_file_and_not_for_the_window(rng) -> None:
    parts = placed_scene()
    method = Panning()
    whole = Mixture(mixture_of(parts), RATE)
    state = method.survey([whole])
    only_bursts = Mixture(parts["effects"], RATE)
    speech = method.separate(only_bursts, state)["speech"]
    assert np.std(speech) < 0.02 * np.std(parts["effects"])
    alone = method.separate(only_bursts)["speech"]
    assert np.std(alone) > 0.5 * np.std(parts["effects"])


@pytest.mark.parametrize("stems", [FILM, SONG])
def test_one_channel_or_one_channel_twice_says_nothing(stems: tuple[str, ...], rng) -> None:
    x = rng.standard_normal((1, 4000)).astype(np.float32)
    method = Panning(stems)
    assert method.survey([Mixture(x, RATE)]) is None
    for mix in (Mixture(x, RATE), Mixture(np.repeat(x, 2, axis=0), RATE)):
        assert not method.estimate(mix, state=method.survey([mix])).validity.any()
        for value in method.separate(mix).values():
            np.testing.assert_allclose(value, mix.waveform / len(stems), atol=1e-5)


def test_a_center_channel_is_speech_whole(rng) -> None:
    mix = Mixture(rng.standard_normal((1, 4000)).astype(np.float32), RATE, role="center")
    np.testing.assert_allclose(Panning().separate(mix)["speech"], mix.waveform, atol=1e-5)
    assert Panning().estimate(mix).validity.all()


@pytest.mark.parametrize("stems", [FILM, SONG])
def test_no_position_of_a_surround_pair_is_the_voices(stems: tuple[str, ...]) -> None:
    mix = Mixture(mixture_of(placed_scene(3)), RATE, role="surround")
    evidence = Panning(stems).estimate(mix)
    assert evidence.validity.all() and not evidence.masks[stems[0]].any()


def test_binary_masks_give_cells_whole_or_split_ties_evenly() -> None:
    mix = Mixture(mixture_of(placed_scene(2)), RATE)
    for mask in Panning(mask="binary").estimate(mix).masks.values():
        assert np.isin(mask, [0, 0.5, 1]).all()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_peaks_are_found_at_every_scale_and_up_to_the_ends(scale: float) -> None:
    histogram = np.zeros(201)
    histogram[[0, 60, 200]] = 1, 3, 2
    found = find_positions(scale * histogram, max_positions=7)
    np.testing.assert_allclose(found, [-1, -0.4, 1], atol=1e-9)
    np.testing.assert_allclose(find_positions(histogram, max_positions=1), [-0.4], atol=1e-9)
    assert find_positions(np.zeros(201), max_positions=7).size == 0


@pytest.mark.parametrize("decade", [-6, -3, 4])
@pytest.mark.parametrize("stems", [FILM, SONG])
def test_a_gain_on_the_mix_is_a_gain_on_the_stems(decade: int, stems: tuple[str, ...]) -> None:
    x = mixture_of(placed_scene(2))
    gain = np.float32(10.0**decade)
    plain, scaled = (Panning(stems).separate(Mixture(y, RATE)) for y in (x, gain * x))
    for name in stems:
        np.testing.assert_allclose(scaled[name] / gain, plain[name], atol=1e-4)


def test_silence_stays_silent_and_says_nothing() -> None:
    mix = Mixture(np.zeros((2, 5000), np.float32), RATE)
    assert not any(value.any() for value in Panning().separate(mix).values())
    assert not Panning().estimate(mix).validity.any()


def test_a_synthetic_scene_at_low_rate_gains_for_speech() -> None:
    truth = scene(5)
    x = mixture_of(truth)
    speech = Panning().separate(Mixture(x, 8000))["speech"]
    assert si_sdr_db(truth["speech"], speech) > si_sdr_db(truth["speech"], x) + 3


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"max_positions": 0}, {"voice_low_hz": -1}, {"mask": "hard"}]
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Panning(**wrong)


@pytest.mark.corpus
def test_real_films_gain_on_every_stem(corpus: Path) -> None:
    gains_db = []
    for real in film_mixes(corpus, n=4):
        x = real.waveform
        mix = Mixture(x, SAMPLE_RATE)
        stems = Panning().separate(mix, Panning().survey([mix]))
        gains_db.append(
            [si_sdr_db(true, stems[n]) - si_sdr_db(true, x) for n, true in real.stems.items()]
        )
    assert np.mean(gains_db, axis=0).min() > 1, np.mean(gains_db, axis=0)
