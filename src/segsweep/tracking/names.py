"""What MLflow accepts as a key, a value and a path, and the nearest thing to what was asked for.

Limits of MLflow: keys 250 characters, values of params 6000, of tags 8000. A name that must be changed to be accepted
ends in six hexadecimal digits of its own digest, so that two different names stay different.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MAX_KEY", "MAX_PARAM", "MAX_TAG", "artifact_path", "entity_key", "flatten", "series_key", "shorten"]

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
_MAX_PART = 200
_MAX_SERIES = 120  # MLflow adds the step, the time and an id, and a file's name ends at 255 bytes


def entity_key(text: str) -> str:
    """`text` as the key of a metric, param or tag: word characters, `.`, `-`, `:`, spaces, and `/` between groups."""
    parts = [re.sub(r"[^\w.\- :]", "_", part) for part in text.split("/")]
    return _told_apart("/".join(_no_dots(part) for part in parts), text, MAX_KEY)


def artifact_path(text: str) -> str:
    r"""`text` as the relative path of an artifact that MLflow's client, server and UI can all open.

    They refuse `#` and `\`, decode `%`, resolve `..`, and drop spaces at the ends.
    """
    parts = [re.sub(r"[^\w.\- ()+=@~]|^ | $", "_", part) for part in text.split("/")]
    fitting = [_told_apart(_no_dots(new), old, _MAX_PART) for new, old in zip(parts, text.split("/"), strict=True)]
    return "/".join(fitting)


def series_key(text: str) -> str:
    """`text` as the name of a series in the UI's image grid: ASCII letters, digits, `_`, `-`, `.`, spaces and `/`."""
    parts = [re.sub(r"[^a-zA-Z0-9_\-. ]", "_", part) for part in text.split("/")]
    return _told_apart("/".join(_no_dots(part) for part in parts), text, _MAX_SERIES)


def _no_dots(part: str) -> str:
    return "_" if part in {"", ".", ".."} else part


def _told_apart(name: str, original: str, limit: int) -> str:
    """`name` if it is the original and fits; else cut to fit, with a digest of the original and its last suffix."""
    if name == original and len(name.encode()) <= limit:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > 5 or "/" in suffix or " " in suffix:
        stem, dot, suffix = name, "", ""
    digest = hashlib.sha256(original.encode(errors="surrogatepass")).hexdigest()[:6]
    room = limit - len(digest) - len((dot + suffix).encode()) - 1
    return f"{stem.encode(errors='replace')[:room].decode(errors='ignore')}-{digest}{dot}{suffix}"


def shorten(text: str, limit: int) -> str:
    """`text`, or its beginning with a mark that tells how long it was; never more than `limit` characters."""
    if len(text) <= limit:
        return text
    mark = f"… [{len(text)} characters]"
    return text[: limit - len(mark)] + mark


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """A nested configuration as flat params: dotted keys, values as YAML would write a scalar and JSON a list.

    >>> flatten({"training": {"lr": 0.001, "gpu_devices": [0, 1]}, "note": None})
    {'training.lr': '0.001', 'training.gpu_devices': '[0, 1]', 'note': 'null'}
    """
    return dict(_flat(config, ""))


def _flat(config: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found.extend(_flat(value, f"{name}."))
        else:
            found.append((entity_key(name), shorten(_text(value), MAX_PARAM)))
    return found


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
