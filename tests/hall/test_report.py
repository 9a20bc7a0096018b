"""What a comparison reads, measures and collects."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.hall.comparisons import comparison
from tests.hall.test_joined import brought
from tests.sounds import mixture_of, references, scene
from unstir.cli import main
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.metrics import Scores, absent, bss_eval, null_depth_db, scores, stoi
from unstir.report import compare_file
from unstir.report_sources import find_sources, reference_files
from unstir.settings import Progress
from unstir.types import FILM, SONG

RATE = 8000


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three seconds of a mono song, quiet at first, and its true stems."""
    folder = tmp_path_factory.mktemp("song")
    stems = references(scene(3, RATE, channels=1), SONG)
    fade = np.where(np.arange(3 * RATE) < RATE, 0.05, 1).astype(np.float32)
    (folder / "stems").mkdir()
    for name, stem in stems.items():
        soundfile.write(folder / f"stems/{name}.wav", (stem * fade).T, RATE, "FLOAT")
    mix = mixture_of({name: stem * fade for name, stem in stems.items()})
    soundfile.write(folder / "song.wav", mix.T, RATE, "FLOAT")
    return folder


def test_a_real_run_gives_every_figure(song: Path) -> None:
    events: list[object] = []
    found = compare_file(
        song / "song.wav",
        stems="song",
        methods=["bands"],
        reference=song / "stems",
        seconds=2,
        listener=events.append,
    )
    assert [outcome.method for outcome in found.outcomes] == ["mixture", "oracle", "bands"]
    assert found.start == RATE and found.mix.shape == (1, 2 * RATE)  # past the quiet second
    nothing, oracle, bands = found.outcomes
    for outcome in found.outcomes:
        assert set(outcome.stems) == set(SONG) == set(outcome.scores)
        assert outcome.null_depth_db is None or outcome.null_depth_db < -120
        assert outcome.seconds > 0 and outcome.device == "cpu"
    assert oracle.peak_mb is None and bands.peak_mb is not None and bands.peak_mb > 20
    gains = [outcome.scores["vocals"].gain_db for outcome in (nothing, bands, oracle)]
    assert gains[0] == pytest.approx(0, abs=1e-6)
    assert gains[1] is not None and gains[2] is not None and gains[2] > max(gains[1], 3)
    if not absent():
        assert oracle.scores["vocals"].sdr_db is not None
        assert nothing.scores["vocals"].stoi is not None
        assert oracle.scores["vocals"].stoi > nothing.scores["vocals"].stoi  # type: ignore[operator]
    assert Progress("comparing 3 methods", 2, 3) in events


def test_a_hybrid_comes_with_what_moved_its_stems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the process that takes it apart
    soundfile.write(tmp_path / "film.wav", mixture_of(scene(1, RATE)).T, RATE)
    with brought(tmp_path):
        found = compare_file(tmp_path / "film.wav", methods=["cheap"])
    assert [outcome.kind for outcome in found.outcomes] == ["control", "hybrid"]
    assert list(found.provenance) == ["cheap"]
    assert found.provenance["cheap"].stems == FILM
    assert found.provenance["cheap"].moved[:, 1:].any()


def test_records_are_flat_and_json_takes_them() -> None:
    found = comparison()
    rows = found.records()
    assert len(rows) == len(found.outcomes) * 3
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    by_stem = {(row["method"], row["stem"]): row for row in rows}
    assert by_stem["mixture", "music"]["null_exact"]
    assert by_stem["oracle", "music"]["real_time_factor"] == pytest.approx(2 / 1.5, abs=1e-3)


def test_a_frame_is_the_records_or_a_sentence() -> None:
    if find_spec("pandas") is None:
        with pytest.raises(SettingsError, match="needs pandas"):
            comparison().to_frame()
        return
    frame = comparison().to_frame()
    assert frame.loc[("oracle", "speech"), "kind"] == "control"


def test_methods_that_cannot_do_it_are_left_out_by_default_and_refused_by_name(
    song: Path,
) -> None:
    mono = song / "song.wav"
    with pytest.raises(SettingsError, match="two channels"):
        compare_file(mono, methods=["midside"])
    with pytest.raises(SettingsError, match="true stems"):
        compare_file(mono, methods=["oracle"])
    with pytest.raises(UnknownNameError, match="cannot give"):
        compare_file(mono, stems="song", methods=["compact-film"])
    with pytest.raises(SettingsError, match="needs weights"):
        compare_file(mono, methods=["mrx"])


def test_references_must_fit_the_mix(song: Path, tmp_path: Path) -> None:
    shutil.copytree(song / "stems", tmp_path, dirs_exist_ok=True)
    x, _ = soundfile.read(tmp_path / "vocals.wav")
    for wrong, rate, reason in ((x[:-1], RATE, "as long"), (x, 2 * RATE, "Hz")):
        soundfile.write(tmp_path / "vocals.wav", wrong, rate)
        with pytest.raises(AudioError, match=reason):
            compare_file(song / "song.wav", stems="song", methods=["bands"], reference=tmp_path)


def test_references_are_found_by_their_published_names(tmp_path: Path) -> None:
    for name in ("speech", "music", "sfx"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(8), RATE)
    found = reference_files(tmp_path, FILM)
    assert [found[name][0].name for name in FILM] == ["speech.wav", "music.wav", "sfx.wav"]
    with pytest.raises(AudioError, match="vocals, accompaniment"):
        reference_files(tmp_path, SONG)
    for name in ("vocals", "drums", "bass", "other"):
        soundfile.write(tmp_path / f"{name}.flac", np.zeros(8), RATE)
    assert len(reference_files(tmp_path, SONG)["accompaniment"]) == 3


def test_a_folder_of_scenes_knows_its_stems_and_one_of_files_does_not(
    song: Path, tmp_path: Path
) -> None:
    for name in ("mix", "speech", "music", "sfx"):
        (tmp_path / "scenes/0001").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / f"scenes/0001/{name}.wav", np.zeros(RATE), RATE)
    (source,), skipped = find_sources(tmp_path / "scenes")
    assert source.name == "0001" and source.references is not None and not skipped
    assert source.references["effects"][0].name == "sfx.wav"
    with pytest.raises(SettingsError, match="choose the --stems"):
        find_sources(tmp_path / "scenes", stems="song")
    plain, _ = find_sources(song / "stems", stems="song")
    assert [source.references for source in plain] == [None, None]
    with pytest.raises(SettingsError, match="single file"):
        find_sources(tmp_path / "scenes", reference=song / "stems")


def test_bad_input_is_one_sentence_and_leaves_nothing(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    (tmp_path / "empty.wav").touch()
    for words in (
        [str(tmp_path / "none.wav")],
        [str(tmp_path / "empty.wav")],
        [str(song / "song.wav"), "--seconds", "0"],
        [str(song / "song.wav"), "--seconds", "nan"],
        [str(song / "song.wav"), "--start-s", "99"],
        [str(song / "song.wav"), "--methods", "magic"],
        [str(song / "song.wav"), "--reference", str(tmp_path)],
        [str(song / "song.wav"), "--stems", "opera"],
    ):
        assert main(["compare", *words, "-o", str(out)]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty.wav"]


def test_the_command_writes_a_page_with_the_oracle_in_it(song: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"s\xffng.wav")  # no UTF-8
    shutil.copy(song / "song.wav", odd)
    words = [str(odd), "--reference", str(song / "stems"), "--stems", "song"]
    words += ["--methods", "oracle", "--seconds", "1", "--quiet", "-o", str(tmp_path / "r")]
    assert main(["compare", *words]) == 0
    (found,) = json.loads((tmp_path / "r/comparison.json").read_text())["comparisons"]
    assert (
        found["file"] == "s\N{REPLACEMENT CHARACTER}ng.wav"
        and found["duration_s"] == 1
        and found["references"]
    )
    assert {row["method"] for row in found["rows"]} == {"mixture", "oracle"}


def test_a_silent_stem_has_no_figures_and_an_antiphase_one_no_bss_eval(
    rng: np.random.Generator,
) -> None:
    x = rng.standard_normal((2, 2 * RATE)).astype(np.float32)
    true = {"vocals": np.zeros_like(x), "accompaniment": x}
    found = scores(true, true, x, sample_rate=RATE)
    assert found["vocals"] == Scores(None, None, None)
    apart = {"vocals": x, "accompaniment": np.stack([x[0], -x[0]])}
    assert bss_eval(apart, apart, sample_rate=RATE) == {}


@pytest.mark.skipif("museval" in absent(), reason="museval cannot be used")
def test_bss_eval_tells_interference_from_artifacts(rng: np.random.Generator) -> None:
    a, b, noise = rng.standard_normal((3, 1, 3 * RATE)).astype(np.float32)
    true = {"vocals": a, "accompaniment": b}
    leaky = bss_eval(true, {"vocals": a + 0.1 * b, "accompaniment": b}, sample_rate=RATE)
    noisy = bss_eval(true, {"vocals": a + 0.1 * noise, "accompaniment": b}, sample_rate=RATE)
    (sdr, sir, sar), (_, sir_of_noisy, sar_of_noisy) = leaky["vocals"], noisy["vocals"]
    assert sdr == pytest.approx(20, abs=1) and sir == pytest.approx(20, abs=1)
    assert sar is not None and sar > 40
    assert sar_of_noisy == pytest.approx(20, abs=1)
    assert sir_of_noisy is not None and sir_of_noisy > 30


@pytest.mark.skipif("pystoi" in absent(), reason="pystoi cannot be used")
def test_stoi_falls_with_noise_and_is_none_where_too_little_sounds(
    rng: np.random.Generator,
) -> None:
    voice = scene(2, RATE)["speech"]
    noise = 0.2 * rng.standard_normal(voice.shape).astype(np.float32)
    clean, noisy = (stoi(voice, x, sample_rate=RATE) for x in (voice, voice + noise))
    assert clean == pytest.approx(1) and noisy is not None and noisy < 0.9
    assert stoi(voice[:, :800], voice[:, :800], sample_rate=RATE) is None


def test_a_library_that_cannot_be_used_is_named_and_its_figures_are_left_out(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # museval does not start without ffmpeg
    assert absent()["museval"].startswith("left out: SDR, SIR and SAR, since museval ")
    x = rng.standard_normal((2, 1, 2 * RATE)).astype(np.float32)
    true = dict(zip(SONG, x, strict=True))
    found = scores(true, true, x.sum(axis=0), sample_rate=RATE)
    assert found["vocals"].sdr_db is None


def test_null_depth_is_relative_to_full_scale_or_a_louder_peak() -> None:
    mix = np.full((1, 10), 10, np.float32)
    assert null_depth_db(mix, {"a": mix - np.float32(0.01)}) == pytest.approx(-60, abs=0.1)
