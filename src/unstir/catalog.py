"""The methods that come with Unstir, one row each.

A method joins by one row here, or by an entry point of the group ``unstir.methods`` that loads to a
`Method`. Everything else (commands, reports, the promises in the tests) takes it from there.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Method:
    """What is known of a method before it is loaded.

    Parameters
    ----------
    name : str
        What the user types.
    target : str
        ``"module:Class"``; called with ``stems`` and, if it has such fields, ``seed``, ``device``
        and ``model``, the first of ``weights``.
    kind : {"control", "classical", "neural", "hybrid"}
        Where it belongs.
    summary : str
        What it is, in a few words.
    stem_sets : tuple of str
        Names of the stem sets it can give. `methods` leaves out those whose weights are not there,
        unless that is true of all.
    min_channels : int
        Channels that have to be looked at together.
    needs : str
        What it needs beyond a mix; empty if nothing. `methods` puts ``"weights"`` here for as
        long as a file of ``weights`` is not there.
    weights : tuple of str
        Files of trained parameters, each ``"package/file"``, or ``"store:NAME"`` for a model that
        the user adds (`unstir.weights.locate`). A file whose name ends in that of a stem set, as
        ``hybrid-film.safetensors``, belongs to that set alone.
    weights_license : str
        Licence of the weights; empty if there are none.
    package : str
        An optional package that it imports; without it, its weights count as absent.
    asks : bool
        Whether it takes ``queries``, and any names for its stems.
    """

    name: str
    target: str
    kind: Literal["control", "classical", "neural", "hybrid"]
    summary: str
    stem_sets: tuple[str, ...] = ("film", "song")
    min_channels: int = 1
    needs: str = ""
    weights: tuple[str, ...] = ()
    weights_license: str = ""
    package: str = ""
    asks: bool = False


OURS = (
    Method(
        "mixture",
        "unstir.hybrid.controls:Unprocessed",
        "control",
        "do nothing: every stem is the mix, evenly shared",
    ),
    Method(
        "oracle",
        "unstir.hybrid.controls:Oracle",
        "control",
        "ideal ratio masks from the true stems",
        needs="references",
    ),
    Method(
        "invert",
        "unstir.hybrid.invert:Invert",
        "classical",
        "phase inversion: what differs between the channels, and the rest",
        min_channels=2,
    ),
    Method(
        "midside",
        "unstir.hybrid.midside:MidSide",
        "classical",
        "center extraction from inter-channel likeness",
        min_channels=2,
    ),
    Method(
        "panning",
        "unstir.hybrid.panning:Panning",
        "classical",
        "azimuth discrimination: one component per peak of the panning histogram",
        min_channels=2,
    ),
    Method(
        "bands",
        "unstir.hybrid.bands:Bands",
        "classical",
        "crossover filters and a gate, as an engineer does by hand",
    ),
    Method(
        "ica",
        "unstir.hybrid.ica:Ica",
        "classical",
        "FastICA on the channels, per band",
        min_channels=2,
    ),
    Method(
        "hpss",
        "unstir.hybrid.hpss:Hpss",
        "classical",
        "median-filter harmonic/percussive separation",
    ),
    Method(
        "repet",
        "unstir.hybrid.repet:Repet",
        "classical",
        "repeating background, by similarity of frames",
    ),
    Method(
        "nmf",
        "unstir.hybrid.nmf:Nmf",
        "classical",
        "KL-NMF with dictionaries of speech, singing, music and effects",
        weights=("unstir.hybrid/dictionaries.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "harmonic",
        "unstir.hybrid.harmonic:Harmonic",
        "classical",
        "comb along the voice's harmonics, pitch by pYIN and REAPER",
    ),
    Method(
        "classical",
        "unstir.hybrid.classical:Classical",
        "classical",
        "fixed fusion of the classical methods",
        weights=("unstir.hybrid/dictionaries.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "wiener",
        "unstir.hybrid.wiener:Wiener",
        "classical",
        "multichannel Wiener filter on the fusion's estimates",
        weights=("unstir.hybrid/dictionaries.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "compact-film",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "our own net: a convolutional U-Net with a recurrent core on band planes",
        stem_sets=("film",),
        weights=("unstir.neural/compact-film.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "compact-film-causal",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "its streaming sibling, which looks 35 ms ahead: for sound as it comes",
        stem_sets=("film",),
        weights=("unstir.neural/compact-film-causal.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "compact-song",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "the same net for vocals and accompaniment, from few songs",
        stem_sets=("song",),
        weights=("unstir.neural/compact-song.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "query",
        "unstir.neural.query:QuerySeparator",
        "neural",
        'asked in words: query:"talking; a song; noises" for the stems in their order',
        stem_sets=("film",),
        weights=("unstir.neural/query.safetensors", "unstir.neural/text.safetensors"),
        weights_license="CC-BY-SA-4.0",
        asks=True,
    ),
    Method(
        "mrx-small",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "a twentieth of MRX, trained for minutes: to compare with",
        stem_sets=("film",),
        weights=("unstir.neural/mrx-small.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "unet-small",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "the U-Net of 2017 at reduced size, trained for minutes: to compare with",
        stem_sets=("film",),
        weights=("unstir.neural/unet-small.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "chimera-small",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "deep clustering and masks at reduced size, trained for minutes: to compare with",
        stem_sets=("film",),
        weights=("unstir.neural/chimera-small.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "vocalnet-small",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "mask net of a third of a second, grown from vad, trained for minutes: to compare with",
        stem_sets=("film",),
        weights=("unstir.neural/vocalnet-small.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "mrx",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "multi-resolution CrossNet of the Cocktail Fork Problem, with weights that you add",
        stem_sets=("film",),
        weights=("store:mrx",),
        weights_license="as published",
    ),
    Method(
        "audiosep",
        "unstir.neural.audiosep_separator:AudioSepSeparator",
        "neural",
        "AudioSep, asked in words as query is, with weights and a CLAP model that you add",
        stem_sets=("film",),
        weights=("store:audiosep",),
        weights_license="as published",
        asks=True,
    ),
    Method(
        "demucs",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "Hybrid Transformer Demucs, by its package, with weights that you add",
        stem_sets=("song",),
        weights=("store:demucs",),
        weights_license="as published",
        package="demucs",
    ),
    Method(
        "hybrid",
        "unstir.joined:Hybrid",
        "hybrid",
        "any method as a base, each stem corrected by what it has in common with itself elsewhere",
        weights=(
            "unstir.neural/hybrid-film.safetensors",
            "unstir.neural/hybrid-song.safetensors",
        ),
        weights_license="CC-BY-SA-4.0",
    ),
)
