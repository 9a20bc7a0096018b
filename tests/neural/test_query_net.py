import pytest
import torch
from torch.nn.functional import normalize

from unstir.errors import SettingsError
from unstir.neural import checkpoint
from unstir.neural.compact import Compact, CompactConfig
from unstir.neural.planes import Sums, planes_of, stft, to_bins
from unstir.neural.query_net import FRAME, HOP, SPAN, QueryConfig, QueryNet, n_presence_frames
from unstir.neural.query_train import asked_loss, sounding
from unstir.neural.recipes import start
from unstir.neural.train import TrainConfig

SMALL = QueryConfig(channels=(4, 6, 8), hidden=8, n_condition=8)


@pytest.fixture
def net() -> QueryNet:
    torch.manual_seed(0)
    made = QueryNet(SMALL).eval()
    for film in made.films:
        torch.nn.init.normal_(film.weight, std=0.3)
    return made


def questions(n: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(1, n, 384, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_targets_and_rest_add_up_to_the_mix(net: QueryNet) -> None:
    mix = torch.randn(2, 2, 9000)
    out = net(mix, questions(3).expand(2, -1, -1))
    assert out.shape == (2, 4, 2, 9000)
    torch.testing.assert_close(out.sum(dim=1), mix, rtol=0, atol=1e-5)


def test_without_a_rest_the_targets_share_the_mix(net: QueryNet) -> None:
    mix = torch.randn(1, 2, 9000)
    out = net(mix, questions(3), rest=False)
    assert out.shape == (1, 3, 2, 9000)
    torch.testing.assert_close(out.sum(dim=1), mix, rtol=0, atol=1e-5)


def test_another_question_gives_another_answer(net: QueryNet) -> None:
    mix = torch.randn(1, 2, 9000)
    a, b = (net(mix, questions(1, seed))[0, 0] for seed in (0, 1))
    assert (a - b).abs().max() > 1e-3


def test_untrained_films_leave_every_question_the_same_answer() -> None:
    torch.manual_seed(0)
    fresh = QueryNet(SMALL).eval()
    mix = torch.randn(1, 2, 9000)
    torch.testing.assert_close(fresh(mix, questions(1, 0)), fresh(mix, questions(1, 1)))


def test_the_logits_of_a_question_do_not_depend_on_the_others(net: QueryNet) -> None:
    seen = torch.randn(1, 5, 12, 256)
    asked = questions(3)
    together, presence = net.logits(seen, asked)
    alone, when = net.logits(seen, asked[:, 1:2])
    torch.testing.assert_close(together[:, 1:2], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(presence[:, 1:2], when, rtol=1e-4, atol=1e-5)


def test_presence_has_a_frame_every_2048_samples_and_lies_between_0_and_1(net: QueryNet) -> None:
    curve = net.when(torch.randn(1, 2, 10 * FRAME), questions(2))
    assert curve.shape == (1, 2, 11)
    assert ((curve >= 0) & (curve <= 1)).all()


@pytest.mark.parametrize("n_samples", [1, 3 * 512, 3 * 512 + 1, FRAME, 9000])
def test_the_truth_has_as_many_frames_as_the_presence(net: QueryNet, n_samples: int) -> None:
    n_frames = n_presence_frames(n_samples)
    assert net.when(torch.randn(1, 1, n_samples), questions(1)).shape == (1, 1, n_frames)
    assert sounding(torch.randn(2, 1, n_samples)).shape == (n_frames,)


def test_an_untrained_judge_repeats_the_layer(net: QueryNet) -> None:
    mixture = torch.randn(1, 2, 60000) * 0.05
    with torch.inference_mode():
        evidence = net.evidence(mixture, questions(2))
        torch.testing.assert_close(net.when(mixture, questions(2)), evidence[..., 0].sigmoid())


def test_the_judge_hears_what_is_cut_out_three_seconds_at_a_time(net: QueryNet) -> None:
    n_samples = 5 * SPAN * HOP // 2
    mixture = torch.randn(1, 1, n_samples) * 0.05
    mixture[..., : 2 * SPAN * HOP] *= 1e-3  # the last span begins within the second
    with torch.inference_mode():
        _, cut_out, likeness = net.evidence(mixture, questions(1))[0, 0].unbind(dim=-1)
        logits, _ = net.logits(planes_of(mixture, net.bands), questions(1))
    n = SPAN // 4
    last = (1 + n_samples // HOP - SPAN) // 4
    for part in (cut_out, likeness):
        parts = [part[:n], part[n:last], part[last:]]
        assert all(values.unique().numel() == 1 for values in parts)
        assert torch.stack([values[0] for values in parts]).unique().numel() == 3
    cells = stft(mixture, 2048, HOP)[0, 0, :SPAN]
    kept = to_bins(logits[0, 0, :SPAN].sigmoid(), net.bands) * cells
    share = kept.abs().square().sum() / cells.abs().square().sum()
    assert float(cut_out[0]) == pytest.approx(float(torch.log10(share)), abs=1e-4)
    assert float(likeness.min()) >= -1 and float(likeness.max()) <= 1


@pytest.mark.parametrize("n_samples", [1, 3000])
def test_evidence_of_short_sound_is_finite(net: QueryNet, n_samples: int) -> None:
    with torch.inference_mode():
        evidence = net.evidence(torch.full((1, 2, n_samples), 0.1), questions(2))
    assert evidence.shape == (1, 2, n_presence_frames(n_samples), 3)
    assert evidence.isfinite().all()


def test_a_recording_gets_a_vector_of_length_1(net: QueryNet) -> None:
    heard = net.hear(torch.randn(2, 5, 12, 256))
    assert heard.shape == (2, 384)
    torch.testing.assert_close(heard.norm(dim=1), torch.ones(2))


def test_the_net_begins_with_the_weights_of_the_film_net(tmp_path) -> None:
    torch.manual_seed(1)
    config = CompactConfig(channels=(4, 6, 8), hidden=8)
    film = Compact(config)
    path = tmp_path / "film.safetensors"
    checkpoint.save(path, "compact", film, config, ("speech", "music", "effects"), {}, half=False)
    run = TrainConfig(
        net="query", net_config={"channels": (4, 6, 8), "hidden": 8, "n_condition": 8}
    )
    given = start(run, path)
    torch.testing.assert_close(given["body.core.weight_ih_l0"], film.core.weight_ih_l0.data)
    assert given["body.last.weight"].shape[1] == 1
    QueryNet(SMALL).load_state_dict(given)


def test_the_net_does_not_begin_with_a_film_net_of_another_size(tmp_path) -> None:
    config = CompactConfig(channels=(4, 4, 4), hidden=8)
    path = tmp_path / "film.safetensors"
    checkpoint.save(path, "compact", Compact(config), config, ("a", "b", "c"), {})
    run = TrainConfig(net="query", net_config={"channels": (4, 6, 8), "hidden": 8})
    with pytest.raises(SettingsError, match="one of the sizes"):
        start(run, path)


def test_a_target_sounds_where_it_is_loud_and_not_buried() -> None:
    n = 60 * FRAME
    sources = torch.zeros(2, 2, n)
    sources[0, :, 20 * FRAME : 30 * FRAME] = 0.1
    sources[0, :, 40 * FRAME : 50 * FRAME] = 0.1
    sources[1, :, 40 * FRAME : 50 * FRAME] = 5.0  # 34 dB louder
    curve = sounding(sources)
    assert curve[21:30].min() == 1
    assert curve[:19].max() == 0
    assert curve[41:50].max() == 0


def sums_of(target: float, rest: float) -> Sums:
    """Return the energies of a target and a rest that overlap nowhere in phase."""
    shape = (1, 1, 4, 4)
    return Sums(
        torch.full(shape, target + rest),
        torch.cat([torch.full(shape, target), torch.full(shape, rest)], dim=1),
        torch.tensor([[16 * target, 16 * rest]]),
    )


def test_the_loss_is_least_at_the_share_of_the_target() -> None:
    sums = sums_of(3.0, 1.0)
    found = {m: float(asked_loss(torch.full((1, 4, 4), m), sums)) for m in (0.0, 0.5, 0.75, 1.0)}
    assert min(found, key=lambda m: found[m]) == 0.75


def test_silence_costs_little_where_the_target_is_absent() -> None:
    sums = sums_of(0.0, 1.0)
    nothing, everything = (float(asked_loss(torch.full((1, 4, 4), m), sums)) for m in (0.0, 1.0))
    assert nothing == pytest.approx(0, abs=1e-3)
    assert 7 < everything < 8  # half of 15.4 dB
