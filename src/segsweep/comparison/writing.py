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

__all__ = ["FILES", "log_to_sweep", "write_comparison"]

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
        reporter: Shows progress.

    Raises:
        TrackingError: There are no such runs, or the store cannot be read.
        DataError: The files cannot be written.
    """
    chosen = runs if isinstance(runs, Chosen) else choose(store, runs)
    with tempfile.TemporaryDirectory(prefix="segsweep-compare-") as scratch:
        files = Files(chosen.client, Path(scratch))
        compared = compare(chosen, files, score=score, reporter=reporter)
        texts = {"leaderboard.csv": as_csv(compared), "leaderboard.md": as_markdown(compared)}
        try:
            for name, text in texts.items():
                write_bytes(folder / name, text.encode())
        except OSError as error:
            raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
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


def as_csv(compared: Compared) -> str:
    """The leaderboard for programs."""
    table = leaderboard(compared.frame, compared.settings, compared.score, compared.places)
    return str(table.to_csv(index=False))


def as_markdown(compared: Compared) -> str:
    """The leaderboard for people."""
    settings = compared.settings[:_SETTINGS_SHOWN]
    return markdown(shown(compared.frame, settings, compared.score, compared.places, named=compared.named))
