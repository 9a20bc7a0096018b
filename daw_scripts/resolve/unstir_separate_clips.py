"""Separates the sound of the selected clips of Resolve's timeline; stems go on new audio tracks.

Copy this file into Resolve's folder for scripts, Fusion/Scripts/Edit, and start it from
Workspace > Scripts. Where `unstir` is not on the path, name it in PROGRAM below or in the
environment variable UNSTIR. It takes Resolve 19.0.2 or later and Python 3.8 or later, with nothing
but the standard library; progress and the cancel button show where Python has tkinter.

Resolve 21.0.4 and later say which clips are selected. In earlier ones, give the clips that are
meant the clip color Orange.

How it was tested: against stand-ins of Resolve's objects that know the names and numbers of
arguments of its documented calls, with the real `unstir`. It was NOT run in Resolve.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PROGRAM = ""
STEMS = "film"  # speech, music, effects; or "song": vocals, accompaniment
COLOR = "Orange"
TRACKS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class Problem(Exception):
    """What went wrong and what to do, in one sentence."""


def program() -> str:
    """Return where unstir is."""
    found = shutil.which(PROGRAM or os.environ.get("UNSTIR") or "unstir")
    if found is None:
        raise Problem("unstir was not found; name it in PROGRAM at the top of this script.")
    return found


def has(thing: Any, name: str) -> bool:
    """Return whether this version of Resolve has a call."""
    return callable(getattr(thing, name, None))


def selected(timeline: Any) -> list[Any]:
    """Return the clips to work on, picture or sound."""
    if has(timeline, "GetSelectedClips"):
        items = timeline.GetSelectedClips()
    else:
        tracks = range(1, timeline.GetTrackCount("audio") + 1)
        every = [item for i in tracks for item in timeline.GetItemListInTrack("audio", i) or []]
        items = [item for item in every if item.GetClipColor() == COLOR]
    if not items:
        raise Problem(
            "No clip is selected; select some, or before Resolve 21 give them the clip color "
            + COLOR
            + "."
        )
    return list(items)


def part(item: Any, fps: float) -> tuple[str, float, float, float] | None:
    """Return file, start and end in seconds, and place and length on the timeline in frames.

    Linked picture and sound give the same. None is for what has no file, as titles.
    """
    media = item.GetMediaPoolItem()
    file = media.GetClipProperty("File Path") if media else ""
    if not file:
        return None
    start = item.GetSourceStartTime()
    length = item.GetDuration(True) / fps
    if abs(item.GetSourceEndTime() - start - length) > 1.5 / fps:
        raise Problem(item.GetName() + " runs at another speed; render it in place first.")
    # Time of sources may count from their time code; the offset is from the file's first frame.
    return (file, item.GetLeftOffset(True) / fps, length, item.GetStart(True))


def separate(file: str, start: float, length: float, folder: Path, window: Any) -> dict[str, str]:
    """Return the stems' files by name, in order; empty if it was cancelled."""
    command = [program(), "separate", file, "-o", str(folder), "--stems", STEMS, "--json"]
    command += ["--format", "float32", "--from", f"{start:.6f}", "--to", f"{start + length:.6f}"]
    hidden: dict[str, Any] = {"creationflags": 0x08000000} if sys.platform == "win32" else {}
    process: Any = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", **hidden
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    files: dict[str, str] = {}
    last = "it said nothing"
    try:
        while True:
            if window.cancelled():
                return {}
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                break
            try:
                event = json.loads(line)
            except ValueError:
                last = line.strip() or last
                continue
            if event["event"] == "progress" and event["total"]:
                window.show(event["stage"], event["done"] / event["total"])
            elif event["event"] == "result":
                files = event["files"]
            elif event["event"] == "error":
                last = event["text"]
    finally:
        process.terminate()
        process.wait()
        listener.join()
        process.stdout.close()
    if not files:
        raise Problem("unstir could not separate " + file + ": " + last)
    return files


def lay(pool: Any, files: dict[str, str], tracks: dict[str, int], at: float, length: int) -> None:
    """Put stems on their tracks, and look whether they are there."""
    for name, file in files.items():
        media = pool.ImportMedia([file])
        if not media:
            raise Problem("Resolve did not import " + file + "; import it by hand.")
        frames = media[0].GetClipProperty("Frames")
        placed = pool.AppendToTimeline(
            [
                {
                    "mediaPoolItem": media[0],
                    "startFrame": 0,
                    "endFrame": int(frames) if str(frames).isdigit() else length,
                    "mediaType": 2,
                    "trackIndex": tracks[name],
                    "recordFrame": at,
                }
            ]
        )
        # Calls of Resolve's may say yes and do nothing.
        if not placed or abs(placed[0].GetStart(True) - at) >= 1:
            raise Problem("Resolve did not put " + file + " in its place; move it by hand.")


def add_tracks(timeline: Any, names: Any, n_channels: int, title: str) -> dict[str, int]:
    """Add a track for each stem; return their numbers."""
    found = {}
    for name in names:
        if not timeline.AddTrack("audio", TRACKS.get(n_channels, f"adaptive{n_channels}")):
            raise Problem("Resolve did not add an audio track; unlock the timeline.")
        found[name] = timeline.GetTrackCount("audio")
        timeline.SetTrackName("audio", found[name], (title + " " + name).strip())
    return found


def n_channels_of(file: str) -> int:
    """Return how many channels a WAV or RF64 file has."""
    with open(file, "rb") as wave:
        head = wave.read(2**16)
    at = head.index(b"fmt ")
    return int.from_bytes(head[at + 10 : at + 12], "little")


def silence(timeline: Any, done: set[Any], fps: float) -> None:
    """Switch the clips off whose stems lie on other tracks, but not their picture."""
    for i in range(1, timeline.GetTrackCount("audio") + 1):
        for item in timeline.GetItemListInTrack("audio", i) or []:
            with contextlib.suppress(Problem):
                if part(item, fps) in done:
                    item.SetClipEnabled(False)


def work(resolve: Any, window: Any, folder: Path) -> None:
    """Do it all."""
    project = resolve.GetProjectManager().GetCurrentProject()
    timeline = project.GetCurrentTimeline() if project else None
    if not timeline:
        raise Problem("No timeline is open; open one and select clips on it.")
    fps = float(timeline.GetSetting("timelineFrameRate"))
    parts = {found for item in selected(timeline) if (found := part(item, fps))}
    if not parts:
        raise Problem("The selected clips have no file with sound; select others.")
    lanes: list[dict[str, Any]] = []  # clips at the same time go on tracks of their own
    done: set[Any] = set()
    for i, one in enumerate(sorted(parts, key=lambda found: found[3]), 1):
        file, start, length, at = one
        files = separate(file, start, length, folder / str(i), window)
        if not files:
            break
        n_channels = n_channels_of(next(iter(files.values())))
        free = (lane for lane in lanes if lane["end"] <= at and lane["n"] == n_channels)
        lane = next(free, None)
        if lane is None:
            title = str(len(lanes) + 1) if lanes else ""
            lane = {"tracks": add_tracks(timeline, files, n_channels, title), "n": n_channels}
            lanes.append(lane)
        lane["end"] = at + length * fps
        lay(project.GetMediaPool(), files, lane["tracks"], at, round(length * fps))
        done.add(one)
    silence(timeline, done, fps)


class Window:
    """Progress and a cancel button; lines on the console where there is no tkinter."""

    def __init__(self) -> None:
        self._closed, self._said = False, ""
        self._root: Any = None
        try:
            import tkinter
            from tkinter import ttk

            self._root = tkinter.Tk()
        except Exception:  # no tkinter, or no screen
            return
        self._root.title("Unstir")
        self._text = tkinter.StringVar(value="starting")
        self._bar = ttk.Progressbar(self._root, length=360, maximum=1.0)
        ttk.Label(self._root, textvariable=self._text).pack(padx=12, pady=6)
        self._bar.pack(padx=12)
        ttk.Button(self._root, text="Cancel", command=self._close).pack(pady=8)
        self._root.protocol("WM_DELETE_WINDOW", self._close)

    def _close(self) -> None:
        self._closed = True

    def show(self, stage: str, share: float) -> None:
        """Tell how far it is."""
        if self._root is not None:
            self._text.set(stage)
            self._bar["value"] = share
        elif stage != self._said:
            self._said = stage
            print("Unstir:", stage)

    def cancelled(self) -> bool:
        """Return whether the button was pressed."""
        if self._root is not None:
            self._root.update()
        return self._closed

    def tell(self, text: str) -> None:
        """Say why nothing, or not all, was done."""
        print("Unstir:", text)
        if self._root is not None:
            from tkinter import messagebox

            messagebox.showerror("Unstir", text)

    def close(self) -> None:
        """Take it off the screen."""
        if self._root is not None:
            self._root.destroy()


def main(resolve: Any) -> None:
    """Run from Resolve's menu."""
    window = Window()
    folder = Path.home() / "Unstir" / time.strftime("%Y-%m-%d %H.%M.%S")
    try:
        work(resolve, window, folder)
    except Problem as problem:
        window.tell(str(problem))
    finally:
        window.close()


if "resolve" in globals():  # Resolve's menu sets it
    main(globals()["resolve"])
