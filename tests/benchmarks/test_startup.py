"""How long a person waits before anything happens: wall time of whole commands, beside a bare interpreter.

Run with: make bench
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

SEGSWEEP = Path(sys.executable).with_name("segsweep")
REQUESTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "segsweep --help": [str(SEGSWEEP), "--help"],
    "segsweep run --cfg job": [str(SEGSWEEP), "run", "experiments=vessels_quick", "--cfg", "job"],
    "a request with four problems": [
        str(SEGSWEEP),
        "run",
        "experiments=vessels_quick",
        "training.lrr=1",
        "training.epochs=0",
        "data=chase_db1",
        "data.root=nowhere",
        "dtl.layers.crop.action=cropp",
    ],
    "validate a sweep of 8 jobs": [str(SEGSWEEP), "validate", "-m", "experiments=vessels_sweep"],
}


@pytest.mark.slow
def test_startup(tmp_path: Path) -> None:
    seconds: dict[str, float] = {}
    for name, command in REQUESTS.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
            times.append(time.perf_counter() - start)
        seconds[name] = sorted(times)[len(times) // 2]
    bare = seconds["python -c pass"]
    print("\n| command | median s | × bare python |\n|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {value / bare:.0f} |")
