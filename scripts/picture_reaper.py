"""Draw docs/reaper.png: the tracks of the simulated Reaper after a separation.

python scripts/picture_reaper.py METHOD
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from tests.daw.host import Reaper  # noqa: E402
from tests.daw.model import Item, Project, Source, Take, Track, value  # noqa: E402

from unstir.worker import work  # noqa: E402

STEMS = sorted((ROOT / "src/unstir/demo").glob("*.flac"))  # of the scene that ships
START_S, SHOWN_S, NAMES_S = 1.0, 20.0, 5.0
DARK, PANEL, LIGHT, GRAY = "#2b2d30", "#3a3d41", "#e8e8e8", "#8a8d91"


def separated(folder: Path, method: str) -> Project:
    """Return a project with the scene on a track between others, after the action ran."""
    waves, rates = zip(*(sf.read(path) for path in STEMS), strict=True)
    sf.write(folder / "Scene 1.wav", sum(waves), rates[0], subtype="FLOAT")
    source = Source.of_file(folder / "Scene 1.wav")
    take = Take(source, "Scene 1")
    length = min(source.length_s, SHOWN_S - START_S - 1)
    item = Item([take], selected=True)
    item.values.update(
        D_POSITION=START_S, D_LENGTH=length, B_LOOPSRC=0.0, D_FADEINLEN=0.5, D_FADEOUTLEN=0.5
    )
    tracks = [Track("Dialogue", items=[item]), Track("Next track")]
    project = Project(str(folder), tracks)
    reaper = Reaper("5.4", project)
    reaper.ext_state["unstir", "python"] = "python"
    reaper.ext_state["unstir", "method"] = method
    reaper.worker = work
    reaper.run("Separate selected items (last settings)")
    reaper.pump()
    assert not reaper.messages, reaper.messages
    return project


def color_of(track: Track) -> str:
    native = int(value(track, "I_CUSTOMCOLOR"))
    red, green, blue = native & 255, native >> 8 & 255, native >> 16 & 255
    return f"#{red:02x}{green:02x}{blue:02x}" if native else GRAY


def heard(item: Item) -> np.ndarray:
    """Return the sound of the part of its file that an item plays, in mono."""
    wave, rate = sf.read(item.take.source.path, dtype="float32", always_2d=True)
    first = round(value(item.take, "D_STARTOFFS") * rate)
    return wave[first : first + round(value(item, "D_LENGTH") * rate)].mean(axis=1)


def draw_item(axes, item: Item, top: float, color: str, height: float) -> None:
    start, length = value(item, "D_POSITION"), value(item, "D_LENGTH")
    muted = bool(value(item, "B_MUTE"))
    back = "#4a4d51" if muted else color
    axes.add_patch(Rectangle((start, top + 0.06), length, 0.88, color=back, alpha=0.9))
    take = item.take
    n = 700
    pieces = np.array_split(height * heard(item), n)
    at = start + (np.arange(n) + 0.5) * length / n
    low, high = ([f(piece) for piece in pieces] for f in (np.min, np.max))
    middle = top + 0.58
    axes.fill_between(at, middle - np.array(low), middle - np.array(high), color="#1d1f21", lw=0.4)
    name = take.name + ("   (muted)" if muted else "")
    axes.text(start + 0.12, top + 0.21, name, color=LIGHT if muted else "#101214", fontsize=9)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = separated(Path(folder), sys.argv[1])
        n = len(project.tracks)
        height = 0.34 / np.abs(heard(project.items[0])).max()  # rows are 1 high
        figure = Figure(figsize=(12, 0.92 * n), dpi=100, facecolor=DARK)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-NAMES_S, SHOWN_S), ylim=(n, 0))
        axes.axis("off")
        rows = zip(project.tracks, project.levels(), strict=True)
        for top, (track, level) in enumerate(rows):
            left = -NAMES_S + 0.6 * level
            axes.add_patch(Rectangle((left, top + 0.04), -left - 0.1, 0.92, color=PANEL))
            axes.add_patch(Rectangle((left, top + 0.04), 0.18, 0.92, color=color_of(track)))
            is_folder = value(track, "I_FOLDERDEPTH") > 0
            axes.text(left + 0.4, top + 0.42, track.name, color=LIGHT, fontsize=12)
            what = "folder" if is_folder else ""
            axes.text(left + 0.4, top + 0.74, what, color=GRAY, fontsize=9)
            axes.axhline(top + 1, color="#1d1f21", lw=1)
            for item in track.items:
                draw_item(axes, item, top, color_of(track), height)
        out = ROOT / "docs/reaper.png"
        figure.savefig(out, facecolor=DARK)
    from PIL import Image

    Image.open(out).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(out, optimize=True)


if __name__ == "__main__":
    main()
