"""Searches by Optuna: what is drawn, what goes on, what is cut short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from segsweep.config.schema import SamplerSection
from segsweep.errors import StoppedEarlyError
from segsweep.reporting import ListReporter
from segsweep.sweeps.studies import Told, Watch, run_study

REQUEST = [
    "name=x",
    "training.lr=tag(log,interval(1e-4,1e-1))",
    "model.width=4,8",
    "training.steps=int(interval(10,20))",
    "training.batch_size.train=range(2,9,2)",
]
SEARCH = SamplerSection(trials=12, startup_trials=4)


class Jobs:
    """Takes the place of a launcher: scores jobs by a formula, and keeps what it was asked for."""

    def __init__(self, dies_at: int | None = None, fails_at: int | None = None) -> None:
        self.asked: list[dict[str, str]] = []
        self.dies_at, self.fails_at = dies_at, fails_at

    def __call__(self, jobs: list[list[str]]) -> Sequence[Told]:
        told: list[Told] = []
        for overrides in jobs:
            given = dict(text.split("=", 1) for text in overrides)
            self.asked.append(given)
            if len(self.asked) - 1 == self.dies_at:
                raise KeyboardInterrupt
            failed = len(self.asked) - 1 == self.fails_at
            told.append("failed" if failed else -abs(math.log10(float(given["training.lr"])) + 2))
        return told


def drawn(jobs: Jobs) -> list[tuple[str, ...]]:
    keys = ("training.lr", "model.width", "training.steps", "training.batch_size.train")
    return [tuple(given[key] for key in keys) for given in jobs.asked]


def test_trials_stay_within_what_is_searched_and_get_better(tmp_path: Path) -> None:
    jobs, reporter = Jobs(), ListReporter()
    run_study(SEARCH, tmp_path, REQUEST, 1, jobs, reporter)
    assert len(jobs.asked) == 12
    for given in jobs.asked:
        assert given["name"] == "x"
        assert 1e-4 <= float(given["training.lr"]) <= 1e-1
        assert given["model.width"] in {"4", "8"}
        assert 10 <= int(given["training.steps"]) <= 20
        assert given["training.batch_size.train"] in {"2", "4", "6", "8"}
    assert [given["sampler.trial"] for given in jobs.asked] == [str(number) for number in range(12)]
    best = max(-abs(math.log10(float(given["training.lr"])) + 2) for given in jobs.asked)
    assert reporter.messages[-1][1].startswith(
        f"study {jobs.asked[0]['sampler.study']}: best val/dice {best:.4f} with "
    )


def test_the_same_request_goes_on_and_asks_for_nothing_twice(tmp_path: Path) -> None:
    first, more = Jobs(), Jobs()
    run_study(SEARCH, tmp_path, REQUEST, 2, first, ListReporter())
    run_study(SEARCH, tmp_path, REQUEST, 2, more, ListReporter())
    assert more.asked == []
    run_study(SEARCH.model_copy(update={"trials": 15}), tmp_path, REQUEST, 2, more, ListReporter())
    assert len(more.asked) == 3
    assert not set(drawn(first)) & set(drawn(more))
    other = Jobs()
    run_study(SEARCH, tmp_path, [*REQUEST, "seed=1"], 2, other, ListReporter())
    assert len(other.asked) == 12, "another request is another study"


def test_what_was_interrupted_comes_first_with_its_own_values(tmp_path: Path) -> None:
    killed, again = Jobs(dies_at=5), Jobs()
    with pytest.raises(KeyboardInterrupt):
        run_study(SEARCH, tmp_path, REQUEST, 1, killed, ListReporter())
    run_study(SEARCH, tmp_path, REQUEST, 1, again, ListReporter())
    assert drawn(again)[0] == drawn(killed)[5]
    assert len(again.asked) == 12 - 5


def test_a_failed_trial_counts_now_and_is_tried_again_next_time(tmp_path: Path) -> None:
    failing, again = Jobs(fails_at=3), Jobs()
    run_study(SEARCH, tmp_path, REQUEST, 1, failing, ListReporter())
    assert len(failing.asked) == 12
    run_study(SEARCH, tmp_path, REQUEST, 1, again, ListReporter())
    assert drawn(again) == [drawn(failing)[3]]


def test_a_trial_behind_the_others_is_cut_short(tmp_path: Path) -> None:
    search = SamplerSection(trials=4, startup_trials=2, warm_up_steps=10)
    reached: list[int] = []

    def launch(jobs: list[list[str]]) -> Sequence[Told]:
        told: list[Told] = []
        for overrides in jobs:
            given = dict(text.split("=", 1) for text in overrides)
            number = int(given["sampler.trial"])
            section = search.model_copy(update={"study": given["sampler.study"], "trial": number})
            shown = ListReporter()
            watch = Watch(shown, section, tmp_path)
            value = 0.1 if number == 3 else 0.5 + number / 10
            try:
                for step in range(0, 40, 5):
                    watch.metrics({"val/dice": value, "val/loss": 1.0}, step)
                told.append(value)
            except StoppedEarlyError:
                told.append("pruned")
            reached.append(step)
            assert len(shown.logged) == step // 5 + 1, "what is reported is shown, also at the end"
        return told

    run_study(search, tmp_path, ["training.lr=interval(0.1,0.2)"], 1, launch, ListReporter())
    assert reached == [35, 35, 35, 10]
