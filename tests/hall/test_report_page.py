"""The page of a comparison: what it says, what it lets through, and what clicks do."""

import csv
import html
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from scipy.stats import binomtest

from tests.hall.comparisons import comparison, without_references
from unstir.errors import AudioError, SettingsError
from unstir.hybrid.bank import TELLS
from unstir.provenance import Provenance
from unstir.report import Comparison
from unstir.report_audio import matching_gains_db, opus
from unstir.report_files import FILES, write_report
from unstir.report_page import page
from unstir.report_pictures import power_columns, shares
from unstir.report_tables import tables
from unstir.types import FILM

pytestmark = pytest.mark.xdist_group("page")  # one browser, and its page, for all

HOSTILE = "<img src=x onerror=alert(1)>.wav"


@pytest.fixture(scope="module")
def known() -> Comparison:
    return comparison(HOSTILE)


def provenance() -> Provenance:
    """Return what might have moved two seconds of a film."""
    evidence = ("base", "mix", *TELLS[FILM])
    moved = np.random.default_rng(0).random((3, len(evidence), 40, 256), dtype=np.float32)
    edges = np.arange(257) * 4
    return Provenance(FILM, evidence, moved, moved[0, 0], 44100, 512, edges, 2048)


@pytest.fixture(scope="module")
def text(known: Comparison) -> str:
    return page(replace(known, provenance={"midside": provenance()}))


def island(text: str, name: str) -> Any:
    """Return what a script tag of data holds."""
    (found,) = re.findall(
        rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.S
    )
    return json.loads(found)


def test_a_hostile_file_name_is_text_and_nothing_else(text: str) -> None:
    assert "<img src=x" not in text
    assert html.escape(HOSTILE) in text
    assert island(text, "data")["file"] == HOSTILE


def test_the_page_fetches_nothing(text: str) -> None:
    shown = re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", text)
    assert not re.search(r"https?://|\bsrc=\"(?!\")|@import|url\(", shown)
    assert "default-src &#39;none&#39;" in text


def test_every_choice_of_a_player_has_its_sound(text: str) -> None:
    sounds, choices = island(text, "sounds"), island(text, "data")["choices"]
    assert set(choices) == {"mix", "speech", "music", "effects"}
    labels = [choice["label"] for choice in choices["music"]]
    assert labels == ["mix", "true stem", "oracle", "invert", "midside"]
    assert {choice["sound"] for row in choices.values() for choice in row} == set(sounds)
    assert all(uri.startswith("data:audio/ogg;base64,T2dnU") for uri in sounds.values())


def test_provenance_stands_where_there_is_some_and_says_how_to_read_it(
    text: str, known: Comparison
) -> None:
    assert text.count('class="provenance"') == len(FILM)
    first = text.split('class="provenance"')[1].split("</figure>")[0]
    names = re.findall(r"</i>(\w+) <span>(\d+) %</span>", first)
    assert {name for name, _ in names} == {"mix", *TELLS[FILM]}
    assert sum(int(share) for _, share in names) == pytest.approx(100, abs=5)
    assert "Gray is what the base separator gave it" in text
    assert 'id="provenance"' not in page(known)


@pytest.mark.parametrize("blind", ["mix", "leakage", ""])
def test_only_evidence_that_is_there_is_explained(known: Comparison, blind: str) -> None:
    evidence = ("base", *filter(None, [blind]), "alike")
    found = provenance()
    found = replace(found, evidence=evidence, moved=found.moved[:, : len(evidence)])
    shown = page(replace(known, provenance={"midside": found}))
    for name in ("mix", "leakage"):
        assert (f"<b>{name}</b> is what" in shown) == (name == blind)


def test_without_true_stems_the_table_has_loudness_and_no_oracle() -> None:
    (table,) = tables(without_references())
    titles = [column.title for column in table["columns"]]
    assert titles == ["speech", "music", "effects", "null", "time", "speed", "memory"]
    assert [row["method"] for row in table["rows"]] == ["mixture", "invert", "midside"]


def test_the_best_is_marked_and_controls_do_not_compete(known: Comparison) -> None:
    overall, speech, *_ = tables(known)
    assert "SDR" not in [column.title for column in speech["columns"]]  # no figure, no column
    rows = {row["method"]: row["cells"] for row in overall["rows"]}
    assert [rows[name][0]["best"] for name in rows] == [False, False, False, True]
    assert [cell["text"] for cell in rows["mixture"][:5]] == ["0.0", "0.0", "0.0", "0.0", "exact"]
    titles = [column.title for column in overall["columns"]]
    assert rows["invert"][titles.index("time")]["best"]  # the controls are faster
    # All of it is rounding.
    assert not any(cells[titles.index("null")]["best"] for cells in rows.values())


def test_files_appear_together_or_not_at_all(known: Comparison, tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, Comparison]]:
        yield "one", known
        raise AudioError("the second cannot be read")

    with pytest.raises(AudioError):
        write_report(tmp_path / "report", broken(), single=False)
    assert not list(tmp_path.iterdir())


def test_an_older_report_is_replaced_only_when_asked(known: Comparison, tmp_path: Path) -> None:
    older = tmp_path / "report"
    older.mkdir()
    for name in FILES:
        (older / name).write_text("old")
    with pytest.raises(SettingsError, match="--overwrite"):
        write_report(older, [("one", known)])
    write_report(older, [("one", known)], overwrite=True)
    assert sorted(path.name for path in older.iterdir()) == sorted(FILES)
    assert all((older / name).read_text() != "old" for name in FILES)
    assert list(tmp_path.iterdir()) == [older]


def test_a_folder_that_is_no_report_is_never_replaced(known: Comparison, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(SettingsError, match="another -o"):
        write_report(tmp_path, [("one", known)], overwrite=True)
    assert (tmp_path / "diary.txt").read_text() == "mine"


@pytest.fixture(scope="module")
def folder(known: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of two files."""
    path = tmp_path_factory.mktemp("several") / "report"
    write_report(path, [(HOSTILE, known), ("b.wav", known)], single=False)
    return path


def test_csv_and_json_hold_the_same_figures(folder: Path) -> None:
    with (folder / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    heads = json.loads((folder / "comparison.json").read_text())["comparisons"]
    others = [row for head in heads for row in head["rows"]]
    assert len(rows) == len(others) == 2 * 4 * 3
    for row, other in zip(rows, others, strict=True):
        assert row["method"] == other["method"]
        assert float(row["gain_db"]) == pytest.approx(other["gain_db"])


def test_several_files_get_a_page_each_and_one_that_leads_there(folder: Path) -> None:
    index = (folder / "index.html").read_text()
    assert "<img" not in index and "onerror=alert(1)&gt;" in index
    for link in re.findall(r'href="(.*?)"', index):
        assert (folder / unquote(link)).is_file()
    assert "Gain in SI-SDR over 2 files" in index


def test_matched_levels_never_clip() -> None:
    peaks = {"quiet": 0.5, "loud": 0.9, "silent": 0.0}
    gains = matching_gains_db({"quiet": -40.0, "loud": -10.0, "silent": None}, peaks)
    assert gains["quiet"] - gains["loud"] == pytest.approx(30)
    assert max(20 * np.log10(peaks[k]) + gains[k] for k in ("quiet", "loud")) <= 1e-9


def test_sound_keeps_its_length_and_place() -> None:
    x = np.zeros((2, 44100), np.float32)
    x[:, 22050:22100] = 0.5
    y, rate = soundfile.read(io.BytesIO(opus(x, sample_rate=44100)))
    assert y.shape == (48000, 2) and rate == 48000
    assert abs(int(np.argmax(np.abs(y[:, 0]))) - 24027) < 60


def test_shares_add_up_to_one(known: Comparison) -> None:
    stems = known.outcomes[-1].stems
    found = shares({k: power_columns(v, sample_rate=known.sample_rate) for k, v in stems.items()})
    np.testing.assert_allclose(sum(found.values()), 1, atol=1e-5)


# ---- in a browser ----


class Page:
    """A page in headless Chromium, and what tests ask of it."""

    def __init__(self, driver: Any, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def js(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def press(self, key: str) -> None:
        self.driver.find_element("css selector", "body").send_keys(key)

    def wait(self, condition: str) -> None:
        end = time.monotonic() + 15
        while not self.js(f"return {condition}"):
            assert time.monotonic() < end, condition
            time.sleep(0.05)


@pytest.fixture(scope="module")
def opened(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("Chromium and its driver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(text, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        driver.get((folder / "index.html").as_uri())
        yield Page(driver, folder)
    finally:
        driver.quit()


@pytest.fixture
def playing(opened: Page) -> Page:
    """Return the page with the speech of the mix playing, whatever was done to it before."""
    if not opened.js("return document.querySelector('#speech .loop').checked"):
        opened.click("#speech .loop")
    if not opened.js("return unstir.players.speech.playing"):
        opened.click("#speech .play")
    opened.wait("unstir.players.speech.playing && unstir.players.speech.position() > 0.1")
    opened.press("0")
    opened.wait("unstir.players.speech.nodes[0].gain.gain.value > 0")
    return opened


@pytest.mark.hosts
def test_a_click_on_a_title_sorts_and_a_second_one_turns_it_round(opened: Page) -> None:
    rows = "[...document.querySelectorAll('#table-all tbody tr')]"
    order = f"return {rows}.map(row => row.cells[0].dataset.sort)"
    opened.click("#table-all thead th:nth-child(2) button")
    assert opened.js(order) == ["oracle", "midside", "mixture", "invert"]
    opened.click("#table-all thead th:nth-child(2) button")
    assert opened.js(order) == ["invert", "mixture", "midside", "oracle"]


@pytest.mark.hosts
def test_switching_while_playing_is_a_change_of_gain_at_one_instant(playing: Page) -> None:
    gains = "return unstir.players.speech.nodes.map(n => n.gain.gain.value)"
    before = playing.js(gains)
    assert before[0] > 0 and before[1:] == [0] * 4
    same = "window.kept = unstir.players.speech.nodes[0].source; return unstir.players.speech.since"
    since = playing.js(same)
    playing.press("3")
    playing.wait("unstir.players.speech.nodes[0].gain.gain.value === 0")
    after = playing.js(gains)
    assert after[3] > 0 and [after[i] for i in (0, 1, 2, 4)] == [0] * 4
    # Nothing was started anew.
    assert playing.js("return window.kept === unstir.players.speech.nodes[0].source")
    assert playing.js("return unstir.players.speech.since") == since
    matched = playing.js("return unstir.players.speech.choices[3].matched_db")
    assert after[3] == pytest.approx(10 ** (matched / 20), rel=1e-4)
    playing.press("m")
    playing.wait("unstir.players.speech.nodes[3].gain.gain.value === 1")
    playing.press("m")


@pytest.mark.hosts
def test_all_sounds_of_a_player_are_decoded_to_one_length(playing: Page) -> None:
    lengths = playing.js("return unstir.players.speech.nodes.map(n => n.source.buffer.length)")
    assert set(lengths) == {2 * 48000}


@pytest.mark.hosts
def test_space_pauses_and_arrows_move(playing: Page) -> None:
    playing.press(" ")
    playing.wait("!unstir.players.speech.playing")
    at = playing.js("return unstir.players.speech.position()")
    playing.press("\ue012" if at >= 1 else "\ue014")  # left, right
    assert abs(abs(playing.js("return unstir.players.speech.position()") - at) - 1) < 0.01


@pytest.mark.hosts
def test_a_loop_comes_round(opened: Page) -> None:
    opened.js(
        "const s = document.getElementById('music'); s.querySelector('.from').value = 0.5;"
        "s.querySelector('.to').value = 0.7; s.querySelector('.loop').click()"
    )
    opened.click("#music .play")
    opened.wait("unstir.players.music.playing")
    assert opened.js("return unstir.players.speech.playing") is False  # one sounds at a time
    time.sleep(0.5)
    assert 0.5 <= opened.js("return unstir.players.music.position()") < 0.7
    opened.click("#music .play")


@pytest.mark.hosts
def test_a_click_on_the_provenance_goes_there(opened: Page) -> None:
    opened.js("document.querySelector('#effects .provenance').scrollIntoView({block: 'center'})")
    opened.click("#effects .provenance .picture")  # its middle
    assert opened.js("return unstir.players.effects.position()") == pytest.approx(1, abs=0.02)
    shown = "return document.querySelector('#effects .provenance img').naturalWidth"
    assert opened.js(shown) == 40


@pytest.mark.hosts
def test_masks_stand_beside_the_spectrograms_unless_they_are_hidden(opened: Page) -> None:
    boxes = (
        "const boxes = [...document.querySelectorAll('#music figure[data-choice] > .pictures')]"
        ".map(row => [...row.children].map(one => one.getBoundingClientRect()));"
    )
    # The mix alone has no mask.
    widths = f"{boxes} return boxes.map(row => row.filter(one => one.width > 0).length)"
    beside = f"{boxes} return boxes.slice(1).every(([a, b]) => a.top === b.top && a.right < b.left)"
    assert opened.js(widths) == [1, 2, 2, 2, 2]
    assert opened.js(beside)
    opened.click("#masks")
    assert opened.js(widths) == [1, 1, 1, 1, 1]
    opened.click("#masks")
    assert opened.js(widths) == [1, 2, 2, 2, 2]


@pytest.mark.hosts
def test_a_blind_trial_is_logged_with_its_answer(opened: Page) -> None:
    leaving = (
        "const event = new Event('beforeunload', { cancelable: true });"
        "return [dispatchEvent(event), document.getElementById('abx-unsaved').textContent]"
    )
    assert opened.js(leaving) == [True, ""]
    opened.click("#abx-start")
    opened.wait("unstir.trial() && unstir.trial().player.playing")
    for which in "abx":
        opened.click(f"#abx-hear-{which}")
    x = opened.js("return unstir.trial().record.x")
    gains = opened.js("return unstir.trial().player.nodes.map(n => n.gain.gain.value)")
    opened.click(f"#abx-is-{x}")
    assert "1 of 1 right, p = 0.50" in opened.js(
        "return document.getElementById('abx-score').textContent"
    )
    assert opened.js(leaving) == [False, "1 choice not saved"]
    opened.click("#abx-save")
    assert opened.js(leaving) == [True, ""]
    file = opened.downloads / "abx-log.json"
    end = time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    log = json.loads(file.read_text())
    assert log["file"] == HOSTILE
    assert log["score"] == {"trials": 1, "correct": 1, "p_value": 0.5}
    (trial,) = log["trials"]
    assert (trial["a"], trial["b"]) == ("invert", "midside")
    assert trial["answer"] == trial["x"] == x and trial["correct"]
    assert trial["switches"] == {"a": 1, "b": 1, "x": 2}
    assert trial["seconds"] > 0 and len(gains) == 2


@pytest.mark.hosts
def test_the_chance_of_guessing_is_binomial(opened: Page) -> None:
    for right, n in ((0, 0), (8, 10), (5, 10), (16, 16)):
        expected = binomtest(right, n, alternative="greater").pvalue if n else 1.0
        assert opened.js(f"return unstir.pValue({right}, {n})") == pytest.approx(expected)


@pytest.mark.hosts
@pytest.mark.parametrize("width", [1280, 800, 500])
def test_nothing_overflows(opened: Page, width: int) -> None:
    opened.driver.set_window_size(width, 1000)
    assert opened.js("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.hosts
def test_the_browser_had_nothing_to_complain_of(opened: Page) -> None:
    assert [entry["message"] for entry in opened.driver.get_log("browser")] == []
