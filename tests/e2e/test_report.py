"""`report.html`, as a run leaves it in MLflow."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import Finished
from .test_run import client_of, runs_of


def test_a_run_leaves_one_page_that_opens_offline(finished: Finished) -> None:
    [run] = runs_of(finished.workspace, "vessels_quick")
    place = client_of(finished.workspace).download_artifacts(run.info.run_id, "report.html")
    html = Path(place).read_text(encoding="utf-8")
    assert "Content-Security-Policy" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html)
    assert len(html) < 500_000
    assert html.count("<article ") == 2
    for told in (run.info.run_id, run.data.tags["segsweep.data_digest"], run.data.tags["segsweep.device"]):
        assert told in html
    assert f"Dice {run.data.metrics['test/dice']:.4f}" in html
    assert re.search(r"<dt>training\.input_size\.width</dt><dd>64</dd>", html)
