"""What words may ask for: negations, words that one encoder alone reads, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.hall.test_extract_place import not_yet
from tests.neural.test_audiosep_separator import tiny_audiosep
from tests.neural.test_clap import tiny_clap
from unstir.cli import main
from unstir.errors import SettingsError
from unstir.extracting import Extraction, extract
from unstir.finding import listen_for
from unstir.neural.models import add_file
from unstir.settings import Note, Settings


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a file in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    sf.write("silent.wav", np.zeros((44100, 2)), 44100)
    return "silent.wav"


@pytest.fixture
def street(tmp_path: Path) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal((22050, 2))
    sf.write(tmp_path / "street.wav", noise, 44100)
    return tmp_path / "street.wav"


@pytest.fixture
def audiosep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add a small AudioSep; return the folder of its CLAP model."""
    monkeypatch.setenv("UNSTIR_MODELS", str(tmp_path / "models"))
    add_file("audiosep", tiny_audiosep(tmp_path, tiny_clap(tmp_path / "clap")))
    return tmp_path / "models/audiosep-clap"


def test_what_is_not_wanted_may_be_absent(silent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", silent, "not the dog; not the rain", "--strict"]) == 0
    folder = Path("extracted/silent/not the dog not the rain")
    assert {path.stem for path in folder.glob("*.wav")} == {"target", "residual"}
    assert "note: 'the dog' is not heard" in capsys.readouterr().err


def test_where_a_sound_is_not_cannot_be_asked(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", silent, "not the music; no dog", "-o", "m.txt"]) == 2
    said = capsys.readouterr().err
    assert said.endswith("not where they are not; ask for 'the music; dog'\n")
    assert said.count("\n") == 1
    assert not Path("m.txt").exists()


@pytest.mark.parametrize("command", ["extract", "find"])
def test_a_negation_behind_other_words_is_noted(
    command: str, silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, silent, "music without singing"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("note: 'music without singing' is asked for as one phrase") == 1


def test_words_that_clap_alone_reads_are_taken_out_unjudged(
    audiosep: Path, street: Path, tmp_path: Path
) -> None:
    notes: list[str] = []

    def extracted(words: str) -> Extraction:
        return extract(
            street,
            tmp_path / "out",
            Settings("audiosep", query=words, device="cpu"),
            strict=True,
            listener=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )

    for _ in range(2):  # worked out, and found there
        done = extracted("\u72ac")
        assert done.found == done.missing == ()
        assert done.result is not None and done.result.report["heard"] == []
        (note,) = (text for text in notes if "is not judged" in text)
        assert note.startswith("whether '\u72ac' is heard")
        notes.clear()
    both = extracted("not \u72ac; not the dog")
    (plain,) = listen_for(street, Settings(query="the dog", device="cpu"))
    assert both.found == (plain,)


def test_our_own_encoder_still_refuses_what_it_cannot_read(street: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="describe the sound in English"):
        extract(street, tmp_path / "out", Settings(query="\u72ac"), listener=not_yet)


@pytest.mark.parametrize("asked", [["speech"], ["--like", "bark.wav"]])
def test_words_in_the_method_and_elsewhere_are_refused_before_anything_is_read(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "nope.wav", *asked, "--method", 'query:"dog"']) == 2
    said = capsys.readouterr().err.strip()
    assert "say in one place alone what is wanted" in said
    assert "\n" not in said


def test_a_method_without_its_weights_is_refused_before_any_listening(
    street: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="audiosep needs weights"):
        extract(street, tmp_path / "o", Settings("audiosep", query="a dog"), listener=not_yet)


def _like(clap: Path, street: Path) -> Settings:
    return Settings("audiosep", like=(str(street),))


def _changed(clap: Path, street: Path) -> Settings:
    (clap / "merges.txt").write_text("#version: 0.2\na b\n")
    return Settings("audiosep", query="a dog")


@pytest.mark.parametrize(
    ("given", "message"),
    [(_like, "leave out --like"), (_changed, "was changed since it was added")],
)
def test_what_audiosep_refuses_it_refuses_before_any_listening(
    given: Callable[[Path, Path], Settings],
    message: str,
    audiosep: Path,
    street: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match=message):
        extract(street, tmp_path / "out", given(audiosep, street), listener=not_yet)
