"""Ctrl-C wherever Python happens to be."""

import signal
import weakref

import pytest

from mim.train.interrupts import interruptible


class Memory:
    """Something with a finaliser."""


@pytest.fixture
def asked():
    """How often Lightning's listener to SIGTERM was called."""
    calls: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: calls.append(number))
    yield calls
    signal.signal(signal.SIGTERM, before)


def test_ctrl_c_within_a_finaliser_is_not_lost(asked):
    with interruptible():
        memory = Memory()
        weakref.finalize(memory, signal.raise_signal, signal.SIGINT)
        del memory
    assert asked == [signal.SIGTERM]


def test_a_second_ctrl_c_stops_at_once(asked):
    def twice() -> None:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert asked == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_before_anybody_listens_ctrl_c_is_python_s_own():
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)


def test_lightnings_answer_is_no_end():
    with pytest.raises(KeyboardInterrupt), interruptible():
        raise SystemExit(0)
