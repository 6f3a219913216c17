"""Which class gets which output channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segsweep.annotation import ProjectMeta
from segsweep.errors import TrainingError
from segsweep.models.folder import ModelConfig

__all__ = ["ClassPlan", "plan_classes"]

_MISSING_BACKGROUND_COLOR = "#222222"


@dataclass(frozen=True)
class ClassPlan:
    """Classes of a network.

    Attributes:
        out_classes: `{"title", "shape", "color"}` of every class that is predicted, in the project's order.
        class_title_to_idx: Title -> output channel; the background is 0.
        background: Title of the background.
        neutral: Title of the class whose pixels are ignored.
    """

    out_classes: list[dict[str, Any]]
    class_title_to_idx: dict[str, int]
    background: str
    neutral: str

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return max(self.class_title_to_idx.values()) + 1

    @property
    def ignore_index(self) -> int:
        """Index of neutral pixels in masks; no channel has it."""
        return self.outputs

    @property
    def drawn(self) -> dict[str, int]:
        """Title -> index in masks, the neutral class included."""
        return {**self.class_title_to_idx, self.neutral: self.ignore_index}

    @property
    def is_binary(self) -> bool:
        """Whether there is the background and one more class, on channel 1."""
        return len(self.out_classes) == 2 and self.outputs == 2


def plan_classes(meta: ProjectMeta, background: str, neutral: str, continued: ModelConfig | None = None) -> ClassPlan:
    """Derives the classes from those of the project.

    The background gets 0, the other titles 1, 2, … in alphabetical order, the neutral title none. A training that
    continues a model takes over the model's indices, and its titles must be the project's.

    Raises:
        TrainingError: Background and neutral are one class, or the continued model has other classes.
    """
    if background == neutral:
        raise TrainingError(f"special_classes: background and neutral are both {background!r}; they must differ")
    colors = {item.title: item.color for item in meta.classes if item.title != neutral}
    colors.setdefault(background, _MISSING_BACKGROUND_COLOR)
    out_classes = [{"title": title, "shape": "bitmap", "color": color} for title, color in colors.items()]
    titles = [background, *sorted(title for title in colors if title != background)]
    indices = {title: index for index, title in enumerate(titles)}
    if continued is not None:
        theirs = continued.class_title_to_idx
        if set(theirs) != set(indices):
            only_model, only_project = sorted(set(theirs) - set(indices)), sorted(set(indices) - set(theirs))
            raise TrainingError(
                "continue_training: the classes of the model and of the project do not match; "
                f"only the model has {only_model}, only the project has {only_project}"
            )
        indices = dict(theirs)
    if indices[background] != 0:
        raise TrainingError(
            f"continue_training: the background {background!r} has index {indices[background]} in the model, not 0; "
            f"its background is {next((title for title, index in indices.items() if index == 0), None)!r}"
        )
    return ClassPlan(out_classes, indices, background, neutral)
