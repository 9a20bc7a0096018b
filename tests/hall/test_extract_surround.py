"""A sound taken out of 5.1: the channels stay, pairs keep their image, the LFE is left alone."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.hall.test_extract import sound, stems_of
from unstir.audio import probe
from unstir.extracting import extract
from unstir.riff import WavWriter
from unstir.settings import Settings

RATE = 48000
LAYOUT = ("FL", "FR", "FC", "LFE", "SL", "SR")


def write_surround(path: Path, wave: NDArray[np.float32]) -> None:
    """Write shape (samples, 6) as 5.1 with a channel mask."""
    with WavWriter(
        path,
        sample_rate=RATE,
        n_channels=len(LAYOUT),
        n_samples=len(wave),
        subtype="FLOAT",
        layout=LAYOUT,
    ) as writer:
        writer.write(np.ascontiguousarray(wave.T))


def panned() -> NDArray[np.float32]:
    """Return 5.1 whose front pair has one sound, for a second at the left, for one at the right."""
    rng = np.random.default_rng(0)
    wave = 0.05 * rng.standard_normal((2 * RATE, len(LAYOUT)))
    t = np.arange(len(wave)) / RATE
    bursts = 0.2 * rng.standard_normal(len(wave)) * (np.sin(2 * np.pi * t) > 0.3)
    wave[:, 0] = bursts * np.where(t < 1, 0.8, 0.3)
    wave[:, 1] = bursts * np.where(t < 1, 0.3, 0.8)
    return wave.astype(np.float32)


def test_the_channels_stay_and_add_up_to_the_file(tmp_path: Path) -> None:
    path, wave = tmp_path / "in.wav", panned()
    write_surround(path, wave)
    done = extract(path, tmp_path / "out", Settings(query="a dog"))
    assert done.result is not None
    for file in done.result.files.values():
        info = probe(file)
        assert (info.n_channels, info.layout, info.sample_rate) == (6, LAYOUT, RATE)
    stems = stems_of(done.result.folder)
    assert all(stem.shape == wave.shape for stem in stems.values())
    np.testing.assert_allclose(sum(stems.values()), wave, atol=1e-6)
    groups = [group["channels"] for group in done.result.report["channel_groups"]]
    assert groups == ["FL+FR", "FC", "LFE", "SL+SR"]


def test_a_sound_panned_in_the_front_pair_keeps_its_place(tmp_path: Path) -> None:
    """Two masks of their own would differ, since the two channels are loud at other times."""
    path, wave = tmp_path / "in.wav", panned()
    write_surround(path, wave)
    extract(path, tmp_path / "out", Settings(query="a dog"))
    target = stems_of(tmp_path / "out/in/a dog")["target"]
    for half in (slice(0, RATE), slice(RATE, None)):
        (left, right), (own_left, own_right) = (
            np.linalg.norm(part[half, :2], axis=0) for part in (target, wave)
        )
        assert left / right == pytest.approx(own_left / own_right, rel=0.02)


@pytest.mark.parametrize(
    ("words", "wanted"), [("the music", "residual"), ("not the music", "target")]
)
def test_the_lfe_stays_with_what_is_left(words: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    wave = sound(2, RATE, 6)
    write_surround(path, wave)
    extract(path, tmp_path / "out", Settings(query=words))
    stems = stems_of(tmp_path / "out/in" / words)
    np.testing.assert_allclose(stems[wanted][:, 3], wave[:, 3], atol=1e-6)
    (other,) = set(stems) - {wanted}
    assert not stems[other][:, 3].any()
