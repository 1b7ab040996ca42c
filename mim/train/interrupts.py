"""Ctrl-C and SIGTERM end a run after the batch it is at, and never as one that is done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, Ctrl-C asks Lightning to stop as SIGTERM does; a second one stops at once.

    Python raises ``KeyboardInterrupt`` wherever it happens to be. Within a finaliser, such as those
    that give memory of batches back, it would be printed and forgotten, and the run would go on.

    Raises:
        KeyboardInterrupt: the run was stopped.
    """
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, _ask_to_stop) if in_main else None
    try:
        yield
    except SystemExit as stopped:
        # Lightning's answer to both signals, which would look like a run that is done.
        raise KeyboardInterrupt from stopped
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)


def _ask_to_stop(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, None):
        raise KeyboardInterrupt  # Lightning does not listen yet.
    signal.raise_signal(signal.SIGTERM)
