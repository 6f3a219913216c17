"""What jobs would do, told before they do it: which stages are found again, which go on. Nothing is made or written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep import evaluations, pipeline, stages, trainings
from segsweep.config.schema import EvaluateConfig, PredictConfig, RunConfig, TrainConfig
from segsweep.evaluations import Scored
from segsweep.files import digest_json
from segsweep.models.pretrained import PRETRAINED, Download
from segsweep.reporting import SILENT
from segsweep.starting import starting_model
from segsweep.sweeps.inputs import Inputs
from segsweep.tracking import Store, resolve_model

if TYPE_CHECKING:
    from segsweep.inference import PredictionResult
    from segsweep.training import TrainingResult

__all__ = ["DO", "OPEN", "REUSE", "STAGES", "Forecaster"]

STAGES: dict[type, tuple[str, ...]] = {
    RunConfig: ("data", "transform", "train", "predict", "evaluate"),
    TrainConfig: ("train",),
    PredictConfig: ("data", "predict"),
    EvaluateConfig: ("evaluate",),
}
"""The stages of each command's configuration that are found by their fingerprints."""

REUSE = "reuse"
DO = "do"
OPEN = "depends on what comes before"


class Forecaster:
    """Tells job by job, in the order in which they are to run, what each stage would do.

    Args:
        place: The store where networks are looked up, or a workspace's folder where there is none yet.
        inputs: What is known of the jobs' data.
    """

    def __init__(self, place: Store | Path, inputs: Inputs) -> None:
        self._place = place
        self._inputs = inputs
        self._seen: dict[str, str] = {}

    def stages(self, name: str, config: Any) -> dict[str, str]:
        """Stage -> `reuse`, `do`, `go on from step 120`, `with <the job that does it>`, or `OPEN`.

        Args:
            name: The job's name.
            config: Its typed configuration.
        """
        workspace = Path(config.workspace).expanduser().absolute()
        match config:
            case RunConfig():
                return self._run(name, config, workspace)
            case TrainConfig():
                project = stages.identity_of(stages.project_path(workspace, config.project))
                return {"train": self._train(name, config, workspace, project)[0]}
            case PredictConfig():
                return self._predict_command(name, config, workspace)
            case EvaluateConfig():
                scored = pipeline.what_is_scored(config)
                there = config.reuse and evaluations.is_scored(workspace, scored, config.evaluation)
                asked = digest_json(config.evaluation.model_dump())
                return {"evaluate": self._what(name, "evaluate", asked, there)}
        raise TypeError(type(config).__name__)

    def _run(self, name: str, config: RunConfig, workspace: Path) -> dict[str, str]:
        data, places = self._data(name, config, workspace)
        known = self._inputs.projects(config)
        plan = stages.plan_transform(workspace, config.dtl, places, config.seed, known)
        project = plan.provenance["fingerprint"]
        there = config.reuse and config.dtl.reuse and plan.result.exists()
        train, training, trained = self._train(name, config, workspace, project)
        found = {"data": data, "transform": self._what(name, "transform", project, there), "train": train}
        if train == OPEN or config.inference.threshold == "train":
            return found | {"predict": OPEN, "evaluate": OPEN}
        test = self._inputs.planned(config).names["test"]
        model = None if trained is None else trained.best if config.inference.checkpoint == "best" else trained.last
        prediction = digest_json([training, known[test], config.inference.model_dump()])
        predicted = self._predicted(config, workspace, model, places[test], known[test])
        found["predict"] = self._what(name, "predict", prediction, predicted is not None)
        scores = digest_json([prediction, config.evaluation.model_dump()])
        scored = False
        if predicted is not None:
            special = config.training.special_classes
            judged = Scored.of(places[test], predicted.result, predicted.classes, special.background, special.neutral)
            scored = evaluations.is_scored(workspace, judged, config.evaluation)
        found["evaluate"] = self._what(name, "evaluate", scores, scored)
        return found

    def _data(self, name: str, config: RunConfig | PredictConfig, workspace: Path) -> tuple[str, dict[str, Path]]:
        """What becomes of the data, and where its projects lie, or will."""
        planned = self._inputs.planned(config)
        known = self._inputs.projects(config)
        places = {item: stages.place(workspace, item, fingerprint) for item, fingerprint in known.items()}
        places |= planned.in_place
        there = all(path.exists() for item, path in places.items() if config.reuse or item in planned.in_place)
        made_anew = not config.reuse and planned.in_place.keys() != known.keys()
        return self._what(name, "data", planned.digest, there and not made_anew), places

    def _train(
        self, name: str, config: RunConfig | TrainConfig, workspace: Path, project: str
    ) -> tuple[str, str, TrainingResult | None]:
        """What becomes of the training, its fingerprint, and what came out of it if it is finished."""
        weights = config.model.weights
        if weights in PRETRAINED and isinstance(PRETRAINED[weights].source, Download):
            return OPEN, "", None  # only the file itself would tell, and nothing is fetched here
        start = None if weights is None else starting_model(self._place, weights)
        fingerprint = trainings.training_fingerprint(
            project, config.model, config.training, config.augmentation, start, config.seed
        )
        folder = trainings.training_folder(workspace, fingerprint)
        finished = trainings.finished(folder) if config.reuse else None
        step = trainings.begun(folder) if config.reuse and finished is None else None
        what = self._what(name, "train", fingerprint, finished is not None)
        if step is not None and what == DO:
            what = f"go on from step {step}"
        return what, fingerprint, finished

    def _predicted(
        self, config: RunConfig | PredictConfig, workspace: Path, model: Path | None, project: Path, identity: str
    ) -> PredictionResult | None:
        """The prediction that is there already."""
        maps = isinstance(config, RunConfig)
        if model is None or not config.reuse:
            return None
        if not stages.is_predicted(workspace, model, identity, config.inference, probability_maps=maps):
            return None
        return stages.predict(workspace, model, project, config.inference, probability_maps=maps, reporter=SILENT)

    def _predict_command(self, name: str, config: PredictConfig, workspace: Path) -> dict[str, str]:
        data, places = self._data(name, config, workspace)
        planned = self._inputs.planned(config)
        test = planned.names.get("test", planned.names["train"])
        model = resolve_model(self._place, config.model.source)
        identity = self._inputs.projects(config)[test]
        predicted = self._predicted(config, workspace, model, places[test], identity)
        asked = digest_json([str(model), identity, config.inference.model_dump()])
        return {"data": data, "predict": self._what(name, "predict", asked, predicted is not None)}

    def _what(self, name: str, stage: str, fingerprint: str, there: bool) -> str:
        """`reuse` for what is there; for the rest, whether this job is the first one that wants it."""
        if there:
            return REUSE
        first = self._seen.setdefault(f"{stage} {fingerprint}", name)
        return DO if first == name else f"with {first}"
