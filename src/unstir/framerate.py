"""How many pictures a second a video shows, as its timeline counts them."""

from fractions import Fraction
from pathlib import Path

from unstir.containers import DEMUXERS, Nameless
from unstir.errors import AudioError

# What editors' timelines count in; anything between is a file with a rate of its own.
STANDARD = (
    *(Fraction(rate, 1001) for rate in (24000, 30000, 48000, 60000, 120000)),
    *(Fraction(rate) for rate in (24, 25, 30, 48, 50, 60, 100, 120)),
)


def frame_rate(path: Path) -> Fraction | None:
    """Return the frame rate of a file's first moving picture; None if it shows none.

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
                return nearest(Fraction(found)) if found else None
    except OSError as error:
        raise AudioError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except av.error.FFmpegError:
        return None
    return None


def nearest(rate: Fraction) -> Fraction:
    """Return the standard frame rate that a measured one stands for, else the measured one."""
    best = min(STANDARD, key=lambda standard: abs(standard - rate))
    return best if abs(best - rate) < best / 5000 else rate
