"""The parent run of a sweep: it stands for all jobs, and tells the truth about them."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.errors import WorkFailedError
from segsweep.reporting import Reporter

if TYPE_CHECKING:
    from segsweep.tracking import Store, TrackedRun

__all__ = ["sweep_parent"]

log = logging.getLogger("segsweep")


@contextmanager
def sweep_parent(
    store: Store, name: str, swept: dict[str, list[str]], overrides: list[str], reporter: Reporter
) -> Iterator[TrackedRun]:
    """Starts the parent run; at the end logs who won, and ends as its jobs did.

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
        except BaseException:
            _log_comparison(store, run, reporter, page=False)  # who interrupts a sweep does not want to wait
            raise
        _log_comparison(store, run, reporter, page=True)
        finished = _finished(store, run)
        if finished < jobs:
            raise WorkFailedError(f"{jobs - finished} of {jobs} jobs of the sweep did not finish; see {run.url}")


def _finished(store: Store, run: TrackedRun) -> int:
    """How many of the sweep's jobs finished."""
    from segsweep.tracking import runs_table

    return int((runs_table(store, parent=run.run_id)["status"] == "FINISHED").sum())


def _log_comparison(store: Store, run: TrackedRun, reporter: Reporter, *, page: bool) -> None:
    """Keeps and shows who won; what goes wrong here does not change what became of the jobs."""
    from segsweep.comparison import Selection, choose, summary, write_comparison

    try:
        chosen = choose(store, Selection(sweep=run.run_id))
        if not chosen.runs:
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                compared = write_comparison(store, chosen, Path(folder), page=page, reporter=reporter)
            finally:
                for file in sorted(Path(folder).iterdir()):
                    run.file(file)
        reporter.message(summary(compared))
        reporter.message(f"the sweep is in MLflow: {store.url(parent=run.run_id, order_by=compared.score)}")
    except Exception as error:
        log.exception("the sweep's comparison could not be made")
        again = f"segsweep compare {run.run_id} tries again"
        reporter.message(f"the comparison could not be made ({type(error).__name__}: {error}); {again}", "warning")
