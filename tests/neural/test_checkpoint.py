"""Models on disk: what comes back, and what is refused."""

import dataclasses
import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unstir.errors import SettingsError, UnknownNameError
from unstir.neural.checkpoint import (
    NETS,
    Model,
    classes,
    describe,
    load,
    random_model,
    save,
)
from unstir.neural.mrx import MRX, MRXConfig

SMALL = MRXConfig(window_lengths=(64, 256), hop_length=32, n_hidden=8, n_layers=1)
CARD = {"recipe": "none", "license": "CC0-1.0", "figures": {"si_sdr_db": 1.5}}


@pytest.fixture
def model() -> Model:
    return random_model("mrx", SMALL, seed=1)


@pytest.fixture
def path(tmp_path: Path, model: Model) -> Path:
    file = tmp_path / "small.safetensors"
    save(file, "mrx", model.net, model.config, model.sources, CARD)
    return file


def edit(path: Path, **changes: object) -> None:
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **changes}))


@pytest.mark.parametrize("name", NETS)
def test_every_net_of_the_table_is_there(name: str) -> None:
    module, net_class, config_class = classes(name)
    assert issubclass(net_class, torch.nn.Module)
    assert dataclasses.is_dataclass(config_class)
    assert module.SAMPLE_RATE > 0
    assert len(module.SOURCES) >= 1


def test_an_unknown_net_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match="no net 'nope'; there are compact, mrx"):
        classes("nope")


def test_a_model_comes_back_as_it_was(tmp_path: Path, model: Model) -> None:
    file = tmp_path / "deep" / "small.safetensors"
    save(file, "mrx", model.net, model.config, model.sources, CARD, half=False)
    back = load(file)
    assert (back.config, back.sources, back.sample_rate, back.card) == (
        SMALL,
        ("music", "speech", "effects"),
        44100,
        CARD,
    )
    x = torch.randn(1, 2, 500)
    torch.testing.assert_close(back.net(x), model.net(x), rtol=0, atol=0)
    assert not back.net.training


def test_half_keeps_matrices_in_16_bits_and_vectors_in_32(path: Path, model: Model) -> None:
    for name, tensor in load_file(path).items():
        if tensor.is_floating_point():
            assert tensor.dtype == (torch.float16 if tensor.ndim > 1 else torch.float32), name
    for name, value in load(path).net.state_dict().items():
        torch.testing.assert_close(value, model.net.state_dict()[name], rtol=1e-3, atol=1e-6)


def test_a_weight_beyond_half_precision_stays_finite(tmp_path: Path) -> None:
    net = MRX(SMALL)
    with torch.no_grad():
        net.get_parameter("_encoders.0.layer.1.weight")[0, 0] = 1e5
    save(tmp_path / "a.safetensors", "mrx", net, SMALL, ("music", "speech", "effects"), {})
    kept = load(tmp_path / "a.safetensors").net.get_parameter("_encoders.0.layer.1.weight")
    assert kept[0, 0].item() == 1e5


def test_saving_leaves_two_readable_files_and_nothing_else(path: Path) -> None:
    assert {p.name for p in path.parent.iterdir()} == {"small.safetensors", "small.json"}
    assert all(p.stat().st_mode & 0o444 == 0o444 for p in path.parent.iterdir())


def test_saving_what_json_cannot_hold_leaves_the_older_model_whole(path: Path) -> None:
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    with pytest.raises(TypeError):
        save(path, "mrx", MRX(SMALL), SMALL, ("music", "speech", "effects"), {"card": object()})
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


def test_loading_leaves_the_global_dice_alone(path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(path)
    random_model("mrx", SMALL)
    assert torch.equal(torch.rand(3), expected)


def test_random_weights_depend_on_the_seed_alone() -> None:
    a, b, c = (random_model("mrx", SMALL, seed=s).net.state_dict() for s in (0, 0, 1))
    name = "_encoders.0.layer.1.weight"
    assert torch.equal(a[name], b[name])
    assert not torch.equal(a[name], c[name])


def test_a_name_with_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ends in \.safetensors is wanted"):
        load(tmp_path / "model.pth")


@pytest.mark.parametrize("missing", ["small.safetensors", "small.json"])
def test_a_missing_file_is_named(path: Path, missing: str) -> None:
    (path.parent / missing).unlink()
    with pytest.raises(SettingsError, match=f"there is no .*{missing}; a model is two files"):
        load(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SettingsError, match="truncated or was changed"):
        load(path)


def test_one_changed_bit_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="truncated or was changed"):
        load(path)


def test_a_newer_format_is_refused_as_such_whatever_else_it_says(path: Path) -> None:
    path.with_suffix(".json").write_text('{"format": 2, "nets": []}')
    with pytest.raises(SettingsError, match=r"newer version \(format 2; .* up to 1\); update"):
        load(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 1}', '{"format": "x"}', "\x00\xff"]
)
def test_a_description_that_is_none_is_refused(path: Path, text: str) -> None:
    path.with_suffix(".json").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match="describes no model or is damaged"):
        load(path)


@pytest.mark.parametrize(
    "change", [{"sources": []}, {"sources": 3}, {"sample_rate": 0}, {"config": []}, {"card": 1}]
)
def test_a_description_with_values_that_cannot_be_is_refused(path: Path, change: dict) -> None:
    edit(path, **change)
    with pytest.raises(SettingsError, match="describes no model or is damaged"):
        describe(path)


def test_an_unknown_net_in_a_description_is_refused(path: Path) -> None:
    edit(path, net="os.system")
    with pytest.raises(UnknownNameError, match=r"no net 'os\.system'"):
        load(path)


def test_a_setting_that_the_net_does_not_know_is_named(path: Path) -> None:
    edit(path, config={"n_heads": 4})
    with pytest.raises(SettingsError, match="MRXConfig does not know: n_heads"):
        load(path)


@pytest.mark.parametrize("config", [{"n_layers": 0}, {"n_layers": "two"}])
def test_a_setting_that_cannot_be_is_refused(path: Path, config: dict) -> None:
    edit(path, config=config)
    with pytest.raises(SettingsError, match="settings that cannot be"):
        load(path)


def test_weights_of_another_size_are_refused(path: Path) -> None:
    edit(path, config={**dataclasses.asdict(SMALL), "n_hidden": 16})
    with pytest.raises(SettingsError, match=r"do not fit the net 'mrx'.*size mismatch"):
        load(path)


def test_weights_of_another_net_are_refused(path: Path) -> None:
    save_file({"layer.weight": torch.zeros(2, 2)}, path)
    edit(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(SettingsError, match=r"do not fit the net 'mrx'.*Missing key"):
        load(path)


class Touch:
    """Unpickles by making a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_under_a_models_name_is_not_run(path: Path, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    pickle.loads(pickle.dumps(Touch(witness)))
    assert witness.exists()  # the trap works
    witness.unlink()
    path.write_bytes(pickle.dumps(Touch(witness)))
    edit(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(SettingsError, match="do not fit"):
        load(path)
    assert not witness.exists()
