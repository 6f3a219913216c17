"""The settings that tell runs apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from segsweep.sweeps.names import short_keys

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Setting", "differing", "told"]

_MISSING = "–"
_SPANS = 9.0
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""


@dataclass(frozen=True)
class Setting:
    """A setting that has more than one value.

    Attributes:
        key: Its dotted key.
        name: The shortest name that tells it from the others.
        kind: Whether its values are numbers.
        log: Whether its numbers are better spread logarithmically.
        also: Keys of settings that change in step with it, so that nobody can tell which of them matters.
    """

    key: str
    name: str
    kind: Literal["number", "category"]
    log: bool = False
    also: tuple[str, ...] = ()


def differing(frame: pd.DataFrame, keys: Sequence[str], swept: Sequence[str] = ()) -> list[Setting]:
    """The settings with more than one value; those that change in step are one, named by the swept or shortest key.

    Args:
        frame: A row a run.
        keys: The columns to look at.
        swept: Keys that a sweep was over; they come first.
    """
    first = [key for key in swept if key in frame]
    ordered = [*first, *sorted((key for key in keys if key not in first), key=lambda key: (key.count("."), key))]
    by_pattern: dict[tuple[int, ...], list[str]] = {}
    for key in ordered:
        pattern = _pattern(frame[key])
        if max(pattern, default=0) > 0:
            by_pattern.setdefault(pattern, []).append(key)
    names = short_keys([keys[0] for keys in by_pattern.values()])
    return [_setting(frame[key], key, names[key], tuple(also)) for key, *also in by_pattern.values()]


def told(value: Any, digits: int = 6) -> str:
    """A setting's value as people read it, numbers to some significant digits; a missing one is a dash."""
    import pandas as pd

    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return _MISSING
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pattern(column: pd.Series) -> tuple[int, ...]:
    """For each row, which of the column's values it has, numbered as they occur: equal for columns in step."""
    seen: dict[str, int] = {}
    return tuple(seen.setdefault(repr(value) if told(value) != _MISSING else "", len(seen)) for value in column)


def _setting(column: pd.Series, key: str, name: str, also: tuple[str, ...]) -> Setting:
    import pandas as pd

    present = column.dropna()
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return Setting(key, name, "category", also=also)
    if len(present) < len(column) or present.nunique() < 2:  # a missing value has no place on an axis of numbers
        return Setting(key, name, "category", also=also)
    low, high = float(present.min()), float(present.max())
    return Setting(key, name, "number", low > 0 and high / low >= _SPANS, also)
