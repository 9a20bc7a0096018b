"""The Ardour script in Ardour's own Lua: its session, regions and tracks, and the real worker.

Ardour without its window has no selection, no dialogs and no import; `STAND_INS` has them.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.sessions.made import make
from tests.sessions.test_hosts import needs, run
from unstir.sessions.ardour import write_ardour
from unstir.sessions.session import read_session

SCRIPT = Path(__file__).resolve().parents[2] / "daw_scripts/ardour/unstir_separate_regions.lua"

STAND_INS = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = load_session("{folder}", "s")
ardour = function() end
local chosen
for t in s:get_tracks():iter() do
  if t:name():match("original") then chosen = t:to_track():playlist() end
end
Editing = {{ ImportDistinctFiles = "distinct", ImportAsTrack = "as track" }}
Editor = {{
  get_selection = function()
    local list = {empty} and ARDOUR.RegionList() or chosen:region_list()
    return {{ regions = {{ regionlist = function() return list end }} }}
  end,
  do_import = function(self, ...)
    local files, how, where, _, _, _, position = ...
    assert(select("#", ...) == 10 and how == "distinct" and where == "as track")
    for file in files:iter() do
      print("IMPORT|" .. file .. "|" .. position:samples())
      local name = file:match("([^/]+)[.]wav$")
      s:new_audio_track(2, 2, nil, 1, name, -1, ARDOUR.TrackMode.Normal, true)
    end
  end,
}}
LuaDialog = {{
  MessageType = {{ Error = 1 }},
  ButtonType = {{ Close = 1 }},
  Message = function(_, text)
    return {{ run = function() print("SAID|" .. text) end }}
  end,
  Dialog = function()
    return {{ run = function() return {{ stems = "film", mute = true }} end }}
  end,
  ProgressWindow = function()
    return {{
      progress = function(_, share, what)
        assert(share >= 0 and share <= 1)
        print("STAGE|" .. what)
      end,
      canceled = function() return {cancel} end,
      done = function() end,
    }}
  end,
}}
dofile("{script}")
factory(function() return {{ program = "{program}" }} end)()
for t in s:get_tracks():iter() do
  print("TRACK|" .. t:name() .. "|" .. string.format("%08x", t:presentation_info_ptr():color()))
end
for r in chosen:region_list():iter() do print("MUTED|" .. tostring(r:muted())) end
close_session()
"""


def play(tmp_path: Path, **words: str) -> tuple[list[list[str]], Path]:
    """Run the script on a session of half a second; return what it printed, and the session."""
    made = make(tmp_path / "it's in", seconds=0.5, lead=4800, start=48000)
    project = made.folder / "s" / "s.ardour"
    write_ardour(read_session(made.folder), project)
    values = {
        "folder": str(project.parent),
        "script": str(SCRIPT),
        "program": str(Path(sys.executable).with_name("unstir")),
        "empty": "false",
        "cancel": "false",
        **words,
    }
    file = tmp_path / "script.lua"
    file.write_text(STAND_INS.format(**values))
    done = run("ardour7-lua", file, cwd=tmp_path, limit_s=120)
    lines = [line.strip().split("|") for line in done.stdout.splitlines() if "|" in line]
    assert any(line[0] == "MUTED" for line in lines), done.stdout + done.stderr
    return lines, project.parent


def of_kind(lines: list[list[str]], kind: str) -> list[list[str]]:
    return [line[1:] for line in lines if line[0] == kind]


@pytest.mark.hosts
@needs("ardour7-lua")
def test_the_stems_of_a_region_go_to_its_place_and_add_up_to_it(tmp_path: Path) -> None:
    lines, folder = play(tmp_path)
    assert of_kind(lines, "SAID") == []
    imports = of_kind(lines, "IMPORT")
    assert [place for _, place in imports] == ["48000"] * 3
    total = sum(sf.read(file, dtype="float64")[0] for file, _ in imports)
    mix = sf.read(folder.parents[1] / "film one.wav", dtype="float64")[0][4800:]
    assert np.abs(total - mix).max() <= 1e-6
    tracks = of_kind(lines, "TRACK")[4:]
    stems = ("speech", "music", "effects")
    assert [name for name, _ in tracks] == [f"film one.wav (original) {s}" for s in stems]
    assert [color for _, color in tracks] == ["3f7df5ff", "1fae62ff", "f58220ff"]
    assert of_kind(lines, "MUTED") == [["true"]]
    assert ["starting"] in of_kind(lines, "STAGE")
    assert not list(folder.rglob("region *.wav"))


@pytest.mark.hosts
@needs("ardour7-lua")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"empty": "true"}, "No audio region is selected"),
        ({"program": "/nowhere/unstir"}, "unstir did not run"),
        ({"cancel": "true"}, None),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    words: dict[str, str], said: str | None, tmp_path: Path
) -> None:
    lines, folder = play(tmp_path, **words)
    assert [text for (text,) in of_kind(lines, "SAID") if not said or said not in text] == []
    assert len(of_kind(lines, "SAID")) == (said is not None)
    assert of_kind(lines, "IMPORT") == []
    assert len(of_kind(lines, "TRACK")) == 4
    assert of_kind(lines, "MUTED") == [["false"]]
    assert not list(folder.rglob("region *.wav"))


@needs("luac5.4")
def test_the_script_is_lua_and_keeps_all_in_its_factory() -> None:
    subprocess.run(["luac5.4", "-p", str(SCRIPT)], check=True)
    text = SCRIPT.read_text(encoding="utf-8")
    assert re.findall(r"^(?:function|local) *(\w*)", text, re.M) == ["action_params", "factory"]


@needs("luacheck")
def test_the_script_uses_no_name_that_ardour_lacks() -> None:
    known = "Editor Session ARDOUR LuaDialog Editing C"
    options = "--no-config --std lua53 --no-color --max-line-length 120"
    named = f"--globals ardour factory action_params --read-globals {known} --"
    done = subprocess.run(
        ["luacheck", *options.split(), *named.split(), str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
