"""Sound taken apart while it comes in: the recording is the offline run, to the sample."""

import _thread
import argparse
import dataclasses
import io
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.plugins.jack_server import Sound, dummy_server, neighbor, until
from unstir.audio import open_audio
from unstir.cli_live import add_live, table
from unstir.errors import AudioError, SettingsError
from unstir.live import METHOD, Leveled, LiveSeparation, open_stream, separate_whole
from unstir.neural.checkpoint import save
from unstir.neural.compact import CAUSAL, SOURCES, Compact
from unstir.neural.stream import CompactStream
from unstir.plugins.jack_audio import open_jack
from unstir.plugins.live import LiveMixer, faders
from unstir.plugins.rack import StemRack
from unstir.plugins.rings import running
from unstir.plugins.strips import Strip
from unstir.recording import Recording, recording
from unstir.stem_folder import find_stems
from unstir.types import FILM, Stems, StreamSeparator

RATE, PERIOD = 44100, 4096
SMALL = dataclasses.replace(CAUSAL, channels=(4, 4, 4), hidden=6, layers=1)


def net() -> Compact:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = Compact(SMALL)
        torch.nn.init.normal_(made.last.weight, 0, 1.5)
    return made.eval()


NET = net()


def stream() -> Leveled:
    return Leveled(CompactStream(NET), -4.0)


def noise(n_samples: int = 9000, n_channels: int = 2) -> Sound:
    rng = np.random.default_rng(1)
    return (0.1 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def live_of(separator: StreamSeparator, **options: object) -> LiveSeparation:
    mixer = LiveMixer(StemRack(), dict.fromkeys(separator.stems, 0.0), RATE, 2)
    settings = {"ahead": mixer.held_back + 1024, "capacity": RATE, "recorded": None} | options
    return LiveSeparation(separator, mixer, **settings)  # type: ignore[arg-type]


def driven(
    live: LiveSeparation,
    sound: Sound,
    size: int,
    busy: Callable[[int], bool] = lambda cycle: False,
) -> Sound:
    """Return what is heard when a callback brings ``size`` samples and a thread works after it."""
    heard = []
    for k in range(sound.shape[1] // size):
        heard.append(np.full((2, size), np.nan, np.float32))
        live.cycle(sound[:, k * size : (k + 1) * size], heard[-1])
        while not busy(k) and live.separate():
            pass
    return np.concatenate(heard, axis=1)


def taken(folder: Path, name: str) -> Sound:
    with open_audio(folder / f"{name}.wav") as reader:
        return np.concatenate([*reader.blocks(10**6)], axis=1)


def open_recording(tmp_path: Path) -> AbstractContextManager[Recording]:
    return recording(tmp_path / "take", FILM, RATE, 2, NET.config.n_fft - 1)


@pytest.mark.parametrize("size", [64, 333, 1024])
def test_what_is_heard_is_the_offline_run_later_by_exactly_the_latency(size: int) -> None:
    sound = noise()
    live = live_of(stream())
    heard = driven(live, sound, size)
    wanted = StemRack()(separate_whole(stream(), sound), RATE)
    n = heard.shape[1] - live.latency
    assert live.latency == live.ahead + NET.config.n_fft - 1
    np.testing.assert_array_equal(heard[:, live.latency :], wanted[:, :n])
    # Before that, the net tells of the silence before the sound.
    assert np.abs(heard[:, : live.latency]).max() < 1e-6
    assert live.outlet.underruns == live.overruns == 0


@pytest.mark.parametrize("size", [100, 1024])
def test_the_recorded_stems_are_those_of_the_offline_run_bit_for_bit(
    size: int, tmp_path: Path
) -> None:
    sound = noise()
    n = sound.shape[1] // size * size
    with open_recording(tmp_path) as recorded:
        live = live_of(stream(), recorded=recorded)
        driven(live, sound, size)
        live.finish()
        folder = recorded.finish({"live": live.report()})
    wanted = separate_whole(stream(), sound[:, :n])
    np.testing.assert_array_equal(taken(folder, "input"), sound[:, :n])
    for name in FILM:
        np.testing.assert_array_equal(taken(folder, name), wanted[name])
    assert list(find_stems(folder).files) == list(SOURCES)
    report = json.loads((folder / "report.json").read_text())
    assert report["live"]["latency"]["look_ahead_samples"] == NET.config.n_fft - 1
    assert report["null"]["depth_db"] < -120
    assert [path.name for path in tmp_path.iterdir()] == ["take"]


def test_a_thread_that_is_late_costs_a_gap_and_no_delay() -> None:
    sound = noise(30 * 256)
    live = live_of(stream())
    heard = driven(live, sound, 256, busy=lambda k: 10 <= k < 22)
    wanted = StemRack()(separate_whole(stream(), sound), RATE)
    shifted = np.pad(wanted, ((0, 0), (live.latency, 0)))[:, : heard.shape[1]]
    right = (heard == shifted).all(axis=0).reshape(30, 256).all(axis=1)
    first = -(-live.latency // 256)
    assert live.outlet.underruns > 0
    assert not right.all()
    assert right[-4:].all()
    assert right[first:13].all()


def test_what_does_not_fit_is_silence_in_input_and_stems_and_time_goes_on(tmp_path: Path) -> None:
    sound = noise(40 * 200)
    with open_recording(tmp_path) as recorded:
        live = live_of(stream(), capacity=1000, recorded=recorded)
        driven(live, sound, 200, busy=lambda k: 10 <= k < 20)
        live.finish()
        folder = recorded.finish({})
    assert live.overruns == 6  # from the 15th, with which it is full, to the 20th
    mended = sound.copy()
    mended[:, 15 * 200 : 21 * 200] = 0
    found = taken(folder, "input")
    np.testing.assert_array_equal(found, mended)
    wanted = separate_whole(stream(), mended)
    for name in FILM:
        np.testing.assert_array_equal(taken(folder, name), wanted[name])


def test_nan_from_outside_is_silenced_and_counted() -> None:
    sound = noise(2048)
    sound[1, 700] = np.nan
    live = live_of(stream())
    assert np.isfinite(driven(live, sound, 256)).all()
    assert live.n_mended == 1


def test_after_warming_up_nothing_of_it_is_heard() -> None:
    live = live_of(stream())
    live.warm_up()
    sound = noise(4096)
    np.testing.assert_array_equal(driven(live, sound, 512), driven(live_of(stream()), sound, 512))


def test_a_recording_replaces_nothing_and_leaves_nothing_of_silence(tmp_path: Path) -> None:
    with open_recording(tmp_path) as recorded:
        assert recorded.finish({}) is None
    assert not [*tmp_path.iterdir()]
    (tmp_path / "take").mkdir()
    with pytest.raises(SettingsError, match="replaces nothing"), open_recording(tmp_path):
        pass


def test_a_recording_that_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AudioError), open_recording(tmp_path) as recorded:
        driven(live_of(stream(), recorded=recorded), noise(), 512)
        raise AudioError("the end")
    assert not [*tmp_path.iterdir()]


def test_without_weights_one_sentence_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstir.live._WEIGHTS", (f"store:{METHOD}",))
    with pytest.raises(SettingsError, match=f"{METHOD} needs weights"):
        open_stream()


def test_a_model_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, causal=False)
    path = tmp_path / "net.safetensors"
    save(path, "compact", Compact(config), config, SOURCES, {})
    with pytest.raises(SettingsError, match="no causal net"):
        open_stream(model=f"file:{path}", device="cpu")


def test_the_level_is_undone_behind_the_net() -> None:
    sound = noise(3000)
    found = Leveled(CompactStream(NET), 20.0).process(sound)
    bare = CompactStream(NET).process(sound * np.float32(10))
    for name in FILM:
        np.testing.assert_allclose(found[name], bare[name] / 10, atol=1e-7)


# What a terminal shows.


def rows(mixer: LiveMixer) -> dict[str, str]:
    """Return the lines of the table by stem, after half a second of the same sound in each."""
    sound = noise(RATE // 2)
    mixer.take_peaks()
    mixer.process(dict.fromkeys(FILM, sound))
    mixer.process(dict.fromkeys(FILM, sound))
    mixer.take_peaks()  # without the ramps of what was moved
    mixer.process(dict.fromkeys(FILM, sound))
    console = Console(file=io.StringIO(), width=100)
    console.print(table(mixer, mixer.take_peaks(), {"at_s": 1.5, "xruns": 0}))
    assert isinstance(console.file, io.StringIO)
    head, *lines, status = console.file.getvalue().splitlines()
    assert head.split() == ["stem", "M", "S", "fader", "dB", "level", "peak", "dBFS"]
    assert status.split() == ["at", "s", "1.5", "xruns", "0"]
    return {line.split()[0]: line for line in lines}


def test_the_table_shows_what_is_louder_as_louder() -> None:
    gains_db = {"speech": 0.0, "music": -12.0, "effects": -30.0}
    found = rows(LiveMixer(StemRack(), gains_db, RATE, 2))
    assert list(found) == [*FILM, "master"]
    bars = [found[name].count("━") for name in FILM]
    assert bars[0] - bars[1] in (5, 6, 7)  # 30 places for 60 dB
    assert bars[1] - bars[2] in (8, 9, 10)
    assert found["master"].count("━") >= bars[0]
    speech, music, effects = (float(found[name].split()[-1]) for name in FILM)
    assert music == pytest.approx(speech - 12, abs=0.11)
    assert effects == pytest.approx(speech - 30, abs=0.11)
    assert [found[name].split()[1] for name in FILM] == ["+0.0", "-12.0", "-30.0"]


def test_the_table_shows_mute_and_solo_and_who_is_silent_by_them() -> None:
    mixer = LiveMixer(StemRack({"music": Strip(mute=True)}), dict.fromkeys(FILM, 0.0), RATE, 2)
    found = rows(mixer)
    assert [found[name].split()[1] for name in FILM] == ["+0.0", "M", "+0.0"]
    assert [found[name].count("━") > 10 for name in FILM] == [True, False, True]
    assert found["music"].split()[-1] == "-inf"
    mixer.muted.clear()
    mixer.soloed.add("effects")
    found = rows(mixer)
    assert [found[name].split()[1] for name in FILM] == ["+0.0", "+0.0", "S"]
    assert [found[name].split()[-1] == "-inf" for name in FILM] == [True, True, False]


# Through a real server, without a sound card.


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with dummy_server(RATE, PERIOD):
        yield


def through_jack(sound: Sound, tmp_path: Path) -> tuple[Sound, Sound, Stems, int, bool]:
    """Return what came in, what was heard, the recorded stems, the latency, and what broke."""
    with (
        open_jack(n_in=2, n_out=2, sample_rate=RATE) as audio,
        neighbor("world", sound) as world,
        recording(tmp_path, FILM, RATE, 2, NET.config.n_fft - 1) as recorded,
    ):
        live = live_of(stream(), ahead=8 * PERIOD, recorded=recorded)
        live.warm_up()
        with running((live.separate, recorded.write), 0.002) as faults:
            audio.start(live.cycle)
            world.wire(audio.name, send=True)
            world.playing = True
            until(lambda: world.heard.shape[1] > sound.shape[1] + 2 * live.latency)
            audio.stop()
        assert not faults
        assert audio.fault is None
        live.finish()
        folder = recorded.finish(live.report())
        broken = audio.xruns or world.xruns or live.outlet.underruns or live.overruns
    assert folder is not None
    parts = {name: taken(folder, name) for name in FILM}
    return taken(folder, "input"), world.heard, parts, live.latency, bool(broken)


def test_stems_recorded_from_a_server_are_those_of_the_offline_run(
    server: None, tmp_path: Path
) -> None:
    sound = noise(RATE // 2)
    for k in range(3):  # a busy computer may lose a cycle, and says so
        came, heard, parts, latency, broken = through_jack(sound, tmp_path / str(k))
        wanted = separate_whole(stream(), came)
        for name in FILM:  # whatever was lost on the way
            np.testing.assert_array_equal(parts[name], wanted[name])
        if whole(came, heard, sound, latency, wanted):
            return
        assert broken, "nothing was lost, and yet other samples came"
    pytest.skip("this computer was too busy for half a second of sound without a gap")


def whole(came: Sound, heard: Sound, sound: Sound, latency: int, stems: Stems) -> bool:
    """Return whether all of the sound came, and was heard as late as it should be.

    A neighbor's sound is a loop through the server: a period may lie in between.
    """
    starts = np.flatnonzero((came == sound[:, :1]).all(axis=0))
    for at in starts:
        if not np.array_equal(came[:, at : at + sound.shape[1]], sound):
            continue
        wanted = StemRack()(stems, RATE)[:, at : at + sound.shape[1]]
        for loop in (0, PERIOD, 2 * PERIOD):
            found = heard[:, latency + loop : latency + loop + sound.shape[1]]
            if np.array_equal(found, wanted):
                return True
    return False


def interrupt_when_it_plays() -> None:
    """Do what Ctrl-C does, half a second after the microphones were connected."""
    import jack

    with jack.Client("watch", no_start_server=True) as client:
        microphone = client.get_ports("system:capture_1")[0]
        try:
            until(lambda: client.get_all_connections(microphone), 30)
            time.sleep(0.5)
        finally:  # a test that waits for it must not wait forever
            _thread.interrupt_main()


def test_the_command_takes_apart_what_comes_until_it_is_interrupted(
    server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(tmp_path / f"{METHOD}.safetensors", "compact", NET, SMALL, SOURCES, {})
    monkeypatch.setenv("UNSTIR_MODELS", str(tmp_path))
    parser = argparse.ArgumentParser()
    add_live(parser.add_subparsers())
    words = ("live", "--input", "jack", "--json", "--record", str(tmp_path / "take"))
    options = parser.parse_args([*words, "--device", "cpu"])
    # Where the tests run in the background, Ctrl-C may be ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt_when_it_plays, daemon=True).start()
    try:
        assert options.run(options) == 0
    except KeyboardInterrupt:
        pytest.fail("the interruption went through")
    finally:
        signal.signal(signal.SIGINT, before)
    first, *_, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["faders_db"] == dict.fromkeys(SOURCES, 0.0)
    assert first["muted"] == first["soloed"] == []
    assert last["folder"] == str(tmp_path / "take")
    assert last["latency_ms"] > 1000 * (NET.config.n_fft - 1) / RATE
    assert set(find_stems(tmp_path / "take").files) == set(FILM)


def test_a_rack_for_stems_that_do_not_come_is_refused() -> None:
    rack = StemRack({"vocals": Strip()})
    with pytest.raises(SettingsError, match="vocals"):
        LiveMixer(rack, faders(rack, FILM), RATE, 2)
