"""How many pictures a second a video shows, as its timeline counts them, and how large they are."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from unstir.containers import DEMUXERS, Nameless
from unstir.errors import AudioError

# What editors' timelines count in; anything between is a file with a rate of its own.
STANDARD = (
    *(Fraction(rate, 1001) for rate in (24000, 30000, 48000, 60000, 120000)),
    *(Fraction(rate) for rate in (24, 25, 30, 48, 50, 60, 100, 120)),
)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The first moving picture of a file.

    Parameters
    ----------
    rate : Fraction
        Frames a second.
    width, height : int
        In pixels.
    duration_s : Fraction
        From the file's beginning to its end, which may be that of its sound.
    begins_s : float
        Time stamp of the file's beginning, in seconds; what programs show as its time 0.
    """

    rate: Fraction
    width: int
    height: int
    duration_s: Fraction
    begins_s: float


def frame_rate(path: Path) -> Fraction | None:
    """Return the frame rate of a file's first moving picture; None if it shows none.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    found = pictures(path)
    return found.rate if found else None


def pictures(path: Path) -> Pictures | None:
    """Return what a file shows; None if that does not move, or it is not said how fast.

    Within a fifth of a thousandth of a standard rate, it is that rate. No picture is decoded.

    Raises
    ------
    AudioError
        If the file cannot be read.

    Examples
    --------
    >>> nearest(Fraction(2997, 100))
    Fraction(30000, 1001)
    """
    import av

    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "protocol_whitelist": "none",
    }
    try:
        with (
            path.open("rb") as file,
            av.open(Nameless(file), options=options, metadata_errors="replace") as source,
        ):
            for stream in source.streams.video:
                if stream.disposition & av.stream.Disposition.attached_pic:
                    continue
                found = stream.average_rate or stream.guessed_rate
                if not found:
                    return None
                return Pictures(
                    rate=nearest(Fraction(found)),
                    width=stream.width,
                    height=stream.height,
                    duration_s=Fraction(source.duration or 0, av.time_base),
                    begins_s=(source.start_time or 0) / av.time_base,
                )
    except OSError as error:
        raise AudioError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except av.error.FFmpegError:
        return None
    return None


def nearest(rate: Fraction) -> Fraction:
    """Return the standard frame rate that a measured one stands for, else the measured one."""
    best = min(STANDARD, key=lambda standard: abs(standard - rate))
    return best if abs(best - rate) < best / 5000 else rate
