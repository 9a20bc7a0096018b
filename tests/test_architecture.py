"""Arrows point down only, rooms are flat, files fit in a head."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HALL = ROOT / "src" / "unstir"
ROOMS = ("hybrid", "neural", "plugins", "sessions")

# From the ground up: a module imports only from lines above its own, or its own line.
LEVELS = (
    ("errors", "heap"),
    ("types",),
    ("catalog", "queries"),
    ("spectral", "riff", "loudness", "pcm", "evaluate", "channels", "packets", "weights"),
    ("metrics", "report_audio"),
    ("containers", "settings", "streaming", "registry", "scene"),
    ("soundfiles", "scan", "midi", "remux", "framerate"),
    ("audio", "picture", "report_pictures"),
    ("hybrid", "neural"),
    ("joined", "pitch", "markers", "stem_folder"),
    ("refining", "provenance"),
    ("provenance_picture", "chain_picture"),
    ("journal", "mixes"),
    ("deliver",),
    ("run_notes",),
    ("run",),
    ("separate",),
    ("compare", "plugins", "sessions"),
    ("finding",),
    ("extracting", "sighting"),
    ("recording", "worker_job"),
    ("worker_chain", "worker_tasks"),
    ("live", "reapack", "worker"),
    ("ablation", "query_proof"),
    ("console",),
    ("demonstrate", "bench", "bench_neural", "bench_remix", "bench_tasks"),
    ("evaluation", "proof_tables", "report_sources"),
    ("contest",),
    ("proof",),
    ("report",),
    ("report_tables",),
    ("report_page",),
    ("report_files",),
    (
        "cli_bench",
        "cli_chains",
        "cli_compare",
        "cli_data",
        "cli_evaluate",
        "cli_extract",
        "cli_live",
        "cli_models",
        "cli_notes",
        "cli_reaper",
        "cli_remix",
        "cli_separate",
        "cli_session",
        "cli_train",
        "cli_worker",
    ),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}


def modules() -> list[tuple[str, Path]]:
    hall = [(path.stem, path) for path in HALL.glob("*.py") if path.stem != "__init__"]
    return hall + [(room, path) for room in ROOMS for path in (ROOT / room).glob("*.py")]


def imported(path: Path) -> set[str]:
    """Return what a module imports of ours, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "unstir":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("unstir."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("unstir.")}
    return found - {"__version__"}


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda x: getattr(x, "stem", x))
def test_imports_point_down_only(name: str, path: Path) -> None:
    assert name in LEVEL, f"say in LEVELS where {name} stands"
    for other in imported(path):
        assert LEVEL[other] <= LEVEL[name], f"{path.name} must not import {other}"
        if name in ROOMS and other in ROOMS:
            assert name == other, "rooms do not know each other"


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda x: getattr(x, "stem", x))
def test_a_file_fits_in_a_head(name: str, path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420


def test_no_two_hall_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imported(path) for name, path in modules() if name not in ROOMS}

    def reach(name: str, seen: frozenset[str]) -> None:
        assert name not in seen, f"{name} imports itself by way of {sorted(seen)}"
        for other in graph.get(name, ()):
            reach(other, seen | {name})

    for name in graph:
        reach(name, frozenset())


def test_only_audio_modules_touch_media_files_and_rooms_keep_their_libraries() -> None:
    allowed = {
        "soundfile": {"soundfiles", "scene", "report_audio"},
        "av": {"containers", "framerate", "remux"},
        "torch": {
            "hybrid",
            "neural",
            "joined",
            "refining",
            "provenance",
            "ablation",
            "contest",
            "proof",
            "bench",
            "bench_neural",
            "bench_tasks",
        },
        "librosa": {"hybrid", "bench", "bench_tasks"},
        "pedalboard": {"plugins"},
        "transformers": {"neural"},
        "aaf2": {"sessions"},
        "opentimelineio": {"sessions"},
        "rpp": {"sessions"},
        "matplotlib": {"chain_picture", "picture", "provenance_picture", "report_pictures"},
    }
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for library in {n.split(".")[0] for n in names} & set(allowed):
                assert name in allowed[library], f"{path.name} imports {library}"


def test_the_packages_are_the_folders_and_the_links_lead_there() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = config["tool"]["setuptools"]["packages"]
    rooms = [room for room in ROOMS if (ROOT / room / "__init__.py").exists()]
    assert packages == ["unstir", *(f"unstir.{room}" for room in rooms)]
    for room in rooms:
        assert (HALL / room).resolve() == ROOT / room
        assert not any(p.is_dir() and p.name != "__pycache__" for p in (ROOT / room).iterdir())
