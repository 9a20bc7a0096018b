"""How the process gives memory back to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache

MMAP_THRESHOLD, ARENA_MAX = -3, -8  # names of glibc's mallopt
LARGE_BYTES = 2**23


def give_back() -> None:
    """Give back what was freed but kept for later.

    Between the windows of a long file, glibc keeps what is freed in pieces that fit less and less,
    and the process grew by 2 MB a minute of sound. Under other C libraries there is nothing to
    do.

    Examples
    --------
    >>> give_back()
    """
    _trim()(0)


@cache
def keep_apart() -> None:
    """Have large arrays mapped one by one from now on, so that each goes back when it is freed.

    glibc maps fewer the more come, and lays the others into heaps that windows of a long file leave
    fuller of holes each time. Costs fresh pages for every array; under other C libraries there is
    nothing to do.

    Examples
    --------
    >>> keep_apart()
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(ARENA_MAX, 2)


@cache
def _trim() -> Callable[[int], int]:
    if sys.platform != "linux":
        return int
    return getattr(ctypes.CDLL(None), "malloc_trim", int)  # musl has none
