"""`segsweep compare`: which runs of a sweep or an experiment won, by how much, and a page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.app.tables import show_table
from segsweep.checks import CHECKS
from segsweep.config.schema import CompareConfig
from segsweep.errors import InvalidRequestError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from segsweep.comparison import Chosen, Compared
    from segsweep.tracking import Store

__all__ = ["main"]

_SETTINGS_SHOWN = 8
_GAP = 2


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    request = read_request("compare", _words(arguments))
    if request.multirun:
        raise InvalidRequestError([Problem("-m", "one comparison is made at a time")], "segsweep compare cannot run")
    checked(request, CHECKS["compare"])
    run_hydra(request, (lambda job: None) if request.only_shows else _compare)
    return 0


def _words(arguments: Sequence[str]) -> list[str]:
    """The command line as Hydra takes it: a plain first word is a sweep, and a filter needs no quotes of Hydra's."""
    first = [f"sweep={_quoted(item)}" if _is_plain(item) else item for item in arguments[:1]]
    return [
        f"filter={_quoted(text)}" if key == "filter" and sign else item
        for item in (*first, *arguments[1:])
        for key, sign, text in [item.partition("=")]
    ]


def _is_plain(argument: str) -> bool:
    return bool(argument) and not argument.startswith("-") and "=" not in argument


def _quoted(text: str) -> str:
    if text[:1] in {"'", '"'} and text[-1:] == text[:1] and text.count(text[:1]) == 2:
        return text  # for Hydra already
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _compare(job: Job) -> None:
    from segsweep.comparison import FILES, log_to_sweep, write_comparison

    config: CompareConfig = job.config
    reporter = ConsoleReporter()
    chosen = _chosen(config, reporter)
    folder = Path(job.output_dir if config.output is None else config.output).expanduser().absolute()
    compared = write_comparison(
        chosen.uri,
        chosen,
        folder,
        score=config.score,
        images=config.images,
        masks=config.runs,
        reporter=reporter,
    )
    _show(compared, reporter)
    if chosen.sweep is not None and not config.ids and not config.filter:
        log_to_sweep(chosen, folder)
        reporter.message(f"{', '.join(FILES)} are kept with the sweep's run {chosen.sweep.info.run_id} in MLflow")
    print((folder / "comparison.html").as_uri())  # noqa: T201


def _chosen(config: CompareConfig, reporter: ConsoleReporter) -> Chosen:
    """The runs that are asked for; where nothing is, the last sweep, or without one the latest experiment."""
    from segsweep.comparison import Selection, choose, latest

    place: Store | str | Path = config.tracking.uri or Path(config.workspace).expanduser().absolute()
    selection = Selection(config.sweep, config.experiment, tuple(config.ids), config.filter)
    if selection != Selection():
        return choose(place, selection)
    chosen = latest(place)
    if chosen.sweep is None:
        reporter.message(f"there is no sweep yet: these are the runs of {chosen.title}")
    return chosen


def _show(compared: Compared, reporter: ConsoleReporter) -> None:
    from segsweep.comparison.leaderboard import shown

    reporter.message(f"{compared.chosen.title}: {len(compared.places)} runs")
    settings = compared.settings[:_SETTINGS_SHOWN]
    frame = compared.frame.assign(reason="")  # told below, where there is room
    table = shown(frame, settings, compared.score, compared.places, named=compared.named)
    table = _fitting(table, compared.other_scores)
    words = {"run", "to the best", "status", "id", *(item.name for item in settings if item.kind == "category")}
    columns = [str(name) for name in table]
    numbers = [name for name in columns if name not in words]
    show_table(columns, table.itertuples(index=False), numbers=numbers)
    for line in _told(compared, len(settings)):
        reporter.message(line)


def _fitting(table: pd.DataFrame, spare: Sequence[str]) -> pd.DataFrame:
    """The table without further scores as far as a terminal is too narrow for them."""
    console = Console()
    for column in reversed(spare) if console.is_terminal else ():
        widths = [max(len(str(name)), *map(len, table[name])) + _GAP for name in table]
        if sum(widths) <= console.width:
            break
        table = table.drop(columns=column, errors="ignore")
    return table


def _told(compared: Compared, shown: int) -> list[str]:
    """What the table does not say: failures with their reasons, settings without a column, what could not be read."""
    failed = compared.frame[compared.frame["reason"].astype(bool)]
    labels = compared.labels()
    lines = []
    for reason, rows in failed.groupby("reason", sort=False):
        names = [labels[run] for run in rows["run_id"]]
        which = names[0] if len(names) == 1 else f"{len(names)} runs, such as {names[0]}"
        lines.append(f"{which}: {reason}")
    in_step = [f"{item.name} stands for {', '.join(item.also)} too" for item in compared.settings[:shown] if item.also]
    hidden = [item.key for item in compared.settings[shown:]]
    if hidden:
        lines.append(f"{len(hidden)} more settings differ: {', '.join(hidden[:_SETTINGS_SHOWN])} …")
    return [*lines, *in_step, *compared.notes]
