"""The parent run of a sweep: it stands for all jobs, and tells the truth about them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.errors import WorkFailedError
from segsweep.files import write_bytes
from segsweep.reporting import Reporter
from segsweep.sweeps.leaderboard import leaderboard, markdown

if TYPE_CHECKING:
    from segsweep.tracking import Store, TrackedRun

__all__ = ["sweep_parent"]


@contextmanager
def sweep_parent(
    store: Store, name: str, swept: dict[str, list[str]], overrides: list[str], reporter: Reporter
) -> Iterator[TrackedRun]:
    """Starts the parent run; at the end logs the leaderboard and ends as its jobs did.

    Raises:
        WorkFailedError: Not every job finished; the message names those that did not.
    """
    jobs = math.prod(len(values) for values in swept.values())
    note = "\n".join([f"**{jobs} jobs** over", *(f"* `{key}`: {', '.join(values)}" for key, values in swept.items())])
    with store.start_run(
        name,
        kind="sweep",
        tags={"mlflow.note.content": note, "segsweep.overrides": " ".join(overrides)},
        params={key: ",".join(values) for key, values in swept.items()},
        system_metrics=False,
        progress_with=reporter,
    ) as run:
        try:
            yield run
        finally:
            finished = _log_leaderboard(store, run, list(swept), reporter)
        if finished < jobs:
            raise WorkFailedError(f"{jobs - finished} of {jobs} jobs of the sweep did not finish; see {run.url}")


def _log_leaderboard(store: Store, run: TrackedRun, swept: list[str], reporter: Reporter) -> int:
    """Logs and prints the table of jobs; returns how many finished."""
    from segsweep.tracking import runs_table

    table = leaderboard(runs_table(store, parent=run.run_id), swept)
    with tempfile.TemporaryDirectory() as folder:
        for file, text in (("leaderboard.csv", table.to_csv(index=False)), ("leaderboard.md", markdown(table))):
            write_bytes(Path(folder) / file, text.encode())
            run.file(Path(folder) / file)
    reporter.message(markdown(table))
    reporter.message(f"the sweep is in MLflow: {store.url(parent=run.run_id, order_by='test/dice')}")
    return int((table["status"] == "FINISHED").sum()) if len(table) else 0
