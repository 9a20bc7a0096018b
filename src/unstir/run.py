"""One separation, planned and done stage by stage: read, learn, separate, write."""

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unstir import __version__
from unstir.audio import open_audio, probe
from unstir.channels import Routed, groups, lfe_stem
from unstir.containers import AudioInfo
from unstir.deliver import BLOCK, Format, check_fits, choose_format, write_report, write_stems
from unstir.errors import AudioError, SettingsError
from unstir.journal import Journal, Scratch, Workspace, advance, file_digest, free_bytes
from unstir.midi import read_midi
from unstir.registry import find, make, stem_set, weights_digest
from unstir.run_notes import (
    config_of,
    input_notes,
    method_notes,
    method_options,
    method_report,
    used_methods,
)
from unstir.scan import scan, slot_samples
from unstir.settings import Listener, Note, Progress, Settings, check_sums, question_of
from unstir.streaming import Grid, one_blas_thread, separate_stream
from unstir.types import Mixture, Scored, State, Waveform

EXPLAINED_S = 60


@dataclass(frozen=True)
class Run:
    """One separation, planned: what it needs and how each stage is done.

    Parameters
    ----------
    path : Path
        The input.
    info : AudioInfo
        What probing it told.
    settings : Settings
        What the user asked for.
    picture : bool
        Whether ``stems.png`` is wanted.
    explain : bool
        Whether ``provenance.png`` is wanted.
    separator : Routed
        The method over all channel groups.
    format : Format
        How stems are written.
    key : dict
        Everything the result depends on, as JSON gives it back.
    notes : tuple of str
        What the user should know.
    more : dict
        Further entries of the report.
    """

    path: Path
    info: AudioInfo
    settings: Settings
    picture: bool
    explain: bool
    separator: Routed
    format: Format
    key: dict[str, Any]
    notes: tuple[str, ...]
    more: dict[str, Any]

    @classmethod
    def plan(
        cls,
        path: Path,
        info: AudioInfo,
        settings: Settings,
        *,
        picture: bool,
        explain: bool,
        more: dict[str, Any] | None = None,
    ) -> "Run":
        """Check the settings against the sound and return the run.

        Raises
        ------
        SettingsError
            If they are wrong, contradict each other, or do not fit the sound.
        """
        method = find(settings.method)
        if method.needs and method.needs != "weights":  # of weights `make` has more to say
            raise SettingsError(
                f"{method.name} needs {method.needs}, which a file alone does not give"
            )
        question = question_of(settings)
        for like in settings.like:
            probe(like)  # refused here, in a sentence
        stems = question.stems if question else stem_set(settings.stems)
        separator = make(
            settings.method,
            stems if question else settings.stems,
            seed=settings.seed,
            device=settings.device,
            **method_options(method, settings, explain),
        )
        used = used_methods(method, separator)
        min_channels = max(one.min_channels for one in used)
        check_sums(settings.sums, stems)
        channel_groups = groups(info.n_channels, info.layout, linking=settings.channels)
        widest = max(len(group.channels) for group in channel_groups)
        if widest < min_channels:
            why = "the file has one" if info.n_channels == 1 else "--channels each leaves it one"
            needing = next(one.name for one in used if widest < one.min_channels)
            raise SettingsError(
                f"{needing} needs two channels or more and {why}; "
                "choose a method that works on one (see 'unstir methods')"
            )
        format = choose_format(info, settings.format)
        lfe = lfe_stem(stems, settings.lfe)
        if question and lfe is not None:
            lfe = question.unasked
        routed = Routed(separator, channel_groups, lfe)
        key = {
            "input": file_digest(path),
            "settings": {**dataclasses.asdict(settings), "picture": picture, "explain": explain},
            "method": config_of(separator),
            "grid": dataclasses.asdict(Grid.for_rate(info.sample_rate)),
            "weights": weights_digest(method, settings.stems),
            "base_weights": "".join(weights_digest(base, settings.stems) for base in used[1:]),
        }
        if settings.like:
            key["like"] = [file_digest(Path(like)) for like in settings.like]
        if settings.score is not None:
            read_midi(settings.score)  # refused here rather than after the first reading
            key["score"] = file_digest(Path(settings.score))
        # Through JSON and back, so that it equals what a journal or report gives back.
        key = json.loads(json.dumps(key))
        notes = (
            *method_notes(method, separator, settings),
            *input_notes(info, channel_groups, method.min_channels, format),
        )
        return cls(path, info, settings, picture, explain, routed, format, key, notes, more or {})

    def blocks(
        self, start: int, stop: int | None, repairs: list[str] | None = None
    ) -> Iterator[Waveform]:
        """Yield the sound from ``start`` to ``stop``; tell ``repairs`` what silence had to fill."""
        with open_audio(
            self.path, stream=self.settings.stream, allow_truncated=self.settings.allow_truncated
        ) as reader:
            yield from reader.blocks(BLOCK, start, stop)
            if repairs is not None:
                repairs.extend(reader.repairs)

    def prepare(self, listener: Listener) -> tuple[Journal, State | None]:
        """Read everything once, refuse what cannot be done, and learn."""
        settings, rate = self.settings, self.info.sample_rate
        start, stop, n_expected = stretch_of(self.info, settings)

        def progress(done: int) -> None:
            listener(Progress("reading", done, n_expected))

        repairs: list[str] = []
        found = scan(
            self.blocks(start, stop, repairs), sample_rate=rate, start=start, progress=progress
        )
        check_any_read(found.n_samples, self.info, settings)
        check_fits(self.format, found.peak, self.info)
        for text in repairs:
            listener(Note(text))
        n_samples = found.n_samples
        if settings.preview_s is not None:
            length = min(n_samples, max(1, round(settings.preview_s * rate)))
            start += found.busiest(length, slot_samples(rate))
            n_samples = length
        listener(Progress("learning", 0, n_samples))
        separator = self.separator
        if settings.score is not None and isinstance(separator.separator, Scored):
            # To the whole recording, even where only a stretch of it is wanted.
            method = separator.separator.heard_in(self.blocks(0, None), rate)
            separator = dataclasses.replace(separator, separator=method)
        with one_blas_thread():
            state = separator.survey(found.sample)
        return Journal(self.key, n_samples, start, found.peak), state

    def bytes_needed(self, n_samples: int) -> int:
        """Return about how much disk space scratch and result take together."""
        per_sample = (self.format.bits or 32) // 8
        n_outputs = len(self.separator.stems) + len(self.settings.sums)
        scratch = 4 * len(self.separator.stems)
        return n_samples * self.info.n_channels * (scratch + per_sample * n_outputs)

    def check_room(self, folder: Path, n_samples: int) -> None:
        """Refuse to begin what the disk cannot hold."""
        needed, free = self.bytes_needed(n_samples), free_bytes(folder)
        if needed > free:
            raise AudioError(
                f"the disk of {folder.parent} is too full: {needed / 1e9:.3f} GB are needed and "
                f"{free / 1e9:.3f} GB free; free some or choose another folder with -o"
            )

    def work(
        self,
        workspace: Workspace,
        journal: Journal,
        state: State | None,
        listener: Listener,
        began: float,
    ) -> Journal:
        """Separate what is missing, write the result folder, and return the finished journal."""
        names, rate = self.separator.stems, self.info.sample_rate
        stop = journal.start + journal.n_samples
        scratch = Scratch(workspace.folder, names, self.info.n_channels)
        grid = Grid.for_rate(rate)
        resumed_at = journal.windows_done
        listener(Progress("separating", journal.samples_done, journal.n_samples))
        if journal.samples_done < journal.n_samples:
            first = max(resumed_at - 1, 0) * grid.hop
            chunks = separate_stream(
                self.separator,
                self.blocks(journal.start + first, stop),
                sample_rate=rate,
                grid=grid,
                state=state,
                start=journal.start,
                first_window=resumed_at,
            )
            with scratch.appending(journal.samples_done) as appender:
                for chunk in chunks:
                    appender.append(chunk)
                    journal = advance(journal, chunk[names[0]])
                    workspace.save(journal)
                    listener(Progress("separating", journal.samples_done, journal.n_samples))
                    del chunk  # else it lies beside the next window while that is separated
        separated = time.monotonic()
        workspace.result.mkdir(exist_ok=True)
        repairs: list[str] = []
        figures = write_stems(
            workspace.result,
            self.blocks(journal.start, stop, repairs),
            scratch.blocks(BLOCK),
            names=names,
            sums=dict(self.settings.sums),
            format=self.format,
            info=self.info,
            n_samples=journal.n_samples,
            start=journal.start,
            picture=self.picture,
            progress=lambda done: listener(Progress("writing", done, journal.n_samples)),
        )
        written = time.monotonic()
        explained = None
        if self.explain:
            explained = self._explained(workspace.result, journal, state, listener)
        ended = time.monotonic()
        write_report(
            workspace.result,
            {
                **self._described(journal),
                "notes": [*self.notes, *repairs],
                **figures,
                "provenance": explained,
                "resumed_at_window": resumed_at or None,
                "seconds": {
                    "separating": round(separated - began, 3),
                    "writing": round(written - separated, 3),
                    "explaining": round(ended - written, 3),
                    "all": round(ended - began, 3),
                },
                "real_time_factor": round(journal.n_samples / rate / (ended - began), 2),
            },
        )
        journal = dataclasses.replace(journal, finished=True)
        workspace.save(journal)
        return journal

    def _explained(
        self, folder: Path, journal: Journal, state: State | None, listener: Listener
    ) -> dict[str, Any]:
        """Draw which evidence moved the stems of the busiest minute; return what it shows."""
        from unstir.provenance import explain_all
        from unstir.provenance_picture import draw_provenance

        rate, start = self.info.sample_rate, journal.start
        length = min(journal.n_samples, EXPLAINED_S * rate)
        if length < journal.n_samples:
            scanned = scan(self.blocks(start, start + journal.n_samples), sample_rate=rate)
            start += scanned.busiest(length, slot_samples(rate))
        waveform = np.concatenate(list(self.blocks(start, start + length)), axis=1)
        listener(Progress("explaining", 0, length))
        found = explain_all(
            self.separator,
            Mixture(waveform, rate, start),
            state,
            progress=lambda done: listener(Progress("explaining", done, length)),
        )
        path = folder / "provenance.png"
        title = f"{self.info.path.name}: which evidence moved each stem"
        draw_provenance(path, found, title=title, start_s=start / rate)
        return {
            "file": path.name,
            "first_sample": start,
            "samples": length,
            "shares": found.shares(),
        }

    def _described(self, journal: Journal) -> dict[str, Any]:
        """Return what ran, and on what."""
        info, inner = self.info, self.separator.separator
        method = find(self.settings.method)
        return {
            "unstir": __version__,
            "key": self.key,
            "input": {
                "file": info.path.name,
                "sha256": self.key["input"],
                "container": info.format,
                "sample_format": info.subtype,
                "sample_rate_hz": info.sample_rate,
                "channels": info.n_channels,
                "layout": info.layout,
                "stream": info.stream,
                "stream_start_s": info.start_s,
            },
            "stretch": {
                "first_sample": journal.start,
                "samples": journal.n_samples,
                "duration_s": round(journal.n_samples / info.sample_rate, 6),
            },
            "method": method_report(method, inner, self.settings.stems),
            "device": getattr(inner, "device", "cpu"),
            "seed": self.settings.seed,
            "channel_groups": [
                {"channels": group.name, "role": group.role} for group in self.separator.groups
            ],
            "written_as": {
                "container": self.format.container,
                "sample_format": self.format.subtype,
            },
            **self.more,
        }


def stretch_of(info: AudioInfo, settings: Settings) -> tuple[int, int | None, int]:
    """Return which samples of a sound are wanted.

    Returns
    -------
    start : int
        The first.
    stop : int or None
        The one after the last; None for the end of the sound.
    n_expected : int
        How many that makes, by what the file says of its length; 0 where it says nothing and
        neither do the settings.
    """
    rate = info.sample_rate
    start = round((settings.from_s or 0) * rate)
    stop = None if settings.to_s is None else round(settings.to_s * rate)
    end = info.n_samples or round((info.duration_s or 0) * rate)
    if stop is not None:
        end = min(end, stop) if end else stop
    return start, stop, max(0, end - start)


def check_any_read(n_read: int, info: AudioInfo, settings: Settings) -> None:
    """Refuse a stretch in which no sample was found.

    Raises
    ------
    SettingsError
        With the stretch and, where it is known, the length of the sound.
    """
    if n_read:
        return
    end = "the end" if settings.to_s is None else f"{settings.to_s:g} s"
    lasts = f", which lasts {info.n_samples / info.sample_rate:.2f} s" if info.n_samples else ""
    raise SettingsError(
        f"nothing lies between {settings.from_s or 0:g} s and {end} of {info.path}{lasts}; "
        "choose --from and --to inside it"
    )
