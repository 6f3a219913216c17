"""Evaluations of a workspace: each has a folder of its own, by fingerprint, in which it is found again.

    evaluations/<fingerprint>/report.jsonl    what it told, a line each: metrics, pictures, tables, files
    evaluations/<fingerprint>/told/…          those pictures, tables and files, and the parts of a page
    evaluations/<fingerprint>/answer.json     the scores

An evaluation is what it tells, so one that is found tells it again, and every run has its scores and pictures.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Project
from segsweep.config.schema import EvaluationSection, InferenceSection
from segsweep.errors import InvalidRequestError, Problem, nearest
from segsweep.files import atomic_directory, digest_json, read_image, read_json, write_image, write_json
from segsweep.locks import held
from segsweep.reporting import Advance, Level, Reporter
from segsweep.stages import identity_of, made_since, predict
from segsweep.versions import VERSIONS

if TYPE_CHECKING:
    import pandas as pd

    from segsweep.evaluation import Plan

__all__ = [
    "Evaluated",
    "Scored",
    "Tabling",
    "best_threshold",
    "classes_by_suffix",
    "evaluation_fingerprint",
    "evaluation_folder",
    "is_scored",
    "recorded",
    "score",
]

_REPORT = "report.jsonl"
_TOLD = "told"
_ANSWER = "answer.json"
_PARTS = "page.json"


class Tabling(Reporter, Protocol):
    """A reporter that keeps tables too."""

    def table(self, name: str, table: pd.DataFrame) -> None:
        """A table of results; `name` is a relative path without extension."""


def evaluation_fingerprint(truth: str, prediction: str, settings: Mapping[str, Any]) -> str:
    """The fingerprint of an evaluation of two projects, told by `stages.identity_of`, with some settings."""
    return digest_json({"v": VERSIONS["evaluate"], "truth": truth, "prediction": prediction, "settings": settings})


def evaluation_folder(workspace: Path, fingerprint: str) -> Path:
    """Where an evaluation lies, or is to be made."""
    return workspace / "evaluations" / fingerprint[:16]


@dataclass(frozen=True)
class Scored:
    """What is scored against what.

    Attributes:
        truth: The annotated project.
        prediction: The project with predictions.
        classes: True classes -> predicted ones, without the background.
        background: The true and the predicted class of the background, where there are some.
        neutral: The true class whose pixels do not count.
        tags: True tags of images -> predicted ones.
    """

    truth: Path
    prediction: Path
    classes: dict[str, str]
    background: tuple[str, str] | None
    neutral: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        truth: Path,
        prediction: Path,
        classes: Mapping[str, str],
        background: str | None,
        neutral: str,
        tags: Mapping[str, str] | None = None,
    ) -> Scored:
        """With the background, by its true title, among the classes."""
        pair = (background, classes[background]) if background is not None and background in classes else None
        others = {title: named for title, named in classes.items() if title != background}
        return cls(truth, prediction, others, pair, neutral, tags or {})

    def fingerprint(self, **settings: Any) -> str:
        """The fingerprint of an evaluation with these settings."""
        told: dict[str, Any] = {
            "classes": self.classes,
            "background": self.background,
            "neutral": self.neutral,
            "tags": self.tags,
        }
        told |= settings
        return evaluation_fingerprint(identity_of(self.truth), identity_of(self.prediction), told)


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation leaves.

    Attributes:
        metrics: `test/…` for the chosen region, `test_<region>/…` for the other one, and more (`Scores.named`).
        parts: The file with the parts of a page (`evaluation.html_report.read_report`).
    """

    metrics: dict[str, float]
    parts: Path


def score(
    workspace: Path, scored: Scored, section: EvaluationSection, reporter: Tabling, *, since: float | None = None
) -> Evaluated:
    """Scores a prediction, or finds the scores; tells of tables, plots, pictures and metrics in either case.

    Args:
        workspace: The workspace's folder.
        scored: What is scored against what.
        section: How.
        reporter: Who is told.
        since: Scores that were found before this time are found anew.
    """

    def evaluate_it(told: Tabling, folder: Path) -> dict[str, float]:
        from segsweep.evaluation import evaluate

        scores = evaluate(
            scored.truth,
            scored.prediction,
            scored.classes,
            background=scored.background,
            neutral=scored.neutral,
            region=section.region,
            average=section.average,
            plan=_plan(section, scored.tags),
            pictures=section.pictures,
            output=folder / "evaluation",
            parts=folder / _PARTS,
            reporter=told,
        )
        told.file(folder / "evaluation")
        told.table("evaluation/per_image", scores.per_image)
        return scores.named()

    fingerprint = _asked(scored, section)
    metrics = recorded(workspace, fingerprint, evaluate_it, reporter, since=since)
    reporter.metrics(metrics, step=0)  # one value at step 0 is a bar beside those of other runs in MLflow
    return Evaluated(metrics, evaluation_folder(workspace, fingerprint) / _TOLD / _PARTS)


def is_scored(workspace: Path, scored: Scored, section: EvaluationSection) -> bool:
    """Whether `score` would find its result there."""
    return (evaluation_folder(workspace, _asked(scored, section)) / _ANSWER).is_file()


def _asked(scored: Scored, section: EvaluationSection) -> str:
    return scored.fingerprint(**section.model_dump(include=set(EvaluationSection.model_fields)))


def _plan(section: EvaluationSection, tags: Mapping[str, str]) -> Plan:
    """Which measures the section asks for."""
    from segsweep.evaluation import ObjectSettings, Plan, ShapeSettings, TagSettings

    return Plan(
        section.measures,
        ShapeSettings(section.boundary_width, section.error_width, section.surface_tolerance),
        ObjectSettings(section.iou, section.confidence_tag_name, section.confidence_threshold, section.objects),
        TagSettings(tags, section.confidence_threshold),
        section.resamples,
    )


def classes_by_suffix(truth: Path, prediction: Path, suffix: str) -> dict[str, str]:
    """The classes of the truth that the prediction has too, with a suffix.

    Raises:
        InvalidRequestError: There is none.
    """
    true, predicted = (Project.open(path).meta.titles for path in (truth, prediction))
    mapping = {title: title + suffix for title in true if title + suffix in predicted}
    if not mapping:
        what = f"{prediction.name} has no class of {truth.name} with {suffix!r} appended"
        hint = nearest(suffix, predicted, otherwise="its classes: " + ", ".join(predicted))
        raise InvalidRequestError([Problem("evaluation.class_suffix", what, hint)], "predictions cannot be scored")
    return mapping


def best_threshold(
    workspace: Path,
    model: Path,
    project: Path,
    section: InferenceSection,
    region: Literal["whole_frame", "field_of_view"],
    *,
    background: str,
    neutral: str,
    reporter: Tabling,
    since: float | None = None,
) -> float:
    """The probability from which on pixels are called positive to get the highest pooled Dice on a project.

    Raises:
        InvalidRequestError: The network has other than two classes.
    """
    plain = section.model_copy(update={"threshold": None, "result_project": f"{section.result_project}_train"})
    predicted = predict(workspace, model, project, plain, probability_maps=True, reporter=reporter, since=since)
    scored = Scored.of(project, predicted.result, predicted.classes, background, neutral)
    if len(scored.classes) != 1:
        problem = Problem("inference.threshold", f"is for two classes, and the network has {len(predicted.classes)}")
        raise InvalidRequestError([problem], "no threshold can be chosen")

    def evaluate_it(told: Tabling, folder: Path) -> dict[str, float]:
        from segsweep.evaluation import evaluate

        roc = evaluate(
            scored.truth,
            scored.prediction,
            scored.classes,
            background=scored.background,
            neutral=scored.neutral,
            region=region,
        ).roc
        return {"best_threshold": roc[next(iter(scored.classes))].best_threshold}

    fingerprint = scored.fingerprint(region=region, wanted="threshold")
    return recorded(workspace, fingerprint, evaluate_it, reporter, since=since)["best_threshold"]


def recorded(
    workspace: Path,
    fingerprint: str,
    evaluate: Callable[[Tabling, Path], dict[str, float]],
    reporter: Tabling,
    *,
    since: float | None = None,
) -> dict[str, float]:
    """Evaluates and keeps what is told and answered, or finds it; tells it in either case.

    Args:
        workspace: The workspace's folder.
        fingerprint: What determines the evaluation.
        evaluate: Does it; gets whom to tell, and a folder for files that it wants to tell of.
        reporter: Who is told.
        since: One that was made before this time is made anew.

    Returns:
        What `evaluate` answered.
    """
    folder = evaluation_folder(workspace, fingerprint)
    with held(workspace, "evaluate", fingerprint, reporter):
        if since is not None and not made_since(folder / _ANSWER, since):
            shutil.rmtree(folder, ignore_errors=True)
        if folder.is_dir():
            reporter.message(f"evaluate: {folder.name} is there already and is used again")
        else:
            with atomic_directory(folder) as aside, (aside / _REPORT).open("x", encoding="utf-8") as file:
                (aside / _TOLD).mkdir()
                answer = evaluate(_Recorder(aside / _TOLD, file, reporter), aside / _TOLD)
                write_json(aside / _ANSWER, answer)
    _tell_again(folder, reporter)
    found: dict[str, float] = read_json(folder / _ANSWER)
    return found


class _Recorder:
    """Keeps metrics, pictures, tables and files, to be told later; passes on what people should see now."""

    def __init__(self, folder: Path, file: IO[str], reporter: Reporter) -> None:
        self._folder = folder
        self._file = file
        self._reporter = reporter
        self._last: tuple[NDArray[np.uint8], str] | None = None
        self._number = 0

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        self._note("metrics", values=dict(values), step=step, epoch=epoch)

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        if self._last is None or self._last[0] is not image:  # else it is told once more, in a series
            self._last = image, self._new("png")
            write_image(self._folder / self._last[1], image)
        self._note("image", name=name, file=self._last[1], step=step)

    def file(self, path: Path, folder: str = "") -> None:
        self._note("file", file=path.relative_to(self._folder).as_posix(), folder=folder)

    def table(self, name: str, table: pd.DataFrame) -> None:
        file = self._new("csv")
        table.to_csv(self._folder / file, index=False)
        kinds = {str(column): kind.kind if kind.kind in "iufb" else "O" for column, kind in table.dtypes.items()}
        self._note("table", name=name, file=file, kinds=kinds)

    def message(self, text: str, level: Level = "info") -> None:
        if level == "warning":
            self._note("message", text=text)
        else:
            self._reporter.message(text, level)

    def progress(self, title: str, total: int | None, unit: str = "it") -> AbstractContextManager[Advance]:
        return self._reporter.progress(title, total, unit)

    def _new(self, extension: str) -> str:
        self._number += 1
        return f".{self._number:04d}.{extension}"

    def _note(self, kind: Literal["metrics", "image", "file", "table", "message"], **told: Any) -> None:
        self._file.write(json.dumps({"kind": kind, **told}, ensure_ascii=False) + "\n")


def _tell_again(folder: Path, reporter: Tabling) -> None:
    last: tuple[str, NDArray[np.uint8]] | None = None
    for line in (folder / _REPORT).read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        match told.pop("kind"):
            case "metrics":
                reporter.metrics(told["values"], told["step"], told["epoch"])
            case "image":
                if last is None or last[0] != told["file"]:  # else it is told once more, in a series
                    last = told["file"], read_image(folder / _TOLD / told["file"])
                reporter.image(told["name"], last[1], told["step"])
            case "file":
                reporter.file(folder / _TOLD / told["file"], told["folder"])
            case "table":
                reporter.table(told["name"], _read_table(folder / _TOLD / told["file"], told["kinds"]))
            case "message":
                reporter.message(told["text"], "warning")


def _read_table(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    types = {"i": "int64", "u": "uint64", "f": "float64", "b": "bool", "O": "object"}
    dtype: Any = {column: types[kind] for column, kind in kinds.items()}
    empty = {column: [""] for column, kind in kinds.items() if kind == "f"}
    return pd.read_csv(path, dtype=dtype, keep_default_na=False, na_values=empty)
