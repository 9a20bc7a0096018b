"""Pictures: a mix and its stems as spectrograms, one below the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.spectral import StftConfig
from unstir.types import Waveform

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_COLUMNS = 1102  # about one per pixel of a panel
N_ROWS = 192
F_MIN_HZ, F_MAX_HZ = 30.0, 16000.0
FRAMES_AT_ONCE = 32
RANGE_DB = 75.0
WIDTH_PX, ROW_PX, TOP_PX, BOTTOM_PX = 1400, 190, 64, 44
LEFT_PX, RIGHT_PX, GAP_PX = 220, 78, 12
FONT = "DejaVu Sans"  # comes with matplotlib
INK, FAINT = "#1b1b22", "#6d6d78"


def mel(frequency_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return frequencies in hertz on the mel scale, as the pictures' rows have them."""
    return 1127 * np.log1p(np.asarray(frequency_hz) / 700)


def top_hz(sample_rate: int) -> float:
    """Return the highest frequency that a picture shows, in hertz."""
    return min(F_MAX_HZ, sample_rate / 2)


def _bands(n_fft: int, sample_rate: int) -> NDArray[np.float32]:
    """Return triangles on the mel scale, shape (rows, bins), each of weight one.

    A triangle is never narrower than a bin: low rows interpolate between bins.
    """
    edges = np.linspace(mel(F_MIN_HZ), mel(top_hz(sample_rate)), N_ROWS + 2)
    edges_hz = 700 * np.expm1(edges / 1127)
    center_hz = edges_hz[1:-1, None]
    bin_hz = sample_rate / n_fft
    rise_hz = np.maximum(center_hz - edges_hz[:-2, None], bin_hz)
    fall_hz = np.maximum(edges_hz[2:, None] - center_hz, bin_hz)
    away_hz = np.fft.rfftfreq(n_fft, 1 / sample_rate) - center_hz
    weights = np.clip(np.minimum(1 + away_hz / rise_hz, 1 - away_hz / fall_hz), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


class SpectrogramColumns:
    """A spectrogram as wide as a picture, of a recording that arrives in blocks.

    Parameters
    ----------
    n_samples : int
        Length of the whole recording, at least one sample.
    sample_rate : int
        In hertz.

    Attributes
    ----------
    power : ndarray of float32, shape (rows, columns)
        Mean power of every column's frames and of all channels; 1 (0 dB) is a sine
        of full scale. Rows are bands on the mel scale from 30 Hz upwards to 16 kHz
        or the Nyquist frequency. 0 where the recording has not arrived yet.

    Raises
    ------
    SettingsError
        If there is no sample.

    Notes
    -----
    Whatever the length, memory is that of the picture and of about 32 frames. The
    values do not depend on how the recording was cut into blocks.

    Examples
    --------
    >>> columns = SpectrogramColumns(480000, 48000)
    >>> for block in np.array_split(np.ones((2, 480000), np.float32), 5, axis=1):
    ...     columns.push(block)
    >>> columns.power.shape
    (192, 1102)
    """

    def __init__(self, n_samples: int, sample_rate: int) -> None:
        if n_samples < 1:
            raise SettingsError(f"a length of {n_samples} samples came; at least one is wanted")
        self.n_samples, self.sample_rate = n_samples, sample_rate
        self._n_fft = StftConfig.for_rate(sample_rate).n_fft
        # Two frames a column where the recording is long enough; no gaps between frames.
        self._hop = int(np.clip(n_samples // (2 * N_COLUMNS), self._n_fft // 16, self._n_fft))
        self._window = np.asarray(scipy.signal.get_window("hann", self._n_fft), np.float32)
        self._bands = _bands(self._n_fft, sample_rate)
        self.power = np.zeros((N_ROWS, min(N_COLUMNS, max(1, n_samples // self._hop))), np.float32)
        self._column, self._frame, self._received = 0, 0, 0
        # Frames are centered on multiples of the hop; what is left begins with frame _frame.
        self._rest: Waveform | None = None
        self._sum = np.zeros(self._n_fft // 2 + 1)

    def push(self, block: Waveform) -> None:
        """Take the next samples.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, samples)
            Any number of samples, none included.

        Raises
        ------
        AudioError
            If the number of channels changes or more samples come than were announced.
        """
        n_channels = len(block) if self._rest is None else len(self._rest)
        left = self.n_samples - self._received
        if block.ndim != 2 or len(block) != n_channels or block.shape[1] > left:
            raise AudioError(
                f"a block of shape {block.shape} came; ({n_channels}, at most {left}) is wanted"
            )
        rest = self._rest
        if rest is None:
            rest = np.zeros((n_channels, self._n_fft // 2), np.float32)
        end = self._n_fft if block.shape[1] == left else 0
        self._received += block.shape[1]
        self._rest = self._advance(
            np.concatenate([rest, block, np.zeros((n_channels, end), np.float32)], axis=1)
        )

    def _first_frame(self, column: int) -> int:
        """Return the first frame whose center lies within the column."""
        return -(-column * self.n_samples // (self.power.shape[1] * self._hop))

    def _advance(self, sound: Waveform) -> Waveform:
        """Draw all columns that are complete; return the sound that the next frame needs."""
        n_columns = self.power.shape[1]
        start = 0
        while self._column < n_columns:
            stop = self._first_frame(self._column + 1)
            n_frames = min(FRAMES_AT_ONCE, stop - self._frame)
            span = (n_frames - 1) * self._hop + self._n_fft
            if start + span > sound.shape[1]:
                break
            part = sound[:, start : start + span]
            frames = np.lib.stride_tricks.sliding_window_view(part, self._n_fft, axis=1)
            cells = scipy.fft.rfft(frames[:, :: self._hop] * self._window, axis=2)
            self._sum += np.mean(cells.real**2 + cells.imag**2, axis=0, dtype=np.float64).sum(0)
            self._frame += n_frames
            start += n_frames * self._hop
            if self._frame == stop:
                mean = self._sum / (stop - self._first_frame(self._column))
                full_scale = float(self._window.sum()) / 2
                self.power[:, self._column] = self._bands @ np.float32(mean / full_scale**2)
                self._sum[:] = 0
                self._column += 1
        return sound[:, start:].copy()


def _clock(time_s: float, *, hours: bool, minutes: bool) -> str:
    if not minutes:
        return f"{time_s:g} s"
    m, s = divmod(round(time_s), 60)
    return f"{m // 60}:{m % 60:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def _draw_time(axes: "Axes", duration_s: float) -> None:
    steps = [k * 10.0**e for e in range(-4, 1) for k in (1, 2, 5)]
    steps += [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600]
    step = next((s for s in steps if duration_s / s <= 12), 24 * 3600)
    times = np.arange(int(duration_s / step + 1e-9) + 1) * step
    labels = [_clock(t, hours=duration_s >= 3600, minutes=duration_s > 60) for t in times]
    axes.set_xticks(times, labels, fontsize=12.5, color=INK)


def drawable(text: str, longest: int) -> str:
    """Return the text with a box for what the font lacks, its middle left out if too long."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(FONT))
    text = "".join(c if font.get_char_index(ord(c)) else "\N{WHITE SQUARE}" for c in text)
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def draw(
    path: Path | str,
    columns: Mapping[str, SpectrogramColumns],
    *,
    title: str,
    loudness_lufs: Mapping[str, float | None] | None = None,
) -> None:
    r"""Write a PNG with one spectrogram per source, on one time axis and one dB scale.

    Parameters
    ----------
    path : path-like
        Where the PNG goes. An existing file is replaced.
    columns : mapping of str to SpectrogramColumns
        What to draw from top to bottom, the mix first; all of one length and rate.
    title : str
        Stands above the panels.
    loudness_lufs : mapping of str to float or None, optional
        Integrated loudness to print beside a panel; None where there is none.

    Raises
    ------
    AudioError
        If there is nothing to draw, or the lengths or rates differ.

    Notes
    -----
    1400 pixels wide. Color spans the 75 dB below the loudest cell of all, so the
    panels compare with each other.

    Examples
    --------
    >>> import tempfile
    >>> columns = SpectrogramColumns(48000, 48000)
    >>> columns.push(np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "noise.png"
    ...     draw(target, {"noise": columns}, title="Noise")
    ...     target.read_bytes()[:4]
    b'\x89PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shapes = {(source.n_samples, source.sample_rate) for source in columns.values()}
    if len(shapes) != 1:
        raise AudioError(
            f"{len(columns)} sources of lengths and rates {sorted(shapes)} came; one at least, "
            "and all alike, are wanted"
        )
    ((n_samples, sample_rate),) = shapes
    duration_s = n_samples / sample_rate
    top_db = 10 * np.log10(max(float(source.power.max()) for source in columns.values()) or 1.0)
    height_px = TOP_PX + len(columns) * (ROW_PX + GAP_PX) - GAP_PX + BOTTOM_PX
    figure = Figure((WIDTH_PX / 100, height_px / 100), dpi=100, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types
    left, width = LEFT_PX / WIDTH_PX, (WIDTH_PX - LEFT_PX - RIGHT_PX) / WIDTH_PX

    def write(x_px: float, y_px: float, text: str, size: float, **style: Any) -> None:
        place = x_px / WIDTH_PX, y_px / height_px
        # File names may hold dollar signs: nothing is a formula.
        figure.text(*place, text, size=size, family=FONT, parse_math=False, **style)

    write(LEFT_PX, height_px - 22, drawable(title, 68), 18, weight="bold", color=INK, va="top")
    for k, (name, source) in enumerate(columns.items()):
        bottom = height_px - TOP_PX - (k + 1) * ROW_PX - k * GAP_PX
        axes = figure.add_axes((left, bottom / height_px, width, ROW_PX / height_px))
        level_db = 10 * np.log10(np.maximum(source.power, 10 ** ((top_db - RANGE_DB) / 10)))
        picture = axes.imshow(
            level_db,
            aspect="auto",
            origin="lower",
            cmap="magma",
            vmin=top_db - RANGE_DB,
            vmax=top_db,
            extent=(0, duration_s, float(mel(F_MIN_HZ)), float(mel(top_hz(sample_rate)))),
            interpolation="bilinear",
        )
        marks_hz = [f for f in (100, 500, 1000, 2000, 4000, 8000) if f < top_hz(sample_rate)]
        names = [f"{f} Hz" if f < 1000 else f"{f // 1000} kHz" for f in marks_hz]
        axes.set_yticks([float(mel(f)) for f in marks_hz], names, fontsize=11, color=FAINT)
        axes.tick_params(length=3, color=FAINT)
        for spine in axes.spines.values():
            spine.set_visible(False)
        middle_px, label = bottom + ROW_PX / 2, drawable(name, 20)
        size = min(18.0, 18 * 8 / max(1, len(label)))
        write(20, middle_px, label, size, weight="bold", color=INK, va="bottom")
        if loudness_lufs and name in loudness_lufs:
            value = loudness_lufs[name]
            text = "\N{EN DASH} LUFS" if source.power.any() else "silent"
            if value is not None:
                text = f"{value:.1f} LUFS".replace("-", "\N{MINUS SIGN}")
            write(20, middle_px - 6, text, 13, color=FAINT, va="top")
        if k + 1 < len(columns):
            axes.set_xticks([])
    _draw_time(axes, duration_s)
    bar = figure.add_axes(
        (
            (WIDTH_PX - RIGHT_PX + 16) / WIDTH_PX,
            BOTTOM_PX / height_px,
            12 / WIDTH_PX,
            (height_px - TOP_PX - BOTTOM_PX) / height_px,
        )
    )
    figure.colorbar(
        picture, cax=bar, ticks=np.arange(np.ceil((top_db - RANGE_DB) / 20) * 20, top_db, 20)
    ).outline.set_visible(False)
    bar.tick_params(length=0, labelsize=11, labelcolor=FAINT)
    bar.set_title("dBFS", size=11, color=FAINT)
    canvas.print_png(path)


def spectrogram_picture(
    path: Path | str,
    sources: Mapping[str, Waveform],
    *,
    sample_rate: int,
    title: str,
    loudness_lufs: Mapping[str, float | None] | None = None,
) -> None:
    """Write a PNG of waveforms in memory, as `draw` does of columns.

    Parameters
    ----------
    path : path-like
        Where the PNG goes. An existing file is replaced.
    sources : mapping of str to ndarray of float32, each of shape (channels, samples)
        What to draw from top to bottom, the mix first; all of one length.
    sample_rate : int
        In hertz.
    title : str
        Stands above the panels.
    loudness_lufs : mapping of str to float or None, optional
        Integrated loudness to print beside a panel; None where there is none.
    """
    columns = {}
    for name, waveform in sources.items():
        columns[name] = SpectrogramColumns(waveform.shape[1], sample_rate)
        columns[name].push(waveform)
    draw(path, columns, title=title, loudness_lufs=loudness_lufs)
