"""From plan to sound: what the plan says is what is heard."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from unstir.neural.pack import SAMPLE_RATE, Clip, Pack, pack
from unstir.neural.render import active_rms, fast_length, render
from unstir.neural.scenes import Bus, Piece, Recipe, Scene

N = 2 * SAMPLE_RATE
HEADER = "path,kind,label,source_repo,licence,author_if_known,seconds,samplerate\n"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pack, Mapping[str, Clip]]:
    """Return a pack with a tone, mono noise, stereo noise and a room response."""
    folder: Path = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(3)
    t = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    waves = {
        "tone": 0.5 * np.sin(2 * np.pi * 1000 * t),
        "noise": 0.1 * rng.standard_normal(len(t)),
        "wide": 0.1 * rng.standard_normal((len(t), 2)),
        "room": 0.2 * rng.standard_normal(9000) * np.exp(-np.arange(9000) / 2000),
    }
    rows = []
    for name, wave in waves.items():
        sf.write(folder / f"{name}.wav", wave, SAMPLE_RATE, subtype="FLOAT")
        kind = "rir" if name == "room" else "effects"
        rows.append(f"{name}.wav,{kind},{name},a/{name},CC0-1.0,{name},4,44100\n")
    (folder / "MANIFEST.csv").write_text(HEADER + "".join(rows))
    clips = {clip.path: clip for clip in pack(folder, folder / "packed")}
    return Pack(folder / "packed"), clips


def one(name: str, **fields: object) -> Scene:
    """Return a scene with one sound as its effects."""
    bus = Bus((Piece(f"{name}.wav", 0, 0, N),), **fields)
    return Scene(N, effects=(bus,))


def spectrum(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    power = np.abs(np.fft.rfft(waveform * np.hanning(waveform.shape[-1]))) ** 2
    return np.fft.rfftfreq(waveform.shape[-1], 1 / SAMPLE_RATE), power


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))


def test_scenes_of_a_corpus_are_finite_and_as_loud_as_planned(
    tiny_pack: Pack, tiny_clips: Mapping[str, Clip]
) -> None:
    recipe = Recipe(tiny_pack, "train")
    for seed in range(12):
        plan = recipe.draw(np.random.default_rng(seed), N)
        stems = render(plan, tiny_pack, tiny_clips)
        assert stems.shape == (3, 2, N) and stems.dtype == np.float32
        assert np.all(np.isfinite(stems))
        assert 20 * np.log10(rms(stems.sum(axis=0))) == pytest.approx(plan.mix_db, abs=0.01)
        for name, stem in zip(("speech", "music", "effects"), stems, strict=True):
            assert getattr(plan, name) or not stem.any(), name


def test_the_same_plan_gives_the_same_samples(
    tiny_pack: Pack, tiny_clips: Mapping[str, Clip]
) -> None:
    plan = Recipe(tiny_pack, "train").draw(np.random.default_rng(5), N)
    first = render(plan, tiny_pack, tiny_clips)
    np.testing.assert_array_equal(first, render(plan, tiny_pack, tiny_clips))


def test_a_scene_without_sound_is_silent(sounds) -> None:
    assert not render(Scene(N), *sounds).any()


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_speed_shifts_the_pitch(sounds, speed: float) -> None:
    stems = render(one("tone", speed=speed), *sounds)
    hz, power = spectrum(stems[2, 0, 4410:-4410])
    # Lengths are rounded to those whose transform is quick, hence the tolerance.
    assert hz[np.argmax(power)] == pytest.approx(1000 * speed, rel=0.03)


def test_speeds_are_right_on_average(sounds) -> None:
    n_out = fast_length(N + 2048)
    speeds = np.exp(np.random.default_rng(0).normal(0, 0.1, 2000))
    ratios = [fast_length(round(n_out * speed), nearest=True) / n_out / speed for speed in speeds]
    assert np.mean(ratios) == pytest.approx(1, abs=0.005)


def test_a_speed_of_one_leaves_a_tone_where_it_is(sounds) -> None:
    hz, power = spectrum(render(one("tone"), *sounds)[2, 0])
    assert hz[np.argmax(power)] == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("pan", [-1.0, -0.4, 0.0, 0.7, 1.0])
def test_a_pan_keeps_the_power_and_moves_it(sounds, pan: float) -> None:
    left, right = render(one("noise", pan=(pan, pan)), *sounds)[2]
    angle = (pan + 1) * np.pi / 4
    both = np.hypot(rms(left), rms(right))
    assert rms(left) / both == pytest.approx(np.cos(angle), abs=1e-3)
    assert rms(right) / both == pytest.approx(np.sin(angle), abs=1e-3)


def test_a_moving_pan_goes_from_left_to_right(sounds) -> None:
    left, right = render(one("noise", pan=(-1.0, 1.0)), *sounds)[2]
    n = N // 5
    assert rms(left[:n]) > 3 * rms(right[:n])
    assert rms(right[-n:]) > 3 * rms(left[-n:])


def test_a_piece_has_a_place_of_its_own(sounds) -> None:
    scene = Scene(N, effects=(Bus((Piece("noise.wav", 0, 0, N, 0.0, -1.0),)),))
    left, right = render(scene, *sounds)[2]
    assert rms(right) < 1e-6 * rms(left)


def test_a_width_of_zero_is_mono_and_of_one_changes_nothing(sounds) -> None:
    narrow = render(one("wide", width=0.0), *sounds)[2]
    np.testing.assert_array_equal(narrow[0], narrow[1])
    left, right = render(one("wide"), *sounds)[2]
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.05


def test_swapped_channels_change_places(sounds) -> None:
    as_is = render(one("wide"), *sounds)[2]
    np.testing.assert_array_equal(render(one("wide", swap=True), *sounds)[2], as_is[::-1])


def test_a_mono_scene_has_two_equal_channels(sounds) -> None:
    left, right = render(replace(one("wide"), mono=True), *sounds)[2]
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("whole_scene", [False, True])
def test_a_band_limit_takes_the_treble_away(sounds, whole_scene: bool) -> None:
    scene = replace(one("noise"), high_hz=4000) if whole_scene else one("noise", high_hz=4000)
    hz, power = spectrum(render(scene, *sounds)[2, 0])
    passed = power[(hz > 500) & (hz < 3000)].mean()
    assert 10 * np.log10(power[hz > 8000].mean() / passed) < -45
    assert 10 * np.log10(power[(hz > 3000) & (hz < 3300)].mean() / passed) > -1.5


def test_a_low_limit_takes_the_bass_away(sounds) -> None:
    hz, power = spectrum(render(one("noise", low_hz=200), *sounds)[2, 0])
    assert 10 * np.log10(power[(hz > 5) & (hz < 30)].mean() / power[hz > 2000].mean()) < -25


def test_a_tilt_raises_what_it_says(sounds) -> None:
    hz, power = spectrum(render(one("noise", tilt_db=(0, 0, 6, 6)), *sounds)[2, 0])
    step = power[(hz > 4000) & (hz < 9000)].mean() / power[(hz > 100) & (hz < 380)].mean()
    assert 10 * np.log10(step) == pytest.approx(6, abs=0.7)


def test_a_room_rings_after_the_sound_has_ended(sounds) -> None:
    piece = Piece("noise.wav", 0, 0, N // 2)
    dry = Scene(N, effects=(Bus((piece,), pan=(0, 0)),))
    wet = Scene(N, effects=(Bus((piece,), pan=(0, 0), room="room.wav", wet_db=-3),))
    tail = slice(N // 2 + 441, N // 2 + 4410)
    assert rms(render(dry, *sounds)[2][:, tail]) < 1e-5
    assert rms(render(wet, *sounds)[2][:, tail]) > 1e-3


def test_levels_hold_between_the_stems(sounds) -> None:
    bus = one("noise").effects
    scene = Scene(N, speech=bus, music=bus, level_db=(-20, -32, 0))
    speech, music, _ = render(scene, *sounds)
    assert 20 * np.log10(active_rms(speech) / active_rms(music)) == pytest.approx(12, abs=0.01)


def test_music_goes_down_under_speech_and_comes_back(sounds) -> None:
    speech = (Bus((Piece("tone.wav", 0, 0, N // 2),)),)
    scene = Scene(N, speech=speech, music=one("noise").effects, duck_db=9)
    music = render(scene, *sounds)[1]
    early, late = rms(music[:, N // 5 : N // 3]), rms(music[:, -N // 4 :])
    assert 20 * np.log10(late / early) == pytest.approx(9, abs=0.3)


def test_backward_pieces_play_from_their_end(sounds) -> None:
    pack, clips = sounds
    forward, backward = (
        render(one("noise", backward=turned), pack, clips)[2, 0] for turned in (False, True)
    )
    fade = 300  # both ends are faded alike
    likeness = np.corrcoef(backward[fade:-fade], forward[::-1][fade:-fade])[0, 1]
    assert likeness > 0.999


def test_a_codec_loses_what_lies_far_below_its_neighbors_from_every_stem(sounds) -> None:
    """A tone over noise: the noise around it goes, that far from it stays, and sums hold."""
    pack, clips = sounds
    parts = {"music": (Bus((Piece("tone.wav", 0, 0, N),)),), "effects": one("noise").effects}
    scene = Scene(N, **parts, level_db=(-24.0, -20.0, -45.0))
    whole = render(scene, pack, clips)
    lossy = render(replace(scene, holes_db=30.0), pack, clips)
    hz, before = spectrum(whole[2, 0])
    _, after = spectrum(lossy[2, 0])
    near, far = (np.abs(hz - 1000) < 400) & (np.abs(hz - 1000) > 150), np.abs(hz - 5000) < 2000
    assert 10 * np.log10(after[near].mean() / before[near].mean()) < -8
    assert 10 * np.log10(after[far].mean() / before[far].mean()) > -1
    # What is left is what it was: a codec that loses nothing changes nothing.
    spared = render(replace(scene, holes_db=300.0), pack, clips)
    np.testing.assert_allclose(spared, whole, atol=1e-6)


def test_automation_follows_its_points(sounds) -> None:
    scene = replace(one("noise"), automation_db=((0.0,), (0.0,), (0.0, 12.0)))
    stem = render(scene, *sounds)[2]
    n = N // 20
    assert 20 * np.log10(rms(stem[:, -n:]) / rms(stem[:, :n])) == pytest.approx(11.4, abs=0.5)


def test_quick_lengths_are_long_enough_and_not_much_longer() -> None:
    for n in (64, 65, 1000, 48000, 264192, 10**6):
        assert n <= fast_length(n) <= 1.1 * n or n < 1000


@pytest.mark.parametrize("n", [1, 100, 4409, 4410, 9000])
def test_short_scenes_can_be_made(tiny_pack: Pack, tiny_clips: Mapping[str, Clip], n: int) -> None:
    plan = Recipe(tiny_pack, "train").draw(np.random.default_rng(1), n, full=True)
    assert np.all(np.isfinite(render(plan, tiny_pack, tiny_clips)))
