"""Names of a sweep's jobs, made of what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["job_name", "short_keys"]

_SPOKEN = {"training.input_size.width": "size", "training.input_size.height": "height", "inference.mode.name": "mode"}


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The shortest name for each dotted key that tells it from the others.

    >>> short_keys(["training.lr", "training.input_size.width", "a.width.min", "a.height.min"])
    {'training.lr': 'lr', 'training.input_size.width': 'size', 'a.width.min': 'width.min', 'a.height.min': 'height.min'}
    """
    short: dict[str, str] = {}
    for key in keys:
        if key in _SPOKEN:
            short[key] = _SPOKEN[key]
            continue
        parts = key.replace("/", ".").split(".")
        tails = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        others = [other.replace("/", ".") for other in keys if other != key]
        short[key] = next(
            (tail for tail in tails if not any(other == tail or other.endswith("." + tail) for other in others)), key
        )
    return short


def job_name(values: Mapping[str, str]) -> str:
    """A job's name such as `lr=0.001 size=256`, from its values of the swept keys in order."""
    short = short_keys(list(values))
    return " ".join(f"{short[key]}={value}" for key, value in values.items())
