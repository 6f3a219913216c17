"""`report.html` of a run: what its evaluation found, and how it was made."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.config.schema import EvaluateConfig, RunConfig, TrainingSection

if TYPE_CHECKING:
    from segsweep.tracking import TrackedRun

__all__ = ["log_report"]

_PRIVATE = ("tracking.uri", "workspace")
"""Settings that say where things lie, perhaps with a password, and nothing about the result."""


def log_report(
    run: TrackedRun,
    config: RunConfig | EvaluateConfig,
    overrides: Sequence[str],
    parts: Path,
    *,
    began: float,
    threshold: float | Mapping[str, float] | None = None,
) -> None:
    """Keeps `report.html` with a run.

    Args:
        run: The run, which has its tags.
        config: What it was asked to do.
        overrides: What the command line changed, as `key=value`.
        parts: What the evaluation found (`evaluation.html_report.write_report`).
        began: When the run's work began, by `time.monotonic`.
        threshold: The probability from which on pixels are called positive, or that of each class; None where the
            likeliest class is taken.
    """
    from segsweep.evaluation.html_report import read_report, render_report

    tags = run.tags()
    took = time.monotonic() - began
    made = {
        "run": run.name,
        "run id": run.run_id,
        "finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, after {_duration(took)}",
        "device": tags.get("segsweep.device", ""),
        "code": f"Segsweep {tags.get('segsweep.code', '')}, Python {platform.python_version()}",
        "fingerprint": tags.get("segsweep.fingerprint", ""),
    }
    changed = dict(item.split("=", 1) for item in overrides if "=" in item and not item.startswith(_PRIVATE))
    facts = {
        "Run": {name: value for name, value in made.items() if value},
        "Data and network": {**_about(config), "data digest": tags.get("segsweep.data_digest", "")},
        "Settings that were changed": {name.lstrip("+~"): value for name, value in changed.items()},
    }
    run.text("report.html", render_report(run.name, read_report(parts), facts, note=_told(threshold)))


def _told(threshold: float | Mapping[str, float] | None) -> str:
    if threshold is None:
        return ""
    if isinstance(threshold, Mapping):
        return "thresholds " + ", ".join(f"{value:.3f} ({name})" for name, value in threshold.items())
    return f"threshold {threshold:.3f}"


def _about(config: RunConfig | EvaluateConfig) -> dict[str, str]:
    if isinstance(config, EvaluateConfig):
        section = config.evaluation
        return {"truth": section.project_gt, "prediction": section.project_pred or section.project_gt}
    size = config.training.input_size
    return {
        "data": str(config.data["source"]),
        "network": f"{config.model.name}, width {config.model.width}",
        "input size": f"{size.width} × {size.height or size.width}",
        "training": f"{_length(config.training)}, learning rate {config.training.lr:g}",
        "inference": f"{config.inference.mode['name']}, {config.inference.checkpoint} checkpoint",
    }


def _length(training: TrainingSection) -> str:
    """How long it is trained; what is given beside the epochs replaces or bounds them."""
    bounds = [("steps", training.steps), ("minutes", training.minutes)]
    given = [f"{count:g} {unit}" for unit, count in bounds if count is not None]
    return " or ".join(given) or f"{training.epochs} epochs"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
