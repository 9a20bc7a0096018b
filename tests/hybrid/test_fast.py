"""The tensor paths of the priors say what the NumPy ones say."""

from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import mixture_of, scene
from unstir.errors import SettingsError
from unstir.hybrid import fast, hpss
from unstir.hybrid.fast import TorchEvidence, TorchSpectrum, nmf, running_median, spread
from unstir.hybrid.fast_spatial import filtered, levels, midside, panning, posterior_mean, wiener
from unstir.hybrid.hpss import Hpss
from unstir.hybrid.midside import MidSide
from unstir.hybrid.nmf import Nmf
from unstir.hybrid.panning import Panning
from unstir.hybrid.wiener import Wiener
from unstir.spectral import StftConfig, analyze
from unstir.types import SONG, STEM_SETS, Evidence, Mixture, State

RATE = 8000
CPU = torch.device("cpu")
METHODS = {
    "midside": (MidSide, midside),
    "panning": (Panning, panning),
    "hpss": (Hpss, fast.hpss),
    "nmf": (Nmf, nmf),
}
KINDS = ("mono", "stereo", "dual mono", "silence", "half silence", "quiet")

every_method = pytest.mark.parametrize("name", METHODS)
both_sets = pytest.mark.parametrize("stems", STEM_SETS.values(), ids=STEM_SETS)


def noisy(kind: str = "stereo", role: str = "front") -> Mixture:
    """Return one second of the scene in noise that differs between the channels."""
    channels = 1 if kind in ("mono", "dual mono") else 2
    x = mixture_of(scene(1, RATE, channels=channels))
    x += 0.003 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    if kind == "dual mono":
        x = np.repeat(x, 2, axis=0)
    if kind == "silence":
        x[:] = 0
    if kind == "half silence":
        x[:, : RATE // 2 + 77] = 0
    if kind == "quiet":
        x *= np.float32(1e-6)
    return Mixture(x, RATE, role=role)


def numpy_evidence(method, mix: Mixture, state: State | None) -> Evidence:
    return method.evidence(analyze(mix), state)


def assert_same(found: TorchEvidence, wanted: Evidence) -> None:
    masks = np.stack(list(wanted.masks.values()))
    assert found.masks.shape == masks.shape and found.masks.dtype == torch.float32
    np.testing.assert_allclose(found.masks.cpu(), masks, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.validity.cpu(), wanted.validity)


@pytest.mark.parametrize("kind", KINDS)
@both_sets
@every_method
def test_masks_and_validity_are_those_of_the_numpy_path(
    name: str, stems: tuple[str, ...], kind: str
) -> None:
    make, path = METHODS[name]
    method, mix = make(stems), noisy(kind)
    state = method.survey([mix])
    found = path(TorchSpectrum.of(analyze(mix), CPU), method, state)
    assert_same(found, numpy_evidence(method, mix, state))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("kind", KINDS)
@both_sets
@every_method
def test_on_a_gpu_they_are_the_same_and_stay_there(
    name: str, stems: tuple[str, ...], kind: str
) -> None:
    make, path = METHODS[name]
    method, mix = make(stems), noisy(kind)
    state = method.survey([mix])
    found = path(TorchSpectrum.of(analyze(mix), torch.device("cuda")), method, state)
    assert found.masks.is_cuda and found.validity.is_cuda
    assert_same(found, numpy_evidence(method, mix, state))


@pytest.mark.parametrize(
    ("kind", "role"), [("mono", "center"), ("mono", "lfe"), ("stereo", "surround")]
)
@both_sets
@every_method
def test_a_loudspeakers_role_counts_as_in_the_numpy_path(
    name: str, stems: tuple[str, ...], kind: str, role: str
) -> None:
    make, path = METHODS[name]
    method, mix = make(stems), noisy(kind, role)
    state = method.survey([mix])
    found = path(TorchSpectrum.of(analyze(mix), CPU), method, state)
    assert_same(found, numpy_evidence(method, mix, state))


@both_sets
@every_method
def test_binary_masks_are_the_numpy_paths_but_for_near_ties(
    name: str, stems: tuple[str, ...]
) -> None:
    make, path = METHODS[name]
    method, mix = make(stems, mask="binary"), noisy()
    state = method.survey([mix])
    found = path(TorchSpectrum.of(analyze(mix), CPU), method, state).masks.numpy()
    wanted = np.stack(list(numpy_evidence(method, mix, state).masks.values()))
    assert np.mean(np.abs(found - wanted) > 1e-4) < 1e-4
    assert set(np.unique(found)) <= {0.0, 0.5, np.float32(1 / 3), 1.0, *np.unique(wanted)}


@every_method
def test_neither_cells_nor_state_are_changed(name: str) -> None:
    make, path = METHODS[name]
    method, mix = make(), noisy()
    state = dict(method.survey([mix]) or {})
    spectrum = TorchSpectrum.of(analyze(mix), CPU)
    cells, kept = spectrum.cells.clone(), {key: value.copy() for key, value in state.items()}
    path(spectrum, method, state or None)
    assert torch.equal(spectrum.cells, cells)
    for key, value in kept.items():
        np.testing.assert_array_equal(state[key], value)


@pytest.mark.parametrize("path", [(MidSide(), midside), (Panning(), panning)])
def test_a_pair_of_channels_without_a_state_is_refused(path) -> None:
    method, of = path
    with pytest.raises(SettingsError, match="without a state"):
        of(TorchSpectrum.of(analyze(noisy()), CPU), method, None)


def test_options_of_the_methods_are_kept() -> None:
    mix = noisy()
    for method in (
        MidSide(power=1.5),
        Panning(width=0.1, voice_low_hz=700),
        Hpss(SONG, harmonic_s=0.5, percussive_hz=400, margin=1.0),
        Nmf(n_iter=3),
    ):
        state = method.survey([mix])
        path = METHODS[type(method).__name__.lower()][1]
        found = path(TorchSpectrum.of(analyze(mix), CPU), method, state)
        assert_same(found, numpy_evidence(method, mix, state))


# ---------------------------------------------------------------- medians


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_running_medians_are_the_numpy_paths_at_any_length(
    rows: int, columns: int, half: int, seed: int
) -> None:
    values = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    found = running_median(torch.from_numpy(values), 2 * half + 1)
    np.testing.assert_array_equal(found, hpss.running_median(values, 2 * half + 1))


def test_medians_of_more_than_one_block_are_joined_in_order(rng) -> None:
    values = rng.random((300, 450)).astype(np.float32)
    assert values.size * 129 > fast.BLOCK_CELLS
    found = running_median(torch.from_numpy(values), 129)
    np.testing.assert_array_equal(found, hpss.running_median(values, 129))


# ---------------------------------------------------------------- templates


@both_sets
def test_free_templates_of_the_survey_are_used(stems: tuple[str, ...]) -> None:
    method, mix = Nmf(stems, n_free=4), noisy()
    state = method.survey([mix])
    found = nmf(TorchSpectrum.of(analyze(mix), CPU), method, state)
    assert_same(found, numpy_evidence(method, mix, state))


def test_free_templates_are_learned_from_the_window_without_a_survey() -> None:
    method, mix = Nmf(n_free=4), noisy()
    found = nmf(TorchSpectrum.of(analyze(mix), CPU), method, None)
    assert_same(found, numpy_evidence(method, mix, None))


@both_sets
def test_a_score_says_where_its_pitches_sound(stems: tuple[str, ...], tmp_path: Path) -> None:
    track = mido.MidiTrack(
        [
            mido.Message("note_on", note=67, velocity=90, time=240),
            mido.Message("note_off", note=67, time=960),
            mido.Message("note_on", note=57, velocity=64, time=0),
            mido.Message("note_off", note=57, time=960),
        ]
    )
    path = tmp_path / "score.mid"
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(path)
    whole = noisy()
    method = Nmf(stems, score=str(path))
    state = method.survey([whole])
    later = Mixture(whole.waveform[:, RATE // 2 :].copy(), RATE, start=RATE // 2)
    for mix in (whole, later):
        found = nmf(TorchSpectrum.of(analyze(mix), CPU), method, state)
        assert_same(found, numpy_evidence(method, mix, state))


def test_autocasting_takes_nothing_from_the_factorization() -> None:
    mix = noisy()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nmf(TorchSpectrum.of(analyze(mix), CPU), Nmf(), None)
    assert_same(found, numpy_evidence(Nmf(), mix, None))


def test_templates_first_asked_for_in_inference_serve_training_too() -> None:
    method = Nmf(n_iter=2)
    spectrum = TorchSpectrum.of(analyze(noisy()), CPU)
    with torch.inference_mode():
        nmf(spectrum, method)
    gain = torch.ones(1, requires_grad=True)
    scaled = TorchSpectrum(spectrum.cells * gain, spectrum.config, RATE)
    nmf(scaled, method).masks.square().sum().backward()
    assert gain.grad is not None and gain.grad.isfinite().all()


# ---------------------------------------------------------------- the Wiener filter


class WienerOverHpss(Wiener):
    """The filter on a base that takes no time."""

    @property
    def _base(self) -> Hpss:
        return Hpss(self.stems)


@both_sets
def test_wiener_masks_are_the_numpy_paths(stems: tuple[str, ...]) -> None:
    method, mix = WienerOverHpss(stems, n_iter=2), noisy()
    state, spectrum = method.survey([mix]), analyze(mix)
    seen = TorchSpectrum.of(spectrum, CPU)
    base = spread(method._base.evidence(spectrum, state), seen)
    assert_same(wiener(seen, method, state, base), method.evidence(spectrum, state))


def test_wiener_gives_the_base_where_one_channel_has_no_place() -> None:
    seen = TorchSpectrum.of(analyze(noisy("mono")), CPU)
    base = fast.hpss(seen, Hpss())
    assert filtered(seen, Wiener(), {}, base) is None
    assert wiener(seen, Wiener(), {}, base) is base


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_wiener_estimates_are_the_numpy_paths_at_any_scale(rng, scale: float) -> None:
    from unstir.hybrid import wiener as room

    grid = StftConfig(512, 128)
    parts = [
        analyze(Mixture((scale * rng.standard_normal((2, 4000))).astype(np.float32), RATE), grid)
        for _ in range(3)
    ]
    images = np.stack([part.cells for part in parts])
    mix, places = images.sum(axis=0), room.covariances(list(images))
    places /= np.trace(places, axis1=2, axis2=3)[:, :, None, None] / 2
    spatial = ((places + np.eye(2)) / 2).astype(np.complex64)
    wanted = np.stack(room.wiener(mix, room.levels(list(images)), spatial))
    found = posterior_mean(
        torch.from_numpy(mix), levels(torch.from_numpy(images)), torch.from_numpy(spatial)
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(mix).max())
