"""Stems under faders: what is heard is the offline rack, whatever is late, and nothing clicks."""

import argparse
import json
import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.jack_server import Sound, dummy_server, neighbor, until
from unstir.audio import open_writer
from unstir.cli_live import add_live
from unstir.errors import AudioError, SettingsError, UnknownNameError, UnstirError
from unstir.plugins.chains import Chain, Effect
from unstir.plugins.jack_audio import open_jack
from unstir.plugins.live import MASTER, LiveMixer, Player, faders, ramp_length
from unstir.plugins.rack import StemRack
from unstir.plugins.rings import Outlet, Ring, running
from unstir.plugins.strips import Strip
from unstir.types import Stems

RATE, PERIOD = 48000, 1024
NAMES = ("speech", "music", "effects")


def chain(*effects: tuple[str, dict[str, float | str]]) -> Chain:
    return Chain("test", tuple(Effect(name, settings) for name, settings in effects))


PLAIN = StemRack({"music": Strip(gain_db=-6.0, pan=0.3), "effects": Strip(gain_db=-math.inf)})
BUSY = StemRack(
    {
        "speech": Strip(chain(("high-pass", {"cutoff_hz": 80})), gain_db=3.0),
        "music": Strip(
            chain(("ducking", {"by": "speech", "range_db": -9}), ("reverb", {"wet_db": -20})),
            gain_db=-6.0,
            pan=0.3,
        ),
        "effects": Strip(chain(("compressor", {})), gain_db=-3.0, pan=-0.7),
    },
    chain(("limiter", {"ceiling_db": -3})),
)


def stems(n_samples: int = 20000, n_channels: int = 2) -> Stems:
    rng = np.random.default_rng(7)
    return {
        name: rng.uniform(-0.3, 0.3, (n_channels, n_samples)).astype(np.float32) for name in NAMES
    }


def cut(sound: Stems, sizes: Sequence[int]) -> Iterator[Stems]:
    at = 0
    n_samples = sound["speech"].shape[1]
    for size in (*sizes, n_samples):
        yield {name: x[:, at : at + size] for name, x in sound.items()}
        at = min(at + size, n_samples)


def mixer_of(rack: StemRack, n_channels: int = 2) -> LiveMixer:
    return LiveMixer(rack, faders(rack, NAMES), RATE, n_channels)


def mixed(mixer: LiveMixer, sound: Stems, sizes: Sequence[int] = ()) -> Sound:
    """Return all that a mixer gives, tails included."""
    tail = {name: np.zeros((len(x), mixer.tail), np.float32) for name, x in sound.items()}
    parts = [mixer.process(block) for block in (*cut(sound, sizes), tail)]
    return np.concatenate([*parts, mixer.finish()], axis=1)


def silence(n_samples: int) -> Sound:
    return np.zeros((0, n_samples), np.float32)


@given(sizes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_a_ring_gives_what_it_took_in_order(sizes: list[tuple[int, int]]) -> None:
    ring, came, went = Ring(2, 7), 0, []
    for n_in, n_out in sizes:
        block = np.arange(came, came + n_in, dtype=np.float32) + np.array([[0], [0.5]], np.float32)
        came += ring.write(block)
        out = np.zeros((2, n_out), np.float32)
        went.append(out[:, : ring.read(out)])
        assert 0 <= ring.n_held <= 7
    found = np.concatenate([np.zeros((2, 0)), *went], axis=1)
    assert found[0].tolist() == list(range(found.shape[1]))
    assert np.array_equal(found[1], found[0] + 0.5)


def test_a_ring_loses_nothing_between_two_threads() -> None:
    ring, n_samples = Ring(1, 61), 3000
    sent = np.arange(n_samples, dtype=np.float32)[None]

    def write() -> None:
        at = 0
        while at < n_samples:
            at += ring.write(sent[:, at : at + 17])
            time.sleep(0)

    thread = threading.Thread(target=write)
    thread.start()
    got, out = [], np.zeros((1, 13), np.float32)
    while sum(x.shape[1] for x in got) < n_samples:
        got.append(out[:, : ring.read(out)].copy())
        time.sleep(0)
    thread.join()
    np.testing.assert_array_equal(np.concatenate(got, axis=1), sent)


@pytest.mark.parametrize("rack", [StemRack(), PLAIN, BUSY], ids=["empty", "plain", "busy"])
def test_faders_that_stand_still_give_the_offline_rack_bit_for_bit(rack: StemRack) -> None:
    sound = stems()
    np.testing.assert_array_equal(mixed(mixer_of(rack), sound), rack(sound, RATE))


@given(sizes=st.lists(st.integers(0, 3000), max_size=8))
@settings(deadline=None, max_examples=10)
def test_blocks_of_any_size_give_the_same_bytes(sizes: list[int]) -> None:
    sound = stems(6000)
    np.testing.assert_array_equal(mixed(mixer_of(PLAIN), sound, sizes), PLAIN(sound, RATE))


def test_a_moved_fader_gives_the_rack_of_its_new_gain_bit_for_bit_after_the_ramp() -> None:
    sound, mixer, half = stems(), mixer_of(PLAIN), 10 * ramp_length(RATE)
    parts = cut(sound, [half])
    ahead = mixer.process(next(parts))
    mixer.gains_db |= {"music": 2.5, "effects": -20.0, "speech": -math.inf}
    rest = np.concatenate([*map(mixer.process, parts), mixer.finish()], axis=1)
    moved = {
        "speech": Strip(gain_db=-math.inf),
        "music": Strip(gain_db=2.5, pan=0.3),
        "effects": Strip(gain_db=-20.0),
    }
    n = ramp_length(RATE)
    np.testing.assert_array_equal(ahead, PLAIN(sound, RATE)[:, :half])
    np.testing.assert_array_equal(rest[:, n:], StemRack(moved)(sound, RATE)[:, half + n :])


def test_a_fader_thrown_from_bottom_to_top_goes_in_a_straight_line() -> None:
    ones = {"speech": np.ones((1, 8 * ramp_length(RATE)), np.float32)}
    mixer = LiveMixer(StemRack(), {"speech": -math.inf}, RATE, 1)
    quiet = mixer.process(ones)
    mixer.gains_db["speech"] = 6.0
    loud = mixer.process(ones)
    top = 10 ** (6 / 20)
    assert not quiet.any()
    assert loud[0, ramp_length(RATE) - 1 :] == pytest.approx(top, abs=1e-6)
    steps = np.diff(np.concatenate([quiet, loud], axis=1)[0])
    assert steps.max() == pytest.approx(top / ramp_length(RATE), rel=1e-3)
    assert steps.min() >= 0


def test_a_muted_stem_stays_silent_under_its_fader() -> None:
    sound = stems(3000)
    mixer = mixer_of(StemRack({"speech": Strip(mute=True)}))
    mixer.gains_db["speech"] = 6.0
    mixed(mixer, sound)
    peaks = mixer.take_peaks()
    assert peaks["speech"] == 0 < peaks["music"]


def test_levels_are_the_peaks_after_the_faders_since_the_last_look() -> None:
    sound, mixer = stems(20 * ramp_length(RATE)), mixer_of(PLAIN)
    out = mixer.process(sound)
    peaks = mixer.take_peaks()
    factor = 10 ** (-6 / 20)
    assert peaks["music"] == pytest.approx(factor * np.abs(sound["music"]).max(), rel=1e-3)
    assert peaks["effects"] == 0
    assert peaks[MASTER] == np.abs(out).max()
    assert set(mixer.take_peaks().values()) == {0.0}


def test_no_more_is_held_back_than_a_mixer_says() -> None:
    mixer, worst, came, went = mixer_of(BUSY), 0, 0, 0
    for block in cut(stems(), [100] * 150):
        came += block["speech"].shape[1]
        went += mixer.process(block).shape[1]
        worst = max(worst, came - went)
    assert mixer.held_back - ramp_length(RATE) <= worst <= mixer.held_back


def test_a_rack_for_other_stems_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="there is no stem 'vocals'"):
        mixer_of(StemRack({"vocals": Strip()}))


@pytest.mark.parametrize("rack", [PLAIN, BUSY], ids=["plain", "busy"])
def test_a_player_plays_everything_and_the_tail_bit_for_bit(rack: StemRack) -> None:
    sound = stems()
    player = Player(cut(sound, [7000, 7000]), mixer_of(rack), ahead=2048)
    heard = []
    while not player.outlet.done:
        while player.read() or player.render():
            pass
        heard.append(np.zeros((2, PERIOD), np.float32))
        player.cycle(silence(PERIOD), heard[-1])
    wanted = rack(sound, RATE)
    found = np.concatenate(heard, axis=1)
    np.testing.assert_array_equal(found[:, : wanted.shape[1]], wanted)
    assert not found[:, wanted.shape[1] :].any()
    assert player.outlet.underruns == 0


def test_sound_that_is_late_is_counted_and_played_later_whole() -> None:
    sound = stems()
    player = Player(cut(sound, [7000]), mixer_of(PLAIN), ahead=1024)
    heard = []
    while not player.outlet.done:
        if len(heard) % 4 == 0:  # half of what it takes
            player.read()
            player.render()
        heard.append(np.zeros((2, PERIOD), np.float32))
        player.cycle(silence(PERIOD), heard[-1])
    wanted = PLAIN(sound, RATE)
    found = np.concatenate(heard, axis=1)
    found = found[:, np.abs(found).sum(axis=0) > 0]  # noise is never 0, silence always
    assert player.outlet.underruns > 3
    np.testing.assert_array_equal(found, wanted[:, np.abs(wanted).sum(axis=0) > 0])


def test_a_player_that_keeps_up_renders_no_further_ahead_than_it_is_told() -> None:
    player = Player(cut(stems(), []), mixer_of(PLAIN), ahead=1024)
    while player.read() or player.render():
        pass
    assert player.ready
    assert 1024 <= player.outlet.n_held <= 1024 + ramp_length(RATE)


def test_an_outlet_that_catches_up_keeps_its_delay() -> None:
    outlet, heard = Outlet(1, 100), []
    sent = np.arange(1, 101, dtype=np.float32)[None]
    for k in range(20):
        if k not in (5, 6):  # late by two blocks, and then all at once
            first = 25 if k == 7 else 5 * k
            outlet.push(sent[:, first : 5 * k + 5])
        heard.append(np.zeros((1, 5), np.float32))
        outlet.pull(heard[-1], catch_up=True)
    wanted = sent.copy()
    wanted[:, 25:35] = 0
    np.testing.assert_array_equal(np.concatenate(heard, axis=1), wanted)
    assert outlet.underruns == 2


def test_a_step_that_fails_is_told_and_the_others_go_on() -> None:
    def fail() -> bool:
        raise AudioError("the disk is gone")

    count = iter(range(10**9))
    with running((fail, lambda: next(count) < 0), 0.001) as faults:
        until(lambda: faults)
        seen = next(count)
        until(lambda: next(count) > seen + 5)
    assert [str(fault) for fault in faults] == ["the disk is gone"]


# Through a real server, without a sound card.


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with dummy_server(RATE, PERIOD):
        yield


def played_through_jack(rack: StemRack, sound: Stems) -> tuple[Sound, bool]:
    """Return what a second client recorded, and whether something was lost on the way."""
    player = Player(cut(sound, [30000]), mixer_of(rack), ahead=8192)
    with (
        running((player.read, player.render), 0.002) as faults,
        open_jack(n_in=0, n_out=2, sample_rate=RATE) as audio,
        neighbor("recorder", np.zeros((2, 0), np.float32)) as recorder,
    ):
        until(lambda: player.ready)

        def cycle(sound_in: Sound, sound_out: Sound) -> None:
            if recorder.playing:  # it must be connected before the first sample
                player.cycle(sound_in, sound_out)
            else:
                sound_out[:] = 0

        audio.start(cycle)
        recorder.wire(audio.name, send=False)
        recorder.playing = True
        until(lambda: player.outlet.done)
        time.sleep(0.1)
        assert not faults
        assert audio.fault is None
        return recorder.heard, bool(audio.xruns or recorder.xruns or player.outlet.underruns)


def test_what_another_client_records_is_the_offline_rack_bit_for_bit(server: None) -> None:
    sound = stems(RATE // 2)
    wanted = BUSY(sound, RATE)[:, : RATE // 2 + 5000]
    for _ in range(3):  # a busy computer may lose a cycle, and says so
        heard, broken = played_through_jack(BUSY, sound)
        starts = np.flatnonzero((heard[:, : 4 * PERIOD] == wanted[:, :1]).all(axis=0))
        found = [heard[:, at : at + wanted.shape[1]] for at in starts]
        if any(np.array_equal(x, wanted) for x in found):
            return
        assert broken, "nothing was lost, and yet other samples came"
    pytest.skip("this computer was too busy to play half a second of sound without a gap")


def test_a_fault_in_the_callback_ends_in_silence_and_is_told(server: None) -> None:
    def fail(sound_in: Sound, sound_out: Sound) -> None:
        sound_out[:] = 1
        raise ValueError("broken")

    with open_jack(n_in=0, n_out=2, sample_rate=RATE) as audio:
        audio.start(fail)
        until(lambda: audio.fault)
        assert str(audio.fault) == "broken"


def test_a_server_at_another_rate_is_refused(server: None) -> None:
    with (
        pytest.raises(SettingsError, match="44100 Hz and the JACK server runs at 48000"),
        open_jack(n_in=0, n_out=2, sample_rate=44100),
    ):
        pass


def test_without_a_server_one_sentence_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jack", exc_type=ImportError)
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "unstir-nobody")
    with (
        pytest.raises(AudioError, match="no JACK server answers"),
        open_jack(n_in=0, n_out=2, sample_rate=RATE),
    ):
        pass


# The command.


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_live(parser.add_subparsers())
    options = parser.parse_args(["live", *map(str, words)])
    return int(options.run(options))


def folder_of(path: Path, sound: Stems, rate: int = RATE) -> Path:
    path.mkdir()
    for name, x in sound.items():
        n_channels, n_samples = x.shape
        with open_writer(
            path / f"{name}.wav",
            "wav",
            sample_rate=rate,
            n_channels=n_channels,
            n_samples=n_samples,
            subtype="FLOAT",
        ) as writer:
            writer.write(x)  # type: ignore[arg-type]
    return path


def test_the_command_plays_a_folder_to_its_end(
    server: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rack = tmp_path / "rack.json"
    rack.write_text(json.dumps(replace(PLAIN, summary="mine").to_json()))
    folder = folder_of(tmp_path / "stems", stems(RATE // 2))
    assert run(folder, "--rack", rack, "--json") == 0
    *levels, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert levels[0]["faders_db"] == {"speech": 0.0, "music": -6.0, "effects": 0.0}
    assert last["event"] == "result"
    assert last["at_s"] == last["of_s"] == 0.5
    assert last["underruns"] + last["xruns"] >= 0


def test_the_command_writes_few_lines_where_there_is_no_terminal(
    server: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder_of(tmp_path / "stems", stems(RATE // 2))) == 0
    said = capsys.readouterr()
    assert len(said.err.splitlines()) <= 3
    assert "speech" in said.err
    assert "xruns" in said.out


def test_the_command_draws_levels_mutes_and_solos_on_a_terminal(
    server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)
    rack = tmp_path / "rack.json"
    rack.write_text(json.dumps(StemRack({"music": Strip(mute=True)}).to_json()))
    assert run(folder_of(tmp_path / "stems", stems(RATE // 2)), "--rack", rack) == 0
    drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = {name: re.findall(rf"^\W*{name} .*$", drawn, re.M) for name in stems(1)}
    assert any("━" in line for line in lines["speech"])
    assert lines["music"]
    assert all(re.match(r"\W*music +M +\+0\.0 +-inf", line) for line in lines["music"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no-such-folder"], "no-such-folder is no folder of stems"),
        (["x", "--buffer-ms", "0"], "a buffer of 0 ms came"),
        (["x", "--cc", "1,2"], "--cc came without --midi"),
        (["x", "--record", "y"], "--record came without --input"),
        (["--input", "jack", "--method", "nmf"], "nmf cannot take sound apart as it comes"),
        (["--input", "jack", "--loudness", "3"], "3 LUFS came"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(UnstirError, match=sentence):
        run(*words)
