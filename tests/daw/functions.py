"""What Reaper's functions do to the simulated projects."""

import copy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.daw import model
from tests.daw.eel import Effect
from tests.daw.mixer import take_sound
from tests.daw.model import Fx, Item, Project, Source, Take, Track, value

if TYPE_CHECKING:
    from tests.daw.host import Reaper


@lru_cache
def _loaded(path: Path) -> Effect:
    return Effect(path, 48000, 2)


class Accessor:
    """An AudioAccessor of a take: its sound before gains, fades and effects."""

    def __init__(self, item: Item, take: Take) -> None:
        self.item, self.take = item, take


class Functions:
    """One method per function of the `reaper` table, named as there."""

    def __init__(self, host: "Reaper") -> None:
        self._host = host
        self.open_accessors = 0
        self._listed: dict[str, list[str]] = {}

    def _project(self, project: Project | int) -> Project:
        return self._host.front if isinstance(project, int) else project

    def _of(self, thing: Item | Take | Track) -> Project:
        return next(p for p in self._host.projects if p.holds(thing))

    # Reaper itself

    def GetOS(self) -> str:
        return self._host.os_name

    def GetAppVersion(self) -> str:
        return "7.40/simulated"

    def GetResourcePath(self) -> str:
        return self._host.projects[0].folder

    def APIExists(self, name: str) -> bool:
        return name in self._host.extensions

    def ImGui_GetBuiltinPath(self) -> str:
        return self._host.projects[0].folder

    def file_exists(self, path: str) -> bool:
        return Path(path).is_file()

    def EnumerateFiles(self, folder: str, i: int) -> str | None:
        if i < 0:  # only this makes Reaper look again
            self._listed.pop(folder, None)
            return None
        if folder not in self._listed:
            files = (path for path in Path(folder).iterdir() if path.is_file())
            self._listed[folder] = sorted(path.name for path in files)
        known = self._listed[folder]
        return known[int(i)] if i < len(known) else None

    def AddRemoveReaScript(self, add: bool, section: int, path: str, commit: bool) -> int:
        self._host.registered.append(path)
        return 1

    def SetMediaItemSelected(self, item: Item, selected: bool) -> None:
        item.selected = selected

    def time_precise(self) -> float:
        import time

        return time.perf_counter() if self._host.real_processes else self._host.now_s

    def defer(self, function: Any) -> bool:
        self._host.deferred.append(function)
        return True

    def atexit(self, function: Any) -> bool:
        self._host.at_exit.append(function)
        return True

    def MB(self, text: str, title: str, kind: int) -> int:
        self._host.messages.append(text)
        return self._host.answers.pop(0) if self._host.answers else 1

    def ShowConsoleMsg(self, text: str) -> None:
        self._host.console.append(text)

    def GetUserInputs(self, title: str, n: int, captions: str, values: str) -> tuple[bool, str]:
        self._host.windows.append(title)
        answer = self._host.answers.pop(0) if self._host.answers else None
        return (answer is not None, values if answer is None else answer)

    def GetExtState(self, section: str, key: str) -> str:
        return self._host.ext_state.get((section, key), "")

    def SetExtState(self, section: str, key: str, text: str, persist: bool) -> None:
        self._host.ext_state[section, key] = text

    def genGuid(self, guid: str | None) -> str:
        return model.new_guid()

    def RecursiveCreateDirectory(self, path: str, ignored: int) -> int:
        Path(path).mkdir(parents=True, exist_ok=True)
        return 1

    def ExecProcess(self, command: str, wait_ms: int) -> str | None:
        assert wait_ms < 0, "Reaper would be blocked"
        return "" if self._host._execute(command) else None

    def GetAudioDeviceInfo(self, key: str) -> tuple[bool, str]:
        return True, "48000"

    def Main_OnCommandEx(self, command: int, flag: int, project: Project) -> None:
        self._host.commands.append(int(command))
        if command == 41051:  # toggle reverse
            for item in (one for one in self._project(project).items if one.selected):
                source = item.take.source
                if source.section and source.section[2] and source.parent:
                    item.take.source = source.parent
                else:
                    item.take.source = source.cut(0.0, source.length_s, backward=True)

    def PreventUIRefresh(self, step: int) -> None:
        self._host.refresh_stopped += step

    def UpdateArrange(self) -> None:
        pass

    def draw(self, name: str, *values: Any) -> Any:
        if name == "init":
            self._host.windows.append(values[0])
        elif name == "drawstr":
            self._host.lines.append(values[0])
        elif name == "showmenu":
            self._host.windows.append(values[0])
            return self._host.answers.pop(0)
        elif name == "getchar":
            return self._host.keys.pop(0) if self._host.keys else 0
        elif name == "measurestr":
            return 8.0 * len(values[0]), 15.0
        return 0

    # Projects

    def EnumProjects(self, i: int) -> tuple[Project | None, str]:
        if i == -1:
            return self._host.front, ""
        known = self._host.projects
        return (known[int(i)], "") if i < len(known) else (None, "")

    def GetProjectPathEx(self, project: Project) -> str:
        return self._project(project).folder

    def GetSetProjectInfo(self, project: Project, key: str, new: float, write: bool) -> float:
        self._named("project", key)
        rate = self._project(project).rate
        return float(rate > 0) if key == "PROJECT_SRATE_USE" else float(rate)

    def GetSet_LoopTimeRange2(
        self, project: Project, write: bool, loop: bool, start: float, end: float, seek: bool
    ) -> tuple[float, float]:
        return self._project(project).time_selection

    def Undo_BeginBlock2(self, project: Project) -> None:
        self._project(project).begin()

    def Undo_EndBlock2(self, project: Project, name: str, flags: int) -> None:
        self._project(project).end(name)

    # Tracks

    def CountTracks(self, project: Project) -> int:
        return len(self._project(project).tracks)

    def GetTrack(self, project: Project, i: int) -> Track | None:
        tracks = self._project(project).tracks
        return tracks[int(i)] if 0 <= i < len(tracks) else None

    def InsertTrackAtIndex(self, i: int, defaults: bool) -> None:
        self._host.front.tracks.insert(int(i), Track())

    def DeleteTrack(self, track: Track) -> None:
        self._of(track).tracks.remove(track)

    def CountTrackMediaItems(self, track: Track) -> int:
        return len(track.items)

    def GetTrackMediaItem(self, track: Track, i: int) -> Item | None:
        return track.items[int(i)] if 0 <= i < len(track.items) else None

    def TrackFX_GetCount(self, track: Track) -> int:
        return len(track.fx)

    def TrackFX_CopyToTrack(self, a: Track, fx: int, b: Track, at: int, move: bool) -> None:
        b.fx.insert(int(at), copy.deepcopy(a.fx[int(fx)]))

    def TrackFX_GetFXName(self, track: Track, fx: int) -> tuple[bool, str]:
        return True, track.fx[int(fx)].name

    def TrackFX_AddByName(self, track: Track, name: str, recording: bool, always: int) -> int:
        assert not recording and always < 0
        return self._add_fx(track, name)

    def TrackFX_SetParam(self, track: Track, fx: int, parameter: int, new: float) -> bool:
        return self._set_parameter(track, fx, parameter, new)

    def TrackFX_GetParam(self, track: Track, fx: int, parameter: int) -> tuple[float, ...]:
        return self._parameter(track, fx, parameter)

    def CountSelectedTracks(self, project: Project) -> int:
        return sum(track.selected for track in self._project(project).tracks)

    def GetSelectedTrack(self, project: Project, i: int) -> Track | None:
        found = [track for track in self._project(project).tracks if track.selected]
        return found[int(i)] if 0 <= i < len(found) else None

    def GetMediaTrackInfo_Value(self, track: Track, key: str) -> float:
        self._named("track", key)
        if key == "IP_TRACKNUMBER":
            return float(self._of(track).tracks.index(track) + 1)
        return value(track, key)

    def SetMediaTrackInfo_Value(self, track: Track, key: str, new: float) -> bool:
        return self._set("track", track, key, new)

    def GetSetMediaTrackInfo_String(
        self, track: Track, key: str, new: str, write: bool
    ) -> tuple[bool, str]:
        if key == "P_RAZOREDITS":
            return True, track.razor
        return self._text("track", track, key, new, write)

    def ColorToNative(self, r: int, g: int, b: int) -> int:
        return int(r) | int(g) << 8 | int(b) << 16

    # Items

    def CountMediaItems(self, project: Project) -> int:
        return len(self._project(project).items)

    def GetMediaItem(self, project: Project, i: int) -> Item | None:
        items = self._project(project).items
        return items[int(i)] if 0 <= i < len(items) else None

    def CountSelectedMediaItems(self, project: Project) -> int:
        return sum(item.selected for item in self._project(project).items)

    def GetSelectedMediaItem(self, project: Project, i: int) -> Item | None:
        found = [item for item in self._project(project).items if item.selected]
        return found[int(i)] if 0 <= i < len(found) else None

    def GetMediaItem_Track(self, item: Item) -> Track:
        return self._of(item).track_of(item)

    def AddMediaItemToTrack(self, track: Track) -> Item:
        item = Item()
        track.items.append(item)
        return item

    def DeleteTrackMediaItem(self, track: Track, item: Item) -> bool:
        track.items.remove(item)
        return True

    def SplitMediaItem(self, item: Item, at: float) -> Item | None:
        return model.split(self.GetMediaItem_Track(item), item, at)

    def GetMediaItemInfo_Value(self, item: Item, key: str) -> float:
        self._named("item", key)
        return value(item, key)

    def SetMediaItemInfo_Value(self, item: Item, key: str, new: float) -> bool:
        return self._set("item", item, key, new)

    def GetSetMediaItemInfo_String(
        self, item: Item, key: str, new: str, write: bool
    ) -> tuple[bool, str]:
        return self._text("item", item, key, new, write)

    def GetItemStateChunk(self, item: Item, text: str, undo: bool) -> tuple[bool, str]:
        lines = ["<ITEM", f"POSITION {value(item, 'D_POSITION')}"]
        for i, take in enumerate(item.takes):
            lines += ["TAKE"] if i else []
            lines += ["<SOURCE WAVE", f'FILE "{take.source.path}"', ">", *take.envelopes]
        return True, "\n".join([*lines, ">"]) + "\n"

    def SetItemStateChunk(self, item: Item, text: str, undo: bool) -> bool:
        lines = text.splitlines()
        assert lines[0] == "<ITEM" and lines[-1] == ">" and "TAKE" not in lines
        depth, block, found = 0, [], []
        for line in lines:
            depth += line.startswith("<")
            block += [line] if depth == 2 else []
            if line == ">":
                depth -= 1
                if depth == 1:
                    found.append("\n".join(block))
                    block = []
        assert depth == 0, "a chunk that is not closed"
        item.take.envelopes = [one for one in found if not one.startswith("<SOURCE")]
        return True

    # Takes

    def GetActiveTake(self, item: Item) -> Take | None:
        return item.take if item.takes else None

    def GetTake(self, item: Item, i: int) -> Take | None:
        return item.takes[int(i)] if 0 <= i < len(item.takes) else None

    def CountTakes(self, item: Item) -> int:
        return len(item.takes)

    def SetActiveTake(self, take: Take) -> None:
        item = self.GetMediaItemTake_Item(take)
        item.active = item.takes.index(take)

    def AddTakeToMediaItem(self, item: Item) -> Take:
        take = Take(Source("EMPTY"))
        item.takes.append(take)
        return take

    def GetMediaItemTake_Item(self, take: Take) -> Item:
        return next(item for item in self._of(take).items if take in item.takes)

    def GetTakeName(self, take: Take) -> str:
        return take.name

    def TakeIsMIDI(self, take: Take) -> bool:
        return take.source.kind == "MIDI"

    def GetTakeNumStretchMarkers(self, take: Take) -> int:
        return take.stretch_markers

    def CountTakeEnvelopes(self, take: Take) -> int:
        return len(take.envelopes)

    def TakeFX_GetCount(self, take: Take) -> int:
        return len(take.fx)

    def TakeFX_CopyToTake(self, a: Take, fx: int, b: Take, at: int, move: bool) -> None:
        b.fx.insert(int(at), copy.deepcopy(a.fx[int(fx)]))

    def TakeFX_GetFXName(self, take: Take, fx: int) -> tuple[bool, str]:
        return True, take.fx[int(fx)].name

    def TakeFX_AddByName(self, take: Take, name: str, always: int) -> int:
        assert always < 0
        return self._add_fx(take, name)

    def TakeFX_SetParam(self, take: Take, fx: int, parameter: int, new: float) -> bool:
        return self._set_parameter(take, fx, parameter, new)

    def TakeFX_GetParam(self, take: Take, fx: int, parameter: int) -> tuple[float, ...]:
        return self._parameter(take, fx, parameter)

    def GetMediaItemTakeInfo_Value(self, take: Take, key: str) -> float:
        self._named("take", key)
        if key == "IP_TAKENUMBER":
            return float(self.GetMediaItemTake_Item(take).takes.index(take))
        return value(take, key)

    def SetMediaItemTakeInfo_Value(self, take: Take, key: str, new: float) -> bool:
        return self._set("take", take, key, new)

    def GetSetMediaItemTakeInfo_String(
        self, take: Take, key: str, new: str, write: bool
    ) -> tuple[bool, str]:
        return self._text("take", take, key, new, write)

    # Sources

    def GetMediaItemTake_Source(self, take: Take) -> Source:
        return take.source

    def SetMediaItemTake_Source(self, take: Take, source: Source) -> bool:
        take.source = source
        return True

    def PCM_Source_CreateFromFile(self, path: str) -> Source:
        return Source.of_file(path)

    def GetMediaSourceParent(self, source: Source) -> Source | None:
        return source.parent

    def PCM_Source_GetSectionInfo(self, source: Source) -> tuple[bool, float, float, bool]:
        return (True, *source.section) if source.section else (False, 0.0, 0.0, False)

    def GetMediaSourceType(self, source: Source) -> str:
        return source.kind

    def GetMediaSourceSampleRate(self, source: Source) -> int:
        return source.rate

    def GetMediaSourceNumChannels(self, source: Source) -> int:
        return source.n_channels

    def GetMediaSourceLength(self, source: Source) -> tuple[float, bool]:
        return source.length_s, source.kind == "MIDI"

    def GetMediaSourceFileName(self, source: Source) -> str:
        return source.path

    # Sound

    def CreateTakeAudioAccessor(self, take: Take) -> Accessor:
        self.open_accessors += 1
        return Accessor(self.GetMediaItemTake_Item(take), take)

    def DestroyAudioAccessor(self, accessor: Accessor) -> None:
        self.open_accessors -= 1

    def GetAudioAccessorStartTime(self, accessor: Accessor) -> float:
        return 0.0

    def GetAudioAccessorSamples(
        self, accessor: Accessor, rate: int, n_channels: int, start: float, n: int, buffer: Any
    ) -> int:
        t = start + np.arange(int(n)) / rate
        wave = take_sound(accessor.item, accessor.take, t)
        wave[:, t > value(accessor.item, "D_LENGTH") + 1e-9] = 0
        wave = np.repeat(wave, n_channels, axis=0) if len(wave) == 1 else wave
        for i, one in enumerate(wave[: int(n_channels)].T.ravel().tolist()):
            buffer[i + 1] = one
        return 1

    # Notes

    def CreateNewMIDIItemInProj(
        self, track: Track, start: float, end: float, beats: bool | None
    ) -> Item:
        item = Item([Take(Source("MIDI"))])
        item.values.update(D_POSITION=start, D_LENGTH=end - start)
        track.items.append(item)
        return item

    def MIDI_GetPPQPosFromProjTime(self, take: Take, time: float) -> float:
        item = self.GetMediaItemTake_Item(take)
        return (time - value(item, "D_POSITION")) * 1920  # 120 beats a minute

    def MIDI_InsertNote(
        self,
        take: Take,
        selected: bool,
        muted: bool,
        start: float,
        end: float,
        channel: int,
        key: int,
        velocity: int,
        unsorted: bool | None,
    ) -> bool:
        take.notes.append((start, end, int(key), int(velocity)))
        return True

    def MIDI_Sort(self, take: Take) -> None:
        take.notes.sort()

    # What several of them share

    def _effect(self, name: str) -> Effect | None:
        path = Path(self.GetResourcePath(), "Effects", name.removeprefix("JS:"))
        return _loaded(path) if path.is_file() else None

    def _add_fx(self, thing: Take | Track, name: str) -> int:
        effect = self._effect(name)
        if effect is None:
            return -1
        thing.fx.append(Fx(f"JS: {effect.title} [{name.removeprefix('JS:')}]"))
        return len(thing.fx) - 1

    def _set_parameter(self, thing: Take | Track, fx: int, parameter: int, new: float) -> bool:
        low, high, _, _ = self._slider(thing, fx, parameter)
        thing.fx[int(fx)].values[int(parameter)] = min(max(float(new), low), high)
        return True

    def _parameter(self, thing: Take | Track, fx: int, parameter: int) -> tuple[float, ...]:
        low, high, _, _ = self._slider(thing, fx, parameter)
        return thing.fx[int(fx)].values[int(parameter)], low, high

    def _slider(self, thing: Take | Track, fx: int, parameter: int) -> Any:
        effect = self._effect(thing.fx[int(fx)].name.partition("[")[2].rstrip("]"))
        assert effect is not None
        return effect.sliders[sorted(effect.sliders)[int(parameter)]]

    def _named(self, family: str, key: str) -> None:
        from tests.daw.host import API

        assert key.split(":")[0] in API["names"][family], f"{family}s have no {key}"

    def _set(self, family: str, thing: Item | Take | Track, key: str, new: float) -> bool:
        self._named(family, key)
        assert not key.startswith("IP_"), f"{key} cannot be set"
        thing.values[key] = float(new)
        return True

    def _text(
        self, family: str, thing: Item | Take | Track, key: str, new: str, write: bool
    ) -> tuple[bool, str]:
        self._named(family, key)
        if key == "GUID":
            assert not write
            return True, thing.guid
        if key == "P_NAME":
            if write:
                assert "\n" not in new and '"' not in new, "a name that corrupts project files"
                thing.name = new
            return True, thing.name
        if write:
            thing.ext[key] = new
        return key in thing.ext, thing.ext.get(key, "")
