"""The Resolve script against stand-ins that know Resolve's calls, and the real unstir."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from tests.sounds import mixture_of, scene

SCRIPT = Path(__file__).resolve().parents[2] / "daw_scripts/resolve/unstir_separate_clips.py"
RATE, FPS = 48000, 25.0

# What Resolve documents: each call and how many arguments it takes.
DOCUMENTED = {
    "GetProjectManager": {0},
    "GetCurrentProject": {0},
    "GetCurrentTimeline": {0},
    "GetMediaPool": {0},
    "ImportMedia": {1},
    "AppendToTimeline": {1},
    "GetSetting": {1},
    "GetTrackCount": {1},
    "GetItemListInTrack": {2},
    "GetSelectedClips": {0},
    "AddTrack": {1, 2},
    "SetTrackName": {3},
    "GetName": {0},
    "GetClipColor": {0},
    "GetMediaPoolItem": {0},
    "GetClipProperty": {0, 1},
    "GetDuration": {0, 1},
    "GetStart": {0, 1},
    "GetLeftOffset": {0, 1},
    "GetSourceStartTime": {0},
    "GetSourceEndTime": {0},
    "SetClipEnabled": {1},
}
PLACED = {"mediaPoolItem", "startFrame", "endFrame", "mediaType", "trackIndex", "recordFrame"}


class Thing:
    """An object of Resolve's: only documented calls, with as many arguments as documented."""

    def __init__(self, **calls: Any) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        if name not in self._calls:
            return None  # as Resolve's objects do

        def call(*words: Any) -> Any:
            assert len(words) in DOCUMENTED[name], f"{name} does not take {len(words)}"
            value = self._calls[name]
            return value(*words) if callable(value) else value

        return call


class Edit:
    """A timeline that remembers what was put on it."""

    def __init__(self, *items: Thing, knows_selection: bool = True) -> None:
        self.tracks: list[tuple[str, list[Thing]]] = [("stereo", list(items))]
        self.names: dict[int, str] = {}
        self.off: list[Thing] = []
        calls: dict[str, Any] = {
            "GetSetting": {"timelineFrameRate": FPS}.get,
            "GetTrackCount": lambda kind: {"audio": len(self.tracks)}[kind],
            "GetItemListInTrack": lambda kind, i: self.tracks[i - 1][1],
            "AddTrack": self._add,
            "SetTrackName": lambda kind, i, name: self.names.__setitem__(i, name) is None,
        }
        if knows_selection:
            calls["GetSelectedClips"] = lambda: list(items)
        self.timeline = Thing(**calls)
        pool = Thing(
            ImportMedia=lambda files: [media(file) for file in files], AppendToTimeline=self._append
        )
        project = Thing(GetCurrentTimeline=self.timeline, GetMediaPool=pool)
        self.resolve = Thing(GetProjectManager=Thing(GetCurrentProject=project))

    def _add(self, kind: str, width: str) -> bool:
        assert kind == "audio"
        self.tracks.append((width, []))
        return True

    def _append(self, clips: list[dict[str, Any]]) -> list[Thing]:
        placed = []
        for clip in clips:
            assert set(clip) == PLACED and clip["mediaType"] == 2
            length = clip["endFrame"] - clip["startFrame"]
            file = clip["mediaPoolItem"].GetClipProperty("File Path")
            placed.append(item(Path(file), clip["recordFrame"], length))
            self.tracks[clip["trackIndex"] - 1][1].append(placed[-1])
        return placed


def media(file: str) -> Thing:
    frames = str(round(sf.info(file).frames / RATE * FPS))
    return Thing(GetClipProperty={"File Path": file, "Frames": frames}.get)


def item(file: Path, at: float, n_frames: float, first: float = 0, speed: float = 1.0) -> Thing:
    hour = 3600.0  # sources count from their time code
    made = Thing(
        GetName=file.name,
        GetMediaPoolItem=media(str(file)),
        GetStart=lambda exact=False: at,
        GetDuration=lambda exact=False: n_frames,
        GetLeftOffset=lambda exact=False: first,
        GetSourceStartTime=hour + first / FPS,
        GetSourceEndTime=hour + (first + n_frames * speed) / FPS,
        GetClipColor="Orange",
    )
    made._calls["SetClipEnabled"] = lambda on: made.__dict__.__setitem__("on", on) is None
    return made


class Watch:
    """A window nobody sees."""

    def __init__(self, cancel: bool = False) -> None:
        self.stages: list[str] = []
        self._cancel = cancel

    def show(self, stage: str, share: float) -> None:
        assert 0 <= share <= 1
        self.stages.append(stage)

    def cancelled(self) -> bool:
        return self._cancel


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("unstir_separate_clips", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("UNSTIR", str(Path(sys.executable).with_name("unstir")))
    return module


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    file = tmp_path / 'it\'s "a" mix.wav'
    sf.write(file, mixture_of(scene(1.2, RATE, channels=2)).T, RATE, subtype="FLOAT")
    return file


def test_stems_go_on_new_tracks_at_the_clips_place(
    script: ModuleType, sound: Path, tmp_path: Path
) -> None:
    clip = item(sound, at=90000 + 7, n_frames=10, first=5)
    edit = Edit(clip)
    window = Watch()
    script.work(edit.resolve, window, tmp_path / "out")
    assert [width for width, _ in edit.tracks[1:]] == ["stereo"] * 3
    assert edit.names == {2: "speech", 3: "music", 4: "effects"}
    stems = [placed for _, on_track in edit.tracks[1:] for placed in on_track]
    assert [(s.GetStart(True), s.GetDuration(True)) for s in stems] == [(90007, 10)] * 3
    files = [s.GetMediaPoolItem().GetClipProperty("File Path") for s in stems]
    total = sum(sf.read(file, dtype="float64")[0] for file in files)
    begin = round(5 / FPS * RATE)
    want = sf.read(sound, dtype="float64")[0][begin : begin + round(10 / FPS * RATE)]
    assert np.abs(total - want).max() <= 1e-6
    assert clip.on is False
    assert "separating" in window.stages


def test_clips_at_the_same_time_do_not_share_tracks(
    script: ModuleType, sound: Path, tmp_path: Path
) -> None:
    edit = Edit(item(sound, 0, 4), item(sound, 2, 4, first=2), item(sound, 10, 4, first=3))
    script.separate = lambda file, start, length, folder, window: {"speech": file}
    script.work(edit.resolve, Watch(), tmp_path)
    assert [len(on_track) for _, on_track in edit.tracks[1:]] == [2, 1]
    assert edit.names == {2: "speech", 3: "2 speech"}


def test_before_resolve_21_the_orange_clips_are_meant(script: ModuleType, sound: Path) -> None:
    orange, plain = item(sound, 0, 4), item(sound, 8, 4)
    plain._calls["GetClipColor"] = ""
    assert script.selected(Edit(orange, plain, knows_selection=False).timeline) == [orange]


def test_a_cancelled_run_adds_nothing(script: ModuleType, sound: Path, tmp_path: Path) -> None:
    clip = item(sound, 0, 10)
    edit = Edit(clip)
    script.work(edit.resolve, Watch(cancel=True), tmp_path / "out")
    assert len(edit.tracks) == 1
    assert "on" not in clip.__dict__


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("nothing", "No clip is selected"),
        ("speed", "another speed"),
        ("program", "was not found"),
        ("file", "could not separate"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    harm: str,
    said: str,
    script: ModuleType,
    sound: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips = [] if harm == "nothing" else [item(sound, 0, 10, speed=2 if harm == "speed" else 1)]
    edit = Edit(*clips)
    if harm == "program":
        monkeypatch.setenv("UNSTIR", "/nowhere/unstir")
    if harm == "file":
        sound.write_bytes(b"RIFF")
    with pytest.raises(script.Problem, match=said):
        script.work(edit.resolve, Watch(), tmp_path / "out")
    assert len(edit.tracks) == 1


def test_it_calls_only_what_resolve_documents_and_imports_only_the_standard_library() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    called = set(re.findall(r"\.([A-Z]\w+)\(", text)) - {"Popen", "Queue", "Thread", "Tk"}
    called -= {"StringVar", "Progressbar", "Label", "Button"}
    assert called <= set(DOCUMENTED)
    imported = re.findall(r"^\s*(?:import|from) (\w+)", text, re.M)
    assert set(imported) <= set(sys.stdlib_module_names) | {"__future__"}
    assert "NOT run in Resolve" in (inspect.cleandoc(text.split('"""')[1]))
