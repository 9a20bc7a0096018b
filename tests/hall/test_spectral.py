import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import SettingsError
from unstir.spectral import (
    Spectrum,
    StftConfig,
    analyze,
    binary_masks,
    consistent,
    cut,
    everywhere,
    istft,
    no_evidence,
    ratio_masks,
    render,
    settle,
    stft,
)
from unstir.types import FILM, SONG, Evidence, Mixture

RATES = st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000])
GRIDS = st.sampled_from(
    [StftConfig(), StftConfig(4, 1), StftConfig(16, 8), StftConfig(256, 32), StftConfig(60, 20)]
)
SCALES = st.sampled_from([1e-30, 1e-12, 1e-3, 1.0, 20.0, 1e12, 1e30])
SETS = st.sampled_from([SONG, FILM, ("a", "b", "c", "d", "e")])
LENGTHS = st.one_of(st.integers(1, 100), st.integers(1, 6000))


def noise(seed, *shape, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def magnitudes(seed, names, shape=(2, 5, 7), scale=1.0):
    """Return non-negative numbers over six decades, some of them zero, some cells silent."""
    rng = np.random.default_rng(seed)
    exponents = rng.uniform(-3, 3, (len(names), *shape))
    values = scale * 10.0**exponents * (rng.random(exponents.shape) > 0.2)
    values[:, 0, 0, 0] = 0
    return {name: v.astype(np.float32) for name, v in zip(names, values, strict=True)}


def random_masks(seed, names, shape):
    rng = np.random.default_rng(seed)
    raw = rng.random((len(names), *shape))
    return dict(zip(names, (raw / raw.sum(axis=0)).astype(np.float32), strict=True))


# --- the transform


@settings(deadline=None)
@given(n=LENGTHS, channels=st.integers(1, 6), grid=GRIDS, scale=SCALES, seed=st.integers(0, 999))
def test_the_inverse_gives_the_waveform_back(n, channels, grid, scale, seed):
    waveform = noise(seed, channels, n, scale=scale)
    before = waveform.copy()
    cells = stft(waveform, grid)
    kept = cells.copy()
    back = istft(cells, grid, n)
    assert back.shape == waveform.shape
    assert back.dtype == np.float32
    assert back.flags.c_contiguous
    assert np.abs(back - waveform).max() <= 3e-6 * np.abs(waveform).max()
    assert np.array_equal(waveform, before)
    assert np.array_equal(cells, kept)


@settings(deadline=None)
@given(n=LENGTHS, rate=RATES)
def test_the_grid_of_a_rate_covers_every_sample(n, rate):
    grid = StftConfig.for_rate(rate)
    assert 0.03 < grid.n_fft / rate < 0.07
    waveform = noise(n, 1, n)
    cells = stft(waveform, grid)
    assert cells.shape == (1, grid.n_bins, grid.n_frames(n))
    assert cells.dtype == np.complex64
    assert np.abs(istft(cells, grid, n) - waveform).max() < 1e-5


@settings(deadline=None)
@given(n=LENGTHS, channels=st.integers(1, 3), grid=GRIDS)
def test_the_transform_agrees_with_torch(n, channels, grid):
    torch = pytest.importorskip("torch")
    waveform = noise(n, channels, n)
    theirs = torch.stft(
        torch.from_numpy(waveform),
        grid.n_fft,
        grid.hop_length,
        window=torch.hann_window(grid.n_fft),
        pad_mode="constant",
        return_complex=True,
    ).numpy()
    ours = stft(waveform, grid)
    # torch leaves out a last frame that is centered behind the end.
    assert 0 <= ours.shape[2] - theirs.shape[2] <= 1
    assert np.abs(ours[:, :, : theirs.shape[2]] - theirs).max() < 1e-5 * grid.n_fft


@settings(deadline=None)
@given(n=LENGTHS, grid=GRIDS)
def test_the_transform_agrees_with_scipy(n, grid):
    waveform = noise(n, 2, n)
    window = scipy.signal.get_window("hann", grid.n_fft)
    peer = scipy.signal.ShortTimeFFT(window, grid.hop_length, fs=1, phase_shift=None)
    padded = np.pad(waveform.astype(np.float64), ((0, 0), (0, grid.n_fft)))  # its least length
    theirs = peer.stft(padded, p0=0, p1=grid.n_frames(n))
    assert np.abs(stft(waveform, grid) - theirs).max() < 1e-6 * grid.n_fft


def test_the_memory_of_a_transform_runs_along_the_bins():
    cells = stft(noise(0, 2, 3000), StftConfig(256, 64))
    assert cells.strides[1] == cells.itemsize


def test_a_tone_peaks_at_its_bin():
    grid = StftConfig(2048, 512)
    t = np.arange(44100) / 44100
    hz = grid.frequencies_hz(44100)[100]
    cells = stft(np.sin(2 * np.pi * hz * t).astype(np.float32)[None], grid)
    middle = np.abs(cells[0, :, 40])
    assert middle.argmax() == 100
    assert middle[100] == pytest.approx(2048 / 4, rel=1e-3)  # half the window's sum


@pytest.mark.parametrize(
    ("n_fft", "hop_length"), [(2, 1), (255, 51), (256, 0), (256, 256), (256, 100), (256, -64)]
)
def test_grids_that_lose_samples_are_refused(n_fft, hop_length):
    with pytest.raises(SettingsError, match="is wanted"):
        StftConfig(n_fft, hop_length)


def test_a_spectrum_links_its_channels_by_their_mean_power():
    mix = Mixture(noise(1, 2, 5000), 44100)
    spectrum = analyze(mix)
    power = np.mean(np.abs(spectrum.cells.astype(np.complex128)) ** 2, axis=0)
    assert np.allclose(spectrum.magnitude, np.sqrt(power), rtol=1e-5)
    assert spectrum.magnitude.shape == (spectrum.config.n_bins, spectrum.n_frames)
    assert spectrum.frequencies_hz[-1] == 22050
    assert spectrum.config == StftConfig.for_rate(44100)


# --- masks


@given(seed=st.integers(0, 9999), names=SETS, scale=SCALES, power=st.sampled_from([0.5, 1.0, 2.0]))
def test_ratio_masks_share_every_cell_out_at_any_scale(seed, names, scale, power):
    values = magnitudes(seed, names, scale=scale)
    before = {name: v.copy() for name, v in values.items()}
    masks = ratio_masks(values, power=power)
    assert tuple(masks) == names
    total = sum(m.astype(np.float64) for m in masks.values())
    assert np.abs(total - 1).max() < 1e-6
    exact = {k: (v.astype(np.float64) / np.float64(scale)) ** power for k, v in values.items()}
    whole = sum(exact.values())
    for name, mask in masks.items():
        assert mask.dtype == np.float32
        assert mask.min() >= 0
        assert mask.max() <= 1
        share = np.where(whole > 0, exact[name] / np.where(whole > 0, whole, 1), 1 / len(names))
        assert np.allclose(mask, share, atol=1e-6)
        assert np.array_equal(values[name], before[name])


@given(seed=st.integers(0, 9999), names=SETS, scale=SCALES)
def test_binary_masks_give_every_cell_to_its_loudest_stem(seed, names, scale):
    values = magnitudes(seed, names, scale=scale)
    masks = binary_masks(values)
    stacked = np.stack(list(values.values()))
    heard = stacked.max(axis=0) > 0
    winners = np.stack(list(masks.values()))
    assert np.abs(winners.sum(axis=0) - 1).max() < 1e-6
    assert np.array_equal(winners.argmax(axis=0)[heard], stacked.argmax(axis=0)[heard])
    assert np.allclose(winners[:, ~heard], 1 / len(names))
    assert set(np.unique(winners[:, heard])) <= {0, 1}


@given(seed=st.integers(0, 999), names=SETS, exponent=st.integers(-90, 80))
def test_masks_do_not_depend_on_the_common_level(seed, names, exponent):
    values = magnitudes(seed, names)
    scaled = {name: np.float32(2.0**exponent) * v for name, v in values.items()}
    for make in (ratio_masks, binary_masks):
        ours, again = make(values), make(scaled)
        assert all(np.array_equal(ours[name], again[name]) for name in names)


def test_ratio_masks_agree_with_librosas_softmask():
    librosa = pytest.importorskip("librosa")
    values = magnitudes(3, SONG)
    for power in (1.0, 2.0):
        ours = ratio_masks(values, power=power)["vocals"]
        theirs = librosa.util.softmask(
            values["vocals"], values["accompaniment"], power=power, split_zeros=True
        )
        assert np.allclose(ours, theirs, atol=1e-6)


def test_ties_are_split_evenly():
    one = np.ones((1, 2, 2), np.float32)
    masks = binary_masks({"a": one, "b": one, "c": 0 * one})
    assert [float(m[0, 0, 0]) for m in masks.values()] == [0.5, 0.5, 0]


# --- evidence


@given(seed=st.integers(0, 999), names=SETS, bins=st.sampled_from([1, 5]))
def test_settling_keeps_the_sum_and_evens_out_where_nothing_is_known(seed, names, bins):
    masks = random_masks(seed, names, (2, 5, 7))
    validity = np.random.default_rng(seed).random((bins, 7)).astype(np.float32)
    validity[:, 0], validity[:, 1] = 0, 1
    before = {name: m.copy() for name, m in masks.items()}
    settled = settle(Evidence(masks, validity))
    assert np.abs(sum(settled.values()) - 1).max() < 1e-6
    for name in names:
        assert np.allclose(settled[name][:, :, 0], 1 / len(names))
        assert np.allclose(settled[name][:, :, 1], masks[name][:, :, 1], atol=1e-6)
        mean = validity * masks[name] + (1 - validity) / len(names)
        assert np.allclose(settled[name], mean, atol=1e-6)
        assert settled[name].dtype == np.float32
        assert np.array_equal(masks[name], before[name])


def test_no_evidence_settles_to_even_shares():
    spectrum = analyze(Mixture(noise(0, 2, 100), 8000))
    evidence = no_evidence(spectrum, FILM)
    assert not evidence.validity.any()
    assert all(np.allclose(m, 1 / 3) for m in settle(evidence).values())
    assert everywhere(spectrum).shape == evidence.validity.shape == (1, spectrum.n_frames)
    assert (everywhere(spectrum) == 1).all()


# --- stems


@settings(deadline=None)
@given(
    n=LENGTHS,
    channels=st.integers(1, 2),
    linked=st.booleans(),
    names=SETS,
    rate=RATES,
    scale=SCALES,
    seed=st.integers(0, 99),
)
def test_rendered_stems_add_up_to_the_mix(n, channels, linked, names, rate, scale, seed):
    mix = Mixture(noise(seed, channels, n, scale=scale), rate)
    before = mix.waveform.copy()
    spectrum = analyze(mix)
    masks = random_masks(seed, names, (1 if linked else channels, *spectrum.cells.shape[1:]))
    kept = {name: m.copy() for name, m in masks.items()}
    cells = spectrum.cells.copy()
    stems = render(spectrum, masks)
    assert tuple(stems) == names
    total = sum(s.astype(np.float64) for s in stems.values())
    peak = np.abs(mix.waveform).max()
    assert np.abs(total - mix.waveform).max() <= 1e-6 * peak
    assert all(s.shape == mix.waveform.shape and s.dtype == np.float32 for s in stems.values())
    # The last stem is what its own mask would give.
    own = istft(spectrum.cells * masks[names[-1]], spectrum.config, n)
    assert np.abs(stems[names[-1]] - own).max() <= 1e-5 * peak
    assert np.array_equal(mix.waveform, before)
    assert np.array_equal(spectrum.cells, cells)
    assert all(np.array_equal(masks[name], kept[name]) for name in names)


def test_complex_masks_turn_the_phase():
    mix = Mixture(noise(2, 1, 4000), 8000)
    spectrum = analyze(mix)
    shape = (1, *spectrum.cells.shape[1:])
    masks = {"a": np.full(shape, 2, np.complex64), "b": np.full(shape, -1, np.complex64)}
    stems = render(spectrum, masks)
    assert np.allclose(stems["a"], 2 * mix.waveform, atol=1e-5)
    assert np.allclose(stems["b"], -mix.waveform, atol=1e-5)


def test_a_single_stem_is_the_mix():
    mix = Mixture(noise(3, 2, 500), 8000)
    spectrum = analyze(mix)
    stems = render(spectrum, {"all": np.ones((1, *spectrum.cells.shape[1:]), np.float32)})
    assert np.array_equal(stems["all"], mix.waveform)


@given(n=st.integers(1, 300), names=SETS, scale=SCALES, seed=st.integers(0, 999))
def test_consistent_estimates_add_up_and_move_as_little_as_they_can(n, names, scale, seed):
    mix = Mixture(noise(seed, 2, n, scale=scale), 8000)
    estimates = {name: noise(seed + k + 1, 2, n, scale=scale) for k, name in enumerate(names)}
    before = {name: e.copy() for name, e in estimates.items()}
    projected = consistent(mix, estimates)
    total = sum(s.astype(np.float64) for s in projected.values())
    assert np.abs(total - mix.waveform).max() <= 1e-5 * scale
    moves = [projected[name].astype(np.float64) - estimates[name] for name in names]
    # The projection is orthogonal: every estimate moves by the same.
    assert all(np.abs(move - moves[0]).max() <= 1e-5 * scale for move in moves)
    again = consistent(mix, projected)
    assert all(np.abs(again[name] - projected[name]).max() <= 1e-5 * scale for name in names)
    assert all(np.array_equal(estimates[name], before[name]) for name in names)


@pytest.mark.parametrize("rate", [8000, 44100, 384000])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_single_sample_is_cut_and_given_back(rate, n):
    mix = Mixture(np.full((2, n), 0.5, np.float32), rate)

    def left_to_the_first(spectrum: Spectrum, state):
        evidence = no_evidence(spectrum, SONG)
        first, second = (np.full_like(m, k) for k, m in enumerate(evidence.masks.values()))
        return Evidence({"vocals": second, "accompaniment": first}, everywhere(spectrum))

    stems = cut(mix, left_to_the_first, None)
    assert np.allclose(stems["vocals"], 0.5, atol=1e-6)
    assert np.allclose(stems["accompaniment"], 0, atol=1e-6)


def test_cutting_hands_the_state_on_and_shares_evenly_where_nothing_is_known():
    mix = Mixture(noise(5, 1, 2000), 8000)
    seen = []

    def silent(spectrum: Spectrum, state):
        seen.append(state)
        return no_evidence(spectrum, FILM)

    state = {"x": np.ones(1)}
    stems = cut(mix, silent, state)
    assert seen == [state]
    assert all(np.allclose(s, mix.waveform / 3, atol=1e-6) for s in stems.values())


def test_silence_gives_silent_stems():
    mix = Mixture(np.zeros((2, 999), np.float32), 44100)
    spectrum = analyze(mix)
    stems = render(spectrum, ratio_masks({n: np.abs(spectrum.cells) for n in FILM}))
    assert all(not s.any() for s in stems.values())
