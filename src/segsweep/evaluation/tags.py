"""Tags of images as a classification: which images have a tag, and which were said to have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segsweep.annotation import Tag
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.scores import SCORES

__all__ = ["TAG_SCORES", "TagSettings", "count_tags", "tag_scores"]

TAG_SCORES = {"accuracy": SCORES["accuracy"], "precision": SCORES["precision"], "recall": SCORES["recall"]}
TAG_SCORES["f1"] = SCORES["dice"]


@dataclass(frozen=True)
class TagSettings:
    """The settings of the original's plugin.

    Attributes:
        mapping: Tag in the truth to tag in the prediction; empty compares none.
        threshold: From which value on a tag that has a number is there.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    threshold: float = 0.0


def has_tag(tags: Sequence[Tag], name: str, threshold: float) -> bool:
    """Whether a tag is there: any of that name, but one with a number only from the threshold on."""
    values = [tag.value for tag in tags if tag.name == name]
    return any(not isinstance(value, int | float) or value >= threshold for value in values)


def count_tags(truth: Sequence[Tag], prediction: Sequence[Tag], settings: TagSettings) -> Counts:
    """Counts one image; arrays of as many items as tags are compared, each 0 or 1."""
    pairs = [
        (has_tag(truth, true, settings.threshold), has_tag(prediction, predicted, settings.threshold))
        for true, predicted in settings.mapping.items()
    ]
    true, predicted = np.array(pairs, dtype=np.bool_).reshape(-1, 2).T
    kinds = true & predicted, ~true & predicted, true & ~predicted, ~true & ~predicted
    return Counts(*(kind.astype(np.int64) for kind in kinds))


def tag_scores(counts: Counts) -> dict[str, float]:
    """Scores of all tags together: counts are summed first (micro)."""
    together = Counts(*(np.asarray(getattr(counts, key).sum()) for key in ("tp", "fp", "fn", "tn")))
    return {name: float(score(together)) for name, score in TAG_SCORES.items()}
