"""What a prediction answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PredictionResult"]


@dataclass(frozen=True)
class PredictionResult:
    """What came out of a prediction.

    Attributes:
        result: The result project.
        images: Number of its images.
        classes: The model's class -> the class of its predictions in the result, in the order of class indices.
        seconds: Wall time; 0 when the result was there already.
        skipped: Images that were left out, with the reason.
        reused: Whether the result was there already.
    """

    result: Path
    images: int
    classes: dict[str, str]
    seconds: float = 0.0
    skipped: tuple[tuple[str, str], ...] = ()
    reused: bool = False
