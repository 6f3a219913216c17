"""What tells one request from another, and one run from another: digests of settings, of inputs, of versions.

* A **request** is what was asked for: the settings without those of where and how fast, and the versions of the code.
* **Inputs** are what the request works on and does not hold: data, networks, projects of the workspace.
* A run's **fingerprint** covers both: two runs of one fingerprint have the same results.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segsweep import stages
from segsweep.config.schema import EvaluateConfig, PredictConfig, RunConfig, TrainConfig
from segsweep.dtl import input_projects, read_layers
from segsweep.files import digest_files, digest_json
from segsweep.models.pretrained import PRETRAINED
from segsweep.reporting import SILENT, Reporter
from segsweep.starting import starting_model
from segsweep.tracking import Store, resolve_model
from segsweep.versions import VERSIONS

__all__ = ["fingerprint_of", "inputs_of", "model_digest", "plain_settings", "request_of"]

_UNASKED = ("workspace", "tracking", "reuse", "fail_fast", "launch", "sampler")
"""Sections that say where, how and how often something is done, and nothing about its result."""

_SPEED = {
    "dtl": {"file", "workers", "reuse", "overwrite"},
    "training": {"file", "data_workers", "cache_gib", "state_minutes"},
    "inference": {"file", "batch_size"},
}
"""Keys of other sections that say so too."""


def plain_settings(config: Any) -> dict[str, Any]:
    """A typed configuration as plain values; a graph by its layers' names, whatever form it was given in."""
    plain: dict[str, Any] = config.model_dump()
    if "dtl" in plain:
        plain["dtl"]["layers"] = {layer.name: layer.to_json() for layer in read_layers(plain["dtl"]["layers"])}
    return plain


def request_of(config: Any) -> str:
    """The digest of what is asked for: equal for two commands that are to do the same."""
    settings = {
        key: {name: item for name, item in value.items() if name not in _SPEED.get(key, ())}
        if isinstance(value, dict)
        else value
        for key, value in plain_settings(config).items()
        if key not in _UNASKED
    }
    return digest_json({"command": type(config).__name__, "versions": VERSIONS, "settings": settings})


def inputs_of(
    config: Any, store: Store | Path, planned: Mapping[str, str] | None = None, reporter: Reporter = SILENT
) -> dict[str, Any]:
    """Digests of everything that a request works on.

    Args:
        config: The typed configuration.
        store: Where networks are looked up.
        planned: Fingerprints of the projects of its data source by name, where they are known already.
        reporter: Hears of the progress.

    Raises:
        SegsweepError: Something of it is not there.
    """
    workspace = Path(config.workspace).expanduser().absolute()
    found: dict[str, Any] = {}
    match config:
        case RunConfig() | PredictConfig():
            known = stages.plan_data(config.data, reporter).fingerprints if planned is None else planned
            found["data"] = dict(known)
        case TrainConfig():
            found["project"] = stages.identity_of(stages.project_path(workspace, config.project))
        case EvaluateConfig():
            section = config.evaluation
            for key in ("project_gt", "project_pred"):
                if (name := getattr(section, key)) is not None:
                    found[key] = stages.identity_of(stages.project_path(workspace, name))
    if isinstance(config, RunConfig):
        others = set(input_projects(read_layers(config.dtl.layers))) - set(found["data"])
        found["projects"] = {name: stages.identity_of(stages.project_path(workspace, name)) for name in sorted(others)}
    if isinstance(config, PredictConfig):
        found["model"] = model_digest(resolve_model(store, config.model.source))
    if isinstance(config, RunConfig | TrainConfig) and config.model.weights is not None:
        weights = config.model.weights
        found["weights"] = weights if weights in PRETRAINED else model_digest(starting_model(store, weights, reporter))
    return found


def fingerprint_of(request: str, inputs: Mapping[str, Any]) -> str:
    """The fingerprint of a run: equal for runs that must give equal results."""
    return digest_json({"request": request, "inputs": inputs})


def model_digest(path: Path) -> str:
    """The digest of a model folder, or of a file of weights."""
    files = [path] if path.is_file() else [path / "config.json", path / "model.pt"]
    return digest_files(files[0].parent, files)
