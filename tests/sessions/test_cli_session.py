"""``unstir session`` from the command line's words to files."""

import argparse
from pathlib import Path

import pytest

from tests.sessions.made import make
from unstir.cli_session import add_session, rate
from unstir.errors import SettingsError


def unstir(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_session(parser.add_subparsers())
    options = parser.parse_args([str(word) for word in words])
    return int(options.run(options))


def test_several_projects_are_written_beside_the_stems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(tmp_path, rate=8000)
    assert unstir("session", made.folder, "--to", "rpp,mlt,ardour", "--fps", "29.97") == 0
    said = capsys.readouterr().out.splitlines()
    wanted = ["film one.rpp", "film one.mlt", "film one-ardour/film one.ardour"]
    assert said == [str(made.folder / name) for name in wanted]
    assert all(Path(line).is_file() for line in said)
    assert 'frame_rate_num="30000"' in Path(said[1]).read_text()


def test_post_names_and_another_folder(tmp_path: Path) -> None:
    made = make(tmp_path, rate=8000)
    words = ("--to", "wav", "--split", "mono", "--two-pop", "-o", tmp_path / "out")
    assert unstir("session", made.folder, *words) == 0
    assert (tmp_path / "out/film one-wav/film one_DX_2.0.L.wav").is_file()
    assert not (made.folder / "film one-wav").exists()


def test_a_missing_original_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(tmp_path, rate=8000)
    made.original.unlink()
    assert unstir("session", made.folder, "--to", "rpp", "--no-markers") == 0
    assert "--original" in capsys.readouterr().out
    text = (made.folder / "film one.rpp").read_text()
    assert "original" not in text
    assert "MARKER" not in text


@pytest.mark.parametrize("text", ["0", "no", "1/0", "241", "nan"])
def test_impossible_frame_rates_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--fps"):
        rate(text)
