import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from unstir.errors import AudioError, SettingsError
from unstir.picture import N_COLUMNS, N_ROWS, SpectrogramColumns, draw, spectrogram_picture


def columns_of(waveform, rate):
    columns = SpectrogramColumns(waveform.shape[1], rate)
    columns.push(waveform)
    return columns


def tone(frequency_hz, rate, duration_s=1.0, gain=1.0):
    t = np.arange(round(rate * duration_s)) / rate
    return (gain * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)[None]


def row_of(frequency_hz, rate):
    """Return the row whose center lies nearest, by the mel formula, independently."""
    mel = [1127 * np.log(1 + f / 700) for f in (30, min(16000, rate / 2), frequency_hz)]
    return (mel[2] - mel[0]) / (mel[1] - mel[0]) * (N_ROWS + 1) - 1


@settings(deadline=None, max_examples=40)
@given(data=st.data(), rate=st.sampled_from([8000, 44100]), channels=st.integers(1, 6))
def test_the_picture_is_the_same_to_the_last_bit_for_any_cut_into_blocks(data, rate, channels):
    n = data.draw(st.integers(1, rate))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=10)))
    waveform = np.random.default_rng(n).standard_normal((channels, n)).astype(np.float32)
    columns = SpectrogramColumns(n, rate)
    for block in np.split(waveform, cuts, axis=1):
        columns.push(block)
    assert np.array_equal(columns.power, columns_of(waveform, rate).power)
    assert columns.power.min() > 0  # noise reaches every cell


@pytest.mark.parametrize("rate", [8000, 44100, 384000])
@pytest.mark.parametrize("frequency_hz", [110, 997, 3000])
def test_a_full_scale_tone_lights_its_row_at_about_0_db(rate, frequency_hz):
    power = columns_of(tone(frequency_hz, rate, 0.4), rate).power
    middle = power[:, power.shape[1] // 4 : -power.shape[1] // 4].mean(axis=1)
    assert abs(int(middle.argmax()) - row_of(frequency_hz, rate)) <= 2
    assert -6 < 10 * np.log10(middle.max()) < 0.5  # a band wider than the line averages it


@pytest.mark.parametrize("n", [1, 30, 2000, 44100, 900_000, 3_000_000])
def test_a_click_lands_in_its_column(n):
    for at in {0, n // 3, n - 1}:
        waveform = np.zeros((1, n), np.float32)
        waveform[0, at] = 1
        power = columns_of(waveform, 44100).power.sum(axis=0)
        assert power.sum() > 0
        reach = 2048 / n * power.size + 1
        assert abs(int(power.argmax()) - at * power.size / n) <= reach


def test_the_columns_hold_the_mean_over_channels_so_that_the_sides_are_not_lost():
    left = tone(440, 44100)
    out_of_phase = np.concatenate([left, -left])
    assert np.allclose(columns_of(out_of_phase, 44100).power, columns_of(left, 44100).power)


def test_the_mean_power_of_a_long_column_is_that_of_its_frames(rng):
    noise = rng.standard_normal((1, 40 * 8000)).astype(np.float32)
    noise[:, noise.shape[1] // 2 :] *= 10
    power = columns_of(noise, 8000).power
    half = power.shape[1] // 2
    step_db = 10 * np.log10(power[:, half + 5 :].mean() / power[:, : half - 5].mean())
    assert step_db == pytest.approx(20, abs=0.2)
    # White noise of variance 1: a periodic Hann window of n_fft samples gives 6 / n_fft a bin.
    assert power[20:-5, : half - 5].mean() == pytest.approx(6 / 512, rel=0.02)


def test_the_memory_does_not_grow_with_the_film():
    block = np.ones((2, 60 * 8000), np.float32)

    def size(minutes):
        columns = SpectrogramColumns(minutes * 60 * 8000, 8000)
        for _ in range(minutes - 1):
            columns.push(block)
        return sum(sys.getsizeof(x) for x in vars(columns).values())

    assert abs(size(30) - size(10)) < 50_000
    assert size(30) < 3_000_000


def test_a_picture_is_as_wide_as_announced_and_as_high_as_its_panels(tmp_path, rng):
    noise = 0.1 * rng.standard_normal((2, 30000)).astype(np.float32)
    sources = {"mix": noise, "speech": noise / 2, "music": noise / 2}
    heights = []
    for n in (1, 2, 3):
        some = dict(list(sources.items())[:n])
        spectrogram_picture(tmp_path / "a.png", some, sample_rate=44100, title="Noise")
        height, width, _ = imread(tmp_path / "a.png").shape
        assert width == 1400
        heights.append(height)
    assert heights[2] - heights[1] == heights[1] - heights[0] > 150


def test_panels_share_one_scale_of_color(tmp_path):
    loud = tone(1000, 44100, 2)
    spectrogram_picture(
        tmp_path / "a.png", {"loud": loud, "soft": loud / 1000}, sample_rate=44100, title=""
    )
    pixels = imread(tmp_path / "a.png")[:, 300:1200, :3]
    loud_panel, soft_panel = pixels[64:254], pixels[266:456]
    assert loud_panel.sum(axis=2).max() > 2.4  # near white, the top of the scale
    assert 0.2 < soft_panel.sum(axis=2).max() < 1.2  # 60 of 75 dB down: dark violet


def test_the_same_sound_gives_the_same_file_and_is_left_as_it_is(tmp_path, rng):
    noise = rng.standard_normal((1, 20000)).astype(np.float32)
    before = noise.copy()
    for name in ("a.png", "b.png"):
        spectrogram_picture(tmp_path / name, {"mix": noise}, sample_rate=8000, title="x")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert np.array_equal(noise, before)


@pytest.mark.parametrize("title", ["a $\\frac{1$ b", "日本語の映画.mkv", "x" * 500, "", "a\tb\nc"])
def test_any_file_name_can_stand_above_the_panels(tmp_path, title):
    columns = {title or "mix": columns_of(tone(300, 8000, 0.1), 8000)}
    draw(tmp_path / "a.png", columns, title=title, loudness_lufs={title: -23.0})
    assert imread(tmp_path / "a.png").shape[1] == 1400


@pytest.mark.parametrize("waveform", [np.zeros((1, 1), "f4"), np.ones((1, 1), "f4") * 20])
def test_one_sample_and_silence_can_be_drawn(tmp_path, waveform):
    spectrogram_picture(
        tmp_path / "a.png",
        {"mix": waveform},
        sample_rate=48000,
        title="short",
        loudness_lufs={"mix": None},
    )
    assert imread(tmp_path / "a.png").shape[1] == 1400


def test_nothing_global_is_touched(tmp_path):
    code = f"""
import sys
import matplotlib
import numpy as np
from unstir.picture import spectrogram_picture
before = list(dict.items(matplotlib.rcParams))  # dict() would choose a backend
sound = np.ones((1, 999), np.float32)
spectrogram_picture({str(tmp_path / "a.png")!r}, dict(mix=sound), sample_rate=8000, title="x")
assert list(dict.items(matplotlib.rcParams)) == before
assert "matplotlib.pyplot" not in sys.modules
"""
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_long_recordings_fill_every_column():
    assert columns_of(tone(300, 8000, 60), 8000).power.shape == (N_ROWS, N_COLUMNS)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="at least one"):
        SpectrogramColumns(0, 8000)
    columns = SpectrogramColumns(100, 8000)
    columns.push(np.zeros((2, 60), np.float32))
    with pytest.raises(AudioError, match="at most 40"):
        columns.push(np.zeros((2, 41), np.float32))
    with pytest.raises(AudioError, match="is wanted"):
        columns.push(np.zeros((1, 40), np.float32))
    with pytest.raises(AudioError, match="all alike"):
        draw(tmp_path / "a.png", {}, title="")
    with pytest.raises(AudioError, match="all alike"):
        draw(tmp_path / "a.png", {"a": columns, "b": SpectrogramColumns(9, 8000)}, title="")
