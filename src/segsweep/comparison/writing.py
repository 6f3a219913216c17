"""A comparison as files: `leaderboard.csv`, `leaderboard.md` and `comparison.html`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.comparison.compared import Compared, compare
from segsweep.comparison.leaderboard import leaderboard, markdown, shown
from segsweep.comparison.reading import Files
from segsweep.comparison.selection import Chosen, Selection, choose
from segsweep.errors import DataError
from segsweep.files import write_bytes
from segsweep.reporting import SILENT, Reporter
from segsweep.tracking.quiet import tracking_errors

if TYPE_CHECKING:
    from segsweep.tracking import Store

__all__ = ["FILES", "log_to_sweep", "summary", "write_comparison"]

FILES = ("leaderboard.csv", "leaderboard.md", "comparison.html")
_SETTINGS_SHOWN = 12


def write_comparison(
    store: Store | str | Path,
    runs: Selection | Chosen,
    folder: Path,
    *,
    score: str | None = None,
    images: int = 12,
    masks: int = 8,
    page: bool = True,
    reporter: Reporter = SILENT,
) -> Compared:
    """Compares runs, and writes `leaderboard.csv`, `leaderboard.md` and `comparison.html`.

    Args:
        store: An opened store, a tracking URI, or a workspace's folder.
        runs: Which runs.
        folder: Receives the files; older ones of these names are replaced.
        score: The metric that decides; `test/dice` where runs have it.
        images: How many test images the page shows at most.
        masks: How many runs' masks it shows beside each other at most, the best ones.
        page: Whether the page is written too, which takes some seconds.
        reporter: Shows progress.

    Raises:
        TrackingError: There are no such runs, or the store cannot be read.
        DataError: The files cannot be written.
    """
    chosen = runs if isinstance(runs, Chosen) else choose(store, runs)
    with tempfile.TemporaryDirectory(prefix="segsweep-compare-") as scratch:
        files = Files(chosen.client, Path(scratch))
        compared = compare(chosen, files, score=score, reporter=reporter)
        _write(folder / "leaderboard.csv", as_csv(compared))
        _write(folder / "leaderboard.md", as_markdown(compared))
        if page:
            from segsweep.comparison.report import collect, render  # plotly is imported for it

            material = collect(compared, files, images=images, masks=masks, reporter=reporter)
            _write(folder / "comparison.html", render(compared, material))
    return compared


def log_to_sweep(chosen: Chosen, folder: Path) -> None:
    """Keeps the files of a comparison with the parent run of the sweep.

    Raises:
        TrackingError: They cannot be kept.
    """
    assert chosen.sweep is not None
    with tracking_errors(f"the comparison cannot be kept with run {chosen.sweep.info.run_id}"):
        for name in FILES:
            if (folder / name).is_file():
                chosen.client.log_artifact(chosen.sweep.info.run_id, str(folder / name))


def summary(compared: Compared) -> str:
    """The leaderboard as Markdown without what is beside the point, to be shown where a sweep ends."""
    settings = compared.settings[:_SETTINGS_SHOWN]
    return markdown(shown(compared.frame, settings, compared.score, compared.places, named=compared.named, more=()))


def as_csv(compared: Compared) -> str:
    """The leaderboard for programs."""
    table = leaderboard(compared.frame, compared.settings, compared.score, compared.places)
    return str(table.to_csv(index=False))


def as_markdown(compared: Compared) -> str:
    """The leaderboard for people."""
    settings = compared.settings[:_SETTINGS_SHOWN]
    return markdown(shown(compared.frame, settings, compared.score, compared.places, named=compared.named))


def _write(path: Path, text: str) -> None:
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
