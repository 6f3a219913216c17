"""Signals as exceptions, so that a run that is told to stop can still write down that it was.

Python turns Ctrl-C into `KeyboardInterrupt`; SIGTERM (a scheduler, `kill`) and SIGHUP (a closed terminal) end the
process at once, and MLflow would show the run as RUNNING for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "interruptible", "shielded"]

Handler = Callable[[int, FrameType | None], None]

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(SystemExit):
    """The process was told to end by a signal; its exit status is 128 + the signal's number, as a shell has it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        return f"terminated by {self.signal.name}"


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP raise `Terminated` in the main thread; then the old handlers return.

    Schedulers repeat themselves: only the first signal raises, so that the work of ending is not itself cut off.
    Children made by `fork` (loaders of data) die of the signal as they would without this. Outside the main thread,
    where Python allows no handlers, the block changes nothing.
    """
    raised = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise Terminated(number)

    with _handlers(_ENDING, end):
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Puts off the first signal (Ctrl-C, SIGTERM, SIGHUP) until the block has ended; a second one is not put off.

    For the moments in which a run is written down: someone who presses Ctrl-C twice still gets a run that says so.
    """
    waiting: list[tuple[int, FrameType | None]] = []
    previous = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGINT)}

    def pass_on(number: int, frame: FrameType | None) -> None:
        handler = previous[number]
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            _die_of(number)

    def hold(number: int, frame: FrameType | None) -> None:
        if waiting:
            pass_on(number, frame)
        waiting.append((number, frame))

    with _handlers(tuple(previous), hold):
        yield
    if waiting:
        pass_on(*waiting[0])


@contextmanager
def _handlers(numbers: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)
        else:
            _die_of(number)

    # A signal that is ignored (nohup) stays ignored.
    taken = {number: signal.getsignal(number) for number in numbers}
    taken = {number: old for number, old in taken.items() if old is not None and old != signal.SIG_IGN}
    try:
        for number in taken:
            signal.signal(number, handle)
        yield
    finally:
        if os.getpid() == owner:
            for number, old in taken.items():
                signal.signal(number, old)


def _die_of(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
