"""CLAP's reading of words: the vectors by which AudioSep is asked.

The encoder is the text half of a CLAP model [1]_ in the format of the package ``transformers``,
which is optional (``pip install 'unstir[clap]'``). Its files are the user's; they are read from a
local folder, nothing is fetched, and no code in them is run.

References
----------
.. [1] Y. Wu, K. Chen, T. Zhang, Y. Hui, T. Berg-Kirkpatrick and S. Dubnov, "Large-scale
   Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption Augmentation",
   ICASSP 2023, arXiv 2211.06687.
"""

import hashlib
import importlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from unstir.errors import SettingsError
from unstir.neural.released import fit_to, read_checkpoint

N_TOKENS = 77  # what comes behind them is not read, as published
WEIGHTS, PICKLE, CONFIG = "model.safetensors", "pytorch_model.bin", "config.json"
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # either will do
COPIED = (
    CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
TEXT = ("text_model.", "text_projection.")  # of a CLAP model, the names that read words
CHUNK_BYTES = 1 << 20
# How the released checkpoints of CLAP, and those of AudioSep around it, call the same weights.
_RELEASED = {
    "text_branch.": "text_model.",
    "text_projection.0.": "text_projection.linear1.",
    "text_projection.2.": "text_projection.linear2.",
}


class ClapText:
    """Words to vectors, by the text half of a CLAP model; on the CPU, in float32.

    Parameters
    ----------
    folder : str or Path
        A CLAP model as ``transformers`` keeps it: ``config.json``, the tokenizer's files and
        ``model.safetensors``.
    sha256 : str, optional
        What `folder_digest` of the folder must be.
    weights : mapping of str to Tensor, optional
        Weights in place of the folder's own, as `released_text` gives them.

    Raises
    ------
    SettingsError
        If ``transformers`` is not installed, the folder is missing, holds no CLAP model, a damaged
        one, or one of another checksum.
    """

    def __init__(
        self,
        folder: str | Path,
        sha256: str | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        transformers = _transformers()
        folder = Path(folder)
        config = _config(folder, transformers)
        if sha256 is not None and folder_digest(folder) != sha256:
            raise SettingsError(
                f"{folder} was changed since it was added; add it again with 'unstir models add "
                "audiosep --file CHECKPOINT --clap FOLDER'"
            )
        self._n_tokens = min(N_TOKENS, config.max_position_embeddings - config.pad_token_id - 1)
        try:
            self._tokenizer = transformers.RobertaTokenizer.from_pretrained(
                str(folder), local_files_only=True
            )
            with torch.random.fork_rng(devices=[]):  # drawing weights must not move others' dice
                self.net = transformers.ClapTextModelWithProjection(config)
        except Exception as error:  # what it makes of files from anywhere is without limit
            raise _damaged(folder, error) from error
        if len(self._tokenizer) > config.vocab_size:
            raise SettingsError(
                f"the tokenizer in {folder} has {len(self._tokenizer)} tokens and the model "
                f"{config.vocab_size}; give a folder whose files belong together"
            )
        _fill(self.net, weights or text_weights(folder), folder)

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return the vectors of descriptions; none depends on what else is asked with it.

        Parameters
        ----------
        texts : sequence of str
            In any script. After the first 77 tokens, about fifty words, nothing is read.

        Returns
        -------
        NDArray
            float32, shape (texts, 512), or whatever the model projects to; of length 1.

        Raises
        ------
        SettingsError
            If the model gives NaN or infinity.
        """
        vectors = np.empty((len(texts), self.net.text_projection.linear2.out_features), np.float32)
        for index, text in enumerate(texts):  # one by one: padding would move the last digits
            tokens = self._tokenizer(
                text, truncation=True, max_length=self._n_tokens, return_tensors="pt"
            )
            with torch.inference_mode():
                given = self.net(tokens["input_ids"], tokens["attention_mask"]).text_embeds
                vectors[index] = F.normalize(given[0], dim=0).numpy()
        if not np.isfinite(vectors).all():
            raise SettingsError("the CLAP model gives NaN or infinity; get its files anew")
        return vectors


def clap_folder(weights: Path) -> Path:
    """Return where the CLAP model lies that belongs to a separator's weights.

    Examples
    --------
    >>> clap_folder(Path("models/audiosep.safetensors")).name
    'audiosep-clap'
    """
    return weights.with_name(f"{weights.stem}-clap")


def keep(
    folder: Path, target: Path, size: int, released: Mapping[str, Tensor] | None = None
) -> str:
    """Try a CLAP model and keep its text half; an older one in that place is replaced.

    Parameters
    ----------
    folder : Path
        The model, as `ClapText` takes it, or with ``pytorch_model.bin`` for weights, which is read
        without running code. Left as it is.
    target : Path
        Where it is kept, as safetensors. The folder around it is made if it is not there.
    size : int
        Numbers in a vector, as the separator wants them.
    released : mapping of str to Tensor, optional
        As ``weights`` of `ClapText`.

    Returns
    -------
    str
        `folder_digest` of what is kept.

    Raises
    ------
    SettingsError
        As `ClapText`; or if the vectors are of another size.
    """
    from safetensors.torch import save_file

    encoder = ClapText(folder, weights=released)
    found = encoder(["a sound"]).shape[1]
    if found != size:
        raise SettingsError(
            f"the CLAP model in {folder} gives vectors of {found} numbers, and the separator takes "
            f"{size}; give the CLAP model that it was trained with"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".adding-") as temporary:
        copy = Path(temporary) / target.name
        copy.mkdir()
        for name in COPIED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, copy / name)
        weights = {name: value.detach() for name, value in encoder.net.named_parameters()}
        save_file(weights, copy / WEIGHTS)
        digest = folder_digest(copy)
        if target.exists():
            shutil.rmtree(target)
        copy.replace(target)
    return digest


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of all files in a folder, in hexadecimal.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder_digest(Path(name))[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {inner}\n".encode())
    return digest.hexdigest()


def text_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights in a CLAP model's folder that read words, by their names there.

    Raises
    ------
    SettingsError
        If there are none, or the file is damaged or holds code.
    """
    from safetensors import SafetensorError, safe_open

    if (folder / WEIGHTS).is_file():
        try:
            with safe_open(folder / WEIGHTS, framework="pt") as file:
                names = [name for name in file.keys() if name.startswith(TEXT)]  # noqa: SIM118
                found = {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise _damaged(folder / WEIGHTS, error) from error
    else:
        given = read_checkpoint(folder / PICKLE)
        found = {name: value for name, value in given.items() if name.startswith(TEXT)}
    if not found:
        raise SettingsError(f"the weights in {folder} read no words; give a whole CLAP model")
    return {name: value for name, value in found.items() if not name.endswith("_ids")}


def released_text(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the text encoder that a released checkpoint brings along, named as `ClapText` has it.

    Parameters
    ----------
    weights : mapping of str to object
        As `unstir.neural.released.read_checkpoint` gives them.

    Returns
    -------
    dict of str to Tensor
        Empty if the checkpoint holds no text encoder.

    Examples
    --------
    >>> list(released_text({"query_encoder.model.text_projection.2.bias": torch.zeros(1)}))
    ['text_projection.linear2.bias']
    """
    return {
        ours + name.partition(theirs)[2]: value
        for name, value in weights.items()
        for theirs, ours in _RELEASED.items()
        if theirs in name and not name.endswith("_ids")
    }


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise SettingsError(
            "audiosep reads words by the package transformers, which is not installed; install it "
            "with pip install 'unstir[clap]'"
        ) from error


def _config(folder: Path, transformers: Any) -> Any:
    """Return the sizes of the text half; refuse a folder that holds no CLAP model."""
    if not folder.is_dir():
        raise SettingsError(
            f"there is no folder {folder}; a CLAP model in the format of transformers is wanted, "
            "and 'unstir models add audiosep --file CHECKPOINT --clap FOLDER' adds it"
        )
    there = {path.name for path in folder.iterdir() if path.is_file()}
    wanted = [CONFIG] if CONFIG not in there else []
    wanted += [] if there & {WEIGHTS, PICKLE} else [WEIGHTS]
    wanted += [] if any(there.issuperset(files) for files in TOKENIZERS) else ["tokenizer.json"]
    if wanted:
        raise SettingsError(
            f"{folder} is no CLAP model in the format of transformers: it lacks "
            f"{', '.join(wanted)}; give a whole one"
        )
    try:
        given = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind = given["model_type"]
        if kind == "clap":
            return transformers.ClapConfig.from_dict(given).text_config
        if kind == "clap_text_model":
            return transformers.ClapTextConfig.from_dict(given)
    except Exception as error:  # what it makes of settings from anywhere is without limit
        raise _damaged(folder / CONFIG, error) from error
    raise SettingsError(f"{folder} holds a {kind!r}; a CLAP model, 'clap', is wanted")


def _fill(net: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Put weights into a net, whose buffers follow from its sizes."""
    buffers = dict(net.named_buffers())
    fitted = fit_to(net, {**weights, **buffers}, folder)
    net.load_state_dict({n: v for n, v in fitted.items() if n not in buffers}, strict=False)
    net.eval()


def _damaged(path: Path, error: Exception) -> SettingsError:
    reason = " ".join(str(error).split())[:200]
    return SettingsError(f"{path} is damaged or of no CLAP model ({reason}); get its files anew")
