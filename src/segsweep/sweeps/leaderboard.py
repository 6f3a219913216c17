"""The leaderboard of a sweep: a row a job, the swept settings and the scores, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["leaderboard", "markdown"]

_SCORES = ("test/dice", "test/iou", "test/precision", "test/recall", "test/auc", "val/dice", "val/loss")


def leaderboard(runs: pd.DataFrame, swept: list[str]) -> pd.DataFrame:
    """Orders a table of runs by their test Dice, and keeps what tells them apart.

    Args:
        runs: A row a run with `name`, `status`, `run_id`, `params.<key>` and `metrics.<key>` columns.
        swept: The swept keys, which become the settings' columns.
    """
    columns: dict[str, Any] = {"job": runs["name"], "status": runs["status"]}
    columns.update({key: runs[f"params.{key}"] for key in swept if f"params.{key}" in runs})
    columns.update({key: runs[f"metrics.{key}"] for key in _SCORES if f"metrics.{key}" in runs})
    if "metrics.time/total" in runs:
        columns["seconds"] = runs["metrics.time/total"]
    columns["run_id"] = runs["run_id"]
    table = type(runs)(columns)
    if "test/dice" in table:
        return table.sort_values("test/dice", ascending=False, na_position="last", ignore_index=True)
    return table


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown, numbers to four places."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + " --- |" * len(table.columns)]
    for row in table.itertuples(index=False):
        cells = ["" if value != value else f"{value:.4f}" if isinstance(value, float) else str(value) for value in row]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
