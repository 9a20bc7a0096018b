import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sounds import mixture_of, scene
from unstir.errors import SettingsError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.repet import Repet, apart, median_network, median_of, profiles
from unstir.spectral import StftConfig, analyze
from unstir.types import FILM, SONG, Mixture

RATE = 16000


def loop_and_voice(seconds: float = 20) -> dict[str, np.ndarray]:
    """A pattern of four noisy chords that comes back every second, and a voice that does not."""
    rng = np.random.default_rng(0)
    n = round(seconds * RATE)
    t = np.arange(RATE) / RATE
    roots = np.array([220.0, 277.2, 329.6, 246.9])[(4 * t).astype(int)]
    chords = sum(np.sin(2 * np.pi * k * roots * t) for k in (1, 2, 3))
    pattern = (chords + 0.5 * rng.standard_normal(RATE)) * np.exp(-2 * (4 * t % 1))
    backing = 0.1 * np.tile(pattern, -(-n // RATE))[:n]
    knots = np.arange(0, n + RATE // 4, RATE // 4)
    octaves = np.interp(np.arange(n), knots, rng.uniform(-1, 1, len(knots)))
    phase = 2 * np.pi * np.cumsum(300 * 2**octaves) / RATE
    voice = 0.05 * sum(np.sin(k * phase) / k for k in range(1, 12))
    voice *= np.clip(np.sin(2 * np.pi * 1.37 * np.arange(n) / RATE), 0, 1)
    return {
        "vocals": np.stack([voice, voice]).astype(np.float32),
        "accompaniment": np.stack([backing, 0.7 * backing]).astype(np.float32),
    }


def gains_db(truth: dict[str, np.ndarray], stems: dict[str, np.ndarray]) -> list[float]:
    x = mixture_of(truth)
    return [si_sdr_db(true, stems[n]) - si_sdr_db(true, x) for n, true in truth.items()]


def test_a_voice_that_never_repeats_leaves_a_pattern_that_does() -> None:
    truth = loop_and_voice()
    stems = Repet(SONG, n_similar=15).separate(Mixture(mixture_of(truth), RATE))
    assert min(gains_db(truth, stems)) > 5, gains_db(truth, stems)


def test_a_short_window_finds_the_pattern_in_the_rest_of_the_file() -> None:
    truth = loop_and_voice()
    x = mixture_of(truth)
    method = Repet(SONG, n_similar=15)
    state = method.survey([Mixture(x, RATE)])
    at = 4 * RATE
    part = {name: value[:, at : at + RATE] for name, value in truth.items()}
    window = Mixture(np.ascontiguousarray(x[:, at : at + RATE]), RATE, start=at)
    alone, informed = (gains_db(part, method.separate(window, s)) for s in (None, state))
    assert max(alone) < 0.1  # one second holds one turn of the pattern: nothing comes back
    assert min(informed) > 5, informed


def test_in_a_film_the_pattern_is_music_and_the_voice_mostly_speech() -> None:
    truth = loop_and_voice()
    stems = Repet(n_similar=15).separate(Mixture(mixture_of(truth), RATE))
    film = {"speech": stems["speech"], "music": stems["music"]}
    renamed = {"speech": truth["vocals"], "music": truth["accompaniment"]}
    assert min(gains_db(renamed, film)) > 5
    assert np.std(stems["effects"]) < 0.4 * np.std(stems["speech"])


@pytest.mark.parametrize("n", [1, 3, 5, 9, 31, 63])
def test_the_network_finds_the_median(n: int, rng) -> None:
    values = rng.integers(0, 9, (n, 500)).astype(np.float32)
    rows = list(values)
    for i, j in median_network(n):
        rows[i], rows[j] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
    np.testing.assert_array_equal(rows[n // 2], np.median(values, axis=0))


@given(
    n=st.integers(1, 40),
    groups=st.integers(1, 40),
    half=st.integers(0, 12),
    decade=st.integers(-30, 30),
)
def test_the_median_of_groups_is_that_of_numpy(n: int, groups: int, half: int, decade: int) -> None:
    rng = np.random.default_rng(n + groups)
    frames = (10.0**decade * rng.random((n, 7))).astype(np.float32)
    indices = rng.integers(0, n, (groups, 2 * half + 1))
    kept = frames.copy()
    theirs = np.median(frames[indices], axis=1)
    np.testing.assert_array_equal(median_of(frames, indices), theirs)
    np.testing.assert_array_equal(frames, kept)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_profiles_have_unit_length_and_do_not_know_the_scale(scale: float, rng) -> None:
    frames = rng.random((20, 1025)).astype(np.float32)
    looks = profiles(np.float32(scale) * frames)
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(looks, profiles(frames), atol=1e-5)


@given(
    n=st.integers(1, 60),
    block=st.integers(1, 9),
    step=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_similar_frames_lie_apart_and_the_most_similar_is_among_them(
    n: int, block: int, step: int, seed: int
) -> None:
    similarity = np.random.default_rng(seed).random((5, n)).astype(np.float32)
    times = np.int64(step) * np.arange(n)
    distance = block * step
    columns, values = apart(similarity, times, block=block, distance=distance)
    for row in range(5):
        kept = columns[row][values[row] >= 0]
        assert (np.diff(times[kept]) >= distance).all()
        assert np.argmax(similarity[row]) in kept
        np.testing.assert_array_equal(values[row][values[row] >= 0], similarity[row][kept])


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_the_bank_of_a_minute_stays_small_whatever_the_rate(rate: int) -> None:
    rng = np.random.default_rng(0)
    second = rng.standard_normal((1, rate)).astype(np.float32)
    state = Repet().survey([Mixture(second, rate, 7 * rate)])
    assert state is not None
    assert state["frames"].dtype == np.float16
    assert 0 < 60 * state["frames"].nbytes < 5e6
    times = state["times"]
    config = StftConfig.for_rate(rate)
    assert times.min() >= 7 * rate + config.n_fft // 2
    assert times.max() <= 8 * rate - config.n_fft // 2
    assert (np.diff(times) > 0).all()


def test_the_bank_keeps_the_magnitudes(rng) -> None:
    mix = Mixture(rng.standard_normal((2, RATE)).astype(np.float32), RATE, start=0)
    state = Repet().survey([mix])
    assert state is not None
    frames = state["times"] // StftConfig.for_rate(RATE).hop_length
    kept = state["frames"].astype(np.float64) ** 2 * state["peak"]
    np.testing.assert_allclose(kept.T, analyze(mix).magnitude[:, frames], rtol=2e-2, atol=1e-6)


def test_frames_of_the_window_itself_are_not_counted_twice(rng) -> None:
    mix = Mixture(rng.standard_normal((2, 4 * RATE)).astype(np.float32), RATE, start=RATE)
    method = Repet()
    with_bank = method.estimate(mix, state=method.survey([mix]))
    without = method.estimate(mix)
    for name in FILM:
        np.testing.assert_array_equal(with_bank.masks[name], without.masks[name])


def test_a_bank_of_another_grid_is_refused(rng) -> None:
    state = Repet().survey([Mixture(rng.standard_normal((1, 8000)).astype(np.float32), 8000)])
    with pytest.raises(SettingsError, match="257 bins"):
        Repet().separate(Mixture(np.ones((1, 44100), np.float32), 44100), state)


def test_too_short_a_sound_says_nothing_and_a_long_one_does(rng) -> None:
    short = Mixture(rng.standard_normal((1, RATE // 2)).astype(np.float32), RATE)
    long = Mixture(rng.standard_normal((1, 4 * RATE)).astype(np.float32), RATE)
    assert not Repet().estimate(short).validity.any()
    assert Repet().estimate(long).validity.all()
    assert Repet().estimate(short, state=Repet().survey([long])).validity.shape == (1, 33)


def test_a_bank_makes_up_for_a_short_window(rng) -> None:
    long = Mixture(rng.standard_normal((1, 8 * RATE)).astype(np.float32), RATE)
    short = Mixture(rng.standard_normal((1, RATE // 2)).astype(np.float32), RATE, 9 * RATE)
    assert Repet().estimate(short, state=Repet().survey([long])).validity.all()


def test_below_the_voice_nothing_is_foreground() -> None:
    mix = Mixture(mixture_of(loop_and_voice(3)), RATE)
    spectrum = analyze(mix)
    masks = Repet(voice_low_hz=300).evidence(spectrum).masks
    low = spectrum.frequencies_hz < 300
    assert not masks["speech"][0, low].any() and masks["speech"][0, ~low].any()
    np.testing.assert_allclose(masks["music"][0, low], 0.5)


def test_one_channel_is_treated_as_the_same_sound_in_two() -> None:
    x = mixture_of(scene(3, RATE, channels=1))
    mono = Repet().separate(Mixture(x, RATE))
    both = Repet().separate(Mixture(np.repeat(x, 2, axis=0), RATE))
    for name in FILM:
        np.testing.assert_allclose(both[name], np.repeat(mono[name], 2, axis=0), atol=1e-5)


def test_binary_masks_give_cells_whole_or_split_ties_evenly() -> None:
    mix = Mixture(mixture_of(scene(3, RATE)), RATE)
    for mask in Repet(mask="binary").estimate(mix).masks.values():
        assert np.isin(mask, [0, 0.5, 1]).all()


@pytest.mark.parametrize("decade", [-6, -3, 4])
@pytest.mark.parametrize("stems", [FILM, SONG])
def test_a_gain_on_the_mix_is_a_gain_on_the_stems(decade: int, stems: tuple[str, ...]) -> None:
    x = mixture_of(loop_and_voice(4))
    plain, scaled = [], []
    for gain, out in ((1.0, plain), (10.0**decade, scaled)):
        mix = Mixture((np.float32(gain) * x).astype(np.float32), RATE)
        earlier = Mixture(mix.waveform, RATE, start=10 * RATE)
        out.append(Repet(stems).separate(mix, Repet(stems).survey([earlier])))
    for name in stems:
        # Two frames that are equally similar may change places when rounded otherwise.
        assert si_sdr_db(plain[0][name], scaled[0][name]) > 60


def test_silence_stays_silent_and_finite() -> None:
    mix = Mixture(np.zeros((2, 3 * RATE), np.float32), RATE)
    method = Repet()
    state = method.survey([mix])
    assert state is not None and not state["frames"].any()
    assert not any(value.any() for value in method.separate(mix, state).values())
    assert all(np.isfinite(m).all() for m in method.estimate(mix, state=state).masks.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_similar": 4},
        {"n_similar": 1},
        {"min_distance_s": 0},
        {"voice_low_hz": -1},
        {"mask": "hard"},
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Repet(**wrong)
