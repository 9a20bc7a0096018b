"""The catalog of effects: their parameters and ranges, what is linear, and how long they sound.

All that Pedalboard offers is here, put right where it has to be, and what it lacks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unstir.errors import SettingsError
from unstir.plugins import codecs, colors, dynamics, equalizer, levels, pitch, spaces
from unstir.plugins.processors import Processor

Value = float | str
Settings = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of an effect.

    Parameters
    ----------
    name : str
        With the unit: ``gain_db``.
    default : float, str or None
        None if it must be given.
    low, high : float
        The range of a number, both included.
    choices : tuple of str
        What a text may be.
    text : bool
        Whether it is any text, such as the name of a stem.
    whole : bool
        Whether it is a whole number.
    """

    name: str
    default: Value | None
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()
    text: bool = False
    whole: bool = False

    @property
    def wanted(self) -> str:
        """What it may be, for lists and messages.

        Examples
        --------
        >>> Parameter("gain_db", None, -60, 24).wanted
        '-60 to 24'
        """
        if self.text or self.choices:
            return " or ".join(self.choices) or "a text in quotes"
        return f"{self.low:g} to {self.high:g}" + (", whole" if self.whole else "")

    def check(self, effect: str, value: object) -> Value:
        """Return a value that the parameter may have.

        Raises
        ------
        SettingsError
            If it may not; the message shows the range.
        """
        if self.text or self.choices:
            is_one = value in self.choices or value == self.default or (self.text and value)
            if isinstance(value, str) and is_one:
                return value
        elif (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and not (self.whole and value % 1)
        ):
            return float(value)
        raise SettingsError(f"{effect}: {self.name} is {value!r}; {self.wanted} is wanted")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of an effect before it is set.

    Parameters
    ----------
    name, summary : str
        For lists.
    parameters : tuple of Parameter
        In the order in which they are shown.
    open : callable
        Takes checked settings, a sample rate and a number of channels.
    linear : bool
        Whether it distributes over a sum.
    tail_s : callable
        How long it sounds on after its input, down to -60 dB, by its settings. Rooms and echoes
        only: that a filter rings for milliseconds makes no file longer.
    keys : callable
        Which other stems it listens to, by its settings.
    warnings : callable
        What else a report should say, by its settings.
    others : bool
        Whether it takes more parameters, numbers or texts, that it only knows once it is open.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    open: Callable[[Settings, int, int], Processor]
    linear: bool = True
    tail_s: Callable[[Settings], float] = lambda settings: 0.0
    keys: Callable[[Settings], tuple[str, ...]] = lambda settings: ()
    warnings: Callable[[Settings], tuple[str, ...]] = lambda settings: ()
    others: bool = False


P = Parameter

CUTOFF_HZ = P("cutoff_hz", None, 10, 20000)
BAND_DB = P("gain_db", None, -36, 24)
ORDER = P("order", 2, 1, 8, whole=True)
RELEASE_MS = P("release_ms", 100, 1, 5000)
WET_DB = P("wet_db", -12, -60, 12)
PREDELAY_MS = P("predelay_ms", 0, 0, 250)
LOW_CUT_HZ = P("low_cut_hz", 100, 10, 1000)
SHELF = (CUTOFF_HZ, BAND_DB, P("q", 0.7071, 0.1, 2))


def _unsurveyed(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    raise SettingsError("loudness is measured on the whole sound first; call Chain.survey")


def _open_vst3(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    from unstir.plugins.vst3 import Vst3  # which reads this catalog

    return Vst3(settings, sample_rate, n_channels)


KINDS = (
    Kind("gain", "louder or softer", (P("gain_db", None, -120, 60),), levels.open_gain),
    Kind("pan", "balance, -1 left to 1 right", (P("position", None, -1, 1),), levels.open_pan),
    Kind(
        "width",
        "0 mono, 1 as it is, 2 twice as wide",
        (P("width", None, 0, 2), P("mono_below_hz", 0, 0, 1000)),
        levels.open_width,
    ),
    Kind("high-pass", "Butterworth low-cut", (CUTOFF_HZ, ORDER), equalizer.open_high_pass),
    Kind("low-pass", "Butterworth high-cut", (CUTOFF_HZ, ORDER), equalizer.open_low_pass),
    Kind("low-shelf", "all below, up or down", SHELF, equalizer.open_low_shelf),
    Kind("high-shelf", "all above, up or down", SHELF, equalizer.open_high_shelf),
    Kind(
        "peak",
        "a band, up or down",
        (CUTOFF_HZ, BAND_DB, P("q", 1, 0.1, 20)),
        equalizer.open_peak,
    ),
    Kind("notch", "one frequency away", (CUTOFF_HZ, P("q", 30, 0.5, 200)), equalizer.open_notch),
    Kind(
        "compressor",
        "turns down what is loud",
        (
            P("threshold_db", -20, -80, 0),
            P("ratio", 2, 1, 20),
            P("knee_db", 6, 0, 24),
            P("attack_ms", 10, 0, 500),
            RELEASE_MS,
            P("makeup_db", 0, -24, 24),
        ),
        dynamics.open_compressor,
        linear=False,
    ),
    Kind(
        "limiter",
        "true peaks under a ceiling, looking ahead",
        (P("ceiling_db", -1, -40, 0), RELEASE_MS, P("lookahead_ms", 5, 1, 20)),
        dynamics.open_limiter,
        linear=False,
    ),
    Kind(
        "gate",
        "turns down what is soft",
        (
            P("threshold_db", -50, -100, 0),
            P("range_db", -12, -100, 0),
            P("attack_ms", 3, 0, 500),
            P("hold_ms", 100, 0, 5000),
            RELEASE_MS,
        ),
        dynamics.open_gate,
        linear=False,
    ),
    Kind(
        "de-esser",
        "turns down sibilants alone",
        (
            P("cutoff_hz", 5500, 2000, 12000),
            P("threshold_db", -8, -30, 0),
            P("range_db", -6, -24, 0),
            P("attack_ms", 2, 0, 100),
            P("release_ms", 60, 1, 1000),
        ),
        dynamics.open_de_esser,
        linear=False,
    ),
    Kind(
        "ducking",
        "steps back while another stem sounds",
        (
            P("by", "speech", text=True),
            P("threshold_db", -42, -80, 0),
            P("range_db", -9, -60, 0),
            P("attack_ms", 200, 1, 2000),
            P("hold_ms", 400, 0, 5000),
            P("release_ms", 900, 1, 10000),
            P("lookahead_ms", 200, 0, 1000),
        ),
        dynamics.open_ducking,
        keys=lambda settings: (str(settings["by"]),),
    ),
    Kind(
        "loudness",
        "one gain for the whole sound, measured first",
        (P("target_lufs", None, -60, 0), P("most_gain_db", 24, 0, 60)),
        _unsurveyed,
    ),
    Kind(
        "reverb",
        "an artificial room",
        (
            WET_DB,
            P("decay_s", 1.5, 0.75, 12),
            P("damping", 0.5, 0, 1),
            PREDELAY_MS,
            LOW_CUT_HZ,
        ),
        spaces.open_reverb,
        tail_s=spaces.reverb_tail_s,
    ),
    Kind(
        "convolution",
        "a synthesized room, hall or plate",
        (P("space", None, choices=spaces.SPACES), WET_DB, PREDELAY_MS, LOW_CUT_HZ),
        spaces.open_convolution,
        tail_s=spaces.convolution_tail_s,
    ),
    Kind(
        "delay",
        "echoes",
        (P("delay_ms", None, 1, 5000), P("feedback_db", -9, -60, -1), WET_DB),
        spaces.open_delay,
        tail_s=spaces.delay_tail_s,
    ),
    Kind(
        "chorus",
        "a swaying copy",
        (
            P("rate_hz", 1, 0.01, 20),
            P("depth", 0.25, 0, 1),
            P("delay_ms", 7, 1, 50),
            P("mix", 0.5, 0, 1),
        ),
        colors.open_chorus,
        tail_s=lambda settings: 2 * float(settings["delay_ms"]) / 1000,
    ),
    Kind(
        "saturation",
        "rounds off peaks",
        (P("drive_db", 12, 0, 48),),
        colors.open_saturation,
        linear=False,
    ),
    Kind("bitcrush", "few bits", (P("bits", 8, 2, 24),), colors.open_bitcrush, linear=False),
    Kind(
        "clipping",
        "cuts off peaks",
        (P("threshold_db", -6, -60, 0),),
        colors.open_clipping,
        linear=False,
    ),
    Kind(
        "maximizer",
        "denser and as loud as it gets, without looking ahead",
        (P("threshold_db", -10, -60, 0), RELEASE_MS),
        colors.open_maximizer,
        linear=False,
    ),
    Kind("invert", "the polarity the other way round", (), colors.open_invert),
    Kind(
        "phaser",
        "notches that sweep",
        (
            P("rate_hz", 1, 0.01, 20),
            P("depth", 0.5, 0, 1),
            P("center_hz", 1300, 20, 20000),
            P("feedback", 0, -0.95, 0.95),
            P("mix", 0.5, 0, 1),
        ),
        colors.open_phaser,
    ),
    Kind(
        "ladder",
        "the filter of an old synthesizer",
        (
            CUTOFF_HZ,
            P("mode", "low-pass-12", choices=tuple(colors.LADDER_MODES)),
            P("resonance", 0, 0, 1),
            P("drive_db", 0, 0, 40),
        ),
        colors.open_ladder,
        linear=False,
    ),
    Kind(
        "resample",
        "a lower sample rate, and back",
        (
            P("target_hz", 8000, 1000, 192000),
            P("quality", "sinc", choices=tuple(codecs.RESAMPLERS)),
        ),
        codecs.open_resample,
    ),
    Kind("gsm", "a mobile phone of the nineties", (), codecs.open_gsm, linear=False),
    Kind(
        "mp3",
        "through an MP3 encoder",
        (P("vbr_quality", 2, 0, 9.5),),
        codecs.open_mp3,
        linear=False,
    ),
    Kind(
        "pitch-shift",
        "higher or lower, as long as before",
        (P("semitones", None, -24, 24),),
        pitch.open_pitch_shift,
        linear=False,
    ),
    Kind(
        "vst3",
        "a plug-in of yours, in a process of its own",
        (
            P("path", None, text=True),
            P("plugin", "", text=True),
            P("state", "", text=True),
            P("tail_s", 0, 0, 60),
        ),
        _open_vst3,
        linear=False,
        tail_s=lambda settings: float(settings["tail_s"]),
        others=True,
    ),
)

CATALOG: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
