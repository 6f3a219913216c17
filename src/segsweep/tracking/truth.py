"""The truth about runs whose process was killed outright: nobody was left to write down that they ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segsweep.tracking.queries import is_dead, search
from segsweep.tracking.quiet import tracking_errors
from segsweep.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["FOUND_DEAD", "settle"]

FOUND_DEAD = "found dead: its process ended without a word (killed, or out of memory)"


def settle(store: Store, runs: Sequence[Run] | None = None, reason: str = FOUND_DEAD) -> list[str]:
    """Calls runs KILLED that are called RUNNING though their process on this machine has ended.

    They end when they last gave a sign of life, and `segsweep.status_reason` says how it is known.

    Args:
        store: The store; its experiment.
        runs: The runs to look at; None: all that are called RUNNING.
        reason: What is known of their end.

    Returns:
        The names of those that were found.

    Raises:
        TrackingError: The store cannot be read or written.
    """
    found = [run for run in (search(store, "status = 'RUNNING'") if runs is None else runs) if is_dead(run)]
    client = store.client
    for run in found:
        with tracking_errors(f"run {run.info.run_id}: its end cannot be recorded"):
            client.set_tag(run.info.run_id, "segsweep.status_reason", reason, synchronous=True)
            client.set_terminated(run.info.run_id, "KILLED", end_time=last_sign(run))
    return [str(run.info.run_name) for run in found]


def last_sign(run: Run) -> int:
    """When a run last gave a sign of life: its last metric, or its start; milliseconds since 1970."""
    return max([int(run.info.start_time), *(int(metric.timestamp) for metric in run.data._metric_objs)])
