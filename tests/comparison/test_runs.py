"""`segsweep.runs(…)`: which runs, and a table whose columns have the types of what they hold."""

from __future__ import annotations

import subprocess
import sys
import time

import pandas as pd
import pytest

import segsweep
from segsweep.comparison import Selection, choose
from segsweep.errors import TrackingError, UnknownNameError

from .lab import Lab


def test_runs_come_with_typed_settings_scores_and_fates(swept: Lab) -> None:
    table = segsweep.runs(swept.store.workspace, sweep="last")
    assert len(table) == 7
    assert table["training.lr"].dtype == "float64"
    assert table["seed"].dtype == "Int64"
    assert table["test/dice"].dtype == "float64"
    assert str(table["start"].dtype).startswith("datetime64") and str(table["start"].dt.tz) == "UTC"
    done = table[table["status"] == "FINISHED"]
    assert len(done) == 6 and (done["seconds"] > 60).all(), "its own time is what it measured"
    best = done.sort_values("test/dice").iloc[-1]
    assert best["training.lr"] == 0.01
    [failed] = table[table["status"] == "FAILED"].itertuples()
    assert "the loss is no number" in failed.reason
    assert set(table["experiment"]) == {"retina"} and table["sweep"].nunique() == 1
    assert (table["name"] != "tried").all(), "the run's own name, not the configured one"


def test_truths_nulls_and_mixed_values_keep_their_meaning(lab: Lab) -> None:
    for number, (flag, threshold, odd) in enumerate([(True, None, 1), (False, 0.5, "train"), (True, 0.25, 2.5)]):
        params = {"a.flag": flag, "a.threshold": threshold, "a.odd": odd, "a.list": [1, number], "a.big": 10**30}
        with lab.store.start_run(str(number), params=params, system_metrics=False):
            pass
    table = segsweep.runs(lab.store.workspace)
    assert table["a.flag"].dtype == "boolean" and table["a.flag"].tolist() == [True, False, True]
    assert table["a.threshold"].dtype == "float64" and pd.isna(table["a.threshold"][0])
    assert table["a.odd"].tolist() == ["1", "train", "2.5"]
    assert table["a.list"].tolist() == ["[1, 0]", "[1, 1]", "[1, 2]"]
    assert table["a.big"].tolist() == [1e30] * 3


def test_runs_are_chosen_by_sweep_experiment_filter_and_id(swept: Lab) -> None:
    place = swept.store.workspace
    everything = segsweep.runs(place)
    assert len(everything) == 8
    assert len(segsweep.runs(place, experiment="retina")) == 8
    parent = everything["sweep"].dropna().iloc[0]
    for name in (parent, parent[:7], "tried", "last"):
        assert len(segsweep.runs(place, sweep=name)) == 7
    assert len(segsweep.runs(place, filter='metrics."test/dice" > 0.9')) == 2
    assert len(segsweep.runs(place, sweep="last", filter="params.seed = '0'")) == 4
    some = everything["run_id"][:2].tolist()
    assert segsweep.runs(place, ids=[some[0], some[1][:9]])["run_id"].tolist() == some
    assert len(segsweep.runs(place, ids=[parent])) == 7, "a sweep's id stands for its jobs"
    assert len(segsweep.runs(place, ids=some, filter="params.seed = '0'")) == 1
    assert choose(place, Selection(sweep="last")).swept == ("training.lr", "seed")


def test_of_a_job_that_was_done_again_the_last_run_counts(lab: Lab) -> None:
    with lab.sweep({"a": [1, 2]}) as parent:
        pass
    for name, request in (("failed", "x"), ("other", "y"), ("again", "x")):
        tags = {"segsweep.request": request}
        with lab.store.start_run(name, parent=parent.run_id, tags=tags, params={"a": name}, system_metrics=False):
            pass
    assert segsweep.runs(lab.store.workspace, sweep="last")["name"].tolist() == ["again", "other"]
    assert len(segsweep.runs(lab.store.workspace)) == 3


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(experiment="retinas"), "no experiment 'retinas' in .*; did you mean 'retina'"),
        (Selection(sweep="tired"), "no sweep 'tired' in .*; did you mean 'tried'"),
        (Selection(ids=("zz",)), "no run 'zz' in .*; segsweep status and"),
        (Selection(ids=("f" * 32,)), "run f{32} cannot be read from"),
        (Selection(filter="lr > 3"), "filter 'lr > 3' cannot be used: Invalid"),
        (Selection(filter="params.seed ="), "cannot be used"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(swept: Lab, selection: Selection, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        choose(swept.store, selection)


def test_a_training_costs_the_same_whoever_did_it_and_in_how_many_parts(lab: Lab) -> None:
    for name, total, here in (("trained", 70.0, 60.0), ("reused", 10.5, 0.5), ("resumed", 25.0, 15.0)):
        with lab.store.start_run(name, system_metrics=False) as run:
            run.metrics({"time/total": total, "time/train": here, "time/train_whole": 60.0}, step=0)
    assert segsweep.runs(lab.store.workspace)["seconds"].tolist() == [70.0] * 3


def test_the_idle_time_of_a_run_that_went_on_does_not_count(lab: Lab) -> None:
    store, hour = lab.store, 3_600_000
    began = time.time_ns() // 1_000_000 - hour
    made = store.client.create_run(store.experiment_id, start_time=began, tags={"segsweep.kind": "run"})
    store.client.set_terminated(made.info.run_id, "KILLED", end_time=began + 2000)
    assert segsweep.runs(store.workspace)["seconds"].tolist() == [2.0]
    with pytest.raises(ZeroDivisionError), store.start_run("odd", resume=made.info.run_id, system_metrics=False):
        _ = 1 / 0
    [seconds] = segsweep.runs(store.workspace)["seconds"]
    assert 0 <= seconds < 60


def test_a_beginning_that_fits_several_runs_is_refused(lab: Lab) -> None:
    for _ in range(17):  # two of them begin alike, in sixteen digits
        lab.store.client.create_run(lab.store.experiment_id, tags={"segsweep.kind": "run"})
    first = segsweep.runs(lab.store.workspace)["run_id"].str[0].value_counts()
    with pytest.raises(TrackingError, match=f"{first.iloc[0]} runs in .* begin with .*; write more of the id"):
        segsweep.runs(lab.store.workspace, ids=[first.index[0]])


def test_without_a_store_or_a_sweep_that_is_said(lab: Lab) -> None:
    with pytest.raises(TrackingError, match=r"there is no sweep in .* yet"):
        segsweep.runs(lab.store.workspace, sweep="last")
    empty = lab.store.workspace / "empty"
    with pytest.raises(TrackingError, match=r"there is no MLflow store in .* yet"):
        segsweep.runs(empty)
    assert not empty.exists(), "looking makes nothing"
    assert segsweep.runs(lab.store.workspace).empty


def test_importing_segsweep_stays_light() -> None:
    code = "import sys, segsweep; assert not {'pandas', 'mlflow', 'numpy'} & set(sys.modules); segsweep.runs; print(1)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
    with pytest.raises(AttributeError, match="no attribute 'runz'"):
        _ = segsweep.runz
