"""How the process gives memory back to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache


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
def _trim() -> Callable[[int], int]:
    if sys.platform != "linux":
        return int
    return getattr(ctypes.CDLL(None), "malloc_trim", int)  # musl has none
