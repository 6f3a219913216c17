"""Shares images out: `split_data`.

Unlike the `if` by probability of the original, which tosses a coin for every image that reaches it, parts have exact
sizes, and all that is made of one source image goes to one part: training and validation share no source, also when
the images are augmented first. The successor's layer of this name gives images names of data sets instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from segsweep.annotation import ProjectMeta
from segsweep.dtl.element import Element, Source
from segsweep.dtl.layer import Call, Given, Layer, Strict
from segsweep.dtl.mapping import require_tags
from segsweep.errors import InvalidRequestError, Problem
from segsweep.randomness import generator

__all__ = ["LAYERS"]

REST = "rest"
_SLACK = 1e-6  # for percentages like 33.3333333
Value = int | float | str


class SplitSettings(Strict):
    """Settings of `split_data`.

    By percent and by source, sizes are rounded by the largest remainder, and a part that is to have something gets at
    least one source where there are enough. All sources count that connections lead to the layer, also those that a
    filter drops on the way.
    """

    by: Literal["percent", "count", "tag"] = Field("percent", description="what the values of 'parts' are")
    parts: dict[str, Value] = Field(
        description="at least two, in order: name -> its per cent, its number of source images, or the image tag that "
        "leads to it; one may be 'rest'"
    )
    unit: Literal["source", "image"] = Field(
        "source", description="by percent: share out source images exactly, or every image by chance"
    )

    @field_validator("parts")
    @classmethod
    def _possible(cls, parts: dict[str, Value], given: ValidationInfo) -> dict[str, Value]:
        if len(parts) < 2:
            raise ValueError("there must be at least two parts")
        for name in parts:
            if not re.fullmatch(r"[\w-]+", name, re.ASCII):
                raise ValueError(f"{name!r} cannot name a part; use letters, digits, '_' and '-'")
        if "by" in given.data:
            _CHECKS[given.data["by"]](parts)
        return parts

    @model_validator(mode="after")
    def _unit_fits(self) -> Self:
        if self.unit == "image" and self.by != "percent":
            raise ValueError(f"unit 'image' is for parts by percent, not by {self.by}")
        return self


def _check_percent(parts: Mapping[str, Value]) -> None:
    for name, value in parts.items():
        if value != REST and (isinstance(value, str) or value < 0):
            raise ValueError(f"part {name!r} should be a per cent from 0 to 100 or '{REST}', not {value!r}")
    _check_rest(parts)
    total = sum(float(value) for value in parts.values() if value != REST)
    if total > 100 + _SLACK or (total < 100 - _SLACK and REST not in parts.values()):
        hint = "" if REST in parts.values() else f"; one of them may be '{REST}'"
        raise ValueError(f"the parts should be 100 per cent together, not {total:g}{hint}")


def _check_count(parts: Mapping[str, Value]) -> None:
    for name, value in parts.items():
        if value != REST and (isinstance(value, str) or value < 0 or value != int(value)):
            raise ValueError(f"part {name!r} should be a number of source images or '{REST}', not {value!r}")
    _check_rest(parts)


def _check_tag(parts: Mapping[str, Value]) -> None:
    for name, value in parts.items():
        if not isinstance(value, str) or not value:
            raise ValueError(f"part {name!r} should be the name of an image tag or '{REST}', not {value!r}")
    _check_rest(parts)
    tags = list(parts.values())
    twice = next((tag for tag in tags if tags.count(tag) > 1), None)
    if twice is not None:
        raise ValueError(f"tag {twice!r} leads to several parts")


def _check_rest(parts: Mapping[str, Value]) -> None:
    if list(parts.values()).count(REST) > 1:
        raise ValueError(f"only one part can be the '{REST}'")


_CHECKS = {"percent": _check_percent, "count": _check_count, "tag": _check_tag}


def _percents(parts: Mapping[str, Value]) -> list[float]:
    """The shares of all parts; the rest is what the others leave."""
    rest = 100 - sum(float(value) for value in parts.values() if value != REST)
    rest = rest if rest > _SLACK else 0.0
    return [rest if value == REST else float(value) for value in parts.values()]


def _prepare(settings: SplitSettings, given: Given) -> dict[Source, int]:
    """By source: the part of every source that is in one, counted from 0."""
    if settings.by == "tag" or settings.unit == "image":
        return {}
    shares = list(settings.parts.values())
    total = len(given.sources)
    sizes = _sizes_by_percent(_percents(settings.parts), total) if settings.by == "percent" else _counts(shares, total)
    if sum(sizes) > total:
        what = f"{sum(sizes)} source images are asked for, but {total} can reach the layer"
        hint = f"ask for fewer, or let one part be '{REST}'"
        raise InvalidRequestError([Problem(f"{given.where}.settings.parts", what, hint)])
    order = generator(given.seed, given.layer, "split").permutation(total)
    owners = [part for part, size in enumerate(sizes) for _ in range(size)]
    return {given.sources[int(index)]: part for index, part in zip(order, owners, strict=False)}


def _sizes_by_percent(shares: Sequence[float], total: int) -> list[int]:
    """Whole sizes whose sum is `total`, by the largest remainder, the first of equal ones.

    Parts that would get nothing although their share is not 0 get one from the largest part, if there are enough.
    """
    quotas = [share * total / 100 for share in shares]
    sizes = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(shares)), key=lambda part: sizes[part] - quotas[part])
    for part in by_remainder[: total - sum(sizes)]:
        sizes[part] += 1
    wanting = [part for part, share in enumerate(shares) if share > 0 and sizes[part] == 0]
    if total >= sum(share > 0 for share in shares):
        for part in wanting:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[part] = 1
    return sizes


def _counts(shares: Sequence[Value], total: int) -> list[int]:
    """The sizes asked for; the rest is what they leave."""
    asked = sum(int(share) for share in shares if share != REST)
    return [max(0, total - asked) if share == REST else int(share) for share in shares]


def _part(element: Element, settings: SplitSettings, call: Call) -> int | None:
    """The part that an element belongs to, or None."""
    if settings.by == "tag":
        tags = {tag.name for tag in element.annotation.tags}
        values = list(settings.parts.values())
        chosen = next((part for part, tag in enumerate(values) if tag in tags and tag != REST), None)
        return values.index(REST) if chosen is None and REST in values else chosen
    if settings.unit == "image":
        return _drawn(_percents(settings.parts), float(call.random(element).random()))
    prepared: dict[Source, int] = call.prepared
    return prepared.get(element.source)


def _drawn(shares: Sequence[float], number: float) -> int:
    """The part that a number from [0, 1) falls into."""
    reached = 0.0
    for part, share in enumerate(shares):
        reached += share / 100
        if number < reached:
            return part
    return max(part for part, share in enumerate(shares) if share > 0)  # the shares sum to a little less than 1


def _split(element: Element, settings: SplitSettings, call: Call) -> Iterable[Element]:
    return (element,) if _part(element, settings, call) is not None else ()


def _route(element: Element, settings: SplitSettings, call: Call) -> int:
    part = _part(element, settings, call)
    assert part is not None  # or else it would not have come through
    return part


def _meta(meta: ProjectMeta, settings: SplitSettings) -> ProjectMeta:
    if settings.by == "tag":
        require_tags(meta, (str(tag) for tag in settings.parts.values() if tag != REST))
    return meta


def _outputs(settings: Mapping[str, Any]) -> tuple[str, ...]:
    parts = settings.get("parts")
    return tuple(map(str, parts)) if isinstance(parts, Mapping) and len(parts) > 1 else ("first", "second")


LAYERS = (
    Layer(
        "split_data",
        SplitSettings,
        "shares images out to several parts, so that no source image is in two",
        apply=_split,
        meta=_meta,
        prepare=_prepare,
        outputs=_outputs,
        route=_route,
        ours=True,
    ),
)
