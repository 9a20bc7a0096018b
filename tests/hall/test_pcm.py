import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.pcm import quantize_together, to_integers


@given(
    bits=st.sampled_from([16, 24]),
    n_stems=st.integers(2, 5),
    level=st.floats(1e-6, 50),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_stems_add_up_bit_for_bit_whatever_their_level(bits, n_stems, level, seed) -> None:
    rng = np.random.default_rng(seed)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    mix = rng.integers(low, high + 1, (2, 300)).astype(np.int32)
    names = [f"s{i}" for i in range(n_stems)]
    # Stems far louder than full scale, as phase inversion can make them.
    stems = {n: (level * rng.standard_normal((2, 300))).astype(np.float32) for n in names[1:]}
    stems[names[0]] = (mix / 2.0 ** (bits - 1) - sum(stems.values())).astype(np.float32)
    whole, handed = quantize_together(mix, stems, bits)
    assert np.array_equal(sum(v.astype(np.int64) for v in whole.values()), mix)
    assert all(v.min() >= low and v.max() <= high for v in whole.values())
    assert (handed > 0) == any(
        np.rint(v.astype(float) * 2 ** (bits - 1)).max() > high
        or np.rint(v.astype(float) * 2 ** (bits - 1)).min() < low
        for v in stems.values()
    )


@given(seed=st.integers(0, 2**32 - 1), level=st.floats(0.01, 5))
@settings(max_examples=50, deadline=None)
def test_a_sum_is_the_sum_of_its_stems_and_fits(seed, level) -> None:
    rng = np.random.default_rng(seed)
    mix = rng.integers(-32768, 32768, (1, 300)).astype(np.int32)
    stems = {n: (level * rng.standard_normal((1, 300))).astype(np.float32) for n in "ab"}
    stems["c"] = (mix / 32768 - stems["a"] - stems["b"]).astype(np.float32)
    whole, _ = quantize_together(mix, stems, 16, {"bc": ("b", "c")})
    assert np.array_equal(whole["b"] + whole["c"], whole["bc"])
    assert np.array_equal(whole["a"] + whole["bc"], mix)
    assert whole["bc"].min() >= -32768 and whole["bc"].max() <= 32767


def test_rounding_moves_a_stem_by_at_most_the_number_of_stems(rng) -> None:
    mix = rng.integers(-9000, 9000, (2, 1000)).astype(np.int32)
    parts = {n: (rng.standard_normal((2, 1000)) * 0.05).astype(np.float32) for n in "ab"}
    parts["c"] = (mix / 32768 - parts["a"] - parts["b"]).astype(np.float32)
    whole, handed = quantize_together(mix, parts, 16)
    assert handed == 0
    for name in "ab":
        np.testing.assert_array_equal(whole[name], np.rint(parts[name] * 32768.0))
    assert np.abs(whole["c"] - parts["c"] * 32768.0).max() <= 2


def test_pcm_survives_the_way_through_float() -> None:
    for bits in (16, 24):
        values = np.array([[-(2 ** (bits - 1)), -1, 0, 1, 2 ** (bits - 1) - 1]], np.int32)
        floats = (values / 2.0 ** (bits - 1)).astype(np.float32)
        np.testing.assert_array_equal(to_integers(floats, bits), values)


def test_eight_bits_are_exact_in_sixteen() -> None:
    floats = (np.arange(-128, 128)[None] / 128).astype(np.float32)
    np.testing.assert_array_equal(to_integers(floats, 16), np.arange(-128, 128)[None] * 256)
