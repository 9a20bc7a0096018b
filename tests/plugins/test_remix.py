"""A sound, a video or a folder of stems, mixed anew."""

import argparse
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from tests.small_films import RATE, film, languages, pictures, sound
from unstir.audio import open_audio, probe
from unstir.cli_remix import add_remix
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.plugins.chains import Chain, Effect, find_chain
from unstir.plugins.mixing import rack_for
from unstir.plugins.rack import StemRack
from unstir.plugins.remix import Remix, remix, stems_of
from unstir.plugins.strips import Strip
from unstir.separate import separate_file
from unstir.settings import Note, Progress, Settings
from unstir.types import FILM

FAST = Settings(method="midside")


def read(path: Path, stream: int = 0) -> NDArray[np.float32]:
    with open_audio(path, stream=stream) as reader:
        return np.concatenate(list(reader.blocks(10000)), axis=1)


def digest(x: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(x.T).tobytes()).hexdigest()


def mixed(source: Path, out: Path, rack: StemRack | None = None, **more: Any) -> Remix:
    return remix(source, out, rack or StemRack(), settings=FAST, **more)


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_remix(parser.add_subparsers())
    options = parser.parse_args(["remix", *map(str, words)])
    return int(options.run(options))


def only(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# With nothing to change.


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_16"),
        ("wav", "PCM_24"),
        ("wav", "FLOAT"),
        ("flac", "PCM_16"),
        ("flac", "PCM_24"),
    ],
)
def test_nothing_to_change_gives_the_source_bit_for_bit(
    suffix: str, subtype: str, tmp_path: Path
) -> None:
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    x = 3 * sound(2, RATE)
    x /= 1.0001 * np.abs(x).max()  # also close to full scale
    sf.write(source, x.T, RATE, subtype=subtype)
    result = mixed(source, out)
    assert read(out).tobytes() == read(source).tobytes()
    assert probe(out).subtype == probe(source).subtype
    assert result.report["stems"]["names"] == list(FILM)
    assert only(tmp_path) == {source.name, out.name, f"{out.name}.json"}


def test_the_stems_are_really_taken_apart_and_summed(tmp_path: Path) -> None:
    x = sound(2, RATE)
    sf.write(tmp_path / "a.wav", x.T, RATE, subtype="PCM_24")
    separate_file(tmp_path / "a.wav", tmp_path / "stems", FAST)
    solo = {name: StemRack({name: Strip(solo=True)}) for name in FILM}
    for name, rack in solo.items():
        mixed(tmp_path / "a.wav", tmp_path / f"{name}.wav", rack)
        alone = read(tmp_path / f"{name}.wav")
        assert np.array_equal(alone, read(tmp_path / "stems" / "a" / f"{name}.wav"))
    assert sum(np.abs(read(tmp_path / f"{name}.wav")).max() > 0.01 for name in FILM) >= 2


def test_lossy_sound_is_the_source_before_it_is_encoded_again(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", [sound(2, RATE)], "aac")
    result = mixed(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert result.report["sha256_before_encoding"] == digest(read(tmp_path / "a.mp4"))
    assert any("encoded again as AAC" in note for note in result.report["notes"])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("layout", ["stereo", "5.1"])
def test_a_video_comes_back_with_its_picture_sound_start_and_language(
    layout: str, suffix: str, tmp_path: Path
) -> None:
    source, out = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    x = sound(2 if layout == "stereo" else 6, RATE)
    codec = {".mp4": "alac", ".mov": "pcm_s24le", ".mkv": "flac"}[suffix]
    film(source, [x], codec, layout=layout, start=RATE // 2, languages=("ita",))
    mixed(source, out)
    assert pictures(out) == pictures(source)
    assert np.array_equal(read(out), x)
    assert probe(out).start_s == pytest.approx(0.5, abs=0.001)
    assert probe(out).layout == probe(source).layout
    assert languages(out) == ["ita"]


def test_a_folder_of_stems_gives_the_source_back(tmp_path: Path) -> None:
    x = sound(2, RATE)
    sf.write(tmp_path / "a.wav", x.T, RATE, subtype="PCM_16")
    settings = Settings(method="midside", sums=(("ME", ("music", "effects")),))
    separate_file(tmp_path / "a.wav", tmp_path, settings)
    assert stems_of(tmp_path / "a") == FILM
    mixed(tmp_path / "a", tmp_path / "b.wav")
    assert np.array_equal(read(tmp_path / "b.wav"), read(tmp_path / "a.wav"))


def test_a_folder_of_files_from_elsewhere_is_a_stem_for_each(tmp_path: Path) -> None:
    folder = tmp_path / "stems"
    folder.mkdir()
    for i, name in enumerate(("drums", "voice")):
        sf.write(folder / f"{name}.wav", sound(2, 5000, seed=i).T, RATE, subtype="PCM_24")
    mixed(folder, tmp_path / "b.wav", StemRack({"drums": Strip(mute=True)}))
    assert np.array_equal(read(tmp_path / "b.wav"), sound(2, 5000, seed=1))


# Changes.


def test_gains_act_on_the_stems_that_separate_would_give(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound(2, RATE).T, RATE, subtype="FLOAT")
    stems = separate_file(tmp_path / "a.wav", tmp_path, FAST).files
    mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack_for(FILM, gains_db={"speech": 6.0}))
    wanted = read(tmp_path / "a.wav") + (10 ** (6 / 20) - 1) * read(stems["speech"])
    assert np.allclose(read(tmp_path / "b.wav"), wanted, atol=1e-6)


def test_sound_keeps_its_tail_and_video_its_length(tmp_path: Path) -> None:
    hall = StemRack(master=Chain("hall", (Effect("reverb", {"decay_s": 1}),)))
    film(tmp_path / "a.mov", [sound(2, RATE)], "pcm_s24le")
    tail = round(RATE * hall.tail_s)
    result = mixed(tmp_path / "a.mov", tmp_path / "b.mov", hall)
    assert read(tmp_path / "b.mov").shape == (2, RATE)
    assert any("tail are cut off" in note for note in result.report["notes"])
    mixed(tmp_path / "a.mov", tmp_path / "b.wav", hall)
    assert read(tmp_path / "b.wav").shape == (2, RATE + tail)
    assert np.allclose(read(tmp_path / "b.wav")[:, :RATE], read(tmp_path / "b.mov"), atol=2**-22)


def test_an_added_track_stands_beside_the_old_one(tmp_path: Path) -> None:
    x = sound(2, RATE)
    film(tmp_path / "a.mkv", [x], "flac")
    mixed(
        tmp_path / "a.mkv",
        tmp_path / "b.mkv",
        rack_for(FILM, gains_db={"speech": -6.0}),
        add_track=True,
    )
    assert np.array_equal(read(tmp_path / "b.mkv"), x)
    assert not np.allclose(read(tmp_path / "b.mkv", stream=1), x, atol=1e-3)


def test_what_is_too_loud_is_clipped_and_counted(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", (2 * sound(2, RATE)).T, RATE, subtype="PCM_16")
    louder = StemRack(master=Chain("loud", (Effect("gain", {"gain_db": 24}),)))
    result = mixed(tmp_path / "a.wav", tmp_path / "b.wav", louder)
    n_over = result.report["samples_above_full_scale"]
    assert n_over > 100
    assert any(f"{n_over} samples are above full scale" in note for note in result.report["notes"])


def test_warnings_of_chains_are_told_and_reported(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound(2, 20000).T, RATE, subtype="PCM_16")
    rack = StemRack({"speech": Strip(Chain("dirty", (Effect("saturation"),)))})
    told: list[str] = []

    def listen(event: Progress | Note) -> None:
        if isinstance(event, Note):
            told.append(event.text)

    result = mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack, listener=listen)
    (warning,) = [text for text in told if "no longer add up" in text]
    assert warning in result.report["notes"]


def test_a_master_chain_is_leveled_over_the_whole_file(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound(2, 2 * RATE).T, RATE, subtype="PCM_24")
    rack = StemRack(master=Chain("air", (Effect("loudness", {"target_lufs": -30}),)))
    result = mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack)
    assert result.report["loudness_lufs"] == pytest.approx(-30, abs=0.1)
    assert result.report["rack_as_leveled"]["master"][0]["effect"] == "gain"


# Interruptions.


@pytest.mark.parametrize("stage", ["separating", "remixing"])
def test_an_interrupted_remix_goes_on_and_ends_the_same(stage: str, tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound(2, RATE).T, RATE, subtype="PCM_24")
    rack = rack_for(FILM, gains_db={"speech": 3.0})

    def stop(event: Progress | Note) -> None:
        if isinstance(event, Progress) and event.stage == stage and event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack, listener=stop)
    assert "b.wav" not in only(tmp_path)
    stages: list[str] = []

    def listen(event: Progress | Note) -> None:
        if isinstance(event, Progress) and event.done:
            stages.append(event.stage)

    mixed(tmp_path / "a.wav", tmp_path / "b.wav", rack, listener=listen)
    assert "reading" not in stages  # the stems, or the plan for them, were there already
    mixed(tmp_path / "a.wav", tmp_path / "c.wav", rack)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    assert only(tmp_path) == {"a.wav", "b.wav", "b.wav.json", "c.wav", "c.wav.json"}


def test_an_interrupted_remix_with_other_settings_is_begun_anew(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound(2, RATE).T, RATE, subtype="PCM_24")

    def stop(event: Progress | Note) -> None:
        if isinstance(event, Progress) and event.stage == "remixing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mixed(tmp_path / "a.wav", tmp_path / "b.wav", listener=stop)
    other = Settings(method="bands")
    remix(tmp_path / "a.wav", tmp_path / "b.wav", StemRack(), settings=other)
    assert np.array_equal(read(tmp_path / "b.wav"), read(tmp_path / "a.wav"))
    assert only(tmp_path) == {"a.wav", "b.wav", "b.wav.json"}


# Refusals.


@pytest.fixture
def stems(tmp_path: Path) -> Path:
    """Return a folder of stems, as separate makes it."""
    sf.write(tmp_path / "a.wav", sound(2, 20000).T, RATE, subtype="PCM_16")
    return separate_file(tmp_path / "a.wav", tmp_path, FAST).folder


def test_a_stem_that_the_folder_lacks_is_named(stems: Path, tmp_path: Path) -> None:
    (stems / "music.wav").unlink()
    with pytest.raises(AudioError, match=r"lacks music\.wav, the stem music"):
        mixed(stems, tmp_path / "b.wav")
    assert "b.wav" not in only(tmp_path)


@pytest.mark.parametrize(
    ("n_channels", "n_samples", "rate", "what"),
    [(2, 19999, RATE, "samples"), (2, 20000, 44100, "Hz"), (1, 20000, RATE, "channels")],
)
def test_stems_that_differ_are_refused(
    n_channels: int, n_samples: int, rate: int, what: str, stems: Path, tmp_path: Path
) -> None:
    sf.write(stems / "music.wav", sound(n_channels, n_samples).T, rate, subtype="PCM_16")
    with pytest.raises(AudioError, match=rf"stems in .* differ: speech has .* {what} and music"):
        mixed(stems, tmp_path / "b.wav")


@pytest.mark.parametrize("text", ["{", "[]", '{"stems": {"music": {"file": "../../x.wav"}}}'])
def test_a_damaged_report_is_refused(text: str, stems: Path, tmp_path: Path) -> None:
    (stems / "report.json").write_text(text)
    with pytest.raises(AudioError, match=r"report\.json"):
        mixed(stems, tmp_path / "b.wav")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(AudioError, match="holds no stem"):
        mixed(tmp_path / "none", tmp_path / "b.wav")


def test_outputs_that_cannot_be_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    sf.write(source, sound(2, 20000).T, RATE, subtype="PCM_16")
    (tmp_path / "there.wav").write_bytes(b"mine")
    for out, message in (
        ("b.mp3", r"'b\.mp3' came; an output that ends in \.wav"),
        ("b.mp4", "has no picture"),
        ("a.wav", "is the input, which is never written to"),
        ("there.wav", "exists; use --overwrite"),
    ):
        with pytest.raises(SettingsError, match=message):
            mixed(source, tmp_path / out)
    with pytest.raises(SettingsError, match="no track can be added"):
        mixed(source, tmp_path / "b.wav", add_track=True)
    with pytest.raises(SettingsError, match="from_s came"):
        remix(source, tmp_path / "b.wav", StemRack(), settings=Settings(from_s=1.0))
    assert only(tmp_path) == {"a.wav", "there.wav"}
    assert (tmp_path / "there.wav").read_bytes() == b"mine"
    mixed(source, tmp_path / "there.wav", overwrite=True)
    assert np.array_equal(read(tmp_path / "there.wav"), read(source))


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", [], "alac", languages=())
    with pytest.raises(AudioError, match="no audio stream"):
        mixed(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert only(tmp_path) == {"a.mp4"}


def test_a_rack_for_stems_that_are_not_there_is_refused_before_the_work(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound(2, 20000).T, RATE, subtype="PCM_16")
    with pytest.raises(UnknownNameError, match=r"no stem 'vocals'.*speech, music, effects"):
        mixed(tmp_path / "a.wav", tmp_path / "b.wav", StemRack({"vocals": Strip()}))
    assert only(tmp_path) == {"a.wav"}


# The command.


def test_the_command_does_what_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sf.write(tmp_path / "a.wav", sound(2, RATE).T, RATE, subtype="PCM_24")
    moves = tmp_path / "moves.csv"
    moves.write_text("time_s,stem,gain_db\n0,effects,0\n1,effects,-20\n")
    gains = ["--gain", "speech=+6", "music=-inf", "--gain", "effects=-1.5dB"]
    more = ["--duck", "effects:speech=-9", "--fx", "speech=telephone", "--automation", moves]
    out = tmp_path / "b.wav"
    assert run(tmp_path / "a.wav", *gains, *more, "--method", "midside", "-o", out, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["event"] for line in lines} >= {"progress", "result"}
    strips = lines[-1]["rack"]["stems"]
    assert strips["speech"]["gain_db"] == 6 and strips["music"]["mute"]
    assert strips["effects"]["gain_db"] == -1.5
    assert strips["effects"]["chain"] == [{"effect": "ducking", "by": "speech", "range_db": -9.0}]
    assert strips["speech"]["chain"] == find_chain("telephone").to_json()["chain"]
    assert lines[-1]["automation"] == {"effects": {"points": 2, "until_s": 1.0}}
    assert json.loads((tmp_path / "b.wav.json").read_text())["rack"] == lines[-1]["rack"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gain", "spech=3"], r"no stem 'spech' \(did you mean speech\?\)"),
        (["--gain", "speech=30"], "-inf to 24 dB"),
        (["--gain", "speech=nan"], "-inf to 24 dB"),
        (["--gain", "speech=1", "speech=2"], "--gain names a stem twice"),
        (["--fx", "speech=telefone"], "did you mean telephone"),
        (["--duck", "music:speech=9"], "range_db is 9"),
        (["--keep-bed", "-3"], "a bed of -3 dB"),
        (["--rack", "no.json"], "cannot be read"),
        (["--automation", "no.csv"], "cannot be read"),
    ],
)
def test_a_bad_wish_is_refused_in_a_sentence(
    words: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        run(tmp_path / "a.wav", *words, "-o", tmp_path / "b.wav")


@pytest.mark.parametrize("words", [["--gain", "speech"], ["--duck", "music=-3"], ["--fx", "=x"]])
def test_a_wish_in_another_form_shows_the_form(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path / "a.wav", *words, "-o", tmp_path / "b.wav")
    assert "write STEM" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_length() -> None:
    import tracemalloc

    rack = StemRack({"music": Strip(gain_db=-6.0)})
    block = {name: np.zeros((2, 2**14), np.float32) for name in FILM}

    def peak(n_blocks: int) -> int:
        stream = rack.open(RATE, 2, FILM)
        tracemalloc.start()
        for _ in range(n_blocks):
            stream.process(block, block["music"])
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    assert math.isclose(peak(5), peak(100), rel_tol=0.05)
