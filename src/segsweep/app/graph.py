"""`segsweep graph`: the picture of a data transformation graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.checks import CHECKS
from segsweep.config.schema import GraphConfig
from segsweep.dtl import read_layers
from segsweep.dtl.drawing import MADE_BY, draw_graph, to_png, to_svg
from segsweep.errors import DataError, InvalidRequestError, Problem
from segsweep.files import write_bytes

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    request = read_request("graph", arguments)
    checked(request, CHECKS["graph"])
    run_hydra(request, (lambda job: None) if request.only_shows else _draw)
    return 0


def _draw(job: Job) -> None:
    drawing = draw_graph(read_layers(job.config.dtl.layers))
    paths = _paths(job.config, job.number)
    _check_free(paths)
    for path in paths:
        data = to_svg(drawing).encode() if path.suffix == ".svg" else to_png(drawing)
        try:
            write_bytes(path, data)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from error
        print(path)  # noqa: T201


def _paths(config: GraphConfig, number: int | None) -> list[Path]:
    """The file that `output` names by its extension, or one for each format; numbered in a sweep."""
    path = Path(config.output).expanduser()
    one = path.suffix.lower() in {".svg", ".png"}
    extensions = [path.suffix.lower()] if one else [f".{form}" for form in dict.fromkeys(config.format)]
    stem = path.stem if one else path.name
    return [path.with_name(f"{stem}{'' if number is None else f'_{number}'}{extension}") for extension in extensions]


def _check_free(paths: Sequence[Path]) -> None:
    """A picture that was drawn here before is drawn again; nothing else is overwritten.

    Raises:
        InvalidRequestError: Something else is there.
    """
    found = [path for path in paths if path.exists() and not _is_picture(path)]
    what = "is there and is no picture of a graph"
    if found:
        raise InvalidRequestError(
            [Problem("output", f"{path} {what}", "name another file") for path in found], "segsweep graph cannot run"
        )


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MADE_BY.encode() in file.read(4096)
    except OSError:  # a folder, or a file that is not ours to read
        return False
