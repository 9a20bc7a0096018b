"""Signals that end what goes on until somebody ends it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What a service manager sends, and what a terminal that is closed sends; Windows has the first.
_NAMES = ("SIGTERM", "SIGHUP")


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Take note of SIGTERM and SIGHUP instead of dying of them.

    Whoever asks ends in order, and what is done after that is not cut short by a second signal:
    where one came, they are ignored from then on, for the process is on its way out.
    A signal that was ignored, as by ``nohup``, stays ignored.

    Yields
    ------
    callable
        Whether one came. Never, outside the main thread, which alone gets signals.

    Examples
    --------
    >>> with told_to_end() as ended:
    ...     ended()
    False
    """
    came = threading.Event()

    def note(number: int, frame: Any) -> None:
        came.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if came.is_set() else handler)
