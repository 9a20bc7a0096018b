"""Packing keeps the sound, names what it cannot read, and needs NumPy alone to be read."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from unstir.errors import AudioError, SettingsError
from unstir.neural.pack import COLUMNS, Pack, decode, encode, of_labels, pack


@pytest.fixture
def copy(tiny_corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_corpus, tmp_path / "copy"))


def packed(corpus: Path | list[Path], out: Path, **options: object) -> Pack:
    list(pack(corpus, out, **options))
    return Pack(out)


def test_every_recording_is_there_in_the_order_of_the_manifest(
    tiny_corpus: Path, tiny_pack: Pack
) -> None:
    with (tiny_corpus / "MANIFEST.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert [clip.path for clip in tiny_pack.clips] == paths
    assert tiny_pack.skipped == ()


def test_a_recording_comes_back_scaled_to_a_peak_of_one(tiny_corpus: Path, tiny_pack: Pack) -> None:
    clip = next(c for c in tiny_pack.clips if c.path == "music/tunea.wav")
    true, _ = sf.read(tiny_corpus / clip.path, dtype="float32", always_2d=True)
    np.testing.assert_allclose(tiny_pack.read(clip), true.T / np.abs(true).max(), atol=2e-5)


def test_other_rates_are_brought_to_44100(tiny_pack: Pack) -> None:
    clip = next(c for c in tiny_pack.clips if c.path == "speech/voice3_0.wav")  # 16 kHz, 2 s
    assert clip.n_samples == 2 * 44100


def test_a_recording_from_16_khz_has_a_bandwidth_of_8(tiny_pack: Pack) -> None:
    clip = next(c for c in tiny_pack.clips if c.path == "speech/voice3_0.wav")
    assert 7000 < clip.bandwidth_hz < 8100


def test_a_stretch_is_that_part_of_the_whole_and_silence_follows_the_end(tiny_pack: Pack) -> None:
    clip = next(c for c in tiny_pack.clips if c.channels == 2)
    whole = tiny_pack.read(clip)
    np.testing.assert_array_equal(tiny_pack.read(clip, 1000, 500), whole[:, 1000:1500])
    late = tiny_pack.read(clip, clip.n_samples - 100, 300)
    np.testing.assert_array_equal(late[:, :100], whole[:, -100:])
    assert late.shape == (2, 300) and not late[:, 100:].any()


def test_a_pack_of_two_folders_has_all_of_the_first_and_the_second_under_its_name(
    tiny_corpus: Path, tiny_pack: Pack, copy: Path, tmp_path: Path
) -> None:
    both = packed([tiny_corpus, copy], tmp_path / "both")
    n = len(tiny_pack.clips)
    assert [clip.path for clip in both.clips[:n]] == [clip.path for clip in tiny_pack.clips]
    assert [clip.path for clip in both.clips[n:]] == [f"copy/{c.path}" for c in tiny_pack.clips]
    for a, b in zip(both.clips, (*tiny_pack.clips, *tiny_pack.clips), strict=True):
        np.testing.assert_array_equal(both.read(a), tiny_pack.read(b))


def test_two_folders_of_one_name_are_refused(tiny_corpus: Path, copy: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(copy, tmp_path / "other" / "copy"))
    with pytest.raises(AudioError, match="differ in name"):
        packed([tiny_corpus, copy, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_small_shards_hold_the_same_samples(
    tiny_corpus: Path, tiny_pack: Pack, tmp_path: Path
) -> None:
    small = packed(tiny_corpus, tmp_path / "small", shard_mb=2)
    files = sorted((tmp_path / "small").glob("shard-*.npy"))
    assert len(files) > 2
    assert max(file.stat().st_size for file in files) <= 2 * 2**20 + 256
    assert len(list(tiny_pack.folder.glob("shard-*.npy"))) == 1
    for a, b in zip(small.clips, tiny_pack.clips, strict=True):
        np.testing.assert_array_equal(small.read(a), tiny_pack.read(b))


def test_a_recording_longer_than_a_shard_has_one_of_its_own(
    tiny_corpus: Path, tmp_path: Path
) -> None:
    tiny = packed(tiny_corpus, tmp_path / "tiny", shard_mb=0.01)
    assert [clip.shard for clip in tiny.clips] == list(range(len(tiny.clips)))


def test_the_law_keeps_noise_38_db_below_a_signal_at_any_level(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, 100_000).astype(np.float32)
    for level in (1.0, 0.1):
        found = decode(encode(level * x, "mulaw8"), "mulaw8")
        noise = found - level * x
        snr_db = 10 * np.log10(np.sum((level * x) ** 2) / np.sum(noise**2))
        assert 36 < snr_db < 41


def test_sixteen_bits_are_read_back_to_half_a_step(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, 10_000).astype(np.float32)
    assert np.abs(decode(encode(x, "pcm16"), "pcm16") - x).max() <= 0.5001 / 32767


def test_eight_bits_make_half_the_size_and_nearly_the_same_sound(
    tiny_corpus: Path, tiny_pack: Pack, tmp_path: Path
) -> None:
    small = packed(tiny_corpus, tmp_path / "small", encoding="mulaw8")
    sizes = [sum(f.stat().st_size for f in p.folder.glob("*.npy")) for p in (small, tiny_pack)]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.01)
    a, b = small.read(small.clips[0]), tiny_pack.read(tiny_pack.clips[0])
    assert 10 * np.log10(np.sum(b**2) / np.sum((a - b) ** 2)) > 34


def test_unreadable_and_silent_recordings_are_named_and_counted(copy: Path, tmp_path: Path) -> None:
    (copy / "music/tunea.wav").write_text("no sound at all")
    (copy / "music/tuneb.wav").unlink()
    sf.write(copy / "music/tunec.wav", np.zeros(1000), 44100)
    sf.write(copy / "music/tuned.wav", np.zeros(0), 44100)
    found = packed(copy, tmp_path / "out")
    names = {sentence.partition(":")[0] for sentence in found.skipped}
    assert names == {f"music/tune{letter}.wav" for letter in "abcd"}
    assert not names & {clip.path for clip in found.clips}


def test_a_corpus_of_which_nothing_can_be_read_is_refused(copy: Path, tmp_path: Path) -> None:
    for path in copy.rglob("*.wav"):
        path.write_bytes(b"x")
    with pytest.raises(AudioError, match="no recording that can be read"):
        packed(copy, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"MANIFEST.csv cannot be read .*path, kind, .*, samplerate and"),
        ("", "holds no recording"),
        ("a,b\n1,2\n", "no column 'path'; wanted are path, kind, .*, samplerate and"),
        ("path,kind,label,source_repo,seconds,samplerate\na,rir,x,y/z,1,1\n", "'licence'"),
        (f"{','.join(COLUMNS)}\na,music,x,y/z,CC0-1.0,long,1\n", "numbers"),
        (f"{','.join(COLUMNS)}\na,music,x,debian/z,CC0-1.0,1,1\n", "'author_if_known'"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "MANIFEST.csv").write_text(text)
    with pytest.raises(AudioError, match=words):
        packed(tmp_path, tmp_path / "out")


def test_the_columns_that_are_asked_for_are_enough(
    tiny_corpus: Path, copy: Path, tmp_path: Path
) -> None:
    with (tiny_corpus / "MANIFEST.csv").open(newline="") as file:
        rows = [{name: row[name] for name in COLUMNS} for row in csv.DictReader(file)]
    with (copy / "MANIFEST.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    assert len(packed(copy, tmp_path / "out").clips) == len(rows)


def test_a_folder_with_files_in_it_is_left_alone(tiny_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(AudioError, match="holds files already"):
        packed(tiny_corpus, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_shard_without_a_size_is_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="above 0"):
        packed(tiny_corpus, tmp_path / "out", shard_mb=0)


def test_a_pack_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(AudioError, match="format 2"):
        _ = Pack(tmp_path).clips


@pytest.mark.parametrize("content", [None, b"\x93NUMPY short"])
def test_a_missing_or_damaged_shard_is_an_error_of_ours(
    tiny_corpus: Path, tmp_path: Path, content: bytes | None
) -> None:
    found = packed(tiny_corpus, tmp_path / "out")
    shard = tmp_path / "out" / "shard-000.npy"
    shard.unlink()
    if content is not None:
        shard.write_bytes(content)
    with pytest.raises(AudioError, match="missing or damaged"):
        found.read(found.clips[0])


def test_clips_are_chosen_by_split_and_kind(tiny_pack: Pack) -> None:
    chosen = tiny_pack.select("train", "music", "singing")
    assert {(clip.split, clip.kind) for clip in chosen} == {
        ("train", "music"),
        ("train", "singing"),
    }
    by_family = of_labels(chosen)
    assert all(clip.family == name for name, part in by_family.items() for clip in part)
    assert sum(map(len, by_family.values())) == len(chosen)


def test_a_pack_is_read_with_numpy_alone(tiny_pack: Pack) -> None:
    """Everything else that the package knows is blocked, as on a machine that only trains."""
    code = (
        "import sys\n"
        "for name in ('av', 'filelock', 'librosa', 'matplotlib', 'mido', 'numba', 'rich', 'scipy',"
        " 'safetensors', 'sklearn', 'soundfile', 'soxr', 'threadpoolctl'):\n"
        "    sys.modules[name] = None\n"
        "import unstir.neural.train\n"
        "from pathlib import Path\n"
        "from unstir.neural.pack import Pack\n"
        f"pack = Pack(Path({str(tiny_pack.folder)!r}))\n"
        "print(pack.read(pack.clips[0]).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 88200)"


def test_halves_share_the_training_families_and_nothing_else(tiny_pack: Pack) -> None:
    one, other = (replace(tiny_pack, half=half) for half in (0, 1))

    def families(pack: Pack, *, trains: bool) -> set[str]:
        return {c.family for c in pack.clips if (c.split == "train" and c.kind != "rir") == trains}

    whole = families(tiny_pack, trains=True)
    assert families(one, trains=True) | families(other, trains=True) == whole
    assert not families(one, trains=True) & families(other, trains=True)
    for half in (one, other):
        assert families(half, trains=False) == families(tiny_pack, trains=False)
