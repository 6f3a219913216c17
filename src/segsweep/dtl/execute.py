"""Runs a graph over the images of its projects.

Images are independent, and may be worked on by several processes. What a process writes lies aside, in a folder of its
own for each source image; names are given in the order of the sources, so that they depend neither on the number of
workers nor on who was first, and a source that failed leaves nothing behind.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from segsweep import __version__
from segsweep.annotation import Project, ProjectWriter, move_item
from segsweep.dtl.check import input_projects
from segsweep.dtl.graph import LayerSpec
from segsweep.dtl.plan import Plan, Work, make_plan
from segsweep.dtl.summary import LayerCount, TransformSummary
from segsweep.dtl.traverse import STAGED, Done, Output, process
from segsweep.errors import DataError
from segsweep.processes import end_with_parent
from segsweep.reporting import SILENT, Reporter

__all__ = ["OnError", "transform"]

OnError = Literal["skip", "fail"]


def transform(
    layers: Sequence[LayerSpec],
    projects: Mapping[str, Path],
    result: Path,
    *,
    seed: int = 0,
    workers: int = 1,
    on_error: OnError = "skip",
    reporter: Reporter = SILENT,
    provenance: Mapping[str, Any] | None = None,
) -> TransformSummary:
    """Runs a graph and writes its result project, whole or not at all.

    Args:
        layers: The graph.
        projects: Folders of the input projects by the names that the graph calls them.
        result: Folder of the result; it must not exist yet.
        seed: Equal seeds give equal results, whatever the number of workers.
        workers: Number of processes.
        on_error: `skip` leaves out a source image that cannot be worked on and tells so; `fail` stops.
        reporter: Gets progress, one step a source image, and warnings: classes that are named but not there, and every
            image left out.
        provenance: Kept in the result's `segsweep.json`.

    Raises:
        InvalidRequestError: The graph is wrong; tells every problem.
        DataError: An input project cannot be read, or an image fails under `on_error="fail"`.
        FileExistsError: `result` exists.
    """
    used = {name: Project.open(projects[name]) for name in input_projects(layers) if name in projects}
    for project in used.values():
        for warning in project.warnings:
            reporter.message(warning, "warning")
    plan, works, warnings = make_plan(layers, used, seed)
    for missing in warnings:
        reporter.message(str(missing), "warning")
    skipped: list[tuple[str, str]] = []
    counts = dict.fromkeys(plan.layers, LayerCount())
    outputs = 0
    with ProjectWriter(result, plan.result_meta, provenance) as writer:
        aside = writer.folder / ".aside"
        with reporter.progress("transform", len(works), "img") as advance, _runner(plan, aside, workers) as run:
            for number, (work, done) in enumerate(zip(works, run(works), strict=True)):
                advance(1)
                if done.failure and on_error == "fail":
                    raise DataError(f"{work.source}: {done.failure}")
                if done.failure:
                    skipped.append((str(work.source), done.failure))
                    reporter.message(f"{work.source} is left out: {done.failure}", "warning")
                for name, count in done.counts.items():
                    counts[name] += count
                for output in done.outputs:
                    _name(output, aside / str(number), writer.folder)
                outputs += len(done.outputs)
                shutil.rmtree(aside / str(number), ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
        summary = TransformSummary(result, outputs, tuple(skipped), counts)
        writer.provenance |= {"summary": summary.to_json(), "versions": _versions()}
    return summary


def _versions() -> dict[str, str]:
    """Versions of what results may depend on."""
    return {
        "segsweep": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


_plan_of_process: Plan | None = None


def _start_process(plan: Plan) -> None:
    global _plan_of_process
    cv2.setNumThreads(1)
    _plan_of_process = plan
    end_with_parent()


def _process_elsewhere(work: Work, folder: Path) -> Done:
    assert _plan_of_process is not None
    return process(_plan_of_process, work, folder)


Run = Callable[[Sequence[Work]], Iterable[Done]]


@contextmanager
def _runner(plan: Plan, aside: Path, workers: int) -> Iterator[Run]:
    """Yields a function from works to what came of them, in the same order."""
    if workers <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # pictures are too small for threads to pay
        try:
            yield lambda works: (process(plan, work, aside / str(number)) for number, work in enumerate(works))
        finally:
            cv2.setNumThreads(threads)
        return
    pool = ProcessPoolExecutor(workers, _context(), _start_process, (plan,))
    try:
        yield lambda works: pool.map(_process_elsewhere, works, (aside / str(number) for number in range(len(works))))
    except BrokenProcessPool as error:
        raise DataError("a worker process died, perhaps for want of memory; try fewer workers") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _context() -> Any:
    """How processes are started: from a server that has imported everything once, where there is one.

    Never by forking this process, which may have threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["segsweep.dtl.execute"])
    return context


def _name(output: Output, staged: Path, result: Path) -> None:
    """Gives a result its name: the first of a base name keeps it, others tell how they were made."""
    tail = "-".join(output.steps)
    telling = f"{output.base}_{tail}" if tail and len(output.base) + len(tail) < 120 else output.base
    places = [("img", output.suffix), *((folder, ".png") for folder in output.folders)]
    stem = next(
        stem
        for stem in _candidates(output.base, telling)
        if not any(os.path.exists(f"{result}/{output.dataset}/{folder}/{stem}{suffix}") for folder, suffix in places)  # noqa: PTH110
    )
    move_item(staged, STAGED, output.staged, result, output.dataset, stem + output.suffix, output.folders)


def _candidates(plain: str, telling: str) -> Iterator[str]:
    yield plain
    yield telling
    number = 2
    while True:
        yield f"{telling}_{number}"
        number += 1
