import warnings
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.hybrid.dictionaries import load_dictionaries, on_bins
from unstir.hybrid.nmf import Nmf, kl_nmf
from unstir.hybrid.score import read_score
from unstir.spectral import analyze
from unstir.types import FILM, SONG, Mixture, Prior, Separator, Stems, Waveform

SETS = pytest.mark.parametrize("stems", [FILM, SONG])
SCALES = st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6])
SEEDS = st.integers(0, 2**32 - 1)


def divergence(V: NDArray[np.float64], W: NDArray[np.float64], H: NDArray[np.float64]) -> float:
    model = W @ H
    return float(np.sum(V * np.log(np.maximum(V, 1e-300) / model) - V + model))


def si_sdr(estimate: Waveform, reference: Waveform) -> float:
    e, r = estimate.ravel().astype(np.float64), reference.ravel().astype(np.float64)
    target = (e @ r) / (r @ r) * r
    return float(10 * np.log10((target @ target) / np.sum((e - target) ** 2)))


# ---------------------------------------------------------------- the factorization


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(40, 5, 60), (200, 12, 900), (1, 1, 3), (7, 9, 2)])
def test_the_factors_are_scikit_learns_to_one_part_in_ten_thousand(
    rng: np.random.Generator, dtype: type, shape: tuple[int, int, int]
) -> None:
    from sklearn.decomposition import NMF

    rows, components, columns = shape
    V = (rng.random((rows, components)) @ rng.random((components, columns))) * rng.exponential(
        size=(rows, columns)
    )
    V[rng.random(V.shape) < 0.02] = 0
    V = V.astype(dtype)
    W = (rng.random((rows, components)) + 0.01).astype(dtype)
    H = (rng.random((components, columns)) + 0.01).astype(dtype)
    peer = NMF(
        components,
        init="custom",
        solver="mu",
        beta_loss="kullback-leibler",
        tol=0,
        max_iter=50,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that 50 iterations are not convergence
        expected_w = peer.fit_transform(V, W=W.copy(), H=H.copy())
    got_w, got_h = kl_nmf(V, W, H, n_iter=50)
    assert got_w.dtype == got_h.dtype == dtype
    np.testing.assert_allclose(got_w @ got_h, expected_w @ peer.components_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got_w, expected_w, rtol=1e-4, atol=1e-5 * expected_w.max())
    np.testing.assert_allclose(got_h, peer.components_, rtol=1e-4, atol=1e-5 * got_h.max())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 30), SCALES, SEEDS)
def test_the_divergence_never_rises(
    rows: int, components: int, columns: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    V = scale * (rng.random((rows, columns)) + 1e-3)
    W, H = rng.random((rows, components)) + 0.1, scale * (rng.random((components, columns)) + 0.1)
    before = divergence(V, W, H)
    for _ in range(8):
        W, H = kl_nmf(V, W, H, n_iter=1)
        after = divergence(V, W, H)
        assert after <= before + 1e-9 * V.sum()
        before = after


@settings(max_examples=30, deadline=None)
@given(SCALES, SEEDS)
def test_a_gain_on_the_data_comes_out_in_the_activations_alone(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    V, W, H = (rng.random(shape).astype(np.float32) for shape in [(20, 30), (20, 4), (4, 30)])
    c = np.float32(scale)
    w, h = kl_nmf(V, W, H, n_iter=20)
    scaled_w, scaled_h = kl_nmf(c * V, W, c * H, n_iter=20)
    np.testing.assert_allclose(scaled_w, w, rtol=1e-3, atol=1e-5 * w.max())
    np.testing.assert_allclose(scaled_h / c, h, rtol=1e-3, atol=1e-5 * h.max())


def test_a_matrix_of_rank_two_is_recovered(rng: np.random.Generator) -> None:
    V = rng.random((50, 2)) @ rng.random((2, 80))
    W, H = kl_nmf(V, rng.random((50, 2)), rng.random((2, 80)), n_iter=2000)
    np.testing.assert_allclose(W @ H, V, rtol=1e-2, atol=1e-3)


def test_zeros_stay_zeros_and_arguments_stay_as_they_are(rng: np.random.Generator) -> None:
    V, W, H = rng.random((30, 40)), rng.random((30, 5)), rng.random((5, 40))
    W[:10, 0], H[2, 20:] = 0, 0
    kept = V.copy(), W.copy(), H.copy()
    w, h = kl_nmf(V, W, H, n_iter=30)
    assert not w[:10, 0].any() and not h[2, 20:].any()
    assert w[10:, 0].all() and h[2, :20].all()
    for array, copy in zip((V, W, H), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_only_the_chosen_templates_move(rng: np.random.Generator) -> None:
    V, W, H = rng.random((30, 40)), rng.random((30, 5)), rng.random((5, 40))
    w, _ = kl_nmf(V, W, H, n_iter=10, update_w=slice(3, None))
    np.testing.assert_array_equal(w[:, :3], W[:, :3])
    assert np.abs(w[:, 3:] - W[:, 3:]).max() > 0.01
    np.testing.assert_array_equal(kl_nmf(V, W, H, n_iter=10, update_w=False)[0], W)


def test_what_was_not_observed_has_no_part_in_the_factors(rng: np.random.Generator) -> None:
    V, W, H = rng.random((30, 40)), rng.random((30, 5)), rng.random((5, 40))
    weights = np.ones_like(V)
    weights[20:] = 0
    w, h = kl_nmf(V, W, H, n_iter=20, weights=weights)
    top_w, top_h = kl_nmf(V[:20], W[:20], H, n_iter=20)
    np.testing.assert_allclose(w[:20], top_w, rtol=1e-6)
    np.testing.assert_allclose(h, top_h, rtol=1e-6)


def test_weights_of_one_change_nothing(rng: np.random.Generator) -> None:
    V, W, H = rng.random((30, 40)), rng.random((30, 5)), rng.random((5, 40))
    plain = kl_nmf(V, W, H, n_iter=20)
    weighted = kl_nmf(V, W, H, n_iter=20, weights=np.ones_like(V))
    np.testing.assert_allclose(weighted[0], plain[0], rtol=1e-9)
    np.testing.assert_allclose(weighted[1], plain[1], rtol=1e-9)


def test_blocks_of_frames_give_what_the_whole_gives(rng: np.random.Generator) -> None:
    # 3000 frames of 400 rows are several blocks; without moving templates frames are independent.
    V, W, H = rng.random((400, 3000)), rng.random((400, 6)), rng.random((6, 3000))
    _, whole = kl_nmf(V, W, H, n_iter=5, update_w=False)
    scale = V.mean()
    parts = [
        kl_nmf(V[:, s] * (scale / V[:, s].mean()), W, H[:, s], n_iter=5, update_w=False)[1]
        * (V[:, s].mean() / scale)
        for s in (slice(0, 700), slice(700, 3000))
    ]
    np.testing.assert_allclose(np.hstack(parts), whole, rtol=1e-6)


def test_an_all_zero_matrix_gives_zero_activations() -> None:
    W, H = kl_nmf(np.zeros((4, 3)), np.ones((4, 2)), np.ones((2, 3)), n_iter=3, update_w=False)
    assert not H.any() and np.isfinite(W).all()


# ---------------------------------------------------------------- the method


@SETS
def test_it_is_a_prior_and_a_separator(stems: tuple[str, ...]) -> None:
    assert isinstance(Nmf(stems), Prior) and isinstance(Nmf(stems), Separator)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([FILM, SONG]),
    st.integers(1, 2),
    st.sampled_from([1, 2, 100, 4000, 9000]),
    st.sampled_from([8000, 16000, 44100, 48000, 96000]),
    st.sampled_from([1e-6, 1.0, 20.0, 1e6]),
    SEEDS,
)
def test_masks_share_every_cell_out_at_any_shape_rate_and_scale(
    stems: tuple[str, ...], n_channels: int, n: int, sample_rate: int, peak: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).uniform(-peak, peak, (n_channels, n)).astype(np.float32)
    spectrum = analyze(Mixture(noise, sample_rate))
    evidence = Nmf(stems).evidence(spectrum)
    shape = (1, *spectrum.cells.shape[1:])
    assert tuple(evidence.masks) == stems
    for mask in evidence.masks.values():
        assert mask.shape == shape and mask.dtype == np.float32
        assert mask.min() >= 0 and mask.max() <= 1
    np.testing.assert_allclose(sum(evidence.masks.values()), np.ones(shape), atol=1e-5)
    assert evidence.validity.shape == (1, spectrum.n_frames)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([FILM, SONG]), SCALES, SEEDS)
def test_a_gain_on_the_mix_is_a_gain_on_the_stems(
    stems: tuple[str, ...], scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    noise = (np.cumsum(rng.standard_normal((2, 6000)), axis=1) / 50).astype(np.float32)
    plain = Nmf(stems).separate(Mixture(noise, 22050))
    scaled = Nmf(stems).separate(Mixture(noise * np.float32(scale), 22050))
    for name in stems:
        np.testing.assert_allclose(scaled[name] / scale, plain[name], atol=2e-4)


@SETS
@pytest.mark.parametrize("sample_rate", [8000, 44100, 384000])
def test_silence_stays_silent_and_says_nothing(stems: tuple[str, ...], sample_rate: int) -> None:
    mix = Mixture(np.zeros((2, 5000), np.float32), sample_rate)
    assert not Nmf(stems).estimate(mix).validity.any()
    for stem in Nmf(stems).separate(mix).values():
        assert stem.shape == (2, 5000) and not stem.any()


def test_validity_is_zero_in_silent_frames_and_one_elsewhere(rng: np.random.Generator) -> None:
    wave = np.zeros((1, 40000), np.float32)
    wave[:, 20000:] = rng.standard_normal((1, 20000))
    validity = Nmf().estimate(Mixture(wave, 16000)).validity[0]
    assert not validity[:70].any() and validity[90:].all()


def test_the_same_input_gives_the_same_bytes(rng: np.random.Generator) -> None:
    mix = Mixture(rng.standard_normal((2, 30000)).astype(np.float32), 44100)
    method = Nmf(n_free=3)
    first, second = (method.separate(mix, method.survey([mix])) for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in FILM)


def test_windows_agree_on_the_frames_that_they_share(rng: np.random.Generator) -> None:
    wave = np.cumsum(rng.standard_normal((1, 6 * 16000)), axis=1).astype(np.float32)
    hop = analyze(Mixture(wave, 16000)).config.hop_length
    cut_at = 100 * hop
    whole = Nmf().estimate(Mixture(wave, 16000))
    later = Nmf().estimate(Mixture(wave[:, cut_at:], 16000, start=cut_at))
    reach_s = max(abs(lag) for span in load_dictionaries().spans_s for lag in span)
    inner = int(np.ceil(reach_s * 16000 / hop)) + 4
    assert inner < later.validity.shape[1] - 50
    for name in FILM:
        np.testing.assert_allclose(
            later.masks[name][..., inner:], whole.masks[name][..., 100 + inner :], atol=2e-3
        )


def test_channels_swapped_or_of_opposite_sign_give_the_same_masks(
    rng: np.random.Generator,
) -> None:
    wave = rng.standard_normal((2, 20000)).astype(np.float32)
    plain = Nmf().estimate(Mixture(wave, 44100)).masks
    turned = Nmf().estimate(Mixture(np.ascontiguousarray(-wave[::-1]), 44100)).masks
    for name in FILM:
        np.testing.assert_allclose(turned[name], plain[name], atol=1e-4)


def test_a_binary_mask_gives_cells_whole(rng: np.random.Generator) -> None:
    mix = Mixture(rng.standard_normal((1, 20000)).astype(np.float32), 44100)
    masks = Nmf(mask="binary").estimate(mix).masks
    values = np.concatenate([mask.ravel() for mask in masks.values()])
    assert np.isin(values, [0, 0.5, 1]).mean() > 0.999
    loudest = Nmf().estimate(mix).masks
    assert ((masks["speech"] == 1) <= (loudest["speech"] >= 1 / 3 - 1e-4)).all()


@pytest.mark.parametrize("kind", ["speech", "effects"])
def test_noise_shaped_like_one_kinds_templates_goes_to_that_kind(
    rng: np.random.Generator, kind: str
) -> None:
    shipped = load_dictionaries()
    grid_hz = np.fft.rfftfreq(44100, 1 / 44100)
    shapes = on_bins(shipped.templates[kind][:1], shipped.bands_hz, grid_hz)[0]
    # One second of stationary noise under the shape of each template in turn.
    seconds = [
        np.fft.irfft(shapes[:, k] * np.exp(2j * np.pi * rng.random(len(grid_hz))))
        for k in range(0, shapes.shape[1], 8)
    ]
    wave = np.concatenate([s / np.abs(s).max() for s in seconds])[None].astype(np.float32)
    stems = Nmf().separate(Mixture(wave, 44100))
    energy = {name: float(np.sum(stem.astype(np.float64) ** 2)) for name, stem in stems.items()}
    assert max(energy, key=lambda name: energy[name]) == kind


@pytest.mark.parametrize(
    "options",
    [
        {"stems": ("target", "residual")},
        {"n_free": -1},
        {"n_iter": 0},
        {"mask": "soft"},
        {"n_free": 2, "score": "a.mid"},
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"came"):
        Nmf(**options)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the free part


def whistle(n: int, sample_rate: int) -> Waveform:
    t = np.arange(n) / sample_rate
    beeps = (np.sin(2 * np.pi * 3 * t) > 0) * np.sin(2 * np.pi * 6300 * t)
    return (0.3 * beeps)[None].astype(np.float32)


def test_without_a_free_part_there_is_nothing_to_survey(rng: np.random.Generator) -> None:
    assert Nmf().survey([Mixture(rng.standard_normal((1, 9000)).astype(np.float32), 16000)]) is None
    assert Nmf(n_free=4).survey([]) is None
    assert Nmf(n_free=4).survey([Mixture(np.zeros((1, 9000), np.float32), 16000)]) is None


@SETS
def test_free_templates_learn_what_the_file_has(
    rng: np.random.Generator, stems: tuple[str, ...]
) -> None:
    wave = whistle(3 * 44100, 44100) + 0.01 * rng.standard_normal((1, 3 * 44100)).astype(np.float32)
    method = Nmf(stems, n_free=3)
    state = method.survey([Mixture(wave[:, :66150], 44100), Mixture(wave[:, 66150:], 44100)])
    assert state is not None
    now = state["templates"][0]
    assert now.shape[1] == 3 and np.isfinite(now).all() and now.min() >= 0
    peaks_hz = state["bands_hz"][np.argmax(now, axis=0)]
    assert np.abs(peaks_hz - 6300).min() < 200
    assert set(state["owners"].tolist()) <= set(range(len(stems)))
    again = method.survey([Mixture(wave[:, :66150], 44100), Mixture(wave[:, 66150:], 44100)])
    assert again is not None
    assert all(state[key].tobytes() == again[key].tobytes() for key in state)


def test_a_state_learned_at_one_rate_serves_a_shared_grid_of_another(
    rng: np.random.Generator,
) -> None:
    state = Nmf(n_free=2).survey([Mixture(whistle(44100, 44100), 44100)])
    mix = Mixture(rng.standard_normal((2, 20000)).astype(np.float32), 16000)
    masks = Nmf(n_free=2).estimate(mix, state).masks
    np.testing.assert_allclose(sum(masks.values()), np.ones_like(masks["speech"]), atol=1e-5)


# ---------------------------------------------------------------- the score

RATE = 22050


def tune(folder: Path) -> tuple[Path, Waveform]:
    """Return a score and what two instruments, one bright and one dull, make of it."""
    rng = np.random.default_rng(7)
    midi = mido.MidiFile(ticks_per_beat=480)
    n = 8 * RATE
    wave = np.zeros(n)
    for channel, (low, brightness) in enumerate([(48, 0.5), (67, 0.85)]):
        track = mido.MidiTrack()
        midi.tracks.append(track)
        for beat in range(16):
            pitch = low + int(rng.choice([0, 2, 4, 7, 9, 12]))
            track.append(mido.Message("note_on", note=pitch, channel=channel, velocity=90))
            track.append(mido.Message("note_off", note=pitch, channel=channel, time=480))
            first = beat * RATE // 2
            t = np.arange(RATE // 2) / RATE
            f0 = 440 * 2 ** ((pitch - 69) / 12)
            tones = sum(brightness**h * np.sin(2 * np.pi * h * f0 * t) for h in range(1, 11))
            wave[first : first + len(t)] += tones * np.exp(-4 * t)
    path = folder / "tune.mid"
    midi.save(path)
    return path, (0.2 * wave)[None].astype(np.float32)


def babble(n: int) -> Waveform:
    """Return noise with the long-term spectrum and the syllable rate of speech."""
    rng = np.random.default_rng(8)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / RATE)
    noise = np.fft.irfft(spectrum * (f / 300) / (1 + (f / 600) ** 2), n)
    t = np.arange(n) / RATE
    noise *= np.maximum(0, np.sin(2 * np.pi * 4 * t)) * (np.sin(2 * np.pi * 0.4 * t) > -0.6)
    return (0.15 * noise / noise.std())[None].astype(np.float32)


def improvement(stems: Stems, name: str, reference: Waveform, mix: Waveform) -> float:
    return si_sdr(stems[name], reference) - si_sdr(mix, reference)


@SETS
def test_a_score_separates_far_better_than_dictionaries_alone(
    tmp_path: Path, stems: tuple[str, ...]
) -> None:
    path, music = tune(tmp_path)
    speech = babble(music.shape[1])
    mix = Mixture(music + speech, RATE)
    scored = Nmf(stems, score=str(path))
    informed = scored.separate(mix, scored.survey([mix]))
    blind = Nmf(stems).separate(mix)
    name = "music" if stems == FILM else "accompaniment"
    gain = improvement(informed, name, music, mix.waveform)
    assert gain > 6
    assert gain > improvement(blind, name, music, mix.waveform) + 3


def test_learned_templates_are_zero_between_harmonics_and_belong_to_the_music(
    tmp_path: Path,
) -> None:
    path, music = tune(tmp_path)
    state = Nmf(score=str(path)).survey([Mixture(music + babble(music.shape[1]), RATE)])
    assert state is not None
    pitches = sorted({note.pitch for note in read_score(path)})
    templates, bands_hz = state["templates"][0], state["bands_hz"]
    assert templates.shape[1] == len(pitches)
    for template, pitch in zip(templates.T, pitches, strict=True):
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        between = np.abs(bands_hz[:, None] - f0 * (np.arange(1, 4) + 0.5)).min(axis=1) < f0 / 8
        # Interpolation lets a trace of a harmonic into the next band.
        assert template[between].max() < 1e-3 * template[np.abs(bands_hz - f0).argmin()]
    assert (state["owners"] == FILM.index("music")).all()


def test_without_a_state_the_templates_come_from_the_mix_at_hand(tmp_path: Path) -> None:
    path, music = tune(tmp_path)
    mix = Mixture(music + babble(music.shape[1]), RATE)
    for method in (Nmf(score=str(path)), Nmf(n_free=2)):
        surveyed, alone = method.separate(mix, method.survey([mix])), method.separate(mix)
        for name in FILM:
            np.testing.assert_array_equal(alone[name], surveyed[name])


def test_a_window_finds_its_place_in_the_score_by_its_start(tmp_path: Path) -> None:
    path, music = tune(tmp_path)
    mix = music + babble(music.shape[1])
    method = Nmf(score=str(path))
    state = method.survey([Mixture(mix, RATE)])
    start = 4 * RATE
    placed = method.separate(Mixture(mix[:, start:], RATE, start=start), state)
    misplaced = method.separate(Mixture(mix[:, start:], RATE, start=RATE // 4), state)
    part = music[:, start:]
    right = improvement(placed, "music", part, mix[:, start:])
    assert right > 6
    assert right > improvement(misplaced, "music", part, mix[:, start:]) + 3


def test_where_the_score_is_silent_there_is_no_music(tmp_path: Path) -> None:
    path, _ = tune(tmp_path)
    wave = babble(4 * RATE)
    late = Mixture(wave, RATE, start=60 * RATE)
    stems = Nmf(score=str(path)).separate(late)
    assert not np.abs(stems["music"]).max() > 1e-6
    assert np.abs(stems["speech"]).max() > 0.01


def test_a_pitch_that_the_survey_never_heard_keeps_its_first_template(tmp_path: Path) -> None:
    path, music = tune(tmp_path)
    method = Nmf(score=str(path))
    state = method.survey([Mixture(music[:, : RATE // 4], RATE)])
    assert state is not None
    assert (state["templates"].sum(axis=1) > 0).all()
    for shape in [(1, 1), (2, 5000)]:
        stems = method.separate(Mixture(np.ones(shape, np.float32), RATE), state)
        assert all(np.isfinite(stem).all() for stem in stems.values())


def test_a_score_that_cannot_be_read_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "letter.mid"
    path.write_text("Dear editor")
    method = Nmf(score=str(path))
    mix = Mixture(np.ones((1, 1000), np.float32), 16000)
    with pytest.raises(AudioError, match="letter"):
        method.survey([mix])
    with pytest.raises(AudioError, match="letter"):
        method.separate(mix)
