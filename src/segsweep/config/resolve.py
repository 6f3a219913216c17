"""From a composed Hydra configuration to a typed one: interpolations, pasted JSON files, the schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.config.older import modern_inference
from segsweep.config.schema import SCHEMAS
from segsweep.errors import DataError, Problems
from segsweep.files import read_json
from segsweep.typed import Strict, parse_what_is_right

__all__ = ["resolve"]

_FILE_SECTIONS = ("training", "inference")
_MISSING = "???"


def resolve(command: str, composed: DictConfig, task_overrides: Sequence[str], problems: Problems) -> Strict | None:
    """The typed configuration of a command; notes all problems and leaves what is wrong at its default.

    Where `training.file` or `inference.file` names a JSON, that JSON is the section, and only overrides of the
    command line beat it; `dtl.file` gives the graph.
    """
    try:
        plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        problems.add(str(error.full_key or "configuration"), " ".join(str(error.msg or error).split()))
        return None
    for name in _FILE_SECTIONS:
        if isinstance(plain.get(name), dict) and plain[name].get("file"):
            plain[name] = _from_file(name, plain[name], task_overrides, problems)
        elif name == "inference" and isinstance(plain.get(name), dict):
            plain[name] = modern_inference(plain[name], problems)
    if isinstance(plain.get("dtl"), dict) and plain["dtl"].get("file"):
        _graph_from_file(plain["dtl"], task_overrides, problems)
    missing = _drop_missing(plain, "", problems)
    return parse_what_is_right(SCHEMAS[command], plain, problems, known_missing=sorted(missing))


def _read(where: str, name: str, problems: Problems) -> Any:
    try:
        return read_json(Path(name).expanduser())
    except DataError as error:
        problems.add(where, str(error))
        return None


def _from_file(name: str, section: dict[str, Any], task: Sequence[str], problems: Problems) -> dict[str, Any]:
    value = _read(f"{name}.file", section["file"], problems)
    if value is None:
        return section
    if not isinstance(value, dict):
        problems.add(f"{name}.file", f"{section['file']} holds no JSON object", 'it should look like {"lr": 0.001, …}')
        return section
    value = modern_inference(value, problems) if name == "inference" else value
    merged = {**value, "file": section["file"]}
    for text in task:
        key = text.lstrip("+~").partition("=")[0]
        if key.startswith(f"{name}."):
            _copy(key.split(".")[1:], section, merged)
    return merged


def _copy(path: list[str], source: Any, target: dict[str, Any]) -> None:
    """Copies what lies at `path` of one nested mapping to another."""
    for part in path[:-1]:
        source = source.get(part, {}) if isinstance(source, dict) else {}
        inner = target.setdefault(part, {})
        target = inner if isinstance(inner, dict) else {}
    if isinstance(source, dict) and path[-1] in source:
        target[path[-1]] = source[path[-1]]


def _graph_from_file(section: dict[str, Any], task: Sequence[str], problems: Problems) -> None:
    both = [text for text in task if text.lstrip("+~").startswith("dtl.layers")]
    for text in both:
        problems.add(
            text.lstrip("+~").partition("=")[0],
            "cannot be combined with dtl.file",
            "name the layers in a config file under conf/dtl to change or sweep them",
        )
    value = _read("dtl.file", section["file"], problems)
    if value is not None and not isinstance(value, list):
        problems.add(
            "dtl.file", f"{section['file']} holds no JSON list of layers", 'it should look like [{"action": …}]'
        )
    elif value is not None:
        section["layers"] = value


def _drop_missing(value: Any, where: str, problems: Problems) -> set[str]:
    """Notes and removes mandatory values that were not given; returns their keys."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key in list(value):
            path = f"{where}.{key}" if where else str(key)
            if value[key] == _MISSING:
                problems.add(path, "must be given", f"add {path}=…")
                found.add(path)
                del value[key]
            else:
                found |= _drop_missing(value[key], path, problems)
    return found
