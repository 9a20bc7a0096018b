"""``unstir data`` and ``unstir train`` as a user runs them."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.tiny_corpus import write_corpus
from unstir.audio import probe
from unstir.channels import groups
from unstir.cli import main
from unstir.neural import checkpoint
from unstir.neural.folders import find_tracks, read_stems
from unstir.neural.pack import Pack
from unstir.neural.recipes import RECIPES
from unstir.neural.train import TrainConfig
from unstir.neural.validation import validation_scenes


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def packed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "packed"
    assert main(["data", "pack", str(corpus), "-o", str(folder)]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("unstir: "), lines
    for word in words:
        assert word in lines[0], lines[0]


def folders_of(corpus: Path) -> list[str]:
    options = []
    for kind in ("speech", "music", "effects"):
        options += [f"--{kind}", str(corpus / kind)]
    return options


def test_packing_says_what_came_out(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--shard-mb", "1", "--encoding", "mulaw8"]
    assert main(["data", "pack", str(corpus), "-o", str(out), *options]) == 0
    n = len(Pack(out).clips)
    shards = list(out.glob("shard-*.npy"))
    said = capsys.readouterr().out
    assert f"{n} recordings in {len(shards)} shards" in said and "0 skipped" in said
    assert len(shards) > 2


def test_several_folders_go_into_one_pack(corpus: Path, tmp_path: Path) -> None:
    more = write_corpus(tmp_path / "more")
    assert main(["data", "pack", str(corpus), str(more), "-o", str(tmp_path / "out")]) == 0
    paths = [clip.path for clip in Pack(tmp_path / "out").clips]
    n = len(paths) // 2
    assert paths[n:] == [f"more/{path}" for path in paths[:n]]


def test_a_second_folder_without_a_manifest_is_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    command = ["data", "pack", str(corpus), str(tmp_path / "empty"), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    refused(capsys, "empty", "MANIFEST.csv", "cannot be read", "source_repo")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    (corpus / "music" / "tunea.wav").write_text("no sound")
    assert main(["data", "pack", str(corpus), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "1 skipped" in said.out and "skipped: music/tunea.wav" in said.err


def test_a_corpus_without_a_manifest_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "pack", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    refused(capsys, "MANIFEST.csv", "cannot be read")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("occupied", ["folder", "file"])
def test_packing_overwrites_nothing(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], occupied: str
) -> None:
    out = tmp_path / "out"
    if occupied == "folder":
        out.mkdir()
        (out / "mine").write_text("x")
    else:
        out.write_text("x")
    assert main(["data", "pack", str(corpus), "-o", str(out)]) == 2
    refused(capsys, str(out))


def test_a_check_shows_the_shares_and_no_leak(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(packed)]) == 0
    said = capsys.readouterr().out
    for word in ("speech", "effects", "train", "choose", "report", "families"):
        assert word in said
    assert "0 recordings stand on two sides" in said


def test_a_check_fails_if_something_leaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(3 * 44100) * np.repeat(rng.random(30), 4410)
    lines = (corpus / "MANIFEST.csv").read_text().splitlines()
    like = next(line for line in lines if line.startswith("music/tunea.wav"))
    for i in range(12):  # the same sound by twelve authors stands on every side
        sf.write(corpus / f"music/copy{chr(97 + i)}.wav", 0.1 * noise, 44100)
        lines.append(like.replace("tunea", f"copy{chr(97 + i)}"))
    (corpus / "MANIFEST.csv").write_text("\n".join(lines) + "\n")
    assert main(["data", "pack", str(corpus), "-o", str(tmp_path / "out")]) == 0
    assert main(["data", "check", str(tmp_path / "out")]) == 1
    assert "music/copy" in capsys.readouterr().out


def test_a_check_of_no_pack_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path)]) == 2
    refused(capsys, "unstir data pack")


@pytest.mark.parametrize(
    ("recipe", "channels", "rate"),
    [("dnr2", 1, 44100), ("dnr3", 2, 48000), ("unstir", 2, 44100), ("unstir", 6, 44100)],
)
def test_scenes_are_written_with_stems_that_add_up(
    corpus: Path, tmp_path: Path, recipe: str, channels: int, rate: int
) -> None:
    out = tmp_path / "scenes"
    options = ["--n", "2", "--seconds", "4", "--seed", "3", "--channels", str(channels)]
    assert (
        main(["data", "mix", "--recipe", recipe, *folders_of(corpus), "-o", str(out), *options])
        == 0
    )
    tracks, skipped = find_tracks(out)
    assert [track.name for track in tracks] == ["00000", "00001"] and not skipped
    for track in tracks:
        assert (track.n_channels, track.sample_rate, track.n_samples) == (channels, rate, 4 * rate)
        mix, _ = sf.read(track.mix, dtype="float32", always_2d=True)
        stems = read_stems(track)
        np.testing.assert_allclose(sum(stems.values()), mix.T, atol=1e-6)
        assert (track.mix.parent / "annots.csv").exists()
        if channels == 6:
            power = np.square(stems["speech"]).sum(axis=1)
            assert power[2] > power.sum() / 2, "dialogue lives in the center"
            assert not stems["music"][2].any() and stems["music"][4:].any()


def test_scenes_in_5_1_are_read_back_with_their_loudspeakers(corpus: Path, tmp_path: Path) -> None:
    """What names no speakers is taken for pairs: the center, with all dialogue, and the LFE."""
    scenes = tmp_path / "scenes"
    options = ["--n", "1", "--seconds", "4", "--channels", "6", "-o", str(scenes)]
    assert main(["data", "mix", "--recipe", "unstir", *folders_of(corpus), *options]) == 0
    for file in ("mix", "speech", "music", "sfx"):
        info = probe(scenes / f"00000/{file}.wav")
        found = [(group.name, group.role) for group in groups(info.n_channels, info.layout)]
        assert found == [
            *(("FL+FR", "front"), ("FC", "center"), ("LFE", "lfe"), ("SL+SR", "surround")),
        ]
    command = ["separate", str(scenes / "00000/mix.wav"), "--method", "midside"]
    assert main([*command, "-o", str(tmp_path / "stems")]) == 0
    mix, _ = sf.read(scenes / "00000/mix.wav", dtype="float32")
    stems = {name: sf.read(tmp_path / f"stems/mix/{name}.wav")[0] for name in ("speech", "effects")}
    np.testing.assert_allclose(stems["speech"][:, 2], mix[:, 2], atol=1e-6)
    np.testing.assert_allclose(stems["effects"][:, 3], mix[:, 3], atol=1e-6)


def test_our_recipe_takes_rooms_and_folds_to_mono(corpus: Path, tmp_path: Path) -> None:
    made = {}
    for channels in ("1", "2"):
        out = tmp_path / channels
        options = ["--n", "1", "--seconds", "3", "--channels", channels]
        options += ["--rir", str(corpus / "rir"), "-o", str(out)]
        assert main(["data", "mix", "--recipe", "unstir", *folders_of(corpus), *options]) == 0
        made[channels] = read_stems(find_tracks(out)[0][0])
    for name, stereo in made["2"].items():
        assert stereo.any()
        np.testing.assert_allclose(made["1"][name][0], stereo.mean(axis=0), atol=1e-6)


def test_the_same_seed_gives_the_same_scenes_and_another_others(
    corpus: Path, tmp_path: Path
) -> None:
    content = []
    for k, seed in enumerate(("5", "5", "6")):
        out = tmp_path / str(k)
        options = ["--n", "1", "--seconds", "2", "--seed", seed, "-o", str(out)]
        assert main(["data", "mix", "--recipe", "unstir", *folders_of(corpus), *options]) == 0
        content.append((out / "00000" / "mix.wav").read_bytes())
    assert content[0] == content[1] != content[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "dnr2", "--rir", "rooms"], ("--rir", "--recipe unstir")),
        (["--recipe", "unstir", "--n", "0"], ("0 scenes",)),
        (["--recipe", "dnr3", "--n", "0"], ("0 scenes",)),
        (["--recipe", "unstir", "--seconds", "0.1"], ("0.1 s",)),
        (["--recipe", "dnr2", "--seconds", "-1"], ("-1.0 s",)),
        (["--recipe", "unstir", "--seed", "-1"], ("seed -1",)),
        (["--recipe", "unstir", "--speech", "nowhere"], ("nowhere", "not a folder")),
    ],
)
def test_options_that_cannot_be_are_refused(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: tuple[str, ...],
) -> None:
    out = tmp_path / "out"
    assert main(["data", "mix", *folders_of(corpus), "-o", str(out), *options]) == 2
    refused(capsys, *words)
    assert not out.exists()


def test_scenes_are_not_written_over_what_is_there(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("x")
    command = ["data", "mix", "--recipe", "unstir", *folders_of(corpus), "-o", str(tmp_path)]
    assert main(command) == 2
    refused(capsys, "is there already")


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> str:
    net = {"n_fft": 512, "hop_length": 256, "n_bands": 32, "n_single": 16, "hidden": 4}
    config = TrainConfig(net_config={**net, "channels": (2, 2, 2)}, segment=11025, batch=1, steps=2)
    monkeypatch.setitem(RECIPES, "tiny", config)
    few = functools.partial(validation_scenes, n=1, seconds=1.0)  # two dozen take a while
    for module in ("train", "validation"):
        monkeypatch.setattr(f"unstir.neural.{module}.validation_scenes", few)
    return "tiny"


def test_training_leaves_a_log_and_a_model_and_goes_on(
    packed: Path, tmp_path: Path, tiny_recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", tiny_recipe, "--pack", str(packed), "-o", str(out), "--device", "cpu"]
    assert main([*command, "--workers", "0"]) == 0
    assert "tiny on cpu" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        *("best.pt", "last.pt", "log.jsonl", "tiny.json", "tiny.safetensors"),
    }
    card = checkpoint.load(out / "tiny.safetensors").card
    assert card["last_validation"]["step"] == 2
    assert card["gain_db_by_temperature"][0][0] == 1
    (out / "tiny.safetensors").unlink()
    assert main([*command, "--workers", "0"]) == 0  # nothing is left to train
    assert checkpoint.load(out / "tiny.safetensors").card["recipe"]["steps"] == 2
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [2]


def test_training_needs_torch_and_numpy_alone(
    packed: Path, tmp_path: Path, tiny_recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a bare machine: nothing else that the package depends on is installed."""
    out = tmp_path / "run"
    command = ["train", tiny_recipe, "--pack", str(packed), "-o", str(out), "--device", "cpu"]
    code = (
        "import functools, sys\n"
        "for name in ('PIL', 'aaf2', 'av', 'filelock', 'jinja2', 'librosa', 'matplotlib', 'mido',"
        " 'numba', 'opentimelineio', 'pedalboard', 'rich', 'rpp', 'safetensors', 'scipy',"
        " 'sklearn', 'soundfile', 'soxr', 'threadpoolctl'):\n"
        "    sys.modules[name] = None\n"
        "from unstir.cli import main\n"
        "from unstir.neural import train, validation\n"
        "from unstir.neural.recipes import RECIPES, TrainConfig\n"
        f"RECIPES['tiny'] = {RECIPES[tiny_recipe]!r}\n"
        "few = functools.partial(train.validation_scenes, n=1, seconds=1.0)\n"
        "train.validation_scenes = validation.validation_scenes = few\n"
        f"sys.exit(main({command!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tiny on cpu" in done.stdout and "step 2: " in done.stderr
    assert "no model yet, since safetensors is not installed" in done.stderr
    assert {path.name for path in out.iterdir()} == {"best.pt", "last.pt", "log.jsonl"}
    # Where safetensors is, the same command finds the run at its end and writes the model.
    before = (out / "last.pt").read_bytes()
    assert main(command) == 0
    assert "tiny.safetensors holds the weights" in capsys.readouterr().out
    assert checkpoint.load(out / "tiny.safetensors").card["last_validation"]["step"] == 2
    assert (out / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["no-such-recipe"], ("no-such-recipe", "compact-film")),
        (["compact-film", "--steps", "0"], ("--steps 0",)),
        (["compact-film", "--minutes", "0"], ("--minutes 0",)),
        (["compact-film", "--workers", "-1"], ("--workers -1",)),
        (["compact-film", "--threads", "0"], ("--threads 0",)),
        (["compact-film", "--device", "tpu"], ("tpu", "--device auto")),
        (["compact-film", "--pack", "nowhere"], ("nowhere", "unstir data pack")),
    ],
)
def test_training_that_cannot_be_is_refused(
    packed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: tuple[str, ...],
) -> None:
    out = tmp_path / "run"
    given = options if "--pack" in options else [*options, "--pack", str(packed)]
    assert main(["train", *given, "-o", str(out)]) == 2
    refused(capsys, *words)
    assert not out.exists()
