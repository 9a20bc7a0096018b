"""VST3 plug-ins in a process of their own: as good as in this one, and harmless when they die."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pedalboard
import pytest

from unstir.errors import PluginError, SettingsError, UnknownNameError, UnstirError
from unstir.plugins.chains import ChainStream, parse_chain
from unstir.plugins.effects import Value
from unstir.plugins.vst3 import Vst3, chain_with, describe, latency_warnings
from unstir.plugins.vst3_link import PATIENT, Child, Limits
from unstir.types import Waveform

ZAM = Path("/usr/lib/vst3")
COMPRESSOR, LIMITER, EQUALIZER, DELAY = (
    str(ZAM / f"{name}.vst3") for name in ("ZamCompX2", "ZaMaximX2", "ZamEQ2", "ZamDelay")
)
TIGHT: Mapping[str, Value] = {"path": COMPRESSOR, "threshold_db": -40.0, "ratio": 8.0}
zam = pytest.mark.skipif(
    not Path(COMPRESSOR).exists(), reason="the Zam plug-ins are not in /usr/lib/vst3"
)
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


@pytest.fixture
def noise(rng: np.random.Generator) -> Waveform:
    return (0.1 * rng.standard_normal((2, 12345))).astype(np.float32)


def through(plugin: Vst3, sound: Waveform, *, cut: int = 5000) -> Waveform:
    """Return the aligned output, as long as the input."""
    padded = np.pad(sound, ((0, 0), (0, plugin.latency)))
    blocks = [padded[:, i : i + cut] for i in range(0, padded.shape[1], cut)]
    try:
        return np.concatenate([plugin.process(b, {}) for b in blocks], axis=1)[:, plugin.latency :]
    finally:
        plugin.close()


def is_gone(pid: int) -> bool:
    """Return whether a process is neither running nor a zombie."""
    return not Path(f"/proc/{pid}").exists()


@zam
def test_a_stream_in_odd_blocks_is_pedalboards_offline_result_bit_for_bit(noise: Waveform) -> None:
    reference = pedalboard.VST3Plugin(COMPRESSOR)
    reference.threshold_db, reference.ratio = -40.0, 8.0
    wanted = reference(noise, 48000)
    assert np.abs(wanted - noise).max() > 0.1  # it does something
    np.testing.assert_array_equal(through(Vst3(TIGHT, 48000, 2), noise, cut=777), wanted)


@zam
def test_declared_latency_is_compensated_to_the_sample(noise: Waveform) -> None:
    limiter = Vst3({"path": LIMITER}, 48000, 2)
    assert limiter.declared == 480
    np.testing.assert_array_equal(through(limiter, noise), noise)


@zam
def test_in_surround_a_mono_plugin_plays_each_channel_alone(noise: Waveform) -> None:
    settings: Mapping[str, Value] = {"path": EQUALIZER, "master_gain_db": 6.0}
    surround = np.concatenate([noise, 0.5 * noise, noise[::-1]]).astype(np.float32)
    done = through(Vst3(settings, 48000, 6), surround)
    np.testing.assert_allclose(done, surround * 10 ** (6 / 20), rtol=1e-2, atol=1e-5)


@zam
def test_in_surround_a_stereo_plugin_plays_pairs_and_the_center_alone(noise: Waveform) -> None:
    linked: Mapping[str, Value] = {**TIGHT, "stereo_detection": 1.0}
    loud = np.clip(3 * noise[:1], -1, 1)
    # The loud left turns its right down; the soft center and the LFE hear only themselves.
    surround = np.concatenate([loud, noise[1:], noise[:1], noise[1:], noise]).astype(np.float32)
    done = through(Vst3(linked, 48000, 6), surround)
    front = through(Vst3(linked, 48000, 2), surround[:2])
    np.testing.assert_array_equal(done[:2], front)
    np.testing.assert_array_equal(done[3], through(Vst3(linked, 48000, 1), noise[1:])[0])
    assert not np.array_equal(done[1], done[3])


@zam
def test_a_plugin_tells_its_parameters_and_its_state_restores_them() -> None:
    found = describe(COMPRESSOR, current_program="VocalLeveller", threshold_db=-40.0)
    threshold = {p.name: p for p in found.parameters}["threshold_db"]
    assert (threshold.wanted, threshold.default) == ("-80 to 0", -40.0)
    assert describe(COMPRESSOR, state=found.state).state == found.state
    assert describe(COMPRESSOR).state != found.state


@zam
def test_a_restored_state_sounds_the_same_and_parameters_come_after_it(noise: Waveform) -> None:
    state = describe(COMPRESSOR, threshold_db=-20.0, ratio=8.0).state
    restored: Mapping[str, Value] = {"path": COMPRESSOR, "state": state, "threshold_db": -40.0}
    done = through(Vst3(restored, 48000, 2), noise)
    np.testing.assert_array_equal(done, through(Vst3(TIGHT, 48000, 2), noise))


@zam
def test_a_chain_file_keeps_the_state_and_sounds_the_same(noise: Waveform) -> None:
    chain = chain_with(COMPRESSOR, {"threshold_db": -40.0, "ratio": 8.0})
    content = chain.to_json()
    del content["chain"][0]["threshold_db"], content["chain"][0]["ratio"]  # the state has them
    again = parse_chain(content, "again", allow_plugins=True)
    stream = ChainStream(again, 48000, 2)
    done = np.concatenate([stream.process(noise), stream.finish(0)], axis=1)
    np.testing.assert_array_equal(done, through(Vst3(TIGHT, 48000, 2), noise))


@zam
def test_a_chain_file_that_names_a_plugin_is_refused_unless_allowed() -> None:
    content = {"format": 1, "chain": [{"effect": "gain", "gain_db": 0}, {"effect": "vst3"}]}
    with pytest.raises(SettingsError, match=r"mine, effect 2 .*--allow-plugins"):
        parse_chain(content, "mine")


@zam
def test_an_echo_is_reported_as_latency_and_a_plugin_that_declares_it_is_not() -> None:
    echo = chain_with(DELAY, {"time_ms": 100.0, "dry_wet": 1.0})
    (text,) = latency_warnings(echo, 48000)
    assert "declares 0 samples of latency and answers 4" in text
    assert latency_warnings(chain_with(LIMITER, {}), 48000) == ()


@zam
def test_an_unknown_parameter_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean threshold_db\?"):
        Vst3({"path": COMPRESSOR, "treshold_db": -40.0}, 48000, 2)


@zam
@pytest.mark.parametrize("value", [-81.0, float("nan")])
def test_a_value_out_of_range_is_answered_with_the_range(value: Value) -> None:
    with pytest.raises(SettingsError, match=r"threshold_db is .*; -80 to 0 is wanted"):
        Vst3({"path": COMPRESSOR, "threshold_db": value}, 48000, 2)


@zam
def test_a_plugin_that_the_bundle_lacks_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"holds ZamEQ2 and no 'ZamEQ' \(did you mean"):
        describe(EQUALIZER, plugin="ZamEQ")


@pytest.mark.parametrize("state", ["%%%", "aGVsbG8=", "VkMyIQEA"])
def test_a_damaged_state_is_refused(tmp_path: Path, state: str) -> None:
    (tmp_path / "x.vst3").mkdir()
    with pytest.raises(SettingsError, match=r"state of x\.vst3 is damaged"):
        describe(tmp_path / "x.vst3", state=state)


def test_a_path_without_a_plugin_is_refused_before_a_process_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not there; give the bundle"):
        describe(tmp_path / "x.vst3")
    with pytest.raises(SettingsError, match=r"does not end in \.vst3"):
        describe(tmp_path)


@pytest.mark.parametrize("kind", ["text", "bundle"])
def test_what_only_looks_like_a_plugin_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.vst3"
    file = path
    if kind == "bundle":
        file = path / "Contents" / "x86_64-linux" / "x.so"
        file.parent.mkdir(parents=True)
    file.write_text("no program")
    with pytest.raises(PluginError, match=r"^x\.vst3 failed while it was loaded \(.+\)$"):
        describe(path)


@zam
@linux
def test_a_plugin_cut_short_kills_its_own_process_only(tmp_path: Path) -> None:
    bundle = tmp_path / "ZamEQ2.vst3"
    shutil.copytree(EQUALIZER, bundle)
    (program,) = bundle.rglob("*.so")
    os.truncate(program, 20000)
    with pytest.raises(PluginError, match=r"ZamEQ2\.vst3 (crashed|failed).* while it was loaded"):
        describe(bundle)


@zam
@linux
@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_in_the_stream_is_an_error_and_no_zombie(noise: Waveform, how: int) -> None:
    plugin = Vst3({"path": EQUALIZER}, 48000, 2)
    plugin.process(noise, {})
    pid = plugin.child.process.pid
    os.kill(pid, how)
    with pytest.raises(UnstirError, match=r"^ZamEQ2\.vst3 crashed \(.+\) while it played; leave"):
        plugin.process(noise, {})
    assert is_gone(pid)
    with pytest.raises(PluginError, match="has ended; open the chain again"):
        plugin.process(noise, {})


@zam
@linux
def test_a_hang_in_the_stream_is_an_error_and_no_zombie(noise: Waveform) -> None:
    plugin = Vst3({"path": EQUALIZER}, 48000, 2, Limits(idle_s=3.0))
    pid = plugin.child.process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(PluginError, match=r"hung \(no answer and no work for 3 s\) while it pl"):
        plugin.process(noise, {})
    assert is_gone(pid)


@zam
@linux
def test_the_process_outlives_ctrl_c_and_goes_with_its_object(noise: Waveform) -> None:
    plugin = Vst3({"path": EQUALIZER}, 48000, 2)
    pid = plugin.child.process.pid
    os.kill(pid, signal.SIGINT)
    assert plugin.process(noise, {}).shape == noise.shape
    del plugin
    assert is_gone(pid)


def test_the_host_leaves_when_nobody_asks_any_more() -> None:
    command = [sys.executable, "-P", "-m", "unstir.plugins.vst3_host"]
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(command, input=b"", env=os.environ | {"PYTHONPATH": source}, timeout=60)
    assert done.returncode == 0


ANSWER = "import sys, time, struct\nsys.stdin.buffer.read(8)\n"


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a module that answers in place of the host."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "unstir_foreign.py"


@linux
def test_a_plugin_that_works_is_not_cut_off_and_an_endless_one_is(foreign: Path) -> None:
    foreign.write_text(
        ANSWER + "while time.process_time() < 1.2: pass\n"
        "sys.stdout.buffer.write(struct.pack('<II', 2, 0) + b'{}')\nsys.stdout.flush()\n"
        "while True: pass\n"
    )
    child = Child("slow", "unstir_foreign", Limits(idle_s=1.0, busy_s=30.0))
    assert child.ask("while it played", {}) == ({}, b"")
    child.close()
    endless = Child("endless", "unstir_foreign", Limits(idle_s=9.0, busy_s=0.3))
    with pytest.raises(PluginError, match=r"endless was still busy after 0\.3 s"):
        endless.ask("while it played", {})
    assert is_gone(endless.process.pid)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 8,
        b"\x02\x00\x00\x00\x05\x00\x00\x00{}12345",
        b"\x02\x00\x00\x00\x00\x00\x00\x00[]",
        b"\x02\x00\x00\x00\x00\x00\x00\x00\xff\xff",
    ],
    ids=["length", "too-much-sound", "no-object", "no-text"],
)
def test_nonsense_from_the_process_is_an_error(foreign: Path, answer: bytes) -> None:
    foreign.write_text(
        ANSWER + f"sys.stdout.buffer.write({answer!r})\nsys.stdout.flush()\ntime.sleep(60)\n"
    )
    child = Child("odd", "unstir_foreign", PATIENT)
    with pytest.raises(PluginError, match="odd gave an answer that cannot be read while it"):
        child.ask("while it played", {}, most=4)
    assert child.process.returncode is not None


def test_a_process_that_ends_by_itself_is_an_error(foreign: Path) -> None:
    foreign.write_text("raise SystemExit(3)\n")
    with pytest.raises(PluginError, match=r"short ended by itself \(exit code 3\) while"):
        Child("short", "unstir_foreign", PATIENT).ask("while it played", {})


def test_nothing_is_imported_from_the_folder_that_the_user_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit(99)\n")
    (tmp_path / "x.vst3").write_text("no program")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError, match="failed while it was loaded"):
        describe("x.vst3")
