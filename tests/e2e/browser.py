"""A page as a browser makes it, without anything that drives one: Chromium's own `--dump-dom`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def needs_chromium() -> str:
    """Where Chromium is; skips the test where there is none."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("needs Chromium (apt-get install chromium), which is not here")
    return found


def rendered(address: str, *, seconds: float = 10, height: int = 6000) -> str:
    """The document at an address after its scripts have run for some virtual seconds, in a window of that height."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            needs_chromium(),
            *_QUIET,
            f"--user-data-dir={Path(profile) / 'profile'}",
            f"--window-size=1600,{height}",
            f"--virtual-time-budget={round(1000 * seconds)}",
            "--dump-dom",
            address,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout
