"""What a user can ask for, and what a run tells while it works."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unstir.channels import Linking
from unstir.errors import SettingsError, UnknownNameError
from unstir.queries import REST, TARGET, Question, parse

HYBRID = "hybrid"
DEFAULT_METHODS = {"film": HYBRID, "song": "classical"}  # the best that ships, by stem set
DEFAULT_BASES = {"film": "compact-film", "song": "classical"}  # of the hybrid, likewise
QUERY_METHOD = "query"  # what answers to words
FORMATS = ("source", "pcm16", "pcm24", "float32", "flac")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything, besides the sound itself, that the result depends on.

    Parameters
    ----------
    method : str
        A name from ``unstir methods``; left empty, the default of the stem set, or the hybrid
        where ``base`` or ``leakage`` is given.
    stems : str
        The stem set: ``"film"`` or ``"song"``.
    sums : tuple of (str, tuple of str)
        Further files, each the sum of some stems: ``(("ME", ("music", "effects")),)``.
    format : {"source", "pcm16", "pcm24", "float32", "flac"}
        Sample format of the stems.
    channels : {"linked", "each"}
        Whether pairs of channels share a mask.
    lfe : {"effects", "music", "each"}
        Where the LFE channel goes.
    from_s, to_s : float or None
        The stretch to separate, in seconds from the start of the file.
    preview_s : float or None
        Only the busiest passage of that many seconds.
    device : str
        ``"auto"``, ``"cpu"``, or for nets also ``"cuda"`` or ``"cuda:N"``.
    seed : int
        For methods that draw random numbers.
    stream : int
        Which audio stream of a container, counted from 0.
    allow_truncated : bool
        Whether a file cut in the middle is taken as far as it goes.
    base : str
        Of the hybrid: the method whose stems it corrects; left empty, the best that ships.
    leakage : float in [-1, 1]
        Of the hybrid: above 0 fewer artifacts and more of the other stems, below 0 the other way
        round; 0 is what the refiner learned.
    score : str or None
        Of ``nmf``: a MIDI file with the notes of the music, laid on the recording where their
        timing differs.
    query : str
        Words for what is wanted, as `unstir.queries.parse` takes them; then the stems are theirs.
    like : tuple of str
        Recordings of what is wanted, instead of words.
    words : {"small", "large"}
        Which encoder reads the words; the large one is an optional package.
    """

    method: str = ""
    stems: str = "film"
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()
    format: str = "source"
    channels: Linking = "linked"
    lfe: str = "effects"
    from_s: float | None = None
    to_s: float | None = None
    preview_s: float | None = None
    device: str = "auto"
    seed: int = 0
    stream: int = 0
    allow_truncated: bool = False
    base: str = ""
    leakage: float = 0.0
    score: str | None = None
    query: str = ""
    like: tuple[str, ...] = ()
    words: str = "small"

    def __post_init__(self) -> None:
        if not self.method and (self.query or self.like):
            object.__setattr__(self, "method", QUERY_METHOD)
        if not self.method:
            asked = self.base or self.leakage  # of the hybrid alone
            object.__setattr__(self, "method", HYBRID if asked else default_method(self.stems))


def question_of(settings: Settings) -> Question | None:
    """Return what is asked for in words or by recordings, or None where a stem set is.

    Raises
    ------
    SettingsError
        If it is asked for in both ways, or the words are none.
    """
    if settings.like and settings.query:
        raise SettingsError("words and --like came; ask by one of them")
    if settings.words not in ("small", "large"):
        raise SettingsError(f"--words {settings.words} came; small or large is allowed")
    if settings.like:
        return Question((), False, (TARGET, REST))
    return parse(settings.query) if settings.query else None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage of a run has come, in samples of ``total`` (0 while unknown)."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should know, said once."""

    text: str


Listener = Callable[[Progress | Note], None]


def default_method(stems: str) -> str:
    """Return the method that a stem set gets when none is asked for.

    Raises
    ------
    UnknownNameError
        If there is no such stem set.

    Examples
    --------
    >>> default_method("song")
    'classical'
    """
    if stems not in DEFAULT_METHODS:
        raise UnknownNameError(
            f"there is no stem set {stems!r}; choose from {', '.join(DEFAULT_METHODS)}"
        )
    return DEFAULT_METHODS[stems]


def check_device(device: str) -> None:
    """Refuse a device that a method without a net cannot run on, rather than take another one.

    Raises
    ------
    UnknownNameError
        If it is neither ``"auto"`` nor ``"cpu"``.
    """
    if device not in ("auto", "cpu"):
        known = device.split(":")[0] in ("cuda", "mps")
        raise UnknownNameError(
            f"device {device!r} came; "
            + (
                "this method has no net and runs on the cpu alone"
                if known
                else "there is no such device"
            )
            + "; use --device auto or cpu"
        )


def check_sums(sums: Sequence[tuple[str, tuple[str, ...]]], stems: tuple[str, ...]) -> None:
    """Refuse sums of stems that are not there, or names that no file can have.

    Raises
    ------
    SettingsError
        With the sum that came and what is wanted.
    """
    for name, inside in sums:
        unknown = [stem for stem in inside if stem not in stems]
        if unknown or len(inside) < 2 or len(set(inside)) < len(inside):
            raise SettingsError(
                f"--sum {name}={'+'.join(inside)} came; two stems or more out of "
                f"{', '.join(stems)}, each once, are wanted"
            )
        if not name or name in stems or set(name) & set('/\\:*?"<>|\0') or name.startswith("."):
            raise SettingsError(f"--sum {name!r} came; a file name other than a stem's is wanted")
    if len({name for name, _ in sums}) < len(sums):
        raise SettingsError("--sum came twice with the same name; give each sum its own")
