"""The other actions: comparison, chains, melody, words, set-up, self-test, and the dialogs."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.daw.conftest import RATE, item_of
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Item, Project, Source, value
from unstir.cli_reaper import install
from unstir.worker_job import parse_lines

SEPARATE = "Separate selected items (last settings)"
DIALOG = "Separate selected items into stems"


@pytest.fixture
def item(project: Project, sounds: Path) -> Item:
    one = item_of(Source.of_file(sounds / "stereo.wav"))
    project.tracks[0].items.append(one)
    return one


def test_methods_are_compared_as_takes_of_one_item(
    reaper: Reaper, project: Project, item: Item
) -> None:
    before = mix(project, RATE, 3)
    reaper.answers = ["midside bands"]
    reaper.run("Compare methods on selected items")
    reaper.pump()
    for track in project.tracks[1:]:
        (stem,) = track.items
        assert [take.name.split(":")[0] for take in stem.takes] == ["midside", "bands"]
        assert all("LUFS" in take.name for take in stem.takes)
    for choice in (0, 1):
        for track in project.tracks[1:]:
            track.items[0].active = choice
        assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_a_question_that_is_dismissed_does_nothing(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.run("Compare methods on selected items")
    reaper.run("Extract a sound described in words")
    assert not reaper.deferred
    assert not reaper.messages


def test_what_is_not_heard_is_said_once_and_lies_on_tracks_all_the_same(
    reaper: Reaper, project: Project, tmp_path: Path
) -> None:
    sf.write(tmp_path / "silent.wav", np.zeros((2 * RATE, 2)), RATE)
    project.tracks[0].items.append(item_of(Source.of_file(tmp_path / "silent.wav")))
    reaper.answers = ['a dog, 100 % "angry"; rain']
    reaper.run("Extract a sound described in words")
    reaper.pump()
    assert reaper.messages == ['Scene 1: not heard: a dog, 100 % "angry" (0.00), rain (0.00)']
    names = [track.name for track in project.tracks]
    assert names == ["Dialogue", "a dog 100 angry", "rain", "residual"]


def test_what_words_cannot_ask_for_is_one_sentence(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.answers = ['100 % "\u72ac"']
    reaper.run("Extract a sound described in words")
    reaper.pump()
    (folder,) = (Path(project.folder) / "stems/jobs").iterdir()
    job = parse_lines((folder / "job.txt").read_bytes())
    assert (job["action"], job["words"]) == ("extract", '100 % "\u72ac"')
    (message,) = reaper.messages
    assert "describe the sound in English" in message
    assert "\n" not in message  # one sentence, without the worker's log


@pytest.mark.parametrize("given", ["noise; music", " noise ;; music;", "noise;music"])
def test_what_was_extracted_lies_on_tracks_named_by_the_words(
    given: str, reaper: Reaper, project: Project, item: Item
) -> None:
    before = mix(project, RATE, 3)
    reaper.answers = [given]
    reaper.run("Extract a sound described in words")
    reaper.pump()
    (message,) = reaper.messages
    assert re.fullmatch(r"Scene 1: not heard: music \(0\.\d\d\)", message)
    assert [track.name for track in project.tracks] == ["Dialogue", "noise", "Music", "residual"]
    assert project.undo_names == ["unstir: extract noise; music"]
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


@pytest.mark.parametrize("given", ["", " ", " ; ;"])
def test_no_word_is_no_run(given: str, reaper: Reaper, project: Project, item: Item) -> None:
    reaper.answers = [given]
    reaper.run("Extract a sound described in words")
    assert not reaper.deferred


def test_a_chain_is_rendered_into_a_new_take(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.run(SEPARATE)
    reaper.pump()
    (stem,) = project.tracks[1].items
    item.selected, stem.selected = False, True
    reaper.answers = ["dialogue-clarity"]
    reaper.run("Apply effect chain to stems")
    reaper.pump()
    assert not reaper.messages
    assert [take.name for take in stem.takes] == [
        "Scene 1 - Speech",
        "Scene 1 - Speech (dialogue-clarity, rendered)",
    ]
    assert stem.active == 1
    plain, colored = (sf.read(take.source.path)[0] for take in stem.takes)
    assert plain.shape == colored.shape
    assert np.abs(plain - colored).max() > 1e-3
    assert value(stem.takes[0], "D_STARTOFFS") == value(stem.takes[1], "D_STARTOFFS")


def test_a_chain_wants_stems(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.run("Apply effect chain to stems")
    assert "Select stem items" in reaper.messages[0]


def test_an_unknown_chain_is_refused(reaper: Reaper, project: Project, item: Item) -> None:
    item.ext["P_EXT:unstir_role"] = "speech"
    reaper.answers = ["no-such-chain"]
    reaper.run("Apply effect chain to stems")
    reaper.pump()
    assert "no-such-chain" in reaper.messages[0]
    assert len(item.takes) == 1


def test_a_melody_becomes_notes_in_their_place(
    reaper: Reaper, project: Project, tmp_path: Path
) -> None:
    t = np.arange(2 * RATE) / RATE
    tone = 0.3 * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 8))
    tone *= (t > 0.5) & (t < 1.5)
    sf.write(tmp_path / "voice.wav", tone, RATE)
    # At double rate, a second in: the note from 0.5 to 1.5 s sounds from 1.25 to 1.75 s.
    one = item_of(Source.of_file(tmp_path / "voice.wav"), D_PLAYRATE=2.0)
    project.tracks[0].items.append(one)
    for _ in range(2):
        reaper.answers = [6]  # yes, one voice alone
        reaper.run("Melody of selected items to MIDI")
        reaper.pump()
        assert not [m for m in reaper.messages if "alone" not in m]
        (midi,) = project.tracks[1].items
        ((start, end, key, _),) = midi.take.notes
        assert key == 57
        assert abs(start / 1920 - 0.25) < 0.05
        assert abs(end / 1920 - 0.75) < 0.05
    assert not value(one, "B_MUTE")


def test_the_set_up_is_found_and_kept(reaper: Reaper, project: Project) -> None:
    from unstir.worker import work

    reaper.ext_state["unstir", "python"] = "/missing/python"

    def worker(job: str) -> None:
        if "/missing/" in reaper.launched[-1]:
            Path(job).with_name("exit.txt").write_text("127\n")
        else:
            work(job)

    reaper.worker = worker
    reaper.run("Check the set-up")
    reaper.pump()
    assert "works" in reaper.messages[0]
    assert reaper.ext_state["unstir", "python"].endswith("/unstir/bin/python")
    assert len(project.tracks) == 1


def test_without_any_interpreter_the_commands_are_shown(reaper: Reaper, project: Project) -> None:
    reaper.worker = lambda job: Path(job).with_name("exit.txt").write_text("127\n") and None
    reaper.run("Check the set-up")
    reaper.pump()
    assert "pip install unstir" in reaper.messages[0]
    assert len(reaper.launched) > 3


def test_the_self_test_reports_and_leaves_nothing(
    reaper: Reaper, project: Project, item: Item
) -> None:
    folder = Path(project.folder)
    install(folder, "python")
    reaper.run("Self-test")
    report = (folder / "Data/unstir/selftest.txt").read_text()
    assert "0 of these differ" in report
    assert report.count("ok  ") >= 13
    assert "DIFFERENT" not in report
    assert [track.name for track in project.tracks] == ["Dialogue"]
    assert item.selected


def test_the_drawn_dialog_takes_a_choice_and_keeps_it(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.run(DIALOG)
    reaper.tick()
    gfx = reaper.globals().gfx
    reaper.answers = [2]  # the second entry of the menu
    gfx.mouse_y, gfx.mouse_cap = 20.0, 0.0
    reaper.tick()
    gfx.mouse_cap = 1.0
    reaper.tick()
    reaper.keys = [13]
    reaper.tick()
    assert reaper.windows[1] == "!speech, music, effects|vocals, accompaniment"
    assert reaper.ext_state["unstir", "stems"] == "song"
    gfx.mouse_cap = 0.0
    reaper.pump()
    assert [track.name for track in project.tracks[1:]] == ["Vocals", "Accompaniment"]


def test_escape_closes_the_drawn_dialog(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.run(DIALOG)
    reaper.keys = [27]
    reaper.pump()
    assert len(project.tracks) == 1


def test_reaimgui_is_used_where_it_is(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.extensions.add("ImGui_GetBuiltinPath")
    reaper.run(DIALOG)
    [reaper.tick() for _ in range(3)]
    reaper.clicks = {"Names", "DX, MX, FX", "Separate"}
    reaper.pump()
    assert [track.name for track in project.tracks[1:]] == ["DX", "MX", "FX"]
    assert reaper.ext_state["unstir", "names"] == "post"


def test_cancel_closes_the_reaimgui_dialog(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.extensions.add("ImGui_GetBuiltinPath")
    reaper.run(DIALOG)
    reaper.clicks = {"Cancel"}
    reaper.pump()
    assert len(project.tracks) == 1
