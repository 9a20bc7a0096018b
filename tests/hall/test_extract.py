import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from unstir.cli import main
from unstir.errors import AudioError, SettingsError
from unstir.extracting import extract
from unstir.finding import RATE, Found, Span, _windows, found_in, listen_for
from unstir.neural.query_net import FRAME, n_presence_frames
from unstir.separate import separate_file
from unstir.settings import Note, Progress, Settings
from unstir.sighting import write_markers


def sound(seconds: float, rate: int = 44100, channels: int = 2) -> NDArray[np.float32]:
    """Return bursts of noise over a hum, not the same in any two channels."""
    rng = np.random.default_rng(0)
    n = round(seconds * rate)
    t = np.arange(n) / rate
    hum = 0.05 * np.sin(2 * np.pi * 110 * t)
    bursts = 0.2 * rng.standard_normal((channels, n)) * (np.sin(2 * np.pi * 0.7 * t) > 0.6)
    return (hum + bursts).astype(np.float32).T


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / "street.wav"
    sf.write(path, sound(5), 44100, subtype="FLOAT")
    return path


def stems_of(folder: Path) -> dict[str, NDArray[np.float32]]:
    return {
        path.stem: sf.read(path, dtype="float32", always_2d=True)[0]
        for path in sorted(folder.glob("*.wav"))
    }


def test_target_and_residual_add_up_to_the_file(street: Path, tmp_path: Path) -> None:
    done = extract(street, tmp_path / "out", Settings(query="a dog barking"))
    stems = stems_of(tmp_path / "out/street/a dog barking")
    assert set(stems) == {"target", "residual"}
    np.testing.assert_allclose(sum(stems.values()), sf.read(street)[0], atol=1e-6)
    assert done.result is not None
    assert [one["query"] for one in done.result.report["heard"]] == ["a dog barking"]


@pytest.mark.parametrize(
    ("query", "says"), [("the dialogue", True), ("Music; a dog", True), ("a dog; a flute", False)]
)
def test_who_asks_for_a_film_stem_is_told_what_does_that_better(
    query: str, says: bool, street: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    extract(
        street,
        tmp_path / "out",
        Settings(query=query),
        listener=lambda event: told.append(event.text) if isinstance(event, Note) else None,
    )
    assert any("'unstir separate'" in text for text in told) == says


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (48000, 6)])
def test_any_rate_and_layout_adds_up(rate: int, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    sf.write(path, sound(2, rate, channels), rate, subtype="FLOAT")
    extract(path, tmp_path / "out", Settings(query="a dog; rain"))
    stems = stems_of(tmp_path / "out/in/a dog rain")
    assert set(stems) == {"a dog", "rain", "residual"}
    np.testing.assert_allclose(sum(stems.values()), sf.read(path, always_2d=True)[0], atol=1e-6)


def test_what_is_negated_is_what_was_left(street: Path, tmp_path: Path) -> None:
    for words in ("the music", "not the music"):
        extract(street, tmp_path, Settings(query=words))
    plain, negated = (
        stems_of(tmp_path / "street" / words) for words in ("the music", "not the music")
    )
    np.testing.assert_allclose(negated["target"], plain["residual"], atol=1e-6)


def test_a_sound_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "silent.wav"
    sf.write(path, np.zeros((44100, 2)), 44100)
    notes: list[str] = []
    done = extract(
        path,
        tmp_path / "out",
        Settings(query="a dog"),
        listener=lambda e: notes.append(e.text) if isinstance(e, Note) else None,
    )
    assert done.missing == ("a dog",)
    assert any("'a dog' is not heard" in note for note in notes)
    assert done.result is not None


def test_strict_writes_nothing_and_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "silent.wav"
    sf.write(path, np.zeros((44100, 2)), 44100)
    out = tmp_path / "out"
    assert main(["extract", str(path), "a dog", "--strict", "-o", str(out)]) == 3
    assert not out.exists()
    assert "a dog: not heard (score 0.00)" in capsys.readouterr().out
    assert main(["find", str(path), "a dog", "--strict"]) == 3
    assert main(["find", str(path), "a dog"]) == 0


def test_a_list_of_nothing_is_a_list_under_strict_too(tmp_path: Path) -> None:
    path, listed = tmp_path / "silent.wav", tmp_path / "m.csv"
    sf.write(path, np.zeros((44100, 2)), 44100)
    assert main(["find", str(path), "a dog", "--strict", "-o", str(listed)]) == 3
    assert listed.read_text() == "#,Name,Start,End,Length\n"


def test_long_words_are_told_by_their_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "silent.wav"
    sf.write(path, np.zeros((44100, 2)), 44100)
    words = ("a dog that barks " * 118)[:2000]
    assert main(["extract", str(path), words, "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    shown = "a dog that barks a dog that barks a dog that barks a dog..."
    assert f"{shown}: not heard (score 0.00)" in told.out
    assert f"note: '{shown}' is not heard" in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a" * 2001], "2001 characters came"),
        (["..."], "words for a sound are wanted"),
        ([], "nothing was asked for"),
        (["a dog; not music"], "at once"),
        (["a dog", "--like", "bark.wav"], "ask by one of them"),
        (["--like", "nope.wav"], "there is no 'nope.wav'"),
        (["a dog", "--words", "huge"], "small or large"),
        (["a dog", "--from", "3", "--to", "2"], "--to lies before --from"),
        (["a dog", "--to", "0"], "a time above 0 is wanted"),
        (["\x07\x08a"], "a"),
    ],
)
@pytest.mark.parametrize("command", ["extract", "find"])
def test_bad_questions_get_one_sentence(
    command: str,
    words: list[str],
    message: str,
    street: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main([command, str(street), *words, "--quiet"])
    said = capsys.readouterr().err
    if message == "a":  # what cannot be read is left out, and a word is left
        assert code == 0
        return
    assert code == 2
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "extracted").exists()


def test_a_method_without_questions_is_refused(
    street: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(method="midside", query="a dog")
    with pytest.raises(Exception, match="takes no words"):
        extract(street, street.parent / "out", settings)


def test_json_tells_what_is_heard_and_the_files(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", str(street), "rain", "-o", str(tmp_path / "o"), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    heard = next(event for event in events if event["event"] == "heard")
    assert heard["query"] == "rain"
    assert heard["input"] == str(street)
    assert 0 <= heard["score"] <= 1
    assert any(event["event"] == "result" for event in events)


@pytest.mark.parametrize(
    ("name", "words", "kind", "message"),
    [
        ("nope.wav", ["rain"], "AudioError", "nope.wav"),
        ("street.wav", [], "SettingsError", "nothing was asked for"),
        ("street.wav", ["rain", "--from", "7"], "SettingsError", "nothing lies between"),
    ],
)
@pytest.mark.parametrize("command", ["extract", "find"])
def test_json_tells_of_a_refusal_too(
    command: str,
    name: str,
    words: list[str],
    kind: str,
    message: str,
    street: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / ("o" if command == "extract" else "o.txt")
    path = street.with_name(name)
    assert main([command, str(path), *words, "-o", str(out), "--json"]) == 2
    told = capsys.readouterr()
    event = json.loads(told.out.splitlines()[-1])
    assert (event["event"], event["input"], event["kind"]) == ("error", str(path), kind)
    assert message in event["text"]
    assert told.err == f"unstir: {event['text']}\n"
    assert not out.exists()


def test_progress_of_a_stretch_counts_to_its_end(street: Path) -> None:
    events: list[Progress] = []
    listen_for(
        street,
        Settings(query="rain", from_s=2.0, to_s=4.0),
        listener=lambda e: events.append(e) if isinstance(e, Progress) else None,
    )
    assert {event.total for event in events} == {2 * 44100}
    assert events[-1].done == 2 * 44100


def test_windows_cover_every_frame_once_whatever_the_blocks() -> None:
    n = 1000 * FRAME + 777
    line = np.arange(n, dtype=np.float32)[None]
    for size in (1000, 44100, n):
        blocks = [line[:, k : k + size] for k in range(0, n, size)]
        first_frames = []
        for window, counting in _windows(blocks):
            n_frames = n_presence_frames(window.shape[1])
            starts = window[0, 0] / FRAME + np.arange(n_frames)[counting]
            first_frames += starts.round().astype(int).tolist()
        assert first_frames == list(range(len(first_frames)))
        assert len(first_frames) == n_presence_frames(n)


def test_stretches_close_together_are_one() -> None:
    curve = np.zeros(400, np.float32)
    curve[100:130] = curve[136:170] = 0.9  # 0.28 s between them
    curve[300:330] = 0.8
    found = found_in("x", curve)
    assert len(found.spans) == 2
    assert found.score == pytest.approx(0.9)
    assert found.spans[1].score == pytest.approx(0.8)
    frame_s = FRAME / RATE
    assert found.spans[0].start_s == pytest.approx(100 * frame_s, abs=0.3)
    assert found.spans[0].end_s == pytest.approx(170 * frame_s, abs=0.3)


def test_the_start_of_a_stretch_counts_from_the_start_of_the_file(street: Path) -> None:
    settings = Settings(query="sound effects", from_s=2.0, to_s=4.0)
    for one in listen_for(street, settings):
        assert all(2.0 <= span.start_s < span.end_s <= 4.1 for span in one.spans)


FOUND = (
    Found("a dog", 0.9, (Span(3661.5, 3662.25, 0.9),)),
    Found('rain, "hard"\n', 0.8, (Span(1.0, 2.5, 0.8),)),
)


def test_labels_for_audacity_are_in_order(tmp_path: Path) -> None:
    write_markers(FOUND, tmp_path / "m.txt")
    lines = (tmp_path / "m.txt").read_text().splitlines()
    assert lines == [
        '1.000000\t2.500000\train, "hard"',
        "3661.500000\t3662.250000\ta dog",
    ]


def test_regions_for_reaper_are_a_table(tmp_path: Path) -> None:
    write_markers(FOUND, tmp_path / "m.csv")
    rows = list(csv.reader((tmp_path / "m.csv").read_text().splitlines()))
    assert rows[0] == ["#", "Name", "Start", "End", "Length"]
    assert rows[1] == ["R1", 'rain, "hard"', "0:00:01.000", "0:00:02.500", "0:00:01.500"]
    assert rows[2][2] == "1:01:01.500"


def test_markers_as_json_hold_everything(tmp_path: Path) -> None:
    write_markers(FOUND, tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text())[0]["spans"][0]["score"] == 0.9


@pytest.mark.parametrize(
    ("name", "message"),
    [("m.xls", "ends in .txt"), ("no/m.csv", "there is no folder"), ("m.txt", "is a folder")],
)
def test_markers_that_cannot_be_written_are_refused_before_any_work(
    name: str, message: str, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.txt").mkdir()
    assert main(["find", str(street), "a dog", "-o", str(tmp_path / name), "--overwrite"]) == 2
    assert message in capsys.readouterr().err


def test_markers_are_not_replaced_unasked(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.txt"
    path.write_text("mine")
    assert main(["find", str(street), "a dog", "-o", str(path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["find", str(street), "a dog", "-o", str(path), "--overwrite"]) == 0
    assert path.read_text() != "mine"


def test_markers_that_fail_to_be_written_are_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.txt.part").mkdir()  # where the temporary file would lie
    with pytest.raises(AudioError, match="cannot be written"):
        write_markers(FOUND, tmp_path / "m.txt")


def test_no_stretch_goes_beyond_the_file(street: Path) -> None:
    for one in listen_for(street, Settings(query="sound effects; music")):
        assert all(span.end_s <= 5.0 for span in one.spans)
    curve = np.full(3, 0.9, np.float32)
    assert found_in("x", curve, 1.0, 1.01).spans == (Span(1.0, 1.01, 0.9),)


def test_what_scores_above_the_threshold_is_heard_however_short() -> None:
    assert found_in("x", np.array([0.75], np.float32)).is_heard


def test_a_single_sample_at_a_high_rate_can_be_listened_to(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    sf.write(path, np.full((1, 2), 0.1, np.float32), 192000)
    assert len(listen_for(path, Settings(query="rain"))) == 1


def test_a_stretch_outside_the_file_names_its_length(street: Path) -> None:
    with pytest.raises(SettingsError, match=r"between 7 s and the end of .* lasts 5\.00 s"):
        listen_for(street, Settings(query="rain", from_s=7.0))


def test_several_recordings_are_named_together(street: Path, tmp_path: Path) -> None:
    other = tmp_path / "a\nb.wav"
    sf.write(other, sound(1), 44100)
    found = listen_for(street, Settings(like=(str(street), str(other))))
    assert [one.query for one in found] == ["street.wav + a b.wav"]


def test_a_sound_called_mixture_gets_a_file(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    sf.write(path, sound(0.3), 44100)
    done = extract(path, tmp_path / "out", Settings(query="mixture; rain"))
    assert done.result is not None
    assert set(done.result.files) == {"mixture 2", "rain", "residual"}


def test_a_recording_that_is_not_there_is_refused_from_python_too(
    street: Path, tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match="nope"):
        separate_file(street, tmp_path / "out", Settings(like=("nope.wav",)))
