"""CLAP's reading of words: on tiny random weights that the tests make themselves."""

import importlib.util
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.neural.test_models import Touch
from unstir.errors import SettingsError
from unstir.neural.clap import ClapText, clap_folder, folder_digest, keep, released_text

INSTALLED = importlib.util.find_spec("transformers") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="the package transformers is not here")
TEXTS = ("a dog", "rain on a tin roof, far away", "犬")


def tiny_clap(folder: Path, *, size: int = 512) -> Path:
    """Write a small CLAP model with random weights, as transformers keeps it."""
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import save_file
    from tokenizers.pre_tokenizers import ByteLevel

    folder.mkdir()
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = {
        "vocab_size": len(pieces),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 90,
    }
    config = transformers.ClapConfig(text_config=text, projection_dim=size)
    config.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net = transformers.ClapTextModelWithProjection(config.text_config)
        for parameter in net.parameters():  # far from where it starts, so that all of them count
            torch.nn.init.normal_(parameter, std=0.3)
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file({**weights, "audio_model.x": torch.zeros(9)}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clap(tmp_path_factory.mktemp("made") / "clap")


@pytest.fixture
def clap(made: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "clap"))


@pytest.mark.skipif(INSTALLED, reason="the package transformers is installed")
def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pip install 'unstir\[clap\]'"):
        ClapText(tmp_path)


def test_the_vectors_are_those_of_the_package(made: Path) -> None:
    import transformers

    config = transformers.ClapConfig.from_pretrained(made).text_config
    net = transformers.ClapTextModelWithProjection.from_pretrained(made, config=config).eval()
    tokens = transformers.RobertaTokenizer.from_pretrained(made)(
        list(TEXTS), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        wanted = net(**tokens).text_embeds
    found = ClapText(made)(TEXTS)
    assert (found.shape, found.dtype) == ((3, 512), np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    torch.testing.assert_close(torch.from_numpy(found), torch.nn.functional.normalize(wanted))


def test_a_vector_does_not_depend_on_what_else_is_asked(made: Path) -> None:
    encoder = ClapText(made)
    together = encoder(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(encoder([text])[0], vector)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    assert encoder([]).shape == (0, 512)


def test_behind_77_tokens_nothing_is_read(made: Path) -> None:
    whole, cut, less = ClapText(made)(["a" * 2000, "a" * 75, "a" * 74])
    np.testing.assert_array_equal(whole, cut)
    assert np.abs(cut - less).max() > 1e-4


def test_nothing_is_asked_of_the_network_and_no_dice_are_thrown(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    before = torch.get_rng_state()
    ClapText(made)(TEXTS)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_text_half_is_kept_and_the_folder_left_alone(clap: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    before, target = folder_digest(clap), tmp_path / "models" / "audiosep-clap"
    digest = keep(clap, target, 512)
    assert digest == folder_digest(target)
    assert folder_digest(clap) == before
    assert {path.name for path in target.iterdir()} == {
        "config.json",
        "vocab.json",
        "merges.txt",
        "model.safetensors",
    }
    assert not [n for n in load_file(target / "model.safetensors") if n.startswith("audio")]
    np.testing.assert_array_equal(ClapText(target, digest)(TEXTS), ClapText(clap)(TEXTS))
    assert [path.name for path in target.parent.iterdir()] == ["audiosep-clap"]


def test_a_folder_of_another_checksum_is_refused(clap: Path, tmp_path: Path) -> None:
    digest = keep(clap, tmp_path / "kept", 512)
    content = bytearray((tmp_path / "kept/model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "kept/model.safetensors").write_bytes(content)
    with pytest.raises(SettingsError, match="was changed since it was added"):
        ClapText(tmp_path / "kept", digest)


def test_older_weights_are_read_and_become_safetensors(clap: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    before = ClapText(clap)(TEXTS)
    torch.save(load_file(clap / "model.safetensors"), clap / "pytorch_model.bin")
    (clap / "model.safetensors").unlink()
    keep(clap, tmp_path / "kept", 512)
    assert (tmp_path / "kept/model.safetensors").is_file()
    np.testing.assert_array_equal(ClapText(tmp_path / "kept")(TEXTS), before)


def test_code_in_older_weights_is_never_run(clap: Path, tmp_path: Path) -> None:
    (clap / "model.safetensors").unlink()
    torch.save({"text_model.x": Touch(tmp_path / "ran")}, clap / "pytorch_model.bin")
    with pytest.raises(SettingsError, match="never loaded since they can run code"):
        keep(clap, tmp_path / "kept", 512)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "kept").exists()


@needs_package
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no folder .*nope; a CLAP model"):
        ClapText(tmp_path / "nope")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json"])
def test_a_folder_that_lacks_a_file_is_refused(name: str, clap: Path) -> None:
    (clap / name).unlink()
    with pytest.raises(SettingsError, match="is no CLAP model in the format of transformers"):
        ClapText(clap)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", '{"model_type": "bert"}', "holds a 'bert'; a CLAP model"),
        ("config.json", "{", "config.json is damaged"),
        ("config.json", '{"model_type": "clap", "text_config": 3}', "config.json is damaged"),
        ("model.safetensors", "nothing", "model.safetensors is damaged"),
        ("vocab.json", "[", "clap is damaged"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    name: str, content: str, message: str, clap: Path
) -> None:
    (clap / name).write_text(content)
    with pytest.raises(SettingsError, match=message):
        ClapText(clap)


def test_weights_of_other_sizes_are_refused(clap: Path) -> None:
    kept = json.loads((clap / "config.json").read_text())
    kept["text_config"]["num_hidden_layers"] = 3
    (clap / "config.json").write_text(json.dumps(kept))
    with pytest.raises(SettingsError, match="16 missing"):
        ClapText(clap)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(clap: Path) -> None:
    pieces = json.loads((clap / "vocab.json").read_text())
    (clap / "vocab.json").write_text(json.dumps({**pieces, "more": len(pieces)}))
    with pytest.raises(SettingsError, match="262 tokens and the model 261"):
        ClapText(clap)


def test_vectors_of_another_size_are_refused(clap: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="vectors of 512 numbers, and the separator takes 16"):
        keep(clap, tmp_path / "kept", 16)
    assert not (tmp_path / "kept").exists()


def test_a_released_checkpoint_brings_its_text_encoder() -> None:
    weights = {
        "ss_model.film.a.weight": torch.zeros(1),
        "query_encoder.model.text_branch.embeddings.position_ids": torch.zeros(1),
        "query_encoder.model.text_branch.pooler.dense.bias": torch.ones(2),
        "query_encoder.model.text_projection.0.weight": torch.ones(3),
        "epoch": 3,
    }
    assert list(released_text(weights)) == [
        "text_model.pooler.dense.bias",
        "text_projection.linear1.weight",
    ]


def test_the_model_lies_beside_the_weights() -> None:
    assert clap_folder(Path("a/mine.safetensors")) == Path("a/mine-clap")
