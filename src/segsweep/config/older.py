"""The inference configuration of the first generation, read as the one of today.

    {"gpu_devices": [0], "model_classes": {…}, "existing_objects": {…}, "mode": {"source": "full_image"}}

is read as

    {"model": {"gpu_device": 0}, "existing_objects": {…}, "mode": {"name": "full_image", "model_classes": {…}}}
"""

from __future__ import annotations

from typing import Any

from segsweep.errors import Problems

__all__ = ["modern_inference"]


def modern_inference(section: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """A section whose older keys have become today's; a warning names them, and what is given twice is a problem."""
    section = dict(section)
    mode, model = _part(section, "mode"), _part(section, "model")
    notes = []
    if "source" in mode:
        _move(mode, "source", mode, "name", "inference.mode", problems)
        notes.append("mode.source is mode.name now")
    if "model_classes" in section:
        _move(section, "model_classes", mode, "model_classes", "inference.mode", problems)
        notes.append("model_classes belongs to mode now")
    if isinstance(section.get("gpu_devices"), list) and section["gpu_devices"]:
        devices = section["gpu_devices"]
        section["gpu_devices"] = devices[0]
        _move(section, "gpu_devices", model, "gpu_device", "inference.model", problems)
        notes.append("gpu_devices is model.gpu_device now" + (", one device" if len(devices) > 1 else ""))
    if not notes:
        return section
    problems.warn("inference", "is of the older form, which is understood", "; ".join(notes))
    return {**section, "mode": mode, "model": model}


def _part(section: dict[str, Any], key: str) -> dict[str, Any]:
    value = section.get(key)
    return dict(value) if isinstance(value, dict) else {}


def _move(source: dict[str, Any], key: str, target: dict[str, Any], new: str, where: str, problems: Problems) -> None:
    value = source.pop(key)
    if new in target:
        problems.add(f"{where}.{new}", f"is given beside {key}, its older form", "keep one of them")
    else:
        target[new] = value
