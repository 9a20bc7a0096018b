import numpy as np

from unstir.scan import scan, slot_samples


def test_the_busiest_passage_is_found() -> None:
    rate = 1000
    x = 0.01 * np.random.default_rng(0).standard_normal((1, 60 * rate))
    t = np.arange(10 * rate) / rate
    x[:, 30 * rate : 40 * rate] += (
        0.3 * np.sin(2 * np.pi * 90 * t) * (np.sin(2 * np.pi * 7 * t) > 0)
    )
    x[:, 5 * rate : 15 * rate] += 0.25 * np.sin(2 * np.pi * 90 * t)  # as loud, but steady
    found = scan([x.astype(np.float32)], sample_rate=rate)
    assert abs(found.busiest(10 * rate, slot_samples(rate)) - 30 * rate) <= rate


def test_blocks_do_not_matter(rng) -> None:
    x = rng.standard_normal((2, 12345)).astype(np.float32)
    a = scan([x], sample_rate=1000)
    b = scan(np.array_split(x, 77, axis=1), sample_rate=1000)
    np.testing.assert_array_equal(a.levels, b.levels)
    np.testing.assert_array_equal(a.changes, b.changes)
    assert (a.n_samples, a.peak) == (b.n_samples, b.peak) == (12345, float(np.abs(x).max()))


def test_a_passage_longer_than_the_sound_is_all_of_it() -> None:
    found = scan([np.ones((1, 700), np.float32)], sample_rate=1000)
    assert found.busiest(5000, slot_samples(1000)) == 0
