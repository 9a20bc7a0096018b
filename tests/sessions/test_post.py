"""Stems as post-production asks for them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import wavinfo

from tests.sessions.made import HOUR_S, make
from unstir.errors import SettingsError
from unstir.sessions.post import Delivery, write_wav
from unstir.sessions.session import read_session

RATE = 48000


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_stems_are_named_as_post_names_them(tmp_path: Path) -> None:
    made = make(tmp_path)
    write_wav(read_session(made.folder), tmp_path / "out")
    assert names(tmp_path / "out") == [f"film one_{n}_2.0.wav" for n in ("DX", "FX", "ME", "MX")]
    write_wav(read_session(made.folder), tmp_path / "own", Delivery(naming="stems"))
    assert "film one_speech_2.0.wav" in names(tmp_path / "own")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_film_order_moves_channels_and_changes_no_sample(subtype: str, tmp_path: Path) -> None:
    made = make(tmp_path, channels=6, subtype=subtype)  # type: ignore[arg-type]
    write_wav(read_session(made.folder), tmp_path / "out", Delivery(order="film"))
    file = tmp_path / "out/film one_DX_5.1.wav"
    found = sf.read(file, dtype="float32")[0].T
    np.testing.assert_array_equal(found, made.stems["speech"][[0, 2, 1, 4, 5, 3]])
    assert sf.info(file).subtype == subtype
    tracks = wavinfo.WavInfoReader(str(file)).ixml.track_list
    assert [t.name for t in tracks] == [f"DX {s}" for s in ("L", "C", "R", "Ls", "Rs", "LFE")]


def test_mono_files_carry_their_speaker(tmp_path: Path) -> None:
    made = make(tmp_path, channels=6)
    write_wav(read_session(made.folder), tmp_path / "out", Delivery(split="mono"))
    assert len(names(tmp_path / "out")) == 24
    for channel, speaker in enumerate(("L", "R", "C", "LFE", "Ls", "Rs")):
        x = sf.read(tmp_path / f"out/film one_MX_5.1.{speaker}.wav", dtype="float32")[0]
        np.testing.assert_array_equal(x, made.stems["music"][channel])


@pytest.mark.parametrize("split", ["poly", "mono"])
def test_smpte_order_and_the_time_of_day_are_said_of_every_file(split: str, tmp_path: Path) -> None:
    made = make(tmp_path, channels=6, start=HOUR_S * RATE)
    write_wav(read_session(made.folder), tmp_path / "out", Delivery(split=split))  # type: ignore[arg-type]
    speakers = ("L", "R", "C", "LFE", "Ls", "Rs")
    ends = [""] if split == "poly" else [f".{speaker}" for speaker in speakers]
    said = []
    for end in ends:
        info = wavinfo.WavInfoReader(str(tmp_path / f"out/film one_ME_5.1{end}.wav"))
        assert info.bext.time_reference == HOUR_S * RATE
        said += [track.name for track in info.ixml.track_list]
    assert said == [f"ME {speaker}" for speaker in speakers]
    poly = made.stems["music"] + made.stems["effects"]
    found = [
        sf.read(tmp_path / f"out/film one_ME_5.1{end}.wav", dtype="float32")[0] for end in ends
    ]
    np.testing.assert_array_equal(found[0].T if split == "poly" else np.stack(found), poly)


@pytest.mark.parametrize("fps", ["25", "24000/1001"])
def test_a_two_pop_is_a_frame_of_tone_two_seconds_ahead(fps: str, tmp_path: Path) -> None:
    made = make(tmp_path, channels=6, start=HOUR_S * RATE)
    session = read_session(made.folder, fps=Fraction(fps))
    write_wav(session, tmp_path / "out", Delivery(two_pop=True))
    file = tmp_path / "out/film one_DX_5.1.wav"
    x = sf.read(file, dtype="float32")[0].T
    lead = x.shape[1] - session.n_samples
    assert lead == round(2 * session.nominal_fps * RATE / session.fps)
    tone = x[0, : round(RATE / session.fps)]
    assert abs(20 * np.log10(np.abs(tone).max()) + 20) < 0.1
    assert not x[:, len(tone) : lead].any()
    assert not x[3, :lead].any()  # the LFE
    np.testing.assert_array_equal(x[:, lead:], made.stems["speech"])
    assert wavinfo.WavInfoReader(str(file)).bext.time_reference == HOUR_S * RATE - lead


def test_what_has_no_time_of_day_gets_none(tmp_path: Path) -> None:
    made = make(tmp_path)
    write_wav(read_session(made.folder), tmp_path / "out", Delivery(two_pop=True))
    info = wavinfo.WavInfoReader(str(tmp_path / "out/film one_DX_2.0.wav"))
    assert info.bext is None
    assert b"MIDNIGHT" not in (tmp_path / "out/film one_DX_2.0.wav").read_bytes()


def test_film_order_of_unknown_speakers_is_refused(tmp_path: Path) -> None:
    made = make(tmp_path, channels=6)
    for file in made.folder.glob("*.wav"):
        x, rate = sf.read(file)
        sf.write(file, x, rate, subtype="FLOAT", format="WAV")  # without speakers
    session = read_session(made.folder)
    assert session.layout is None
    with pytest.raises(SettingsError, match="film order"):
        write_wav(session, tmp_path / "out", Delivery(order="film"))
    assert not (tmp_path / "out").exists()
