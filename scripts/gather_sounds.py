#!/usr/bin/env python3
"""Gather recordings to train with from packages of Debian: music, speech and effects.

    python scripts/gather_sounds.py gathered
    unstir data pack CORPUS made gathered -o pack

Games and telephone prompts in Debian's main section are free and recorded by hundreds of
people. ``gather_sounds.csv`` says which of their files are what: a pattern on the path, the
kind, a label; the first line that fits counts. Packages are downloaded by apt-get, nothing is
installed and nothing in them runs. What the shipped net takes for a voice, or for long for music,
among effects is left out. The folder has a MANIFEST.csv; its rows say source_repo
"debian/PACKAGE", so that everything in it trains and nothing chooses or reports.
"""

import argparse
import csv
import hashlib
import re
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
from make_sounds import COLUMNS
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from unstir.audio import open_audio
from unstir.errors import AudioError
from unstir.registry import make
from unstir.separate import separate_with
from unstir.types import Mixture

RULES = Path(__file__).with_suffix(".csv")
SOUNDS = (".ogg", ".oga", ".opus", ".wav", ".mp3", ".flac", ".g722")
LONGEST_S = {"music": 100.0, "speech": 60.0, "effects": 40.0}
SIFTED_S = 8.0
SHORTEST_S = {"music": 6.0, "speech": 0.6, "effects": 0.08}
MEDIA = re.compile(r"CC|GPL|LGPL|GFDL|PD|public|Public|Free-Art|Expat|MIT|BSD|Drascula|permissive")
# Voices among effects would teach that speech is an effect; tunes, that music is.
OTHERS = re.compile(
    r"_desc|voice|taunt|pain(?!t)|death|[-_]die|dies|scream|grunt|human|laugh|speech|say|speak|talk|yell|"
    r"shout|cheer|male|announce|chant|kiss|yoohoo|hell_|comment|crowd|jingle|theme|music|"
    r"victory|defeat|menu|intro|melody|song|loser|winner|gameover|level|tada|countdown|custom|"
    r"\b[1-9][A-G]\.ogg|valkyries|coward|hooray|ouch|oops|amazing|tavern|meal|inn_|lobby",
    re.IGNORECASE,
)

# Folders of effects, as `unstir.neural.captions` knows them, by words in a file's name and, where
# that says nothing, in its folders' names; the first that fits counts, else the folder is "misc".
FOLDERS = tuple(
    (folder, re.compile(rf"(?<![a-z])({words})", re.IGNORECASE))
    for folder, words in (
        (
            "ui",
            "click|button|beep|select|notif|message|dialog|mouse[-_]?click|key\\d|space\\d|enter\\d",
        ),
        ("rain", "rain"),
        ("thunder", "thunder|lightning|storm"),
        ("wind", "wind(?!ow)|blizzard|breeze"),
        ("fire", "fire(?!work|arm|d|gun|_?ball|punch|truck|r)|flame|torch|burn|furnace"),
        (
            "bird",
            "bird|owl|hawk|crow|raven|gull|seagull|duck|drake|rooster|hen(?![a-z])|chicken|turkey|"
            "lark|cuckoo|eagle|penguin|goose|gander|blackbird|parrot|t[o]?ucan|vulture|heron|pigeon",
        ),
        ("dog_wolf", "dog|wol[fv]|coyote|fox|woof|bark"),
        (
            "wild_animal",
            "frog|bear(?![a-z])|elephant|whale|dolphin|snake|boar|stag|moose|deer|mouse|bat_|"
            "monkey|chimp|gorilla|orca|sea_lion|squirrel|camel|bison|zebra",
        ),
        ("cat", "cat(?![a-z])|lion|tiger|leopard"),
        (
            "farm_animal",
            "cow|pig(?!eon)|sheep|lamb|goat|horse|donkey|ox(?![a-z])|bull(?!et)|farm|mule",
        ),
        ("insect", "bee(?![a-z])|mosquito|cricket|hornet|grasshopper|fly(?![a-z])|cicada|night"),
        ("creature", "monster|dragon|ghost|zombie|alien|ortnok|spider|golem|daemon|troll|skeleton"),
        ("footsteps", "footstep|step|walk|run(?![a-z])|walking"),
        (
            "water",
            "water|splash|bubble|bubles|drip|drop(?:let)|river|ocean|sea(?![a-z])|wave|swim|underwater|"
            "lake|waterfall|beach",
        ),
        ("glass", "glass"),
        ("explosion", "explo|blast|boom|bomb|grenade|mortar|nuke|detonat|firework"),
        ("bow_arrow", "arrow|bow(?![a-z])|crossbow|sling"),
        ("magic_synth", "laser|plasma|phaser|teleport|warp|magic|spell|shield|beam|portal|robot"),
        ("gunshot", "gun|shot|rifle|pistol|minigun|reload|bullet|ricochet|cannon|musket|weapon"),
        ("whoosh", "swing|whoosh|swish|throw|whip|swoosh|fly[-_]?by"),
        ("door", "door|gate|hinge|chest|drawer|window|hatch"),
        (
            "metal",
            "metal|anvil|sword|smith|iron|coin|chain|hammer|clang|steel|armou?r|pick(?:axe|hammer)",
        ),
        (
            "clock_machine",
            "saw|drill|mill|machine|tick|clock|pump|factory|machinery|weav|motor_|washing|vacuum|"
            "shutter|camera|servo|switch",
        ),
        ("wood", "wood|tree|axe|chop|plank|log(?![a-z])"),
        ("rock_dig", "rock|stone|dig|mine(?![a-z])|mining|gravel|quarry|rubble"),
        (
            "vehicle_engine",
            "engine|motor|car(?![a-z])|plane|jet|train|locomotive|skid|helicopter|rotor|prop|"
            "turbine|tyre|wheel|tank|truck|vehicle|aircraft|thrust|rumble|gear|kart",
        ),
        ("alarm_bell_horn", "alarm|siren|bell|horn|ring|alert|warning"),
        (
            "impact_hit",
            "hit|impact|punch|bump|crash|collision|collide|fall|land|slam|thud|break|smash|crush",
        ),
        ("cloth_paper", "cloth|paper|page|rustle|leaves|book|flap"),
    )
)


@dataclass(frozen=True)
class Rule:
    """Files of a package whose path holds ``pattern`` are of this kind and label."""

    package: str
    kind: str
    pattern: str
    label: str


def rules() -> list[Rule]:
    with RULES.open(newline="", encoding="utf-8") as file:
        return [Rule(**row) for row in csv.DictReader(file)]


def kind_and_label(path: str, of_package: list[Rule]) -> tuple[str, str] | None:
    """Return what a file is, or None if no rule wants it."""
    for rule in of_package:
        found = re.search(rule.pattern, path)
        if found is None:
            continue
        if not rule.label or (rule.kind == "effects" and OTHERS.search(path)):
            return None
        group = next((part for part in found.groups() if part), "")
        return rule.kind, rule.label.replace("{1}", group.lower().replace("/", "_"))
    return None


def effect_folder(path: str) -> str:
    """Return where an effect belongs.

    >>> effect_folder("/sounds/animals/owl.ogg"), effect_folder("/rain/a1.wav")
    ('bird', 'rain')
    """
    name, folders = PurePosixPath(path).stem, str(PurePosixPath(path).parent)
    for text in (name, folders):
        for folder, words in FOLDERS:
            if words.search(text):
                return folder
    return "misc"


def contents(archive: Path, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path and bytes of every sound in a package, and of its copyright file."""
    with (
        subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
        ) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        for member in tar:
            name = member.name.lower()
            if not member.isfile():
                continue
            if name.endswith((*SOUNDS, "/copyright")):
                file = tar.extractfile(member)
                assert file is not None
                yield member.name.lstrip("."), file.read()
            elif name.endswith((".zip", ".pk3")):
                yield from _zipped(tar, member, folder)


def _zipped(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path
) -> Iterator[tuple[str, bytes]]:
    file = tar.extractfile(member)
    assert file is not None
    with tempfile.TemporaryFile(dir=folder) as copy:
        while block := file.read(2**22):
            copy.write(block)
        try:
            archive = zipfile.ZipFile(copy)
        except zipfile.BadZipFile:
            return
        with archive:
            for name in archive.namelist():
                if name.lower().endswith(SOUNDS):
                    yield f"{member.name.lstrip('.')}/{name}", archive.read(name)


def licenses(copyright_text: str, package: str) -> str:
    """Return the short names of the licenses that a package's copyright file states.

    Which of them a recording is under is written there, file by file; all are free by Debian's
    guidelines.
    """
    names = re.findall(r"^License:\s*(\S.*)$", copyright_text, re.MULTILINE)
    known = sorted({name.strip() for name in names if MEDIA.match(name) and "ont" not in name})
    return f"{'; '.join(known) or 'free'} (debian/{package}/copyright)"


def sound(data: bytes, suffix: str, kind: str, folder: Path) -> tuple[NDArray[np.float32], int]:
    """Return a file's samples, shape (n_samples, channels), and its rate.

    Of what is longer than wanted, a stretch beginning at a tenth.
    """
    path = folder / f"sound{suffix}"
    path.write_bytes(data)
    if suffix == ".g722":  # without a header
        wav = folder / "decoded.wav"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "g722", "-i", path, wav], check=True)
        path = wav
    with open_audio(path) as reader:
        waveform, rate = reader.read()[:2].T, reader.info.sample_rate
    longest = int(LONGEST_S[kind] * rate)
    start = (len(waveform) - longest) // 10 if len(waveform) > longest else 0
    return waveform[start : start + longest], rate


def fits(kind: str, waveform: NDArray[np.float32], rate: int) -> bool:
    """Return whether a net hears in a recording what its folder promises, or nothing clear.

    Its middle is looked at. Short sounds with a pitch may pass for music and still be effects.
    """
    middle = max(0, len(waveform) - int(SIFTED_S * rate)) // 2
    part = waveform[middle : middle + int(SIFTED_S * rate)]
    if not np.any(part):
        return False
    stems = separate_with(make("compact-film", "film"), Mixture(np.ascontiguousarray(part.T), rate))
    energy = {name: float(np.sum(stem.astype(np.float64) ** 2)) for name, stem in stems.items()}
    share = {name: value / sum(energy.values()) for name, value in energy.items()}
    if kind == "music":
        return share["speech"] < 0.5
    is_tune = share["music"] > 0.8 and len(waveform) > 3 * rate
    return share["speech"] < 0.6 and not is_tune


def target_name(kind: str, package: str, path: str, index: int) -> str:
    """Return a recording's path in the folder, in the corpus's form."""
    folder = effect_folder(path) if kind == "effects" else package
    stem = re.sub(r"[^A-Za-z0-9_.+-]|__+", "_", PurePosixPath(path).stem)
    return f"{kind}/{folder}/{folder}__{package}-{index:05}__{stem}.flac"


def gather(package: str, of_package: list[Rule], out: Path) -> tuple[list[dict[str, str]], int]:
    """Write a package's recordings; return their rows and how many could not be read."""
    rows: list[dict[str, str]] = []
    seen: set[bytes] = set()
    unread, text = 0, ""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True)
        [archive] = folder.glob(f"{package}_*.deb")
        for path, data in contents(archive, folder):
            if path.endswith("/copyright"):
                text = data.decode("utf-8", "replace")
                continue
            what = kind_and_label(path, of_package)
            digest = hashlib.sha256(data).digest()
            if what is None or digest in seen:
                continue
            seen.add(digest)
            kind, label = what
            try:
                waveform, rate = sound(data, PurePosixPath(path).suffix.lower(), kind, folder)
            except (AudioError, subprocess.CalledProcessError):
                unread += 1
                continue
            loud = float(np.abs(waveform).max(initial=0)) > 1e-3
            if len(waveform) < SHORTEST_S[kind] * rate or not loud:
                continue
            if kind != "speech" and not fits(kind, waveform, rate):
                continue
            target = out / target_name(kind, package, path, len(rows))
            target.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(target, waveform, rate, subtype="PCM_16")
            # A voice, eight pieces of music, a sort of effect: what recipes draw alike often.
            sort = target.parent.name if kind == "effects" else label
            author = f"{package} {len(rows) // 8 if kind == 'music' else sort}"
            rows.append(
                {
                    "path": str(target.relative_to(out)),
                    "kind": kind,
                    "label": label if kind == "speech" else f"{sort}/{package}",
                    "source_repo": f"debian/{package}",
                    "source_path": path,
                    "author_if_known": author,
                    "seconds": f"{len(waveform) / rate:.3f}",
                    "samplerate": str(rate),
                    "channels": str(waveform.shape[1]),
                    "split": "train",
                }
            )
    for row in rows:
        row["licence"] = licenses(text, package)
    return rows, unread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", nargs="+", help="only these")
    args = parser.parse_args()
    console = Console(stderr=True)
    every = rules()
    names = args.packages or list(dict.fromkeys(rule.package for rule in every))
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = args.out / "MANIFEST.csv"
    rows: list[dict[str, str]] = []
    if manifest.exists():
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for name in track(names, "Gathering", console=console):
        if any(row["source_repo"] == f"debian/{name}" for row in rows):
            continue
        try:
            found, unread = gather(name, [r for r in every if r.package == name], args.out)
        except subprocess.CalledProcessError:
            console.print(f"{name}: not in the archive that apt-get knows; left out")
            continue
        minutes = sum(float(row["seconds"]) for row in found) / 60
        console.print(f"{name}: {len(found)} recordings, {minutes:.0f} min, {unread} unreadable")
        rows += found
        with manifest.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
