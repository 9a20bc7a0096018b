"""The comparison of one file as one page that needs nothing else, sound and pictures included."""

import base64
import hashlib
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from unstir.metrics import loudness_lufs
from unstir.provenance_picture import COLORS, legend, painted
from unstir.report import Comparison, Outcome
from unstir.report_audio import matching_gains_db, opus
from unstir.report_pictures import (
    WIDTH,
    colored_png,
    gradient,
    marks,
    power_columns,
    share_png,
    shares,
    spectrogram_png,
)
from unstir.report_tables import tables, text
from unstir.types import Waveform

MIX, TRUE = "mix", "true stem"  # what is heard beside the methods
HEADROOM = 0.89  # of full scale, for what the codec adds to peaks


def page(comparison: Comparison) -> str:
    """Return the page of one file: HTML with everything in it, sound and pictures too.

    Parameters
    ----------
    comparison : Comparison
        From `unstir.report.compare_file`.
    """
    heard = _heard(comparison)
    powers = {
        key: power_columns(sound, sample_rate=comparison.sample_rate)
        for key, sound in heard.items()
    }
    loudest = max(float(power.max()) for power in powers.values())
    top_db = 10 * math.log10(loudest or 1.0)
    peak = max(float(np.abs(sound).max()) for sound in heard.values())
    gain = min(1.0, HEADROOM / peak) if peak else 1.0
    choices = {section: _choices(comparison, section, heard, gain) for section in _sections(heard)}
    cards = {section: _cards(comparison, section, powers, top_db) for section in choices}
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    head = comparison.header()
    rate = comparison.sample_rate
    return template("template.html.j2").render(
        head=head,
        facts=_facts(comparison),
        tables=tables(comparison),
        sections=[
            {
                "stem": section,
                "title": section.capitalize(),
                "choices": choices[section],
                "cards": cards[section],
            }
            for section in choices
        ],
        marks=marks(rate),
        base_color=COLORS[0] if comparison.provenance else None,
        evidence={name for found in comparison.provenance.values() for name in found.evidence},
        ramps={"power": gradient("magma"), "share": gradient("viridis")},
        data={
            **{key: head[key] for key in ("unstir", "file", "start_s", "duration_s")},
            "choices": choices,
        },
        sounds={
            f"{section}/{label}": _uri("audio/ogg", opus(sound, sample_rate=rate, gain=gain))
            for (section, label), sound in heard.items()
        },
        # Nothing may be fetched, and no script runs but ours: a file's name is a stranger's text.
        policy="default-src 'none'; img-src data:; connect-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'",
        css=Markup(asset("page.css")),
        js=Markup(script),
    )


Heard = dict[tuple[str, str], Waveform]  # by section of the page and label


def _heard(comparison: Comparison) -> Heard:
    """Return every sound of the page once; ``mixture``, a share of the mix, is heard as the mix."""
    heard: Heard = {(MIX, MIX): comparison.mix}
    for stem in comparison.stems:
        if stem in comparison.references:
            heard[stem, TRUE] = comparison.references[stem]
        for outcome in comparison.outcomes:
            if outcome.method != "mixture":
                heard[stem, outcome.method] = outcome.stems[stem]
    return heard


def _sections(heard: Heard) -> list[str]:
    return list(dict.fromkeys(section for section, _ in heard))


def _here(section: str, heard: Mapping[tuple[str, str], Any]) -> list[tuple[str, str]]:
    """Return what is shown in a section, the mix first everywhere."""
    own = [key for key in heard if key[0] == section]
    return own if section == MIX else [(MIX, MIX), *own]


def _choices(
    comparison: Comparison, section: str, heard: Heard, gain: float
) -> list[dict[str, Any]]:
    keys = _here(section, heard)
    rate, layout = comparison.sample_rate, comparison.layout
    measured = {
        outcome.method: outcome.loudness_lufs[section]
        for outcome in comparison.outcomes
        if section != MIX
    }
    loudness = {
        f"{place}/{label}": measured[label]
        if place == section and label in measured
        else loudness_lufs(heard[place, label], sample_rate=rate, layout=layout)
        for place, label in keys
    }
    peaks = {f"{key[0]}/{key[1]}": gain * float(np.abs(heard[key]).max()) for key in keys}
    matched = matching_gains_db(loudness, peaks)
    return [
        {"label": label, "sound": f"{place}/{label}", "matched_db": matched[f"{place}/{label}"]}
        for place, label in keys
    ]


def _cards(
    comparison: Comparison,
    section: str,
    powers: Mapping[tuple[str, str], NDArray[np.float32]],
    top_db: float,
) -> list[dict[str, Any]]:
    outcomes = {outcome.method: outcome for outcome in comparison.outcomes}
    cards = []
    for key in _here(section, powers):
        place, label = key
        share, shown, provenance = None, "", None
        if place != MIX:
            of_all = shares({stem: powers[stem, label] for stem in comparison.stems})
            share = _uri("image/png", share_png(of_all[section]))
        if label in outcomes:
            shown = _caption(outcomes[label], section)
        if label in comparison.provenance and place != MIX:
            found = comparison.provenance[label]
            panel = painted(found, found.stems.index(section), n_columns=WIDTH)
            provenance = {
                "picture": _uri("image/png", colored_png(panel)),
                "legend": [
                    (name, color, f"{100 * share:.0f} %")
                    for name, color, share in legend(found, section)
                ],
            }
        cards.append(
            {
                "label": label,
                "figures": shown,
                "spectrogram": _uri("image/png", spectrogram_png(powers[key], top_db=top_db)),
                "share": share,
                "provenance": provenance,
            }
        )
    return cards


def _caption(outcome: Outcome, stem: str) -> str:
    if stem in outcome.scores:
        gain_db = outcome.scores[stem].gain_db
        return "" if gain_db is None else f"{text(gain_db, '+.1f')} dB"
    loudness = outcome.loudness_lufs[stem]
    return "silent" if loudness is None else f"{text(loudness, '.1f')} LUFS"


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    head = comparison.header()
    start_s, duration_s = head["start_s"], head["duration_s"]
    layout = f" ({' '.join(comparison.layout)})" if comparison.layout else ""
    return [
        ("length", f"{head['file_s']:.2f} s"),
        ("excerpt", f"{start_s:.2f} s to {start_s + duration_s:.2f} s"),
        ("sample rate", f"{comparison.sample_rate} Hz"),
        ("channels", f"{head['channels']}{layout}"),
        ("stems", ", ".join(comparison.stems)),
        ("true stems", "known" if comparison.references else "not known"),
        ("device", ", ".join(comparison.devices)),
        ("seed", str(comparison.seed)),
    ]


def template(name: str) -> jinja2.Template:
    """Return a template of the package; what is put into it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unstir", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def asset(name: str) -> str:
    """Return the text of one of the pages' files."""
    return files("unstir").joinpath("page", name).read_text(encoding="utf-8")


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
