"""The life of one MLflow run, and the reporter that writes to it.

MLflow by itself leaves a killed run RUNNING for ever, and calls a run FINISHED that ended by Ctrl-C or `sys.exit(1)`.
Here the block decides:

    it ends well, or by `sys.exit(0)`       FINISHED
    Ctrl-C, SIGTERM, SIGHUP                 KILLED     (signals other than Ctrl-C within `signals.interruptible`)
    any other exception, `sys.exit(1)`      FAILED     with the traceback as artifact `log/error.txt`

The tag `segsweep.status_reason` tells why in one line. A process that is killed outright cannot say so; its tag
`segsweep.process` tells others that it is gone (`queries.runs_table`).
"""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import TrackingError
from segsweep.reporting import Advance, Level, Reporter
from segsweep.tracking import artifacts, environment
from segsweep.tracking.metrics import MetricWriter, Sample
from segsweep.tracking.names import MAX_PARAM, MAX_TAG, artifact_path, entity_key, flatten, shorten
from segsweep.tracking.opening import create_run, first_tags, reopen_run
from segsweep.tracking.outcome import MAX_REASON, Outcome, outcome_of
from segsweep.tracking.progress import PROGRESS, Standing
from segsweep.tracking.quiet import tracking_errors, without_printing
from segsweep.tracking.signals import shielded
from segsweep.tracking.system import SystemMetrics

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Param

    from segsweep.tracking.environment import Environment
    from segsweep.tracking.store import Kind, Store

__all__ = ["TrackedRun", "tracked_run"]

_PARAMS_AT_ONCE = 100
_BYTES_AT_ONCE = 900_000
_DIGEST = 36


class TrackedRun:
    """A run that is going on: a `Reporter` that writes to MLflow. Made by `Store.start_run`.

    Attributes:
        store: The store that it is in.
        run_id: MLflow's id of the run.
        name: Its name in the UI.
        resumed: Whether it goes on with a run that had ended.
    """

    def __init__(
        self, store: Store, run_id: str, name: str, *, resumed: bool, scratch: Path, progress_with: Reporter
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.name = name
        self.resumed = resumed
        self._client = store.client
        self._artifacts = artifacts.Uploader(self._client, run_id, scratch)
        self._console = progress_with
        self._messages: list[str] = []
        self._known: dict[str, int] = {}
        self._standing = Standing()
        self._told: str | None = None
        self._writer = MetricWriter(self._send, self._warn)

    @property
    def url(self) -> str:
        """A link to the run in the UI."""
        place = f"experiments/{self.store.experiment_id}/runs/{self.run_id}"
        return f"{self.store.ui}/#/{place}?workflowType=machine_learning"  # else the UI opens in another mode

    # ---- as a Reporter

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Takes values at once; they are in the store some two seconds later. `epoch` becomes a metric of its own.

        A run that goes on leaves out what it had recorded of a training already.
        """
        named = {entity_key(key): value for key, value in values.items()}
        if epoch is not None:
            named["epoch"] = epoch
        new = {key: value for key, value in named.items() if self._known.get(key, -1) < step}
        if new:
            self._writer.add(new, step)
        self._console.metrics(values, step, epoch)

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        """Keeps a picture as artifact `<name>.png`; with a `step`, as one of a series in the UI's image grid."""
        with tracking_errors(f"picture {name!r} cannot be kept"):
            if step is None:
                self._artifacts.picture(name, image)
            else:
                self._artifacts.series_picture(name, image, step)

    def file(self, path: Path, folder: str = "") -> None:
        """Keeps a file or a folder under `folder`, with its own name.

        `file(output / "best", "checkpoints")` makes the artifacts `checkpoints/best/…`.
        """
        with tracking_errors(f"{path} cannot be kept"):
            self._artifacts.upload(path, folder)

    def message(self, text: str, level: Level = "info") -> None:
        """Shows a line to people, and keeps it for the artifact `log/messages.txt`."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self._messages.append(f"{now} {level:7} {text}")
        self._console.message(text, level)

    @contextmanager
    def progress(self, title: str, total: int | None, unit: str = "it") -> Iterator[Advance]:
        """Shows progress to people; every few seconds the tag `segsweep.progress` says where the run stands."""
        with (
            self._console.progress(title, total, unit) as advance,
            self._standing.followed(title, total, unit, advance) as counted,
        ):
            yield counted

    # ---- beyond

    def set_tag(self, key: str, value: object) -> None:
        """Sets a tag; values of more than 8000 characters are cut, with a mark."""
        with tracking_errors(f"tag {key!r} cannot be set"):
            self._client.set_tag(self.run_id, entity_key(key), shorten(str(value), MAX_TAG), synchronous=True)

    def tags(self) -> dict[str, str]:
        """All its tags, as they are in the store now."""
        with tracking_errors(f"the tags of run {self.run_id} cannot be read"):
            return dict(self._client.get_run(self.run_id).data.tags)

    def params(self, config: Mapping[str, Any]) -> None:
        """Records settings as flat params (`names.flatten`). MLflow lets no param change once it is set."""
        from mlflow.entities import Param

        flat = [Param(key, shorten(value, MAX_PARAM)) for key, value in flatten(config).items()]
        with tracking_errors("the settings cannot be recorded as params"):
            for batch in _batches(flat):
                self._client.log_batch(self.run_id, params=batch, synchronous=True)

    def dataset(
        self,
        name: str,
        digest: str,
        source: Path | str,
        context: Literal["training", "validation", "test"] = "training",
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """Records a data set as an input of the run, as MLflow shows it in a column of its own.

        Args:
            name: The project's name.
            digest: Its fingerprint; MLflow keeps the first 36 characters.
            source: Where it lies, a folder or an address.
            context: What it was used for.
            profile: Numbers worth knowing, such as `{"images": 264}`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:_DIGEST],
            source_type="local" if isinstance(source, Path) else "http",
            source=json.dumps({"uri": str(source)}),
            profile=None if profile is None else json.dumps(dict(profile)),
        )
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
        with tracking_errors(f"data set {name!r} cannot be recorded"):
            self._client.log_inputs(self.run_id, [used])

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Keeps a table as `<name>.csv` and as `<name>.json`, which the UI shows as a table; replaces an older one."""
        with tracking_errors(f"table {name!r} cannot be kept"):
            self._artifacts.table(name, table)

    def text(self, path: str, text: str) -> None:
        """Keeps a text as the artifact `path` (`config/config.yaml`)."""
        with tracking_errors(f"{path} cannot be kept"):
            self._artifacts.write(artifact_path(path), text.encode())

    # ---- the beginning and the end, called by `tracked_run`

    def begin(self, params: Mapping[str, Any], surroundings: Environment, *, system_metrics: bool) -> None:
        """Begins to write metrics and to measure the machine, and records settings and surroundings.

        Raises:
            TrackingError: The store cannot be written.
        """
        measured = self._last_step("system/cpu_utilization_percentage") if self.resumed and system_metrics else -1
        system = SystemMetrics(self._writer.add, self._warn, measured + 1) if system_metrics else _nothing

        def observe() -> None:
            system()
            self._tell_standing()

        self._writer.start(observe)
        if self.resumed:
            self._known = {key: self._last_step(key) for key in self._trained_metrics()}
        else:
            self.params(params)
        told = json.dumps(surroundings.as_json(), indent=2, ensure_ascii=False)
        packages = "".join(f"{name}=={number}\n" for name, number in surroundings.packages.items())
        self.text("environment/environment.json", told + "\n")
        self.text("environment/packages.txt", packages)
        for title, state in (("segsweep", surroundings.code), ("project", surroundings.project)):
            if state is not None and state.diff:
                self.text(f"environment/{title}.diff", state.diff)

    def end(self, outcome: Outcome, error: BaseException | None) -> None:
        """Writes what still waits and how the run ended, as much of it as can be written.

        Raises:
            TrackingError: Something could not be written; the rest was.
        """
        failures: list[TrackingError] = []

        def attempt(work: Callable[[], None]) -> None:
            try:
                work()
            except TrackingError as failure:
                failures.append(failure)

        attempt(self._writer.close)
        if self._told is not None and outcome.status == "FINISHED":
            attempt(self._forget_standing)
        if outcome.status == "FAILED" and error is not None:
            trace = "".join(traceback.format_exception(error))
            attempt(lambda: self.text("log/error.txt", trace))
        if failures and outcome.status == "FINISHED":
            outcome = Outcome("FAILED", shorten(str(failures[0]), MAX_REASON))
        if outcome.reason:
            attempt(lambda: self.set_tag("segsweep.status_reason", outcome.reason))
        if self._messages:
            attempt(lambda: self.text("log/messages.txt", "\n".join(self._messages) + "\n"))
        attempt(lambda: self._set_status(outcome.status))
        if failures:
            raise failures[0]

    def _set_status(self, status: str) -> None:
        with tracking_errors(f"run {self.run_id}: its end cannot be recorded"), without_printing():
            self._client.set_terminated(self.run_id, status)

    def _tell_standing(self) -> None:
        line = self._standing.line
        if line is not None and line != self._told:
            try:
                self.set_tag(PROGRESS, line)
            except TrackingError:
                return  # the metrics that cannot be written either are kept, and warned of
            self._told = line

    def _forget_standing(self) -> None:
        with tracking_errors(f"tag {PROGRESS!r} cannot be deleted"):
            self._client.delete_tag(self.run_id, PROGRESS)

    def _warn(self, text: str) -> None:
        self.message(text, "warning")

    def _send(self, samples: Sequence[Sample]) -> None:
        from mlflow.entities import Metric

        with tracking_errors(f"{len(samples)} values of metrics"):
            self._client.log_batch(self.run_id, metrics=[Metric(*sample) for sample in samples], synchronous=True)

    def _trained_metrics(self) -> list[str]:
        """What the run has recorded of a training."""
        with tracking_errors(f"run {self.run_id} cannot be read"):
            recorded = self._client.get_run(self.run_id).data.metrics
        return [key for key in recorded if key.startswith(("train/", "val/")) or key == "epoch"]

    def _last_step(self, key: str) -> int:
        with tracking_errors(f"run {self.run_id} cannot be read"):
            return max((metric.step for metric in self._client.get_metric_history(self.run_id, key)), default=-1)


@contextmanager
def tracked_run(
    store: Store,
    name: str,
    *,
    kind: Kind,
    parent: str | None,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    resume: str | None,
    system_metrics: bool,
    progress_with: Reporter,
) -> Iterator[TrackedRun]:
    """A run that lives as long as the block, whatever ends it.

    At its start it gets the tags `segsweep.kind`, `segsweep.code` and `segsweep.process`, its params, and what it is
    made with under `environment/`.

    Args:
        store: Where it is recorded.
        name: Its name in the UI.
        kind: A `run`, or a `sweep` whose jobs are runs with it as their parent.
        parent: The run id of the sweep that it belongs to.
        tags: Further tags.
        params: The composed configuration, nested or flat.
        resume: The id of a run to go on with: its status is RUNNING again, its params stay.
        system_metrics: Whether load and memory of the machine are recorded, under `system/…`.
        progress_with: Shows messages and progress to people.

    Yields:
        The run, a `Reporter`.

    Raises:
        TrackingError: The store cannot be written; what the block itself raises comes first.
    """
    run: TrackedRun | None = None
    with tempfile.TemporaryDirectory(prefix="segsweep-run-", ignore_cleanup_errors=True) as scratch:
        try:
            with shielded():
                surroundings = environment.describe()
                all_tags = first_tags(surroundings, kind, parent) | {key: str(value) for key, value in tags.items()}
                run_id = reopen_run(store, resume, all_tags) if resume else create_run(store, name, all_tags)
                run = TrackedRun(
                    store, run_id, name, resumed=bool(resume), scratch=Path(scratch), progress_with=progress_with
                )
            run.begin(params, surroundings, system_metrics=system_metrics)
            yield run
        except BaseException as error:
            if run is not None:
                try:
                    with shielded():
                        run.end(outcome_of(error), error)
                except TrackingError as failure:
                    error.add_note(f"The run could not be recorded whole: {failure}")
            raise
        with shielded():
            run.end(outcome_of(None), None)


def _nothing() -> None: ...


def _batches(params: Sequence[Param]) -> Iterator[list[Param]]:
    """Params in batches that MLflow takes: at most 100, and less than a megabyte as a request to a server."""
    batch: list[Param] = []
    size = 0
    for param in params:
        own = len(json.dumps(param.value)) + len(json.dumps(param.key)) + 40
        if batch and (len(batch) == _PARAMS_AT_ONCE or size + own > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(param)
        size += own
    if batch:
        yield batch
