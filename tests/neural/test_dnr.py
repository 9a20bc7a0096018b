"""The published recipes: 200 schedules of each against the published figures, and what they sound.

The figures stand here once more, as literals, so that a slip in the recipes shows.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from tests.sounds import mixture_of, null_db
from unstir.audio import open_writer
from unstir.errors import AudioError, JournalError, SettingsError
from unstir.loudness import Meter
from unstir.neural.dnr import DNR2, DNR3, KINDS, DnrConfig, Event, Schedule, schedule
from unstir.neural.dnr_render import Sources, dnr_sources, mix_scene, render, write_scenes
from unstir.neural.folders import Sound, find_sounds, find_tracks, read_stems, read_stretch

N = 200
BOTH = pytest.mark.parametrize("recipe", [DNR2, DNR3], ids=lambda recipe: recipe.name)
MEAN_COUNTS = {
    "dnr2": {"speech": 8, "music": 7, "foreground": 12, "background": 6},
    "dnr3": {"speech": 12, "music": 7, "foreground": 12, "background": 24},
}
LEVELS_LUFS = {
    "dnr2": {"speech": -17, "music": -24, "foreground": -21, "background": -29},
    "dnr3": {"speech": -27, "music": -32, "foreground": -32, "background": -40},
}
LEVEL_STD_LU = {"speech": 4, "music": 6, "foreground": 6, "background": 6}  # dnr3
CLIP_STD_LU = {"speech": 6, "music": 10, "foreground": 10, "background": 10}  # dnr3
OVERLAPS = {"speech": 0.25, "music": 0.0, "foreground": 0.5, "background": 1.0}  # dnr3
POOLS = {
    "speech": list(np.linspace(1.5, 9, 40)),
    "music": [30.0, 25.0, 28.0],
    "foreground": list(np.linspace(0.3, 8, 30)),
    "background": list(np.linspace(2, 30, 30)),
}


def schedules(recipe: DnrConfig, pools: dict[str, list[float]]) -> list[Schedule]:
    return [schedule(recipe, pools, np.random.default_rng([7, i])) for i in range(N)]


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Schedule]]:
    return {recipe.name: schedules(recipe, POOLS) for recipe in (DNR2, DNR3)}


def of_kind(scene: Schedule, kind: str) -> list[Event]:
    return [event for event in scene.events if event.kind == kind]


def successions(scenes: list[Schedule], kind: str) -> list[tuple[Event, Event]]:
    return [
        pair
        for scene in scenes
        for pair in zip(of_kind(scene, kind), of_kind(scene, kind)[1:], strict=False)
    ]


def is_mean(values: list[float], expected: float, std: float | None = None) -> bool:
    """Whether a sample agrees with a mean to four standard errors."""
    std = float(np.std(values)) if std is None else std
    return abs(float(np.mean(values)) - expected) < 4 * std / math.sqrt(len(values))


@BOTH
def test_counts_are_zero_truncated_poisson(recipe: DnrConfig) -> None:
    # Sources of a hundredth of a second that follow at once, so that every event finds room.
    dense = dataclasses.replace(
        recipe, start_scale_s=0.01, start_offset_s=0.0, starts_after_full_seconds=False
    )
    scenes = schedules(dense, {kind: [0.01] for kind in KINDS})
    for kind, mean in MEAN_COUNTS[recipe.name].items():
        counts = [len(of_kind(scene, kind)) for scene in scenes]
        assert min(counts) >= 1
        assert is_mean(counts, mean / (1 - math.exp(-mean)), math.sqrt(mean))


def test_counts_of_short_scenes_exclude_zero_and_keep_the_density() -> None:
    sparse = dataclasses.replace(DNR2, starts_after_full_seconds=False, start_scale_s=0.01)
    rng, pools = np.random.default_rng(0), {kind: [0.01] for kind in KINDS}
    scenes = [schedule(sparse, pools, rng, duration_s=10) for _ in range(N)]
    counts = [len(of_kind(scene, "background")) for scene in scenes]
    assert min(counts) == 1
    assert is_mean(counts, 1 / (1 - math.exp(-1)))


def test_starts_of_dnr2_are_skew_normal_from_a_second_after_the_next_full_second(
    drawn: dict[str, list[Schedule]],
) -> None:
    published = scipy.stats.skewnorm(5, loc=1, scale=2)
    for kind in KINDS:
        gaps = [
            after.start_s - math.ceil(before.end_s)
            for before, after in successions(drawn["dnr2"], kind)
            if before.end_s < 35  # later, whether and where there is room would bias the sample
        ]
        assert len(gaps) > 100
        assert is_mean(gaps, published.mean(), published.std())
        assert scipy.stats.kstest(gaps, published.cdf).pvalue > 1e-3


@pytest.mark.parametrize(("recipe", "offset_s"), [(DNR2, 1.0), (DNR3, 0.0)])
def test_first_starts_are_skew_normal_and_never_before_the_scene(
    recipe: DnrConfig, offset_s: float, drawn: dict[str, list[Schedule]]
) -> None:
    published = scipy.stats.skewnorm(5, loc=offset_s, scale=2)
    starts = [of_kind(scene, kind)[0].start_s for scene in drawn[recipe.name] for kind in KINDS]
    assert min(starts) >= 0
    assert is_mean(starts, published.expect(lambda x: np.maximum(x, 0)))


@BOTH
def test_every_event_lies_within_its_scene_and_its_source(
    recipe: DnrConfig, drawn: dict[str, list[Schedule]]
) -> None:
    for event in (event for scene in drawn[recipe.name] for event in scene.events):
        source_s = POOLS[event.kind][event.source]
        assert event.start_s >= 0
        assert event.end_s <= 60 + 1e-9
        assert 0 <= event.source_start_s <= source_s - event.duration_s + 1e-9


def test_nothing_overlaps_within_a_kind_of_dnr2(drawn: dict[str, list[Schedule]]) -> None:
    for kind in KINDS:
        pairs = successions(drawn["dnr2"], kind)
        assert pairs
        assert all(after.start_s >= before.end_s for before, after in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_overlaps_of_dnr3_reach_their_allowance_and_stop_there(
    kind: str, drawn: dict[str, list[Schedule]]
) -> None:
    shares = [
        (before.end_s - after.start_s) / before.duration_s
        for before, after in successions(drawn["dnr3"], kind)
    ]
    assert max(shares) <= OVERLAPS[kind] + 1e-9
    assert max(shares) >= 0.6 * OVERLAPS[kind] - 1e-9


@BOTH
def test_speech_is_always_whole(recipe: DnrConfig, drawn: dict[str, list[Schedule]]) -> None:
    events = [event for scene in drawn[recipe.name] for event in of_kind(scene, "speech")]
    assert len(events) > N
    assert all(event.duration_s == POOLS["speech"][event.source] for event in events)


@BOTH
def test_other_events_last_about_half_of_what_is_possible(
    recipe: DnrConfig, drawn: dict[str, list[Schedule]]
) -> None:
    for kind in ("music", "foreground", "background"):
        shares = [
            event.duration_s / POOLS[kind][event.source]
            for scene in drawn[recipe.name]
            for event in of_kind(scene, kind)
            if event.start_s < 29 and POOLS[kind][event.source] > 4  # no bound comes near
        ]
        assert is_mean(shares, 0.5, 0.1)
        assert np.std(shares) == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(
    ("recipe", "kind", "source_s", "floor_s"),
    [
        (DNR2, "music", 0.15, 0.1),
        (DNR2, "foreground", 0.15, 0.1),
        (DNR3, "foreground", 0.15, 0.15),  # the whole source
        (DNR3, "foreground", 0.9, 0.5),
        (DNR3, "background", 1.2, 1.0),
    ],
)
def test_no_event_is_shorter_than_the_floor_of_its_kind(
    recipe: DnrConfig, kind: str, source_s: float, floor_s: float
) -> None:
    scenes = schedules(recipe, {**POOLS, kind: [source_s]})
    lengths = [event.duration_s for scene in scenes for event in of_kind(scene, kind)]
    assert floor_s <= min(lengths) < floor_s + 0.01


@BOTH
def test_an_event_is_left_out_where_less_than_a_third_of_its_source_would_fit(
    recipe: DnrConfig, drawn: dict[str, list[Schedule]]
) -> None:
    ends = [scene.events[-1].end_s for scene in drawn[recipe.name]]
    assert max(ends) > 59
    for before, after in successions(drawn[recipe.name], "music"):
        assert 60 - before.end_s >= 0.3 * POOLS["music"][after.source]


def test_only_dnr3_tries_other_sources_when_one_does_not_fit() -> None:
    pools = {**POOLS, "speech": [2.0, 59.0]}
    rng = np.random.default_rng(3)
    n2, n3 = (
        np.mean([len(of_kind(schedule(recipe, pools, rng), "speech")) for _ in range(N)])
        for recipe in (DNR2, dataclasses.replace(DNR3, speech=DNR2.speech))
    )
    assert n3 > 1.3 * n2


def test_long_recordings_count_as_the_clips_of_the_published_sources() -> None:
    pools = {**POOLS, "music": [3600.0]}
    rng = np.random.default_rng(0)
    scenes = [schedule(DNR2, pools, rng, duration_s=20.0) for _ in range(50)]
    pieces = [event for scene in scenes for event in of_kind(scene, "music")]
    assert len(pieces) >= 50
    assert max(piece.source_start_s for piece in pieces) > 1800


def test_music_enters_anywhere_and_the_rest_at_its_beginning(
    drawn: dict[str, list[Schedule]],
) -> None:
    for event in (event for scene in drawn["dnr2"] for event in scene.events):
        assert (event.source_start_s > 0) == (event.kind == "music")


def test_levels_of_dnr2_are_uniform_around_the_published_ones(
    drawn: dict[str, list[Schedule]],
) -> None:
    for kind, center in LEVELS_LUFS["dnr2"].items():
        levels = [scene.levels_lufs[kind] for scene in drawn["dnr2"]]
        assert scipy.stats.kstest(levels, scipy.stats.uniform(center - 2, 4).cdf).pvalue > 1e-3
        clips = [
            event.level_lufs - scene.levels_lufs[event.kind]
            for scene in drawn["dnr2"]
            for event in of_kind(scene, kind)
        ]
        assert scipy.stats.kstest(clips, scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3
    masters = [scene.master_lufs for scene in drawn["dnr2"]]
    assert scipy.stats.kstest(masters, scipy.stats.uniform(-29, 4).cdf).pvalue > 1e-3


def test_levels_of_dnr3_are_normal_around_the_published_ones(
    drawn: dict[str, list[Schedule]],
) -> None:
    for kind, center in LEVELS_LUFS["dnr3"].items():
        levels = [scene.levels_lufs[kind] for scene in drawn["dnr3"]]
        normal = scipy.stats.norm(center, LEVEL_STD_LU[kind])
        assert scipy.stats.kstest(levels, normal.cdf).pvalue > 1e-3
        clips = [
            event.level_lufs - scene.levels_lufs[event.kind]
            for scene in drawn["dnr3"]
            for event in of_kind(scene, kind)
        ]
        assert scipy.stats.kstest(clips, scipy.stats.norm(0, CLIP_STD_LU[kind]).cdf).pvalue > 1e-3
    masters = [scene.master_lufs for scene in drawn["dnr3"]]
    assert scipy.stats.kstest(masters, scipy.stats.norm(-27, 1).cdf).pvalue > 1e-3


def test_rates_and_peaks_are_the_published_ones() -> None:
    assert (DNR2.sample_rate, DNR2.peak_dbfs, DNR2.limits) == (44100, -0.5, False)
    assert (DNR3.sample_rate, DNR3.peak_dbfs, DNR3.limits) == (48000, -2.0, True)


@pytest.mark.parametrize(
    ("pools", "duration_s", "said"),
    [
        ({**POOLS, "music": []}, 60.0, "music is empty"),
        ({**POOLS, "music": [0.0]}, 60.0, "not above 0"),
        (POOLS, 1.0, "above 2.0 s"),
        ({**POOLS, "speech": [70.0]}, 60.0, "cut the speech"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    pools: dict[str, list[float]], duration_s: float, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        schedule(DNR2, pools, np.random.default_rng(0), duration_s=duration_s)


# ---- sound

RATE = 16000


def write(path: Path, waveform: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    n_channels, n = waveform.shape
    with open_writer(
        path, "wav", sample_rate=rate, n_channels=n_channels, n_samples=n, subtype="FLOAT"
    ) as writer:
        writer.write(waveform.astype(np.float32))


def sources_in(folder: Path) -> Sources:
    kinds = ("speech", "music", "effects")
    return dnr_sources(**{kind: find_sounds(folder / kind).sounds for kind in kinds})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return recordings of every kind: mono speech, music on the left alone, long and short."""
    top = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for i in range(3):
        write(top / f"speech/anna/{i}.wav", 0.1 * rng.standard_normal((1, (2 + i) * RATE)))
        music = 0.1 * rng.standard_normal((2, 30 * RATE)) * [[1], [0]]
        write(top / f"music/jazz/{i}.wav", music)
        write(top / f"effects/rain/{i}.wav", 0.01 * rng.standard_normal((2, 9 * RATE)))
        click = rng.standard_normal((1, RATE // 5)) * np.exp(-np.arange(RATE // 5) / 100)
        write(top / f"effects/door/{i}.wav", click)
    return top


def lufs(waveform: np.ndarray, rate: int) -> float:
    meter = Meter(rate, waveform.shape[0])
    meter.push(waveform.astype(np.float32))
    found = meter.integrated_lufs()
    assert found is not None
    return found


@BOTH
@pytest.mark.parametrize("channels", [1, 2])
def test_a_scene_has_its_recipe_s_rate_and_loudness(
    recipe: DnrConfig, channels: int, folder: Path
) -> None:
    scene = mix_scene(recipe, sources_in(folder), seed=1, index=0, duration_s=10, channels=channels)
    assert scene.sample_rate == recipe.sample_rate
    assert {stem.shape for stem in scene.stems.values()} == {(channels, 10 * recipe.sample_rate)}
    assert {stem.dtype for stem in scene.stems.values()} == {np.dtype(np.float32)}
    assert not scene.skipped
    assert -31 < lufs(mixture_of(scene.stems), scene.sample_rate) < -23


def test_annotations_rebuild_a_stem_of_dnr2(folder: Path) -> None:
    scene = mix_scene(DNR2, sources_in(folder), seed=2, index=0, duration_s=15, sample_rate=RATE)
    rebuilt = np.zeros((1, 15 * RATE))
    for row in scene.annotations:
        if row.kind == "speech":
            length_s = row.clip_end_s - row.clip_start_s
            clip, _ = read_stretch(folder / row.file.split("/", 1)[0] / row.file.split("/", 1)[1],
                                   row.clip_start_s, length_s)  # fmt: skip
            start = int(row.mix_start_s * RATE)
            rebuilt[:, start : start + clip.shape[1]] += row.gain * clip
    assert np.abs(scene.stems["speech"]).max() > 0
    np.testing.assert_allclose(scene.stems["speech"], rebuilt, atol=1e-6)


def one_event(kind: str, level_lufs: float, pan: float = 0.0) -> Schedule:
    event = Event(kind, 0, 0.0, 1.0, 0.2, level_lufs, pan)
    return Schedule((event,), dict.fromkeys(KINDS, -20.0), -27.0, 4.0)


def test_levels_hold_for_sounds_shorter_than_the_loudness_block(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(RATE // 5) / RATE)[None]
    write(tmp_path / "tone.wav", tone)
    sound = Sound(tmp_path / "tone.wav", "tone.wav", "", 0.2)
    loose = dataclasses.replace(DNR2, peak_dbfs=100.0)
    scene = render(
        loose, one_event("foreground", -20.0), {kind: [sound] for kind in KINDS}, sample_rate=RATE
    )
    # A tone of 997 Hz at full scale measures -3.01 LUFS, so the first gain is -16.99 dB; the
    # second brings the whole scene to -27 LUFS.
    (row,) = scene.annotations
    whole = np.zeros((1, 4 * RATE))
    whole[:, RATE : RATE + RATE // 5] = 10 ** (-16.99 / 20) * tone
    master_db = -27 - lufs(whole, RATE)
    assert 20 * np.log10(row.gain) == pytest.approx(-16.99 + master_db, abs=0.1)


@pytest.mark.parametrize("pan", [-1.0, -0.4, 0.0, 1.0])
def test_effects_are_panned_by_constant_power(pan: float, folder: Path) -> None:
    scene = render(
        DNR2, one_event("foreground", -20.0, pan), sources_in(folder), channels=2, sample_rate=RATE
    )
    left, right = np.abs(scene.stems["effects"]).max(axis=1)
    assert math.atan2(right, left) == pytest.approx((pan + 1) * math.pi / 4, abs=1e-6)


def test_speech_is_in_the_center_and_music_stays_where_it_was(folder: Path) -> None:
    scene = mix_scene(DNR2, sources_in(folder), seed=1, index=0, duration_s=10, channels=2)
    np.testing.assert_array_equal(scene.stems["speech"][0], scene.stems["speech"][1])
    assert scene.stems["music"][0].any()
    assert not scene.stems["music"][1].any()


def true_peak_db(waveform: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(scipy.signal.resample_poly(waveform, 4, 1, axis=1)).max()))


def test_true_peaks_of_dnr3_are_limited_by_one_gain_for_all_stems(folder: Path) -> None:
    loud = dataclasses.replace(DNR3, master_lufs=-12.0)
    sources, options = sources_in(folder), {"seed": 3, "index": 0, "duration_s": 10.0}
    limited = mix_scene(loud, sources, **options)
    free = mix_scene(dataclasses.replace(loud, peak_dbfs=100.0), sources, **options)
    assert true_peak_db(mixture_of(free.stems)) > 0
    for waveform in (mixture_of(limited.stems), *limited.stems.values()):
        assert true_peak_db(waveform) < -1.95
    heard = np.abs(mixture_of(free.stems)) > 1e-2
    gain = mixture_of(limited.stems)[heard] / mixture_of(free.stems)[heard]
    assert gain.min() < 0.75
    for name, stem in free.stems.items():
        np.testing.assert_allclose(limited.stems[name][heard], gain * stem[heard], atol=1e-4)


def test_stems_of_dnr2_are_scaled_together_only_when_a_peak_is_too_high(folder: Path) -> None:
    loud = dataclasses.replace(DNR2, master_lufs=-6.0)
    for recipe, is_scaled in ((DNR2, False), (loud, True)):
        sources, options = sources_in(folder), {"seed": 3, "index": 0, "duration_s": 10.0}
        scene = mix_scene(recipe, sources, **options)
        free = mix_scene(dataclasses.replace(recipe, peak_dbfs=100.0), sources, **options)
        ratio = np.abs(scene.stems["speech"]).max() / np.abs(free.stems["speech"]).max()
        assert (ratio < 0.999) == is_scaled
        for name, stem in free.stems.items():
            np.testing.assert_allclose(scene.stems[name], ratio * stem, atol=1e-6)
        peak = max(np.abs(x).max() for x in (mixture_of(scene.stems), *scene.stems.values()))
        assert peak <= 10 ** (-0.5 / 20) + 1e-6


def test_a_scene_depends_on_seed_and_index_alone(folder: Path) -> None:
    def speech(seed: int, index: int) -> np.ndarray:
        options = {"seed": seed, "index": index, "duration_s": 10.0, "sample_rate": RATE}
        return mix_scene(DNR3, sources_in(folder), **options).stems["speech"]

    first = speech(5, 3)
    assert not np.array_equal(speech(5, 4), first)
    assert not np.array_equal(speech(6, 3), first)
    np.testing.assert_array_equal(speech(5, 3), first)


def test_silent_and_unreadable_sources_are_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "silence.wav", np.zeros((1, 5 * RATE)))
    (tmp_path / "gone.wav").write_bytes(b"RIFF")
    bad = [Sound(tmp_path / name, name, "", 5.0) for name in ("silence.wav", "gone.wav")]
    sources = {**sources_in(folder), "foreground": bad}
    options = {"seed": 0, "index": 0, "duration_s": 30.0, "sample_rate": RATE}
    scene = mix_scene(DNR2, sources, **options)
    assert {row.kind for row in scene.annotations} == {"speech", "music", "background"}
    assert any("silence.wav" in sentence for sentence in scene.skipped)
    assert any("gone.wav" in sentence for sentence in scene.skipped)
    with pytest.raises(AudioError, match="can be heard"):
        mix_scene(DNR2, dict.fromkeys(KINDS, bad[:1]), **options)


def test_effects_are_divided_by_folder_or_by_length() -> None:
    def sound(name: str, duration_s: float) -> Sound:
        return Sound(Path(name), name, "", duration_s)

    effects = [
        sound("fx/background/tick.wav", 0.5),
        sound("fx/foreground/siren.wav", 20.0),
        sound("fx/rain.wav", 20.0),
        sound("fx/knock.wav", 0.5),
    ]
    pools = dnr_sources(speech=effects, music=effects, effects=effects)
    assert {s.path.stem for s in pools["background"]} == {"tick", "rain"}
    assert {s.path.stem for s in pools["foreground"]} == {"siren", "knock"}
    only_short = dnr_sources(speech=effects, music=effects, effects=effects[3:])
    assert only_short["background"] == only_short["foreground"] == (effects[3],)


# ---- folders of scenes

SHORT = {"duration_s": 6.0, "sample_rate": RATE, "channels": 2, "seed": 9}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path
) -> None:
    sources = sources_in(folder)
    whole = list(write_scenes(tmp_path / "whole", DNR3, sources, n=3, **SHORT))
    assert [(p.done, p.total, p.is_new) for p in whole] == [
        (1, 3, True),
        (2, 3, True),
        (3, 3, True),
    ]
    started = write_scenes(tmp_path / "parts", DNR3, sources, n=3, **SHORT)
    next(started)
    (tmp_path / "parts/.00001.partial").mkdir()  # as a killed run leaves it
    (tmp_path / "parts/.00001.partial/mix.wav").write_bytes(b"RIFF")
    rest = list(write_scenes(tmp_path / "parts", DNR3, sources, n=3, **SHORT))
    assert [p.is_new for p in rest] == [False, True, True]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_written_stems_add_up_to_the_written_mix(folder: Path, tmp_path: Path) -> None:
    list(write_scenes(tmp_path / "set", DNR3, sources_in(folder), n=2, **SHORT))
    tracks, skipped = find_tracks(tmp_path / "set")
    assert [track.name for track in tracks] == ["00000", "00001"]
    assert not skipped
    for track in tracks:
        mix, rate = read_stretch(track.mix, 0.0, 6.0)
        assert rate == RATE
        stems = read_stems(track)
        np.testing.assert_array_equal(mixture_of(stems), mix)
        assert null_db(mix, stems) < -120


def test_a_folder_made_with_other_settings_or_holding_other_files_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    sources = sources_in(folder)
    list(write_scenes(tmp_path / "set", DNR3, sources, n=1, **SHORT))
    with pytest.raises(JournalError, match="seed"):
        next(write_scenes(tmp_path / "set", DNR3, sources, n=1, **{**SHORT, "seed": 1}))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(JournalError, match=r"scenes\.json"):
        next(write_scenes(tmp_path / "home", DNR3, sources, n=1, **SHORT))
    assert contents(tmp_path / "home") == {"letter.txt": b"dear"}


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"seed": -1}, {"channels": 6}, {"sample_rate": 100}, {"duration_s": 1.0}]
)
def test_options_out_of_range_are_refused_before_anything_is_written(
    wrong: dict[str, float], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError):
        list(write_scenes(tmp_path, DNR3, sources_in(folder), **{"n": 1, **SHORT, **wrong}))
    assert not list(tmp_path.iterdir())


@pytest.mark.corpus
def test_real_recordings_make_a_scene_with_every_stem(corpus: Path) -> None:
    sources = dnr_sources(
        speech=find_sounds(corpus / "speech" / "short_mycroft").sounds,
        music=find_sounds(corpus / "music").sounds[:10],
        effects=find_sounds(corpus / "effects" / "rain").sounds
        + find_sounds(corpus / "effects" / "door").sounds,
    )
    scene = mix_scene(DNR3, sources, seed=0, index=0, duration_s=12.0, channels=2)
    for stem in scene.stems.values():
        assert np.isfinite(stem).all()
        assert lufs(stem, scene.sample_rate) > -60
