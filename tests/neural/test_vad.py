"""The voice detector's training: labels from the true stem, measures by hand, one that learns."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unstir.errors import AudioError
from unstir.neural.batches import resampled
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.render import active_rms
from unstir.neural.train import TrainConfig, train
from unstir.neural.vad import (
    KINDS,
    ByStem,
    VoiceScene,
    frame_report,
    loss,
    measures,
    validate,
    voice_frames,
    voice_scenes,
)
from unstir.neural.validation import validation_scenes
from unstir.neural.vocalnet import Vad, VadConfig

RATE = 22050
SMALL = VadConfig(n_fft=256, hop_length=256, channels=(4, 4, 4, 4), hidden=8, dropout=0.2)


@pytest.fixture(scope="module")
def scenes(tiny_pack: Pack) -> tuple[VoiceScene, ...]:
    return voice_scenes(tiny_pack, "choose", n=8, seconds=1.0)


class Fixed(nn.Module):
    """A detector that says the same of every frame."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.config = SMALL
        self.logit = logit

    def forward(self, mixture: Tensor) -> Tensor:
        n_frames = 1 + -(-mixture.shape[2] // self.config.hop_length)
        return torch.full((mixture.shape[0], n_frames), self.logit)


class LeftIsSpeech(Fixed):
    """A detector that says speech where the left channel is louder than the right."""

    def forward(self, mixture: Tensor) -> Tensor:
        side = mixture[:, 0].abs().mean(dim=1) - mixture[:, 1].abs().mean(dim=1)
        return super().forward(mixture).sign() * side[:, None]


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    n = int(seconds * RATE) // 256 * 256  # so that the last frame still is half full
    return level * torch.randn(2, n, generator=generator)


@pytest.mark.parametrize(("below_db", "speech"), [(37, True), (43, False)])
def test_speech_reaches_forty_decibels_below_its_active_level(
    below_db: float, speech: bool
) -> None:
    quiet = noise(1, 1) * 10 ** (-below_db / 20)
    frames = voice_frames(torch.cat([noise(1), quiet], dim=1)[None], 1024, 256, RATE)[0]
    n = quiet.shape[1] // 256
    assert frames.shape == (2 * n + 1,)
    assert frames[: n - 3].all()
    assert frames[n + 4 :].all() if speech else not frames[n + 4 :].any()


def test_the_active_level_is_that_of_the_scenes() -> None:
    # A level that just reaches the threshold under render.active_rms must do so here.
    stem = torch.cat([noise(1.5), torch.zeros(2, RATE), noise(0.5, 2, 1e-2)], dim=1)
    level = active_rms(np.repeat(stem.numpy(), 2, axis=1))  # at 44.1 kHz, tenths as long
    for step_db, expected in ((0.5, True), (-0.5, False)):
        probe = stem.clone()
        # A constant, so that every frame has this very level.
        probe[:, int(1.7 * RATE) : int(2.4 * RATE)] = level * 10 ** ((step_db - 40) / 20)
        frames = voice_frames(probe[None], 1024, 256, RATE)[0]
        middle = frames[round(1.8 * RATE / 256) : round(2.3 * RATE / 256)]
        assert bool(middle.all()) is expected and bool(middle.any()) is expected


def test_labels_do_not_depend_on_the_level() -> None:
    stem = torch.cat([noise(0.4), noise(0.4, 1, 5e-4), noise(0.4, 2, 1e-2)], dim=1)[None]
    loud = voice_frames(stem, 1024, 256, RATE)
    assert torch.equal(loud, voice_frames(0.01 * stem, 1024, 256, RATE))
    assert loud.any() and not loud.all()


@pytest.mark.parametrize("n", [1, 100, 2205, 5000])
def test_silence_and_short_sound_have_labels(n: int) -> None:
    assert not voice_frames(torch.zeros(2, 1, n), 1024, 256, RATE).any()
    assert voice_frames(torch.ones(2, 1, n), 1024, 256, RATE).shape == (2, 1 + -(-n // 256))


def test_there_are_as_many_labels_as_logits() -> None:
    net = Vad(SMALL).eval()
    for n in (1, 255, 256, 257, 4000):
        logits = net(torch.zeros(1, 2, n))
        assert voice_frames(torch.zeros(1, 2, n), 256, 256, RATE).shape == logits.shape


def test_the_loss_is_that_of_the_frames() -> None:
    speech, rest = noise(0.5), torch.zeros_like(noise(0.5))
    sources = torch.stack([torch.stack([speech, rest]), torch.stack([rest, speech])])
    expected = [math.log1p(math.exp(-2)), math.log1p(math.exp(2))]
    assert loss(Fixed(2.0), sources).item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_measures_are_those_counted_by_hand() -> None:
    truth = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]).bool()
    called = torch.tensor([1, 1, 1, 0, 1, 0, 0, 0, 0, 0]).bool()
    found = measures(called, truth)
    assert found["recall"] == 0.75 and found["precision"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 5 / 6) / 2, abs=1e-4)


def test_a_detector_that_never_changes_its_mind_gets_one_half() -> None:
    stems = torch.stack([noise(0.5), noise(0.5, 1), noise(0.5, 2)])[None]
    for logit in (-1.0, 1.0):
        assert validate(Fixed(logit), {}, stems)["balanced_accuracy"] == 0.5


def test_every_scene_is_heard_with_its_speech_and_without() -> None:
    left, right = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [0.1]])
    stems = torch.stack([left * noise(0.5), right * noise(0.5, 1), right * noise(0.5, 2)])
    found = validate(LeftIsSpeech(1.0), {}, stems[None])
    assert found == {"balanced_accuracy": 1.0, "precision": 1.0, "recall": 1.0}


def test_scenes_are_always_the_same_and_know_their_singing(
    tiny_pack: Pack, scenes: tuple[VoiceScene, ...]
) -> None:
    again = voice_scenes(tiny_pack, "choose", n=2, seconds=1.0)
    for one, other in zip(scenes[:2], again, strict=True):
        assert torch.equal(one.stems, other.stems) and torch.equal(one.singing, other.singing)
    assert 0 < sum(bool(scene.singing.any()) for scene in scenes) < len(scenes)
    for scene in scenes:
        assert scene.stems.shape == (3, 2, SAMPLE_RATE) and torch.isfinite(scene.stems).all()


def test_the_report_tells_the_kinds_of_scenes_apart(scenes: tuple[VoiceScene, ...]) -> None:
    always = frame_report(Fixed(1.0), scenes)
    assert always["kinds"].keys() == KINDS.keys()
    assert always["singing_called_speech"] == 1.0 and always["n_singing_frames"] > 0
    n_heard = len(scenes) * 3 * 2 * (1 + math.ceil(RATE / SMALL.hop_length))
    assert always["n_frames"] == n_heard
    for found in (always, *always["kinds"].values()):
        assert found["recall"] == 1.0 and found["balanced_accuracy"] == 0.5
    assert frame_report(Fixed(-1.0), scenes)["singing_called_speech"] == 0.0


def test_a_report_without_singing_says_so(scenes: tuple[VoiceScene, ...]) -> None:
    unsung = [scene for scene in scenes if not scene.singing.any()]
    found = frame_report(Fixed(1.0), unsung)
    assert "sung music" not in found["kinds"] and found["n_singing_frames"] == 0
    assert math.isnan(found["singing_called_speech"])


def test_a_report_on_nothing_is_refused() -> None:
    with pytest.raises(AudioError, match="no scenes"):
        frame_report(Fixed(1.0), [])


@pytest.mark.parametrize("rate", [22050, 16000, 8192])
def test_a_lower_rate_keeps_what_it_can_hold_and_nothing_else(rate: int) -> None:
    t = torch.arange(SAMPLE_RATE, dtype=torch.float64) / SAMPLE_RATE
    low, high = torch.sin(2 * torch.pi * 1000 * t), torch.sin(2 * torch.pi * 12000 * t)
    found = resampled(torch.stack([low, low + high]).float(), rate)
    expected = torch.sin(2 * torch.pi * 1000 / rate * torch.arange(rate, dtype=torch.float64))
    torch.testing.assert_close(found, expected.float().expand(2, -1), atol=1e-3, rtol=0)


def test_a_detector_learns_bursts_from_a_tone() -> None:
    n = noise(1).shape[1]
    gate = (torch.arange(n) // (n // 4) % 2).float()
    tone = (0.05 * torch.sin(torch.arange(n) / 3)).expand(2, -1)
    stems = torch.stack([gate * noise(1), tone])[None]
    torch.manual_seed(0)
    net = Vad(replace(SMALL, dropout=0.0))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        torch.autograd.backward(loss(net, stems))
        optimizer.step()
    assert validate(net, net.state_dict(), stems)["balanced_accuracy"] > 0.9


def test_a_run_s_log_and_best_weights_say_how_well(tiny_pack: Pack, tmp_path: Path) -> None:
    config = TrainConfig(
        net="vad", loss="voice", segment=11025, batch=2, steps=4, validate_every=2,
        net_config={"n_fft": 256, "hop_length": 256, "channels": (4, 4, 4, 4), "hidden": 8},
    )  # fmt: skip
    entries: list[dict[str, float]] = []
    scenes = validation_scenes(tiny_pack, n=1, seconds=0.5)
    train(config, tiny_pack, tmp_path, workers=0, scenes=scenes, listener=entries.append)
    assert [entry["step"] for entry in entries] == [2, 4]
    assert {"loss", "balanced_accuracy", "precision", "recall"} <= entries[0].keys()
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["balanced_accuracy"] == max(entry["balanced_accuracy"] for entry in entries)


def test_a_separating_net_detects_by_its_first_stem() -> None:
    class Perfect(torch.nn.Module):
        """Give the first half of the scene to the voice."""

        def forward(self, mixture: torch.Tensor) -> torch.Tensor:
            voice = mixture.clone()
            voice[..., mixture.shape[-1] // 2 :] = 0
            return torch.stack([voice, mixture - voice], dim=1)

    torch.manual_seed(0)
    noise = 0.03 * torch.randn(1, 2, 44100)
    called = ByStem(Perfect())(noise)[0] > 0
    assert called.shape == (1 + -(-44100 // 512),)
    assert called[:42].all() and not called[46:].any()
    assert not (ByStem(Perfect())(1e-5 * noise) > 0).any()


def test_what_is_faint_in_the_stem_is_a_voice_beside_what_is_clear_alone() -> None:
    class Faint(torch.nn.Module):
        """Give the voice a thirtieth of everything, and all of it for a tenth of a second."""

        def forward(self, mixture: torch.Tensor) -> torch.Tensor:
            share = torch.full((mixture.shape[-1],), 0.03)
            share[44100 : 44100 + 4410] = 1
            return torch.stack([share * mixture, (1 - share) * mixture], dim=1)

    torch.manual_seed(0)
    noise = 0.03 * torch.randn(1, 2, 3 * 44100)
    called = ByStem(Faint())(noise)[0] > 0
    times_s = torch.arange(len(called)) * 512 / 44100
    near = (times_s > 0.55) & (times_s < 1.55)
    assert called[near].all()
    assert not called[(times_s < 0.45) | (times_s > 1.65)].any()
