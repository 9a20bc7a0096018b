"""From a file, or a folder of stems, to a melody in a MIDI file."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from unstir.audio import open_audio, probe
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.midi import TempoMap, steady_tempo, tempo_through
from unstir.pitch import track_beats, track_pitch
from unstir.plugins.midi_files import write_melody
from unstir.plugins.notes import Fit, MelodyNote, find_notes, fit
from unstir.separate import separate_file
from unstir.settings import Listener, Note, Progress, Settings
from unstir.types import STEM_SETS, Waveform

BLOCK = 1 << 18
DEFAULT_STEM = "vocals"
DEFAULT_BPM = 120.0  # what a sequencer takes for granted
MIDI_SUFFIXES = (".mid", ".midi")
SOUND_SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3", ".m4a")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Melody:
    """What was written.

    Parameters
    ----------
    notes : tuple of MelodyNote
        In order; at least one.
    tempo : TempoMap
        Where the beats lie.
    fit : Fit
        How well the notes tell what the pitch track told.
    """

    notes: tuple[MelodyNote, ...]
    tempo: TempoMap
    fit: Fit


def transcribe(
    path: str | Path,
    out: str | Path,
    *,
    stem: str | None = None,
    method: str | None = None,
    bpm: float | None = None,
    overwrite: bool = False,
    listener: Listener = lambda event: None,
) -> Melody:
    """Write what one voice sings as a MIDI file, and return it.

    Parameters
    ----------
    path : str or Path
        Sound, or video with sound, of one voice; or a folder of stems.
    out : str or Path
        The MIDI file. It appears only when it is whole.
    stem : str, optional
        The stem to follow: of a folder, ``vocals`` if not given; a file is taken apart for it.
    method : str, optional
        How a file is taken apart; by default the stem set's default method.
    bpm : float, optional
        One tempo, in beats per minute; by default the beats are followed.
    overwrite : bool
        Whether to replace an older file.
    listener : callable
        Told of progress, and of what the user should know.

    Returns
    -------
    Melody
        The notes, their tempo and how well they fit.

    Raises
    ------
    AudioError
        If the sound cannot be read, or holds no note.
    SettingsError
        If the options contradict each other, or ``out`` is in the way.
    UnknownNameError
        If there is no such stem or method.
    """
    path, out = Path(path), Path(out)
    given = None if bpm is None else steady_tempo(bpm)
    _check_out(out, overwrite=overwrite)
    with _voice_and_mix(path, out.parent, stem, method, listener) as (voice, mix):
        listener(Progress("following the pitch", 0, 0))
        track = _heard(track_pitch, [voice])
        notes = find_notes(track)
        if not notes:
            raise AudioError(
                f"no note was found in {str(path)!r}: nothing between 65 and 1100 Hz has a pitch "
                "for long enough; choose sound in which one voice sings or plays"
            )
        tempo = given or _tempo(mix, listener)
    write_melody(out, notes, tempo, name=stem or voice.stem)
    return Melody(notes, tempo, fit(notes, track))


def _check_out(out: Path, *, overwrite: bool) -> None:
    if out.suffix.lower() not in MIDI_SUFFIXES:
        raise SettingsError(f"{str(out)!r} came for the result; a name ending in .mid is wanted")
    if not out.parent.is_dir():
        raise SettingsError(f"there is no folder {str(out.parent)!r}; make it or choose another -o")
    if out.is_dir() or (out.exists() and not overwrite):
        raise SettingsError(f"{out} exists; use --overwrite or another -o")


@contextmanager
def _voice_and_mix(
    path: Path, folder: Path, stem: str | None, method: str | None, listener: Listener
) -> Iterator[tuple[Path, list[Path]]]:
    """Give the file of the voice, and the files that make up the mix."""
    if path.is_dir():
        if method is not None:
            raise SettingsError(
                f"a method and the folder {str(path)!r} came; stems need none, so leave it out"
            )
        yield _among_stems(path, stem or DEFAULT_STEM)
    elif stem is None:
        if method is not None:
            raise SettingsError(
                f"the method {method!r} came without a stem; say which one to follow, "
                f"as in --stem {DEFAULT_STEM}"
            )
        yield path, [path]
    else:
        stems = next((name for name, members in STEM_SETS.items() if stem in members), None)
        if stems is None:
            known = ", ".join(member for members in STEM_SETS.values() for member in members)
            raise UnknownNameError(f"there is no stem {stem!r}; choose from {known}")
        settings = Settings(method=method or "", stems=stems, format="float32")
        with tempfile.TemporaryDirectory(prefix=".unstir-notes-", dir=folder) as scratch:
            result = separate_file(path, scratch, settings, name="stems", listener=listener)
            yield result.files[stem], [path]


def _among_stems(folder: Path, stem: str) -> tuple[Path, list[Path]]:
    files = {
        file.stem: file
        for file in sorted(folder.iterdir(), reverse=True)
        if file.is_file() and file.suffix.lower() in SOUND_SUFFIXES
    }
    if stem not in files:
        there = ", ".join(sorted(files)) or "no sound at all"
        raise UnknownNameError(
            f"the folder {str(folder)!r} has no {stem}: {there} lies there; choose with --stem"
        )
    together = next((members for members in STEM_SETS.values() if stem in members), (stem,))
    mix = [files[name] for name in together if name in files]
    same_rate = len({probe(file).sample_rate for file in mix}) == 1
    return files[stem], mix if same_rate else [files[stem]]


def _tempo(mix: Sequence[Path], listener: Listener) -> TempoMap:
    listener(Progress("finding the beat", 0, 0))
    beats_s = _heard(track_beats, mix)
    if len(beats_s):
        return tempo_through(beats_s)
    listener(Note(f"no beat was found; {DEFAULT_BPM:g} beats per minute are written"))
    return steady_tempo(DEFAULT_BPM)


def _heard(listen: Callable[[Iterable[Waveform], int], T], paths: Sequence[Path]) -> T:
    """Return what is heard in the sum of some files of one rate."""
    with ExitStack() as stack:
        readers = [stack.enter_context(open_audio(path)) for path in paths]

        def blocks() -> Iterator[Waveform]:
            for parts in zip(*(reader.blocks(BLOCK) for reader in readers), strict=False):
                n = min(part.shape[1] for part in parts)
                centers = [part[:, :n].mean(axis=0, keepdims=True) for part in parts]
                yield sum(centers[1:], start=centers[0])

        return listen(blocks(), readers[0].info.sample_rate)
