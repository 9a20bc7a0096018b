"""No document promises a file, a command or an option that is not there."""

import re
import shlex
from pathlib import Path

import pytest

from unstir.cli import _parser
from unstir.registry import methods
from unstir.settings import DEFAULT_METHODS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:\S*/)?unstir (\w.*?)(?:\s{2,}#.*|\s+#.*)?$")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_are_commands(path: Path) -> None:
    """Every line of a shell block that calls unstir is parsed as the command line would."""
    for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
        for line in block.splitlines():
            found = COMMAND.match(line.strip())
            if found:
                _parser().parse_args(shlex.split(found.group(1)))


def test_the_examples_of_the_help_are_commands() -> None:
    from unstir.cli_extract import EXTRACT_EXAMPLES, FIND_EXAMPLES
    from unstir.cli_separate import SEPARATE_EXAMPLES

    lines = [line.strip() for line in SEPARATE_EXAMPLES.splitlines()]
    examples = [line for line in lines if line.startswith("unstir separate")]
    assert len(examples) == 8
    lines = [*EXTRACT_EXAMPLES.splitlines(), *FIND_EXAMPLES.splitlines()]
    asking = [line.strip() for line in lines if line.startswith("  unstir")]
    assert len(asking) == 8
    for line in (*examples, *asking):
        _parser().parse_args(shlex.split(line)[1:])


def test_the_table_of_methods_is_the_registry() -> None:
    text = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    table = text.split("## On real recordings")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, re.M)) == set(methods())


def test_the_default_that_the_documents_name_is_the_default() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for stems, method in DEFAULT_METHODS.items():
        assert f"`{method}` for {stems}s" in readme


def test_the_quoted_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import soundfile as sf

    from tests.sounds import mixture_of, scene

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sf.write(tmp_path / "film.wav", mixture_of(scene(1)).T, 8000)
    monkeypatch.chdir(tmp_path)
    separating, comparing = re.findall(r"```python\n(.*?)```", readme, re.S)
    exec(separating, {})
    assert (tmp_path / "stems/film/speech.wav").is_file()
    exec(comparing, {})
    shown = capsys.readouterr().out
    assert "midside" in shown and "compact-film" in shown


def test_the_method_of_the_guide_keeps_the_promise() -> None:
    import numpy as np

    from tests.sounds import null_db
    from unstir.types import Mixture

    text = (ROOT / "docs/add-a-method.md").read_text(encoding="utf-8")
    space: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.S)[0], space)
    x = np.random.default_rng(0).standard_normal((2, 500)).astype(np.float32)
    stems = space["Thirds"]().separate(Mixture(x, 8000))  # type: ignore[operator]
    assert null_db(x, stems) <= -120


def test_the_tables_of_nets_are_those_that_were_measured() -> None:
    text = (ROOT / "docs/neural.md").read_text(encoding="utf-8")
    measured = (ROOT / "benchmarks/evaluation.md").read_text(encoding="utf-8")
    rows = [line for line in measured.splitlines() if line.startswith("| `")]
    assert rows and all(line in text for line in rows)


@pytest.mark.parametrize("name", ["query", "find"])
def test_the_tables_of_questions_are_those_that_were_measured(name: str) -> None:
    text = (ROOT / "docs/query.md").read_text(encoding="utf-8")
    measured = (ROOT / f"benchmarks/{name}.md").read_text(encoding="utf-8")
    rows = [line for line in measured.splitlines() if line.startswith("| ")]
    assert rows and all(line in text for line in rows)
