"""Runs a graph over the images of its projects.

An image is pushed through the graph depth first: every output of a layer goes all the way down before the next one is
made, so memory is that of one image and the depth of the graph. Images are independent, and may be worked on by
several processes. What a process writes lies aside, in a folder of its own for each source image; names are given at
the end, in the order of the sources, so that they depend neither on the number of workers nor on who was first, and
so that a source that failed leaves nothing behind.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2

from segsweep.annotation import Project, ProjectWriter, move_item, normalise, write_item
from segsweep.dtl.check import input_projects
from segsweep.dtl.element import Element, Picture
from segsweep.dtl.graph import LayerSpec
from segsweep.dtl.layers import LAYERS
from segsweep.dtl.names import DISCARD, SAVES
from segsweep.dtl.plan import Plan, Work, make_plan
from segsweep.errors import DataError, SegsweepError
from segsweep.reporting import SILENT, Reporter

__all__ = ["LayerCount", "OnError", "TransformSummary", "transform"]

OnError = Literal["skip", "fail"]

_ENCODABLE = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_IMAGE_FAULTS = (SegsweepError, cv2.error, ArithmeticError, ValueError, MemoryError)
"""What one image may do wrong; a full disk or a mistake in the program ends the run instead."""


@dataclass(frozen=True)
class LayerCount:
    """How many elements a layer got, gave, and let drop (gave nothing for, or gave to nobody)."""

    seen: int = 0
    made: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class TransformSummary:
    """What a graph did.

    Attributes:
        result: The result project.
        outputs: The number of its images.
        skipped: Source images that were left out, with the reason.
        layers: What every layer did, over the images that were not left out.
    """

    result: Path
    outputs: int
    skipped: tuple[tuple[str, str], ...]
    layers: dict[str, LayerCount]


@dataclass(frozen=True)
class _Output:
    """A result that lies aside: what it may be called, and its file there."""

    dataset: str
    base: str
    suffix: str
    steps: tuple[str, ...]
    staged: str


@dataclass(frozen=True)
class _Done:
    """What came of one source image; `failure` is empty if it went well."""

    outputs: tuple[_Output, ...]
    counts: dict[str, LayerCount]
    failure: str = ""


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
        reporter: Gets progress, one step a source image, and a warning for every image left out.
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
    plan, works = make_plan(layers, used, seed)
    skipped: list[tuple[str, str]] = []
    finished: list[tuple[str, _Done]] = []
    with ProjectWriter(result, plan.result_meta, provenance) as writer:
        aside = writer.folder / ".aside"
        with reporter.progress("transform", len(works), "img") as advance, _runner(plan, aside, workers) as run:
            for number, (work, done) in enumerate(zip(works, run(works), strict=True)):
                advance(1)
                if not done.failure:
                    finished.append((str(number), done))
                elif on_error == "fail":
                    raise DataError(f"{work.source}: {done.failure}")
                else:
                    skipped.append((str(work.source), done.failure))
                    reporter.message(f"{work.source} is left out: {done.failure}", "warning")
        _name_outputs(finished, aside, writer.folder)
        if aside.exists():
            shutil.rmtree(aside)
    outputs = sum(len(done.outputs) for _, done in finished)
    counts = {name: _sum_counts(done.counts[name] for _, done in finished) for name in plan.layers}
    return TransformSummary(result, outputs, tuple(skipped), counts)


class _Run:
    """One source image on its way through a plan."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.outputs: list[_Output] = []
        self.seen: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def push(self, name: str, element: Element) -> None:
        """Sends an element into a layer and everything it makes down to the end."""
        layer, call, settings = self.plan.layers[name], self.plan.calls[name], self.plan.settings[name]
        kind = LAYERS[layer.action]
        self.seen[name] += 1
        index = -1
        for index, made in enumerate(kind.apply(element, settings, call)):
            self.made[name] += 1
            if layer.action in SAVES:
                self.save(made)
                continue
            branch = 0 if kind.choose is None or kind.choose(made, settings, call) else 1
            connection = layer.dst[branch]
            below = self.plan.consumers.get(connection, ()) if connection != DISCARD else ()
            self.dropped[name] += not below
            for consumer in below:
                self.push(consumer, made.passed(name, index, element))
        self.dropped[name] += index < 0

    def save(self, element: Element) -> None:
        """Writes a result aside."""
        own = Path(element.source.name).suffix
        suffix = own if _same_format(own, self.plan.image_suffix) else str(self.plan.image_suffix)
        untouched = element.picture.file if suffix == own else None
        if untouched is None and suffix.lower() not in _ENCODABLE:
            suffix = ".png"
        staged = f"{len(self.outputs)}{suffix}"
        pixels = element.picture.pixels  # of untouched files too, so that no damaged one gets into a result
        image = pixels if untouched is None else untouched
        write_item(self.folder, self.plan.result_meta, "0", staged, normalise(element.annotation), image)
        self.outputs.append(_Output(element.dataset, element.source.base, suffix, element.steps, staged))

    def counts(self) -> dict[str, LayerCount]:
        """What every layer did so far."""
        return {name: LayerCount(self.seen[name], self.made[name], self.dropped[name]) for name in self.plan.layers}


def _same_format(suffix: str, wanted: str | None) -> bool:
    return wanted is None or suffix.lower().replace(".jpeg", ".jpg") == wanted


def _process(plan: Plan, work: Work, folder: Path) -> _Done:
    run = _Run(plan, folder)
    try:
        annotation = normalise(work.item.annotation(plan.metas[work.source.project]))
        size = (annotation.width, annotation.height)
        element = Element(work.source, annotation, Picture.of_file(work.item.image_path, size), work.dataset)
        for entry in work.entries:
            run.push(entry, element)
    except _IMAGE_FAULTS as error:
        shutil.rmtree(folder, ignore_errors=True)
        text = str(error) if isinstance(error, SegsweepError) else f"{type(error).__name__}: {error}"
        return _Done((), {}, text.strip())
    return _Done(tuple(run.outputs), run.counts())


_plan_of_process: Plan | None = None


def _start_process(plan: Plan) -> None:
    global _plan_of_process
    cv2.setNumThreads(1)
    _plan_of_process = plan


def _process_elsewhere(work: Work, folder: Path) -> _Done:
    assert _plan_of_process is not None
    return _process(_plan_of_process, work, folder)


@contextmanager
def _runner(plan: Plan, aside: Path, workers: int) -> Iterator[Any]:
    """Yields a function from works to what came of them, in the same order."""
    if workers <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # pictures are too small for threads to pay
        try:
            yield lambda works: (_process(plan, work, aside / str(number)) for number, work in enumerate(works))
        finally:
            cv2.setNumThreads(threads)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_process, (plan,))
    try:
        yield lambda works: pool.map(_process_elsewhere, works, (aside / str(number) for number in range(len(works))))
    except BrokenProcessPool as error:
        raise DataError("a worker process died, perhaps for want of memory; try fewer workers") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _name_outputs(finished: Iterable[tuple[str, _Done]], aside: Path, result: Path) -> None:
    """Gives results their names: the first of a base name keeps it, others tell how they were made."""
    taken: set[tuple[str, str]] = set()
    for number, done in finished:
        for output in done.outputs:
            name = _free_name(output, taken)
            taken.add((output.dataset, name))
            move_item(aside / number, "0", output.staged, result, output.dataset, name)


def _free_name(output: _Output, taken: set[tuple[str, str]]) -> str:
    tail = "-".join(output.steps)
    base = f"{output.base}_{tail}" if tail and len(output.base) + len(tail) < 120 else output.base
    for stem in _candidates(output.base, base):
        if (output.dataset, stem + output.suffix) not in taken:
            return stem + output.suffix
    raise AssertionError("there is always another number")


def _candidates(plain: str, telling: str) -> Iterator[str]:
    yield plain
    yield telling
    number = 2
    while True:
        yield f"{telling}_{number}"
        number += 1


def _sum_counts(counts: Iterable[LayerCount]) -> LayerCount:
    total = LayerCount()
    for one in counts:
        total = replace(
            total, seen=total.seen + one.seen, made=total.made + one.made, dropped=total.dropped + one.dropped
        )
    return total
