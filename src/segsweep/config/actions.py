"""What the actions of `segsweep data` and `segsweep models` may be given."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from segsweep.config.fields import RegisteredName, Side
from segsweep.typed import Strict

__all__ = [
    "SCHEMAS_OF_ACTIONS",
    "AddModelConfig",
    "DescribeConfig",
    "ExperimentStoreSection",
    "ExportConfig",
    "ExportModelConfig",
    "MakeConfig",
    "ModelInput",
    "ModelSource",
    "ModelsConfig",
    "ProjectsConfig",
    "ShowModelConfig",
    "StoreSection",
]


class ProjectsConfig(Strict):
    """`segsweep data list`, and what all actions of `segsweep data` have."""

    workspace: Annotated[str, Field(min_length=1)] = "."


class DescribeConfig(ProjectsConfig):
    """`segsweep data describe`."""

    project: Annotated[str, Field(min_length=1)]


class MakeConfig(ProjectsConfig):
    """`segsweep data make` and `segsweep data import`."""

    data: dict[str, Any]


class ExportConfig(DescribeConfig):
    """`segsweep data export`."""

    format: str
    output: Annotated[str, Field(min_length=1)]
    background: Annotated[str, Field(min_length=1)] = "bg"
    neutral: Annotated[str, Field(min_length=1)] = "neutral"


class StoreSection(Strict):
    """Where the registry is."""

    uri: str | None = None


class ModelSource(Strict):
    """A network: registered, of a run, or in a folder."""

    source: Annotated[str, Field(min_length=1)]


class ModelsConfig(Strict):
    """`segsweep models list`, and what all actions of `segsweep models` have."""

    workspace: Annotated[str, Field(min_length=1)] = "."
    tracking: StoreSection = StoreSection()


class ShowModelConfig(ModelsConfig):
    """`segsweep models show`."""

    name: Annotated[str, Field(min_length=1)]


class ExperimentStoreSection(StoreSection):
    """Where the registry is, and the experiment that the stored files belong to."""

    experiment: Annotated[str, Field(min_length=1)] = "models"


class ModelInput(Strict):
    """What a network takes that a file of weights does not tell; the height defaults to the width."""

    width: Side | None = None
    height: Side | None = None


class AddModelConfig(ModelsConfig):
    """`segsweep models add`."""

    name: RegisteredName
    weights: Annotated[str, Field(min_length=1)]
    classes: Annotated[list[str], Field(min_length=1)] | None = None
    input_size: ModelInput = ModelInput()
    aliases: list[RegisteredName] = Field(default_factory=lambda: ["last"])
    description: str = ""
    credit: str = ""
    tracking: ExperimentStoreSection = ExperimentStoreSection()


class ExportModelConfig(ModelsConfig):
    """`segsweep models export`."""

    model: ModelSource
    output: Annotated[str, Field(min_length=1)]
    image: str | None = None
    overwrite: bool = False


SCHEMAS_OF_ACTIONS: dict[str, type[Strict]] = {
    "data_list": ProjectsConfig,
    "data_describe": DescribeConfig,
    "data_make": MakeConfig,
    "data_import": MakeConfig,
    "data_export": ExportConfig,
    "models_list": ModelsConfig,
    "models_show": ShowModelConfig,
    "models_add": AddModelConfig,
    "models_export": ExportModelConfig,
}
