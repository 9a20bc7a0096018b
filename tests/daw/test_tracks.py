"""Where stems lie: folders, names, colors, and what stays as it was."""

from pathlib import Path

import numpy as np
import pytest

from tests.daw.conftest import RATE, item_of
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Fx, Item, Project, Source, Track, value

SEPARATE = "Separate selected items (last settings)"


def layout(project: Project) -> list[tuple[int, str]]:
    return list(zip(project.levels(), (track.name for track in project.tracks), strict=True))


def run(reaper: Reaper, action: str = SEPARATE) -> None:
    reaper.run(action)
    reaper.pump()


@pytest.fixture
def item(project: Project, sounds: Path) -> Item:
    one = item_of(Source.of_file(sounds / "stereo.wav"))
    project.tracks[0].items.append(one)
    return one


def tree(*tracks: tuple[str, int]) -> list[Track]:
    return [Track(name, values={"I_FOLDERDEPTH": float(depth)}) for name, depth in tracks]


TREES = {
    "alone": (tree(("Dialogue", 0)), 0),
    "between neighbors": (tree(("Before", 0), ("Dialogue", 0), ("After", 0)), 1),
    "first in a folder": (tree(("Bus", 1), ("Dialogue", 0), ("Other", -1), ("After", 0)), 1),
    "last in a folder": (tree(("Bus", 1), ("Other", 0), ("Dialogue", -1), ("After", 0)), 2),
    "last in two folders": (tree(("A", 1), ("B", 1), ("Dialogue", -2), ("After", 0)), 2),
    "a folder itself": (tree(("Dialogue", 1), ("Child", -1), ("After", 0)), 0),
    "a folder that ends another": (tree(("A", 1), ("Dialogue", 1), ("Child", -2), ("B", 0)), 1),
}


@pytest.mark.parametrize("place", ["inside", "below"])
@pytest.mark.parametrize("case", TREES)
def test_the_folders_of_neighbors_stay(
    case: str, place: str, reaper: Reaper, project: Project, sounds: Path
) -> None:
    import copy

    tracks, at = copy.deepcopy(TREES[case])
    tracks[at].items.append(item_of(Source.of_file(sounds / "stereo.wav")))
    tracks[at].values["D_VOL"] = 0.5
    project.tracks = tracks
    before, sound = layout(project), mix(project, RATE, 3)
    reaper.ext_state["unstir", "place"] = place
    run(reaper)
    after = layout(project)
    stems = [(level, name) for level, name in after if name in ("Speech", "Music", "Effects")]
    others = [one for one in after if one not in stems and one[1] != "Dialogue stems"]
    assert others == before
    assert [name for _, name in stems] == ["Speech", "Music", "Effects"]
    assert {level for level, _ in stems} == {before[at][0] + 1}
    assert np.abs(mix(project, RATE, 3) - sound).max() < 1e-6
    end = sum(value(track, "I_FOLDERDEPTH") for track in project.tracks)
    assert end == sum(depth for _, depth in _depths(case))
    again = layout(project)
    run(reaper)
    assert layout(project) == again


def _depths(case: str) -> list[tuple[str, float]]:
    return [(track.name, value(track, "I_FOLDERDEPTH")) for track in TREES[case][0]]


def test_stem_tracks_are_named_and_colored(reaper: Reaper, project: Project, item: Item) -> None:
    run(reaper)
    assert layout(project) == [(0, "Dialogue"), (1, "Speech"), (1, "Music"), (1, "Effects")]
    colors = {value(track, "I_CUSTOMCOLOR") for track in project.tracks[1:]}
    assert len(colors) == 3
    assert all(int(color) & 0x1000000 for color in colors)
    assert project.tracks[1].items[0].take.name == "Scene 1 - Speech"


def test_the_picture_in_the_documents_is_the_layout(
    reaper: Reaper, project: Project, item: Item
) -> None:
    project.tracks.append(Track("Next track"))
    run(reaper)
    text = (Path(__file__).parents[2] / "docs/reaper.md").read_text(encoding="utf-8")
    picture = text.split("## Where stems lie")[1].split("```")[1].strip("\n").splitlines()
    shown = [
        ((len(line) - len(line.lstrip())) // 2, line.strip().split("  ")[0]) for line in picture
    ]
    assert shown == layout(project)


def test_post_production_has_names_of_its_own(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.ext_state["unstir", "names"] = "post"
    run(reaper)
    assert [track.name for track in project.tracks[1:]] == ["DX", "MX", "FX"]


def test_everything_an_item_carries_is_on_its_stems(
    reaper: Reaper, project: Project, item: Item
) -> None:
    carried = {
        **{"D_SNAPOFFSET": 0.25, "D_FADEINLEN": 0.1, "D_FADEOUTLEN": 0.2, "C_FADEINSHAPE": 2.0},
        **{"C_FADEOUTSHAPE": 3.0, "D_VOL": 0.7, "C_LOCK": 1.0, "I_GROUPID": 4.0},
    }
    item.values.update(carried)
    item.take.values["D_PAN"] = -0.3
    run(reaper)
    for track in project.tracks[1:]:
        (stem,) = track.items
        assert {key: value(stem, key) for key in carried} == carried
        assert value(stem.take, "D_PAN") == -0.3
        assert value(stem, "D_POSITION") == 1


def test_six_channels_get_tracks_of_six(reaper: Reaper, project: Project, sounds: Path) -> None:
    project.tracks[0].items.append(item_of(Source.of_file(sounds / "film.wav")))
    run(reaper)
    assert {value(track, "I_NCHAN") for track in project.tracks} == {6.0}


def test_running_again_replaces_the_stems(reaper: Reaper, project: Project, item: Item) -> None:
    other = Item(item.takes)
    run(reaper)
    project.tracks[1].items.append(other)  # laid there by the user
    first = {one.guid for one in project.items}
    run(reaper)
    assert [len(track.items) for track in project.tracks] == [1, 2, 1, 1]
    assert len(project.tracks) == 4
    assert {one.guid for one in project.items} & first == {item.guid, other.guid}
    assert all(not value(track.items[-1], "B_MUTE") for track in project.tracks[1:])


def test_another_stem_set_replaces_tracks_that_are_bare(
    reaper: Reaper, project: Project, item: Item
) -> None:
    before = mix(project, RATE, 3)
    run(reaper)
    project.tracks[2].fx.append(Fx("ReaEQ"))  # so that the user's work stays
    reaper.ext_state["unstir", "stems"] = "song"
    run(reaper)
    assert {track.name for track in project.tracks} == {
        *("Dialogue", "Vocals", "Accompaniment", "Music"),
    }
    assert {level for level, name in layout(project) if name != "Dialogue"} == {1}
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_an_item_muted_before_has_muted_stems(reaper: Reaper, project: Project, item: Item) -> None:
    item.values["B_MUTE"] = 1.0
    for _ in range(2):
        run(reaper)
        assert all(value(track.items[0], "B_MUTE") for track in project.tracks[1:])


def test_a_copy_of_a_separated_item_leaves_the_stems_of_the_first_alone(
    reaper: Reaper, project: Project, item: Item
) -> None:
    import copy

    from tests.daw.model import new_guid

    run(reaper)
    twin = copy.deepcopy(item)
    twin.guid, twin.take.guid = new_guid(), new_guid()
    twin.values.update(D_POSITION=2.5, B_MUTE=0.0)
    item.selected = False
    project.tracks[0].items.append(twin)
    run(reaper)
    assert [len(track.items) for track in project.tracks] == [2, 2, 2, 2]
    positions = sorted(value(one, "D_POSITION") for one in project.tracks[1].items)
    assert positions == [1.0, 2.5]


def test_stems_themselves_are_not_separated(reaper: Reaper, project: Project, item: Item) -> None:
    run(reaper)
    for one in project.items:
        one.selected = one is not item
    run(reaper)
    assert "Select" in reaper.messages[0]
    assert len(project.items) == 4


def test_the_selection_stays(reaper: Reaper, project: Project, item: Item) -> None:
    project.time_selection = (1.2, 1.4)
    run(reaper)
    assert project.time_selection == (1.2, 1.4)
    assert item.selected
    assert not any(one.selected for track in project.tracks[1:] for one in track.items)


def test_a_time_selection_limits_the_work(reaper: Reaper, project: Project, item: Item) -> None:
    before = mix(project, RATE, 3)
    project.time_selection = (1.25, 1.75)
    run(reaper)
    pieces = project.tracks[0].items
    assert [value(one, "D_POSITION") for one in pieces] == [1.0, 1.25, 1.75]
    assert [value(one, "B_MUTE") for one in pieces] == [0.0, 1.0, 0.0]
    (stem,) = project.tracks[1].items
    assert (value(stem, "D_POSITION"), value(stem, "D_LENGTH")) == (1.25, 0.5)
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6
    assert len(project.undo_names) == 1


def test_a_time_selection_elsewhere_limits_nothing(
    reaper: Reaper, project: Project, item: Item
) -> None:
    project.time_selection = (10.0, 12.0)
    run(reaper)
    assert len(project.tracks[0].items) == 1


def test_two_razor_edits_in_one_item(reaper: Reaper, project: Project, item: Item) -> None:
    before = mix(project, RATE, 3)
    project.tracks[0].razor = '1.1 1.3 "" 1.6 1.8 "" 1.0 2.0 "{ENVELOPE}"'
    project.time_selection = (1.0, 2.0)
    run(reaper)
    found = [value(one, "D_POSITION") for one in project.tracks[1].items]
    assert sorted(found) == [1.1, 1.6]
    assert sorted(value(one, "B_MUTE") for one in project.tracks[0].items) == [0, 0, 0, 1, 1]
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_a_part_of_an_item_with_stems_is_done_again(
    reaper: Reaper, project: Project, item: Item
) -> None:
    before = mix(project, RATE, 3)
    run(reaper)
    project.time_selection = (1.5, 5.0)
    reaper.ext_state["unstir", "method"] = "bands"
    run(reaper)
    assert [len(track.items) for track in project.tracks] == [2, 2, 2, 2]
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_one_undo_brings_everything_back(reaper: Reaper, project: Project, item: Item) -> None:
    before = mix(project, RATE, 3)
    run(reaper)
    assert project.undo_names == ["unstir: separate items into stems"]
    project.undo()
    assert layout(project) == [(0, "Dialogue")]
    assert not value(project.items[0], "B_MUTE")
    assert not project.items[0].ext
    assert np.abs(mix(project, RATE, 3) - before).max() == 0
    run(reaper)  # on new objects, with the same results from the same folder
    assert len(project.tracks) == 4


def test_names_that_would_break_a_project_file_are_mended(
    reaper: Reaper, project: Project, item: Item
) -> None:
    item.take.name = 'one "two"\nthree/four %41 \U0001f600'
    run(reaper)
    assert project.tracks[1].items[0].take.name == "one 'two' three/four %41 \U0001f600 - Speech"
    assert "\n" not in project.tracks[1].items[0].take.source.path
