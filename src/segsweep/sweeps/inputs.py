"""What the jobs of a sweep work on, looked at once for all jobs that work on the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.files import digest_json
from segsweep.identity import fingerprint_of, inputs_of, plain_settings
from segsweep.reporting import Reporter
from segsweep.stages import plan_data
from segsweep.sweeps.jobs import SweepJob
from segsweep.tracking import Store

if TYPE_CHECKING:
    from segsweep.datasets import PlannedData

__all__ = ["Inputs"]


class Inputs:
    """Digests of what jobs work on, and the fingerprints that their runs would have now.

    Args:
        store: Where networks are looked up: a store, or a workspace's folder where there may be none yet.
        reporter: Hears of the progress.
    """

    def __init__(self, store: Store | Path, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._data: dict[str, PlannedData] = {}
        self._found: dict[str, dict[str, Any]] = {}

    def planned(self, config: Any) -> PlannedData:
        """The projects that a job's data source means, before they are made."""
        key = digest_json(config.data)
        if key not in self._data:
            self._data[key] = plan_data(config.data, self._reporter)
        return self._data[key]

    def projects(self, config: Any) -> dict[str, str]:
        """The fingerprints of the projects of a job's data source, by name."""
        return self.planned(config).fingerprints

    def fingerprint(self, job: SweepJob) -> str:
        """The fingerprint that the job's run would have now."""
        plain = plain_settings(job.config)
        key = digest_json(
            {name: plain[name] for name in ("data", "dtl", "model", "project", "evaluation") if name in plain}
        )
        if key not in self._found:
            planned = self.projects(job.config) if "data" in plain else None
            self._found[key] = inputs_of(job.config, self._store, planned, self._reporter)
        return fingerprint_of(job.request, self._found[key])
