"""One migrated store for the session: making one takes seconds, copying it none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from segsweep.tracking import Store


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    Store.open(folder, experiment="Default")
    return folder / "mlflow.db"


@pytest.fixture
def workspace(migrated: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(migrated, folder / "mlflow.db")
    return folder


@pytest.fixture
def store(workspace: Path) -> Store:
    return Store.open(workspace, experiment="retina")


@pytest.fixture
def artifacts() -> Callable[[Store, str], set[str]]:
    def listed(store: Store, run_id: str) -> set[str]:
        client = store.client
        found, folders = set(), [""]
        while folders:
            for item in client.list_artifacts(run_id, folders.pop() or None):
                if item.is_dir:
                    folders.append(item.path)
                else:
                    found.add(item.path)
        return found

    return listed
