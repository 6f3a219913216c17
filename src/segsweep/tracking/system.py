"""What the machine does during a run: MLflow's own measurements, under the names its UI knows (`system/…`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SystemMetrics"]

_SOONEST, _LATEST = 2.0, 15.0
_POINTS = 20


class SystemMetrics:
    """Measures now and then: often at the beginning, so that a run of a minute has a curve, then every 15 s.

    MLflow's own monitor keeps one interval for runs of any length, asks the store for the run's status every time, and
    writes each measurement by itself; here they travel with the other metrics.

    Args:
        report: Takes the values and their step, which counts the measurements.
        warn: Told once when the machine cannot be measured; the run goes on without.
        first_step: Where a resumed run goes on counting.
    """

    def __init__(
        self, report: Callable[[Mapping[str, float], int], None], warn: Callable[[str], None], first_step: int = 0
    ) -> None:
        self._report = report
        self._warn = warn
        self._step = first_step
        self._began = time.monotonic()
        self._due = self._began
        self._monitors: list[Any] = []
        self._guarded(self._prepare)

    def __call__(self) -> None:
        """Measures if it is time to."""
        if self._monitors and time.monotonic() >= self._due:
            self._guarded(self._measure)

    def _prepare(self) -> None:
        import psutil
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        psutil.cpu_percent()  # it tells the load since it was last asked
        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor(), *_gpu_monitors()]

    def _measure(self) -> None:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        self._report(values, self._step)
        self._step += 1
        now = time.monotonic()
        self._due = now + min(_LATEST, max(_SOONEST, (now - self._began) / _POINTS))

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever a driver or a container's /proc comes up with
            self._monitors = []
            self._warn(f"no system metrics: {type(error).__name__}: {error}")


def _gpu_monitors() -> list[Any]:
    """MLflow's monitor of NVIDIA cards; none without a card or without the package `nvidia-ml-py`."""
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    try:
        return [GPUMonitor()]
    except (ImportError, RuntimeError):
        return []
