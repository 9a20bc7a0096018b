"""The scripts as files: syntax, names, headers, sizes, the index, and getting them into Reaper."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scripts.reaper_api import facts, to_text

from tests.daw.host import API, SCRIPTS, Reaper
from tests.daw.model import Project
from unstir.cli_reaper import install
from unstir.errors import SettingsError
from unstir.reapack import build_index, check_index, read_header

FILES = sorted(SCRIPTS.rglob("*.lua"))
EFFECTS = sorted(SCRIPTS.rglob("*.jsfx"))
ACTIONS = sorted(SCRIPTS.glob("*.lua"))
SHARED = Path(__file__).resolve().parents[3] / "shared/reascript_api.json"
URL = "https://example.org/scripts"

named = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def tool(name: str, *others: str) -> str:
    found = next((one for one in (name, *others) if shutil.which(one)), None)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@named
def test_the_lua_compiler_takes(path: Path) -> None:
    done = subprocess.run([tool("luac5.4", "luac"), "-p", path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_luacheck_finds_nothing(tmp_path: Path) -> None:
    fields = {"reaper": {"new_array"}, "gfx": set(API["gfx_variables"])}
    for name in API["functions"]:
        table, _, field = name.partition(".")
        fields[table].add(field)
    config = ["std = 'lua53'", "max_line_length = 110", "read_globals = {"]
    config.append("reaper = { fields = {'" + "','".join(sorted(fields["reaper"])) + "'} },\n}")
    config.append("globals = { gfx = { fields = {'" + "','".join(sorted(fields["gfx"])) + "'} },")
    config.append("package = { fields = { path = { read_only = false } }, other_fields = true } }")
    (tmp_path / "luacheckrc").write_text("\n".join(config))
    command = [tool("luacheck"), "--config", tmp_path / "luacheckrc", "--no-color", "-q", *FILES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def code(path: Path) -> str:
    return re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))


@named
def test_every_function_that_is_called_exists(path: Path) -> None:
    text = code(path)
    known = {*API["functions"], *(f"gfx.{name}" for name in API["gfx_variables"])}
    called = set(re.findall(r"\b(?:reaper|gfx)\.\w+", text))
    assert called <= known
    assert set(re.findall(r"\bImGui\.(\w+)\(", text)) <= set(API["imgui"])


@named
def test_a_script_fits_in_a_head_and_keeps_to_lua_5_3(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not re.search(r"<(const|close)>", text)
    assert len(re.findall(r"^local ", text, flags=re.M)) < 100


@named
def test_a_script_has_a_header_for_reapack(path: Path) -> None:
    header = read_header(path.read_text(encoding="utf-8"))
    if path.parent != SCRIPTS:
        assert set(header.tags) == {"noindex"}
    else:
        assert header.tags["description"].startswith("unstir: ")
        assert header.tags["version"] == "0.1.0"


def test_the_derived_facts_are_those_of_the_full_list() -> None:
    if not SHARED.exists():
        pytest.skip("the full list of functions is not here")
    full = json.loads(SHARED.read_text(encoding="utf-8"))
    kept = (Path(__file__).parent / "api.json").read_text(encoding="utf-8")
    assert to_text(facts(full)) == kept


def test_the_index_lists_every_script() -> None:
    content = build_index(SCRIPTS, URL, "2026-01-31T12:00:00Z")
    assert check_index(content, SCRIPTS) == len(FILES) + len(EFFECTS)
    index = ElementTree.fromstring(content)
    (package,) = index.iterfind("category/reapack")
    mains = [s for s in package.iterfind("version/source") if s.get("main")]
    assert len(mains) == len(ACTIONS)
    effects = [s.get("file") for s in package.iterfind("version/source") if s.get("type")]
    assert effects == [path.relative_to(SCRIPTS).as_posix() for path in EFFECTS]
    assert effects == ["unstir/equalizer.jsfx"]


@pytest.mark.parametrize(
    ("broken", "with_what"),
    [
        ('version="1" name="unstir"', 'version="1" name=""'),
        ("0.1.0", "v1"),
        ("0.1.0", "0.70000"),
        ("unstir/run.lua", "unstir/gone.lua"),
        ("https://", "ftp://"),
        ('type="effect" ', ""),
        ("</index>", ""),
    ],
)
def test_a_broken_index_is_refused(broken: str, with_what: str) -> None:
    content = build_index(SCRIPTS, URL, "2026-01-31T12:00:00Z").decode()
    assert broken in content
    with pytest.raises(SettingsError):
        check_index(content.replace(broken, with_what).encode(), SCRIPTS)


@pytest.mark.parametrize("text", ["-- @version x1\n", "-- @edition 1\n", "-- @version 1.65536\n"])
def test_a_broken_header_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        read_header(text)


def test_install_copies_and_lists_once(tmp_path: Path) -> None:
    listing = tmp_path / "reaper-kb.ini"
    listing.write_bytes(b'KEY 1 65 40001 0\nSCR 4 0 RS12 "Custom: mine.lua" "mine.lua"')
    for _ in range(2):
        target, listed = install(tmp_path, sys.executable)
        assert listed
    lines = listing.read_text().splitlines()
    assert lines[:2] == ["KEY 1 65 40001 0", 'SCR 4 0 RS12 "Custom: mine.lua" "mine.lua"']
    assert len(lines) == 2 + len(ACTIONS)
    assert (tmp_path / "reaper-kb.ini.before-unstir").read_bytes().endswith(b'"mine.lua"')
    copied = {path.relative_to(target) for path in target.rglob("*.lua")}
    assert copied == {path.relative_to(SCRIPTS) for path in FILES}
    effect = tmp_path / "Effects/unstir/equalizer.jsfx"
    assert effect.read_bytes() == EFFECTS[0].read_bytes()
    assert (target / "unstir/interpreter.txt").read_text() == f"{sys.executable}\n"


def test_install_without_a_listing_says_so(tmp_path: Path) -> None:
    assert not install(tmp_path, sys.executable)[1]
    with pytest.raises(SettingsError, match="resource folder"):
        install(tmp_path / "gone", sys.executable)


def test_an_installed_action_knows_its_interpreter(lua: str, tmp_path: Path) -> None:
    target, _ = install(tmp_path, "/the/python")
    reaper = Reaper(lua, Project(str(tmp_path)))
    reaper.scripts = target
    reaper.run("Register all actions")
    assert reaper.registered == [str(target / path.name) for path in ACTIONS]
    reaper.run("Check the set-up")
    reaper.worker = None
    [reaper.tick() for _ in range(3)]
    assert "'/the/python'" in reaper.launched[0]
