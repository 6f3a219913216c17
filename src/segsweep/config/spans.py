"""What a search spans: the swept keys of a request as plain numbers and choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep

__all__ = ["Span", "read_spans"]


@dataclass(frozen=True)
class Span:
    """Where the values of one key come from.

    Attributes:
        choices: Values as they are written; empty for numbers between two bounds.
        low: The smallest number.
        high: The largest.
        step: The distance between neighbours; None where every number will do.
        logarithmic: Whether magnitudes are equally likely, and not numbers.
        whole: Whether the numbers are whole.
    """

    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    logarithmic: bool = False
    whole: bool = False


def read_spans(overrides: Sequence[str]) -> tuple[list[str], dict[str, Span]]:
    """Parts the overrides that hold for every job from what is searched, by key."""
    fixed: list[str] = []
    spans: dict[str, Span] = {}
    for item in OverridesParser.create().parse_overrides(list(overrides)):
        if item.is_sweep_override():
            spans[item.get_key_element()] = _span(item)
        else:
            fixed.append(str(item.input_line))
    return fixed, spans


def _span(item: Override) -> Span:
    value: Any = item.value()
    if item.is_interval_sweep():
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Span(low=value.start, high=value.end, logarithmic="log" in value.tags, whole=whole)
    if isinstance(value, RangeSweep):
        numbers = [float(text) for text in item.sweep_string_iterator()]
        whole = all(number.is_integer() for number in numbers)
        return Span(low=min(numbers), high=max(numbers), step=abs(float(value.step)), whole=whole)
    return Span(choices=tuple(item.sweep_string_iterator()))
