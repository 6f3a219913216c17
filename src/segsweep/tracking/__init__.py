"""MLflow tracking: the store of a workspace, the life of a run, registered models. MLflow is imported when used."""

from segsweep.tracking.run import Outcome, TrackedRun, outcome_of
from segsweep.tracking.signals import Terminated, interruptible
from segsweep.tracking.store import Kind, Store, default_uri

__all__ = [
    "Kind",
    "Outcome",
    "Store",
    "Terminated",
    "TrackedRun",
    "default_uri",
    "interruptible",
    "outcome_of",
]
