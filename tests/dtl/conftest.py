"""Every layer that any test here runs in this process is watched: it does what it declares, and no more."""

from __future__ import annotations

import pytest

from segsweep.dtl.layers import LAYERS
from tests.dtl.declared import watched


@pytest.fixture(autouse=True)
def declarations_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    for action, layer in LAYERS.items():
        monkeypatch.setitem(LAYERS, action, watched(layer))
