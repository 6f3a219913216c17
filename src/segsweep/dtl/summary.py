"""What a graph did, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["LayerCount", "TransformSummary", "summary_table"]


@dataclass(frozen=True)
class LayerCount:
    """How many elements a layer got, gave, let drop (gave nothing for, or gave to nobody), and failed at."""

    seen: int = 0
    made: int = 0
    dropped: int = 0
    failed: int = 0

    def __add__(self, other: LayerCount) -> LayerCount:
        return LayerCount(
            self.seen + other.seen,
            self.made + other.made,
            self.dropped + other.dropped,
            self.failed + other.failed,
        )


@dataclass(frozen=True)
class TransformSummary:
    """What a graph did.

    Attributes:
        result: The result project.
        outputs: The number of its images.
        skipped: Source images that were left out, with the reason; it names the layer that failed.
        layers: What every layer did: `failed` tells where images were left out, the other counts are over those that
            were not.
    """

    result: Path
    outputs: int
    skipped: tuple[tuple[str, str], ...]
    layers: dict[str, LayerCount]

    def to_json(self) -> dict[str, Any]:
        """The summary as it is kept with the result, without its place."""
        return {
            "outputs": self.outputs,
            "skipped": [list(pair) for pair in self.skipped],
            "layers": {name: asdict(count) for name, count in self.layers.items()},
        }

    @classmethod
    def from_json(cls, result: Path, data: Mapping[str, Any]) -> TransformSummary:
        """The inverse of `to_json`."""
        skipped = tuple((str(source), str(reason)) for source, reason in data["skipped"])
        layers = {name: LayerCount(**count) for name, count in data["layers"].items()}
        return cls(result, int(data["outputs"]), skipped, layers)


def summary_table(summary: TransformSummary) -> str:
    """A plain table: a row a layer, then the reasons why images were left out, how often each.

    Reasons that differ only in the image they name are told once, with an example.
    """
    head = ("layer", "in", "out", "dropped", "failed")
    rows = [
        (name, *(str(value) if value else "·" for value in (count.seen, count.made, count.dropped, count.failed)))
        for name, count in summary.layers.items()
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in (head, *rows))
    ]
    reasons = Counter(reason for _, reason in summary.skipped)
    first = {reason: source for source, reason in reversed(summary.skipped)}
    lines += [
        f"left out: {count} {'image' if count == 1 else 'images'}, such as {first[reason]}: {reason}"
        for reason, count in reasons.most_common()
    ]
    return "\n".join(lines)
