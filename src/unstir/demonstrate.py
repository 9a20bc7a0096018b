"""The demo: a built-in scene, every method, a table, and stems to listen to."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from unstir.audio import open_writer
from unstir.compare import Row, candidates, compare, summary, table
from unstir.console import reporter
from unstir.pcm import to_integers
from unstir.scene import load_scene
from unstir.separate import separate_file
from unstir.settings import Settings


def demonstrate(out: Path) -> None:
    """Take the built-in scene apart with every method; write the default method's stems.

    Parameters
    ----------
    out : Path
        Gets ``scene.wav``, the true stems under ``true/``, and the folder ``scene`` with
        the stems, their picture and the report.
    """
    scene = load_scene()
    console = Console(highlight=False)
    for name, stem in {"scene": scene.mix, **scene.stems}.items():
        path = out / ("scene.wav" if name == "scene" else f"true/{name}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        n_channels, n_samples = stem.shape
        with open_writer(
            path,
            "wav",
            sample_rate=scene.sample_rate,
            n_channels=n_channels,
            n_samples=n_samples,
            subtype="PCM_16",
        ) as writer:
            writer.write(to_integers(stem, 16))
    with reporter(quiet=False, as_json=False) as report:
        source = out / "scene.wav"
        with report.file(source) as listener:
            result = separate_file(
                source, out, Settings(), overwrite=True, picture=True, listener=listener
            )
        report.result(source, result)
    rows: list[Row] = []
    names = candidates("film")
    with console.status("") as status:
        for i, name in enumerate(names):
            status.update(f"comparing the methods: {name} ({i + 1} of {len(names)})")
            rows.append(compare(name, "film", scene.stems, scene.sample_rate))
    console.print(table(summary(rows), "SI-SDR in dB against the true stems (gain over the mix)"))
    console.print(
        "mixture does nothing; oracle knows the true stems: the two ends of the scale", style="dim"
    )
    console.print(f"the mix, the true stems and the separated ones lie in {escape(str(out))}")
