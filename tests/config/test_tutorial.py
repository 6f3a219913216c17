"""The tutorial's configuration twice: its JSON as it stands, and ours with named keys. They are the same."""

from __future__ import annotations

import json
from pathlib import Path

from segsweep.config.compose import compose
from segsweep.config.schema import RunConfig
from segsweep.dtl import LayerSpec, read_layers
from segsweep.errors import Problems
from segsweep.inference import settings_from_mode

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial"


def composed(*overrides: str) -> RunConfig:
    problems = Problems()
    config = compose("run", ["experiments=vessels_tutorial", *overrides], problems).config
    assert not problems.found, problems.found
    assert isinstance(config, RunConfig)
    return config


def shape(layers: list[LayerSpec]) -> list[object]:
    """A graph without the names of its connections: each layer's action, settings, and where its inputs come from."""
    producers = {dst: (index, place) for index, layer in enumerate(layers) for place, dst in enumerate(layer.dst)}
    return [(layer.action, dict(layer.settings), [producers.get(text, text) for text in layer.src]) for layer in layers]


def test_the_named_graph_is_the_tutorials_graph() -> None:
    pasted = read_layers(json.loads((TUTORIAL / "dtl.json").read_text()))
    named = read_layers(composed().dtl.layers)
    assert shape(named) == shape(pasted)
    assert (named[-1].dst, pasted[-1].dst) == (("vessels_train",), ("vessels_train",))


def test_the_named_training_is_the_tutorials_training() -> None:
    pasted = composed(f"training.file='{TUTORIAL}/training.json'").training.model_dump(exclude={"file"})
    named = composed().training.model_dump(exclude={"file"})
    assert named == pasted
    documented = json.loads((TUTORIAL / "training.json").read_text())
    assert {key: named[key] for key in documented} == documented


def test_the_named_inference_is_the_tutorials_inference() -> None:
    pasted, named = composed(f"inference.file='{TUTORIAL}/inference.json'").inference, composed().inference
    assert settings_from_mode(named.mode) == settings_from_mode(pasted.mode)
    assert named.model == pasted.model
