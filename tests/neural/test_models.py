"""The user's model folder: what is kept, what is refused, and what a method makes of it."""

import functools
import hashlib
import http.server
import json
import pickle
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from tests.neural.reference_weights import hollow, shapes_of
from tests.sounds import mixture_of, scene
from unstir.cli import main
from unstir.errors import SettingsError, UnknownNameError
from unstir.neural.checkpoint import random_model, save
from unstir.neural.models import add_file, add_url, entries, find_model, remove, show
from unstir.neural.mrx import MRX, MRXConfig
from unstir.registry import find, make, weights_digest
from unstir.weights import models_folder

SMALL = MRXConfig(window_lengths=(64, 256), hop_length=32, n_hidden=8, n_layers=1)
BIAS = "_encoders.0.layer.0.bias"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point at a model folder of the test's own."""
    folder = tmp_path / "models"
    monkeypatch.setenv("UNSTIR_MODELS", str(folder))
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a little model of ours."""
    model = random_model("mrx", SMALL, seed=3)
    path = tmp_path / "mine.safetensors"
    save(path, "mrx", model.net, model.config, model.sources, {"license": "CC0-1.0"})
    return path


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Return a checkpoint as it is released: the published net's names and shapes."""
    path = tmp_path / "default_mrx_pre_trained_weights.pth"
    with torch.device("meta"):
        shapes = shapes_of(MRX())
    torch.save({**hollow(shapes), BIAS: torch.arange(513.0)}, path)
    return path


def test_a_released_checkpoint_becomes_a_method(released: Path, store: Path) -> None:
    assert find("mrx").needs == "weights"
    assert weights_digest(find("mrx")) == ""
    path = add_file("mrx", released)
    assert path == store / "mrx.safetensors"
    assert find("mrx").needs == ""
    card = show("mrx")["card"]
    assert card["origin"] == "default_mrx_pre_trained_weights.pth"
    assert card["origin_sha256"] == hashlib.sha256(released.read_bytes()).hexdigest()
    assert sum(p.numel() for p in _net().parameters()) == 30_509_080
    assert torch.equal(_net().state_dict()[BIAS], torch.arange(513.0))


def _net() -> torch.nn.Module:
    return make("mrx", device="cpu")._opened().net  # type: ignore[attr-defined]


def test_added_weights_are_exactly_those_given(small: Path) -> None:
    add_file("mrx", small)
    given = random_model("mrx", SMALL, seed=3).net.half().float().state_dict()
    name = "_encoders.0.layer.1.weight"
    assert torch.equal(_net().state_dict()[name], given[name])
    assert show("mrx")["card"] == {"license": "CC0-1.0"}


def test_the_added_model_takes_a_file_apart(small: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.wav"
    sf.write(film, mixture_of(scene(1, 8000)).T, 8000, subtype="PCM_16")
    assert main(["models", "add", "mrx", "--file", str(small)]) == 0
    command = ["separate", str(film), "-o", str(tmp_path / "out"), "--method", "mrx", "--quiet"]
    assert main([*command, "--device", "cpu"]) == 0
    report = json.loads((tmp_path / "out/film/report.json").read_text())
    assert report["null"]["exact"]
    assert report["device"] == report["method"]["config"]["device"] == "cpu"
    assert report["method"]["config"]["model"] == "store:mrx"
    assert report["key"]["weights"] == weights_digest(find("mrx"))


def test_auto_says_which_device_it_took(small: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.wav"
    sf.write(film, np.zeros((100, 1)), 8000, subtype="PCM_16")
    add_file("mrx", small)
    assert main(["separate", str(film), "-o", str(tmp_path / "out"), "--method", "mrx"]) == 0
    report = json.loads((tmp_path / "out/film/report.json").read_text())
    precision = report["method"]["config"]["precision"]
    assert f"the net runs on {report['device']} in {precision}" in report["notes"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_nothing_written(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.wav"
    sf.write(film, np.zeros((100, 1)), 8000)
    add_file("mrx", small)
    out = tmp_path / "out"
    command = ["separate", str(film), "-o", str(out), "--method", "mrx", "--device", "cuda"]
    assert main(command) == 2
    assert "no GPU here" in capsys.readouterr().err
    assert not out.exists()


def test_other_weights_are_another_key(small: Path) -> None:
    add_file("mrx", small)
    before = weights_digest(find("mrx"))
    other = random_model("mrx", SMALL, seed=4)
    save(small, "mrx", other.net, other.config, other.sources, {})
    add_file("mrx", small)
    assert weights_digest(find("mrx")) != before


def test_tampered_weights_are_refused_before_anything_is_written(
    small: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.wav"
    sf.write(film, mixture_of(scene(0.5, 8000)).T, 8000)
    content = bytearray(add_file("mrx", small).read_bytes())
    content[-1] ^= 1
    (store / "mrx.safetensors").write_bytes(content)
    out = tmp_path / "out"
    assert main(["separate", str(film), "-o", str(out), "--method", "mrx"]) == 2
    assert "truncated or was changed" in capsys.readouterr().err
    assert not out.exists()


def test_without_weights_the_method_says_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.wav"
    sf.write(film, np.zeros((100, 1)), 8000)
    assert main(["separate", str(film), "-o", str(tmp_path / "o"), "--method", "mrx"]) == 2
    assert "unstir models add mrx --file CHECKPOINT" in capsys.readouterr().err


def test_random_weights_need_none_added() -> None:
    assert make("mrx", model="random:mrx", device="cpu").stems == ("speech", "music", "effects")


class Touch:
    """Unpickles by making a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("way", ["pickle", "torch", "torch, old format"])
def test_code_in_a_checkpoint_is_never_run(way: str, tmp_path: Path, store: Path) -> None:
    witness, trap = tmp_path / "ran", tmp_path / "trap.pth"
    content = {"state_dict": Touch(witness)}
    if way == "pickle":
        trap.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, trap, _use_new_zipfile_serialization=way == "torch")
        torch.load(trap, weights_only=False)
        assert witness.exists()  # the trap works
        witness.unlink()
    with pytest.raises(SettingsError, match="never loaded since they can run code"):
        add_file("mrx", trap)
    assert not witness.exists()
    assert not store.exists()


def test_a_checkpoint_of_another_net_is_refused(tmp_path: Path, store: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "a.pth")
    with pytest.raises(SettingsError, match=r"a\.pth is no .*MRX.*missing"):
        add_file("mrx", tmp_path / "a.pth")
    assert not store.exists()


def test_a_model_of_ours_of_another_net_is_refused(small: Path, store: Path) -> None:
    beside = small.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), "net": "unet"}))
    with pytest.raises(SettingsError, match="holds a 'unet', and the method 'mrx' takes a 'mrx'"):
        add_file("mrx", small)
    assert not store.exists()


@pytest.mark.parametrize("name", ["nmf", "nope", "../mrx", "store:mrx"])
def test_a_name_that_no_method_wants_is_refused(name: str, small: Path) -> None:
    with pytest.raises(UnknownNameError, match="those that do: mrx"):
        add_file(name, small)


def test_a_clap_model_belongs_to_audiosep_alone(small: Path, store: Path) -> None:
    with pytest.raises(SettingsError, match="--clap came with mrx, and only audiosep takes it"):
        add_file("mrx", small, clap=small.parent)
    assert not store.exists()


def test_removing_makes_the_method_need_weights_again(small: Path, store: Path) -> None:
    add_file("mrx", small)
    remove("mrx")
    assert find("mrx").needs == "weights"
    assert not list(store.iterdir())
    with pytest.raises(UnknownNameError, match="nothing to remove"):
        remove("mrx")


def test_the_list_says_where_weights_stand(small: Path, store: Path) -> None:
    states = [find_model("mrx").state]
    add_file("mrx", small)
    states.append(find_model("mrx").state)
    (store / "mrx.json").write_text("{")
    states.append(find_model("mrx").state)
    assert states == ["not here", "added", "damaged"]
    assert "mrx" in [entry.name for entry in entries()]


def test_the_commands_show_what_the_functions_return(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_file("mrx", small)
    assert main(["models", "show", "mrx"]) == 0
    assert json.loads(capsys.readouterr().out)["card"] == {"license": "CC0-1.0"}
    assert main(["models", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (row,) = [row for row in rows if row["name"] == "mrx"]
    assert (row["state"], row["sample_rate_hz"], row["license"]) == ("added", 44100, "CC0-1.0")
    assert main(["models", "list"]) == 0
    assert "added" in capsys.readouterr().out
    assert main(["models", "remove", "mrx"]) == 0
    assert main(["models", "show", "mrx"]) == 2
    assert "not here" in capsys.readouterr().err


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match=r"no model 'classical'; choose from .*mrx"):
        show("classical")


@pytest.mark.parametrize(
    ("platform", "variable", "end"),
    [
        ("linux", "XDG_DATA_HOME", "data/unstir/models"),
        ("linux", None, ".local/share/unstir/models"),
        ("darwin", None, "Library/Application Support/unstir/models"),
        ("win32", "LOCALAPPDATA", "data/unstir/models"),
    ],
)
def test_the_folder_is_where_the_platform_keeps_data(
    platform: str, variable: str | None, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UNSTIR_MODELS", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "data"))
    assert models_folder() == tmp_path / end


# Fetching, over a real TLS connection to this machine.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for localhost, its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", *kind, *names, "-keyout", file, "-out", f"{file}.crt"],
        check=True,
        capture_output=True,
    )
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and leads /away to plain http."""

    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "http://localhost:9/a.pth")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the test's folder and give its address."""
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as running:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"https://localhost:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_a_checkpoint_is_fetched_checked_and_kept(
    server: str, released: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(released.read_bytes()).hexdigest()
    url = f"{server}/{released.name}"
    assert main(["models", "add", "mrx", "--url", url, "--sha256", digest.upper()]) == 0
    assert show("mrx")["card"]["origin"] == url
    assert {p.name for p in store.iterdir()} == {"mrx.safetensors", "mrx.json"}


def test_what_has_another_checksum_is_thrown_away(server: str, small: Path, store: Path) -> None:
    (small.parent / "a.pth").write_bytes(b"something else")
    with pytest.raises(SettingsError, match=r"not 0{64}; it was thrown away"):
        add_url("mrx", f"{server}/a.pth", "0" * 64)
    assert not list(store.iterdir())


def test_a_way_out_of_https_is_not_followed(server: str, store: Path) -> None:
    with pytest.raises(SettingsError, match="only https is followed"):
        add_url("mrx", f"{server}/away.pth", "0" * 64)
    assert not list(store.iterdir())


def test_an_address_with_nothing_behind_it_is_one_sentence(server: str, store: Path) -> None:
    with pytest.raises(SettingsError, match=r"no\.pth cannot be fetched: HTTP Error 404"):
        add_url("mrx", f"{server}/no.pth", "0" * 64)
    assert not list(store.iterdir())


@pytest.mark.parametrize("scheme", ["http://a.example/", "file:///", "ftp://a.example/", ""])
def test_only_https_is_fetched(scheme: str, store: Path) -> None:
    with pytest.raises(SettingsError, match="an https:// address"):
        add_url("mrx", f"{scheme}a.pth", "0" * 64)
    assert not store.exists()


@pytest.mark.parametrize("digest", ["", "0" * 63, "g" * 64])
def test_a_checksum_that_is_none_is_refused(digest: str, store: Path) -> None:
    with pytest.raises(SettingsError, match="64 hexadecimal digits are wanted"):
        add_url("mrx", "https://a.example/a.pth", digest)
    assert not store.exists()


@pytest.mark.parametrize(
    "words", [["--url", "https://a.example/a.pth"], ["--file", "a.pth", "--sha256", "0" * 64]]
)
def test_an_address_and_a_checksum_belong_together(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", "mrx", *words]) == 2
    assert "belong together" in capsys.readouterr().err
