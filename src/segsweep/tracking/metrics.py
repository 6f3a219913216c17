"""Metrics on their way to MLflow: buffered, and written in batches by a thread of their own.

One value written at a time costs 7–25 ms on a local store; a value in a batch of a thousand costs 0.1 ms. Training
never waits for the store, and a store that does not answer for a while loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from segsweep.errors import TrackingError

__all__ = ["MetricWriter", "Sample"]

FLUSH_SECONDS = 2.0
FLUSH_VALUES = 500
BATCH = 1000  # MLflow takes no more at once


class Sample(NamedTuple):
    """One value of one metric; `time` in milliseconds since 1970."""

    key: str
    value: float
    time: int
    step: int


class MetricWriter:
    """Takes values at once, and sends them every two seconds, when many wait, and when it is closed.

    Args:
        send: Writes one batch of at most 1000 samples; raises `TrackingError` when it cannot.
        warn: Told once when values cannot be sent. They are kept and tried again.
    """

    def __init__(self, send: Callable[[Sequence[Sample]], None], warn: Callable[[str], None]) -> None:
        self._send = send
        self._warn = warn
        self._waiting: list[Sample] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._observe: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def start(self, observe: Callable[[], None]) -> None:
        """Begins to write; `observe` is called about every two seconds and once at the end, and may `add` values."""
        self._observe = observe
        self._thread = threading.Thread(target=self._work, args=(observe,), name="segsweep-metrics", daemon=True)
        self._thread.start()

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Takes values measured now at `step`; NaN and infinities included."""
        now = time.time_ns() // 1_000_000
        samples = [Sample(key, float(value), now, int(step)) for key, value in values.items()]
        with self._lock:
            self._waiting.extend(samples)
            many = len(self._waiting) >= FLUSH_VALUES
        if many:
            self._wake.set()

    def close(self) -> None:
        """Ends the thread and sends what still waits.

        Raises:
            TrackingError: Values could not be sent and are lost.
        """
        self._closing.set()
        self._wake.set()
        if self._thread is not None and self._observe is not None:
            self._thread.join()
            self._observe()
        self._flush()

    def _work(self, observe: Callable[[], None]) -> None:
        warned = False
        while not self._closing.is_set():
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            if self._closing.is_set():
                return
            observe()
            try:
                self._flush()
            except TrackingError as error:
                if not warned:
                    self._warn(f"metrics wait to be written: {error}")
                warned = True

    def _flush(self) -> None:
        """Sends batch after batch; one that fails stays at the head of the queue."""
        while True:
            with self._lock:
                batch = self._waiting[:BATCH]
            if not batch:
                return
            self._send(batch)
            with self._lock:
                del self._waiting[: len(batch)]
