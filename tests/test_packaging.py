"""The wheel, the source archive, the editable install and the bare checkout all work."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from unstir import __version__

ROOT = Path(__file__).resolve().parents[1]
TRY = "import unstir, unstir.hybrid.midside, sys; print(unstir.__file__)"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy of what is tracked, as a release would, without touching the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    names = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).split("\0")
    for name in filter(None, names):
        target = source / name
        if not (ROOT / name).exists() and not (ROOT / name).is_symlink():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to(os.readlink(ROOT / name))
        else:
            target.write_bytes((ROOT / name).read_bytes())
    # The sdist first, and the wheel out of the sdist: nothing may be missing from either.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=source)
    return folder


def test_the_wheel_holds_the_rooms_the_weights_and_the_scene(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for script in (ROOT / "daw_scripts").rglob("*.*"):
        if script.suffix in (".lua", ".jsfx", ".py"):
            assert f"unstir/{script.relative_to(ROOT).as_posix()}" in names
    for room in ("hybrid", "neural", "plugins", "sessions"):
        for path in (ROOT / room).iterdir():
            if path.suffix in (".py", ".safetensors", ".json", ".csv"):
                assert f"unstir/{room}/{path.name}" in names
    for folder in ("demo", "page"):
        for path in (ROOT / "src/unstir" / folder).iterdir():
            assert f"unstir/{folder}/{path.name}" in names
    assert "unstir/py.typed" in names
    assert not any(name.startswith(("tests", "hybrid/", "scripts")) for name in names)


def test_the_source_archive_holds_the_licence(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "hybrid/midside.py"} <= names


def test_the_installed_wheel_runs(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--disable-pip-version-check",
        "--target",
        tmp_path / "site",
        wheel,
        cwd=tmp_path,
    )
    path = {"PYTHONPATH": str(tmp_path / "site")}
    assert str(tmp_path / "site") in run(sys.executable, "-c", TRY, cwd=tmp_path, **path)
    assert run(sys.executable, "-m", "unstir", "--version", cwd=tmp_path, **path).strip() == (
        f"unstir {__version__}"
    )
    rows = run(sys.executable, "-m", "unstir", "methods", "--json", cwd=tmp_path, **path)
    assert '"midside"' in rows


def test_an_uninstalled_checkout_runs(tmp_path: Path) -> None:
    where = run(sys.executable, "-c", TRY, cwd=tmp_path, PYTHONPATH=str(ROOT / "src"))
    assert where.strip() == str(ROOT / "src/unstir/__init__.py")


def test_the_editable_install_is_this_checkout(tmp_path: Path) -> None:
    where = run(sys.executable, "-c", TRY, cwd=tmp_path, PYTHONPATH="")
    assert Path(where.strip()).resolve() == ROOT / "src/unstir/__init__.py"
