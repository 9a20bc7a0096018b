"""Gathering recordings out of packages: what a file is, where it goes, what is left out."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from unstir.neural.captions import classes_of


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("gather_sounds")


def kind_of(script: ModuleType, package: str, path: str) -> tuple[str, str] | None:
    found: tuple[str, str] | None = script.kind_and_label(
        path, [rule for rule in script.rules() if rule.package == package]
    )
    return found


def test_every_rule_is_a_pattern_for_a_kind_that_packs_know(script: ModuleType) -> None:
    for rule in script.rules():
        re.compile(rule.pattern)
        assert rule.kind in script.LONGEST_S


def test_voices_among_effects_and_tunes_among_sounds_are_left_out(script: ModuleType) -> None:
    assert kind_of(script, "hedgewars-data", "/Data/Sounds/explosion.ogg") == ("effects", "game")
    assert kind_of(script, "hedgewars-data", "/Data/Sounds/ride_of_the_valkyries.ogg") is None
    assert kind_of(script, "openarena-data", "/sound/player/pain50.wav") is None
    assert kind_of(script, "widelands-data", "/sound/empire/taverns/tavern_00.ogg") is None


def test_a_label_takes_what_its_pattern_found(script: ModuleType) -> None:
    path = "/usr/share/tuxpaint/stamps/animals/birds/owl_desc_sv.ogg"
    assert kind_of(script, "tuxpaint-stamps-default", path) == ("speech", "sv/tuxpaint")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/sound/animals/owl_00.ogg", "owl"),
        ("/animals/mammals/dogs/dog.ogg", "dog"),
        ("/sfx/explosion.ogg", "explosion"),
        ("/audio/ambient/rain_01.ogg", "rain"),
        ("/vehicles/engine_idle.wav", "engine"),
    ],
)
def test_effects_stand_where_captions_find_them(script: ModuleType, path: str, name: str) -> None:
    target = script.target_name("effects", "game", path, 3)
    assert name in classes_of(target)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not there")
def test_sounds_are_found_in_a_package_and_in_archives_within(
    script: ModuleType, tmp_path: Path
) -> None:
    share = tmp_path / "package/usr/share"
    (share / "doc/game").mkdir(parents=True)
    (share / "doc/game/copyright").write_text("License: CC0-1.0\n")
    (share / "hit.wav").write_bytes(b"hit")
    (share / "hit.png").write_bytes(b"picture")
    with zipfile.ZipFile(share / "data.zip", "w") as archive:
        archive.writestr("rain.ogg", b"rain")
        archive.writestr("evil.py", b"raise SystemExit")
    (share / "broken.zip").write_bytes(b"no archive")
    (tmp_path / "package/DEBIAN").mkdir()
    (tmp_path / "package/DEBIAN/control").write_text(
        "Package: game\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: x\n"
    )
    deb = tmp_path / "game_1_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tmp_path / "package", deb],
        check=True, stdout=sys.stderr,
    )  # fmt: skip
    assert dict(script.contents(deb, tmp_path)) == {
        "/usr/share/hit.wav": b"hit",
        "/usr/share/data.zip/rain.ogg": b"rain",
        "/usr/share/doc/game/copyright": b"License: CC0-1.0\n",
    }


def test_licenses_are_those_of_media_and_say_where_they_stand(script: ModuleType) -> None:
    text = "License: GPL-2+\n\nLicense: Bitstream-Font\n\nLicense: CC-BY-3.0\nLicense: GPL-2+\n"
    assert script.licenses(text, "game") == "CC-BY-3.0; GPL-2+ (debian/game/copyright)"
    assert script.licenses("see upstream", "game") == "free (debian/game/copyright)"
