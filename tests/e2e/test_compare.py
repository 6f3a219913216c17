"""`segsweep compare`: the table in a terminal, the files, the page as a browser shows it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

import segsweep as package

from .browser import needs_chromium, rendered
from .conftest import Command
from .test_run import artifacts_of


def page_of(stdout: str) -> Path:
    """The page whose address the command printed last."""
    address = stdout.splitlines()[-1]
    assert address.startswith("file:///") and address.endswith("/comparison.html")
    return Path(unquote(address.removeprefix("file://")))


def test_a_sweep_keeps_its_comparison_and_compare_makes_it_again(segsweep: Command, two_jobs: Path) -> None:
    [parent] = set(package.runs(two_jobs)["sweep"])
    names = {"leaderboard.csv", "leaderboard.md", "comparison.html"}
    assert names <= artifacts_of(two_jobs, parent)

    done = segsweep("compare", cwd=two_jobs)
    assert done.returncode == 0, done.stderr
    head, *rows = [line.split("\t") for line in done.stdout.splitlines()[:-1]]
    assert head[:3] == ["#", "lr", "test/dice"] and {"95 %", "to the best", "time", "status", "id"} <= set(head)
    assert [row[0] for row in rows] == ["1", "2"] and {row[1] for row in rows} == {"0.01", "0.003"}
    assert parent in done.stderr
    page = page_of(done.stdout)
    assert {path.name for path in page.parent.iterdir()} >= names
    table = pd.read_csv(page.parent / "leaderboard.csv")
    assert table["run_id"].str[:8].tolist() == [row[head.index("id")] for row in rows]


def test_runs_are_chosen_by_word_filter_id_and_score(segsweep: Command, two_jobs: Path) -> None:
    table = package.runs(two_jobs)
    first = table["run_id"].iloc[0]
    for arguments, count in (
        (["filter=metrics.\"test/dice\" >= 0 and params.training.lr != '0.01'"], 1),
        (["vessels_quick", f"ids=[{first[:10]}]", "images=0"], 1),
        (["experiment=vessels_quick", "score=val/loss", "runs=1", "output=my folder"], 2),
    ):
        done = segsweep("compare", *arguments, cwd=two_jobs)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == count + 2
    assert page_of(done.stdout) == two_jobs / "my folder" / "comparison.html"
    assert "val/loss" in done.stdout.splitlines()[0].split("\t")[3]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["experiment=vessels_quik"], 2, "did you mean 'vessels_quick'?"),
        (["filter=lr > 3"], 2, "filter 'lr > 3' cannot be used: Invalid"),
        (["scor=test/dice", "images=-1"], 2, "2 problems"),
        (["-m", "images=1,2"], 2, "one comparison is made at a time"),
        (["workspace=elsewhere"], 1, "there is no MLflow store in"),
    ],
)
def test_what_cannot_be_compared_is_told(
    segsweep: Command, two_jobs: Path, arguments: list[str], status: int, said: str
) -> None:
    done = segsweep("compare", *arguments, cwd=two_jobs)
    assert done.returncode == status and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (two_jobs / "elsewhere" / "mlflow.db").exists()


def test_a_browser_draws_the_page_without_a_network(segsweep: Command, two_jobs: Path) -> None:
    needs_chromium()
    done = segsweep("compare", "output=seen", cwd=two_jobs)
    shown = rendered(page_of(done.stdout).as_uri(), height=3000)
    main = shown[shown.index("<main>") : shown.index("</main>")]
    charts = main.count('class="chart')
    assert charts >= 3 and main.count("main-svg") >= charts, "plotly has drawn into every chart"
    assert main.count("<article") == 2 and main.count('src="data:image/webp') == 2 * 5
    assert len(re.findall(r"<th[^>]*aria-sort", main)) > 5, "tables can be sorted"
