"""``unstir models list`` and ``show``: what ships, whole, to whoever reads it."""

import json
import os
import subprocess
import sys

import pytest

from unstir.cli import main
from unstir.neural.models import entries, find_model


def test_nets_that_separate_nothing_are_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("text", "vad"):
        assert main(["models", "show", name]) == 0
        assert json.loads(capsys.readouterr().out)["net"] == name
        assert find_model(name).state == "shipped"


def test_the_list_cuts_no_path(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["models", "list"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    files = "".join(line[title.index("file") : 80].strip() for line in lines)
    assert all(str(entry.path) in files for entry in entries())


@pytest.mark.skipif(os.name == "nt", reason="another way to break a pipe")
def test_a_reader_that_goes_away_is_no_error_to_show() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "unstir", "models", "show", "vad"]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
