"""Where what was extracted lies, and what is said before any listening if that is taken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from unstir.cli import main
from unstir.errors import JournalError, SettingsError
from unstir.extracting import extract
from unstir.settings import Note, Progress, Settings


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / "street.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((44100, 2))
    sf.write(path, noise.astype(np.float32), 44100, subtype="FLOAT")
    return path


class Listened(Exception):
    """Raised by a listener as soon as anything is read."""


def not_yet(event: object) -> None:
    if isinstance(event, Progress):
        raise Listened


def test_one_sound_after_another_needs_no_option(street: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for words in ("a dog barking", "siren"):
        assert main(["extract", str(street), words, "-o", out, "--quiet"]) == 0
    folders = {path.parent.relative_to(out).as_posix() for path in Path(out).rglob("report.json")}
    assert folders == {"street/a dog barking", "street/siren"}


def test_the_same_question_again_is_answered_without_listening(
    street: Path, tmp_path: Path
) -> None:
    settings = Settings(query="rain; a dog")
    first = extract(street, tmp_path / "out", settings)
    again = extract(street, tmp_path / "out", settings, listener=not_yet)
    assert again.found == first.found
    assert again.result is not None and again.result.reused


@pytest.mark.parametrize("other", [{"format": "pcm16"}, {"query": "A dog"}, {"to_s": 0.5}])
def test_a_result_that_is_in_the_way_is_said_before_any_listening(
    other: dict[str, Any], street: Path, tmp_path: Path
) -> None:
    settings = Settings(query="a dog")
    extract(street, tmp_path / "out", settings)
    target = tmp_path / "out/street/a dog/target.wav"
    kept = target.read_bytes()
    with pytest.raises(SettingsError, match="use --overwrite or another -o"):
        extract(street, tmp_path / "out", replace(settings, **other), listener=not_yet)
    assert target.read_bytes() == kept
    with pytest.raises(Listened):
        extract(street, tmp_path / "out", settings, overwrite=True, listener=not_yet)


def test_an_interrupted_run_of_other_settings_is_said_before_any_listening(
    street: Path, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(event: Note | Progress) -> None:
        if isinstance(event, Progress) and event.stage == "separating" and event.done:
            raise Stop

    with pytest.raises(Stop):
        extract(street, tmp_path / "out", Settings(query="a dog"), listener=stop)
    with pytest.raises(JournalError, match="unfinished run with another settings"):
        extract(street, tmp_path / "out", Settings(query="a dog", format="pcm16"), listener=not_yet)
    assert extract(street, tmp_path / "out", Settings(query="a dog")).result is not None
