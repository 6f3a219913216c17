"""MLflow tracking: the store of a workspace, the life of a run, registered models. MLflow is imported when used."""

from segsweep.tracking.catalogue import ListedModel, ListedVersion, list_models, list_versions
from segsweep.tracking.environment import Environment, describe
from segsweep.tracking.names import flatten
from segsweep.tracking.outcome import Outcome, outcome_of
from segsweep.tracking.queries import interrupted_run, is_dead, runs_table, search, table_of
from segsweep.tracking.recorded import RecordedRun, recorded_run
from segsweep.tracking.registry import add_model, register_model
from segsweep.tracking.resolve import resolve_model, run_of
from segsweep.tracking.run import TrackedRun
from segsweep.tracking.signals import Terminated, interruptible
from segsweep.tracking.store import Kind, Store, default_uri
from segsweep.tracking.truth import FOUND_DEAD, settle

__all__ = [
    "FOUND_DEAD",
    "Environment",
    "Kind",
    "ListedModel",
    "ListedVersion",
    "Outcome",
    "RecordedRun",
    "Store",
    "Terminated",
    "TrackedRun",
    "add_model",
    "default_uri",
    "describe",
    "flatten",
    "interrupted_run",
    "interruptible",
    "is_dead",
    "list_models",
    "list_versions",
    "outcome_of",
    "recorded_run",
    "register_model",
    "resolve_model",
    "run_of",
    "runs_table",
    "search",
    "settle",
    "table_of",
]
