import numpy as np
import pytest

from tests.sounds import null_db
from unstir.channels import Routed, groups, lfe_stem
from unstir.errors import SettingsError
from unstir.hybrid.midside import MidSide
from unstir.types import FILM, SONG, Mixture

FIVE_ONE = ("FL", "FR", "FC", "LFE", "SL", "SR")


@pytest.mark.parametrize(
    ("n", "layout", "names", "roles"),
    [
        (1, None, ["mono"], ["front"]),
        (2, None, ["FL+FR"], ["front"]),
        (3, ("FL", "FR", "FC"), ["FL+FR", "FC"], ["front", "center"]),
        (3, None, ["1+2", "3"], ["front", "front"]),
        (6, FIVE_ONE, ["FL+FR", "FC", "LFE", "SL+SR"], ["front", "center", "lfe", "surround"]),
        (
            6,
            ("FL", "FC", "FR", "BL", "BR", "LFE"),
            ["FL+FR", "FC", "BL+BR", "LFE"],
            ["front", "center", "surround", "lfe"],
        ),
        (
            8,
            ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
            ["FL+FR", "FC", "LFE", "BL+BR", "SL+SR"],
            ["front", "center", "lfe", "surround", "surround"],
        ),
    ],
)
def test_channels_are_grouped_by_loudspeaker(n, layout, names, roles) -> None:
    found = groups(n, layout)
    assert [g.name for g in found] == names
    assert [g.role for g in found] == roles
    assert sorted(c for g in found for c in g.channels) == list(range(n))


def test_each_channel_can_stand_alone() -> None:
    found = groups(6, FIVE_ONE, linking="each")
    assert [g.name for g in found] == list(FIVE_ONE)
    assert all(len(g.channels) == 1 for g in found)


def test_an_unknown_linking_is_refused() -> None:
    with pytest.raises(SettingsError, match="'linked' or 'each'"):
        groups(2, None, linking="paired")


@pytest.mark.parametrize(
    ("stems", "to", "stem"),
    [
        (FILM, "effects", "effects"),
        (FILM, "music", "music"),
        (FILM, "each", None),
        (SONG, "effects", "accompaniment"),
        (SONG, "music", "accompaniment"),
        (("target", "residual"), "effects", "residual"),
    ],
)
def test_the_lfe_goes_where_it_was_told(stems, to, stem) -> None:
    assert lfe_stem(stems, to) == stem


def test_the_lfe_goes_whole_to_effects_the_center_to_speech_and_pairs_keep_their_place(rng) -> None:
    x = rng.standard_normal((6, 8000)).astype(np.float32)
    stems = Routed(MidSide(), groups(6, FIVE_ONE)).separate(Mixture(x, 8000))
    assert null_db(x, stems) < -120
    np.testing.assert_array_equal(stems["effects"][3], x[3])
    assert not stems["speech"][3].any() and not stems["music"][3].any()
    np.testing.assert_array_equal(stems["speech"][2], x[2])
    assert not stems["speech"][4:].any()
    alone = MidSide().separate(Mixture(x[:2], 8000))
    np.testing.assert_array_equal(stems["speech"][:2], alone["speech"])


def test_masks_are_not_linked_across_groups(rng) -> None:
    x = rng.standard_normal((6, 8000)).astype(np.float32)
    y = x.copy()
    y[4:] = rng.standard_normal((2, 8000))
    routed = Routed(MidSide(), groups(6, FIVE_ONE))
    a, b = (routed.separate(Mixture(z, 8000)) for z in (x, y))
    for name in FILM:
        np.testing.assert_array_equal(a[name][:4], b[name][:4])
