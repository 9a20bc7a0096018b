"""Training scenes for the refiner: what bases and priors make of them, observed once, kept on disk.

Priors cost more than the refiner itself, so scenes are observed beforehand and visited several
times, with priors dropped at random each time. A scene's base is drawn from several, and some
bases are damaged, so that the refiner learns to look at the base's mistakes, not at one base.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unstir.errors import AudioError, SettingsError
from unstir.hybrid.bank import TELLS, Bank
from unstir.joined import look
from unstir.neural.batches import SCENE_RECIPES, SOURCES, TrainConfig
from unstir.neural.checkpoint import load
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.planes import Bands, band_sums, stft
from unstir.neural.refiner import Residues, Seen, error_energy, residue_loss
from unstir.neural.render import render
from unstir.neural.separator import NetSeparator
from unstir.neural.tasks import Task
from unstir.neural.train import Observed as Source
from unstir.registry import find, make
from unstir.spectral import StftConfig, istft
from unstir.spectral import stft as spectral_stft
from unstir.types import STEM_SETS, Mixture, Separator, Stems

N_FRAMES = 512  # of an observed scene: six seconds
HOP = 512
SEED = {"train": 3000, "choose": 3001}


@dataclass(frozen=True, slots=True)
class ObserveConfig:
    """What scenes are observed.

    Parameters
    ----------
    stems : str
        A stem set.
    bases : mapping of str to float
        How often each base is drawn: methods of the registry; ``"model:PATH"`` of a net; or
        ``"half:K:PATH"`` of a net that was trained on half K of the families, whose scenes are
        then of the other half, so that its mistakes are those it makes on what it never heard.
    damaged : float
        Share of the scenes whose base is damaged.
    made : float
        As in `TrainConfig`.
    seed : int
        Of the scenes.
    """

    stems: str = "film"
    bases: Mapping[str, float] = field(default_factory=lambda: {"compact-film": 1.0})
    damaged: float = 0.3
    made: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("damaged", "made"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name}={getattr(self, name):g} came; 0 to 1 is allowed")
        for base in self.bases:
            kind, _, path = base.rpartition(":")
            if kind not in ("", "model", "half:0", "half:1"):
                raise SettingsError(
                    f"the base {base!r} came; a method, model:FILE, half:0:FILE or half:1:FILE is "
                    "wanted"
                )
            if kind:
                load(Path(path))  # refused here rather than in the middle
            else:
                find(base)


def observe(config: ObserveConfig, pack: Pack, split: str, n: int, out: Path) -> Iterator[int]:
    """Observe scenes into a folder, going on where it stopped; yield how many are done.

    Parameters
    ----------
    config : ObserveConfig
        What to observe. Scenes that choose are whole, and their bases as they are.
    pack : Pack
        The recordings.
    split : str
        ``"train"`` or ``"choose"``.
    n : int
        How many scenes.
    out : Path
        Gets ``seen.npy`` and ``sums.npy``, float16, and ``energies.npy``, float32, each with one
        row per scene, and ``scenes.json``.

    Raises
    ------
    AudioError
        If other scenes lie there, or there are none to make.
    """
    if n < 1:
        raise AudioError(f"{n} scenes came; at least 1 is wanted")
    names = STEM_SETS[config.stems]
    bank = Bank(names)
    bands = Bands()
    shapes = {
        "seen": (n, 5 + len(names) + len(bank.names), N_FRAMES, bands.n_bands),
        "sums": (n, 1 + len(names), N_FRAMES, bands.n_bands),
        "energies": (n, 2, len(names)),
    }
    out.mkdir(parents=True, exist_ok=True)
    about = {"config": asdict(config), "split": split, "n": n, "planes": list(bank.names)}
    about = json.loads(json.dumps(about))
    note = out / "scenes.json"
    known = json.loads(note.read_text()) if note.exists() else {**about, "done": 0}
    if {k: v for k, v in known.items() if k != "done"} != about:
        raise AudioError(f"{out} holds other scenes; observe into a new folder")
    arrays = {
        name: np.lib.format.open_memmap(
            out / f"{name}.npy",
            mode="r+" if known["done"] else "w+",
            dtype=np.float32 if name == "energies" else np.float16,
            shape=shape,
        )
        for name, shape in shapes.items()
    }
    made = config.made if split == "train" else 0.0
    draw = SCENE_RECIPES[config.stems]
    recipes = {half: draw(replace(pack, half=half), split, made=made) for half in (None, 0, 1)}
    clips = {clip.path: clip for clip in pack.clips}
    for index in range(known["done"], n):
        rng = np.random.default_rng([SEED[split], config.seed, index])
        base = _drawn(config, rng)
        half = 1 - int(base.split(":")[1]) if base.startswith("half:") else None
        plan = recipes[half].draw(rng, (N_FRAMES - 1) * HOP, full=split != "train")
        truth = render(plan, pack, clips)[: len(SOURCES[config.stems])]
        damage = split == "train" and rng.random() < config.damaged
        seen, sums, energies = observed(
            dict(zip(names, truth, strict=True)),
            base,
            config.stems,
            partial(damaged, rng=rng) if damage else None,
        )
        arrays["seen"][index] = seen
        # Energies span more than float16 does; their roots do not.
        arrays["sums"][index] = np.sign(sums) * np.sqrt(np.abs(sums))
        arrays["energies"][index] = energies
        if index % 20 == 19 or index + 1 == n:
            for array in arrays.values():
                array.flush()
            note.write_text(json.dumps({**known, "done": index + 1}))
        yield index + 1


def _drawn(config: ObserveConfig, rng: np.random.Generator) -> str:
    names, weights = list(config.bases), np.array(list(config.bases.values()))
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def observed(
    truth: Stems,
    base: str,
    stems: str,
    change: Callable[[Stems], Stems] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return planes, residual energies per band and in all of one scene.

    Parameters
    ----------
    truth : dict of str to ndarray of float32, each of shape (2, samples)
        The stems at 44.1 kHz; their sum is the mix.
    base : str
        As in `ObserveConfig`.
    stems : str
        The stem set.
    change : callable, optional
        What is done to the base's stems.

    Returns
    -------
    tuple of ndarray of float32
        ``(planes, frames, bands)``, ``(1 + sources, frames, bands)`` and ``(2, sources)``, as
        `Seen` and `Residues` have them.
    """
    names, bands, bank = STEM_SETS[stems], Bands(), Bank(STEM_SETS[stems])
    total = np.sum(list(truth.values()), axis=0, dtype=np.float64)
    mix = Mixture(np.asarray(total, np.float32), SAMPLE_RATE)
    kind, _, path = base.rpartition(":")
    separator: Separator = NetSeparator(names, f"file:{path}") if kind else make(base, stems)
    found = separator.separate(mix, separator.survey([mix]))
    if change is not None:
        found = change(found)
    with torch.inference_mode():
        view = look(mix, found, bank, bank.survey([mix]), bands, torch.device("cpu"))
        true, given = (
            stft(
                torch.from_numpy(np.stack([s[name] for name in names])),
                bands.n_fft,
                bands.hop_length,
            )
            for s in (truth, found)
        )
        lacking = true - given  # (J, C, T, F)
        x = view.mixture
        cross = (lacking.real * x.real + lacking.imag * x.imag).sum(dim=1)  # (J, T, F)
        power = (x.real.square() + x.imag.square()).sum(dim=0)[None]
        sums = band_sums(torch.cat([power, cross]), bands)
        energies = torch.stack([_energy(lacking), _energy(true)])
    return torch.cat(tuple(view.seen)).numpy(), sums.numpy(), energies.numpy()


def _energy(cells: Tensor) -> Tensor:
    return torch.view_as_real(cells).square().sum(dim=(1, 2, 3, 4))


def damaged(stems: Stems, rng: np.random.Generator) -> Stems:
    """Return stems that still add up, some of whose cells have gone to another stem.

    Parameters
    ----------
    stems : dict of str to ndarray of float32, each of shape (channels, samples) at 44.1 kHz
        What a base gave.
    rng : numpy.random.Generator
        Decides what moves from where to where: a part of everything (leakage), all above some
        frequency (a base that hears no treble), all of a stretch of time or of a whole stem (a
        base of another domain), or islands in time and frequency (musical noise).
    """
    found = dict(stems)
    grid = StftConfig()
    for _ in range(int(rng.integers(1, 3))):
        giver, taker = rng.permutation(list(found))[:2]
        cells = spectral_stft(found[giver], grid)
        part = _moving(rng, cells.shape[1], cells.shape[2])
        moved = istft(cells * part, grid, found[giver].shape[1])
        found[giver] = found[giver] - moved
        found[taker] = found[taker] + moved
    return found


def _moving(rng: np.random.Generator, n_bins: int, n_frames: int) -> NDArray[np.float32]:
    """Return how much of every cell moves, shape (bins, frames)."""
    part = np.zeros((n_bins, n_frames), np.float32)
    amount = np.float32(rng.uniform(0.3, 1))
    kind = rng.choice(["leakage", "treble", "stretch", "islands"], p=[0.3, 0.15, 0.25, 0.3])
    if kind == "leakage":
        part[:] = amount * np.float32(0.7)
    elif kind == "treble":
        part[int(n_bins * np.exp(rng.uniform(np.log(0.1), np.log(0.7)))) :] = amount
    elif kind == "stretch":
        length = int(n_frames * rng.uniform(0.2, 1))
        start = int(rng.integers(0, n_frames - length + 1))
        part[:, start : start + length] = amount
    else:
        step_f, step_t = int(rng.integers(2, 40)), int(rng.integers(2, 30))
        coarse = rng.random((-(-n_bins // step_f), -(-n_frames // step_t)))
        islands = (coarse < rng.uniform(0.1, 0.5)).astype(np.float32) * amount
        part = np.kron(islands, np.ones((step_f, step_t), np.float32))[:n_bins, :n_frames]
    return part


@dataclass(frozen=True)
class Observed(torch.utils.data.Dataset[Any]):
    """Batches of observed scenes: batch k of a run from (seed, k) alone.

    Parameters
    ----------
    folder : Path
        What `observe` wrote.
    config : TrainConfig
        ``batch``, ``steps`` and ``seed`` are used.
    stems : str
        The stem set.
    drop : float
        How often a prior is left out; a tenth of the scenes lose all.
    stray : float
        How often one that is not says what it says of another scene: it is to be trusted as far
        as it fits what the mix shows.
    """

    folder: Path
    config: TrainConfig
    stems: str = "film"
    drop: float = 0.25
    stray: float = 0.1

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, index: int) -> tuple[Seen, Residues]:
        rng = np.random.default_rng([self.config.seed, index])
        arrays = opened(self.folder)
        rows = np.sort(rng.choice(len(arrays["energies"]), self.config.batch, replace=False))
        seen, residues = batch_of(arrays, rows, len(STEM_SETS[self.stems]))
        priors = seen.priors.clone()
        n = len(rows)
        for row in range(n):
            gone = rng.random() < 0.1
            at = 0
            for own in TELLS[STEM_SETS[self.stems]].values():
                part = slice(at, at + len(own) + 1)
                if gone or rng.random() < self.drop:
                    priors[row, part] = 0
                elif rng.random() < self.stray:
                    other = (row + int(rng.integers(1, max(2, n)))) % n
                    priors[row, part] = seen.priors[other, part]
                at += len(own) + 1
        return seen._replace(priors=priors), residues


def source(folder: Path, config: TrainConfig) -> Source:
    """Return what a refiner trains on, from ``train`` and ``choose`` in a folder of `observe`.

    Raises
    ------
    AudioError
        If scenes are missing, unfinished, or of another bank of priors.
    """
    n_sources = len(STEM_SETS[config.scenes])
    n_priors = len(Bank(STEM_SETS[config.scenes]).names)
    for split in SEED:
        try:
            about = json.loads((folder / split / "scenes.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AudioError(
                f"{folder / split} holds no observed scenes ({error}); make them with "
                "'unstir data observe'"
            ) from None
        if about["done"] < about["n"]:
            raise AudioError(
                f"{folder / split} holds {about['done']} of {about['n']} scenes; give the same "
                "'unstir data observe' again to finish them"
            )
        if about["config"]["stems"] != config.scenes or len(about["planes"]) != n_priors:
            raise AudioError(
                f"{folder / split} holds {about['config']['stems']} scenes with "
                f"{len(about['planes'])} planes of priors; {config.scenes} scenes with {n_priors} "
                "are wanted"
            )
    chosen = opened(folder / "choose")
    rows = np.arange(len(chosen["energies"]))
    batches = [batch_of(chosen, part, n_sources) for part in np.split(rows, rows[8::8])]
    return Source(Observed(folder / "train", config, config.scenes), batches, refining())


def opened(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of observed scenes, left on disk."""
    return {
        name: np.load(folder / f"{name}.npy", mmap_mode="r")
        for name in ("seen", "sums", "energies")
    }


def batch_of(
    arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], n_sources: int
) -> tuple[Seen, Residues]:
    """Return some observed scenes as the refiner and its loss take them."""
    seen = torch.from_numpy(arrays["seen"][rows]).float()
    roots = torch.from_numpy(arrays["sums"][rows]).float()
    sums = roots * roots.abs()
    energies = torch.from_numpy(np.array(arrays["energies"][rows]))
    return (
        Seen(seen[:, :5], seen[:, 5 : 5 + n_sources], seen[:, 5 + n_sources :]),
        Residues(sums[:, :1], sums[:, 1:], energies[:, 0], energies[:, 1]),
    )


def refining() -> Task:
    """Return what a refiner is trained to do; what validates are pairs as `batch_of` gives them."""
    return Task(_loss, _validate, "gain_db", "loss_db", None, SAMPLE_RATE)


def _loss(net: Any, batch: tuple[Seen, Residues]) -> Tensor:
    seen, residues = batch
    with torch.autocast(seen.mix.device.type, torch.bfloat16):
        corrections = net(seen)
    return residue_loss(corrections, residues)


@torch.inference_mode()
def _validate(
    net: nn.Module, weights: dict[str, Tensor], scenes: Sequence[tuple[Seen, Residues]]
) -> dict[str, Any]:
    """Return by how much the stems' SNR rises over the base's, in dB."""
    net.load_state_dict(weights)
    net.eval()
    gains = []
    for seen, residues in scenes:
        with torch.autocast(seen.mix.device.type, torch.bfloat16):
            corrections = net(seen)
        error = error_energy(corrections, residues)
        gains.append(10 * torch.log10((residues.residue + 1e-9) / (error + 1e-9)))
    each = torch.cat(gains).mean(dim=0)
    return {
        "gain_db": round(float(each.mean()), 3),
        "gains_db": [round(float(g), 2) for g in each],
    }
