from __future__ import annotations

from segsweep.sweeps.names import job_name


def test_a_job_is_named_by_its_swept_values() -> None:
    assert job_name({"training.lr": "0.001", "training.input_size.width": "256"}) == "lr=0.001 size=256"


def test_equal_last_parts_are_told_apart() -> None:
    crop = "dtl.layers.crop.settings.random_part"
    values = {f"{crop}.width.min_percent": "50", f"{crop}.height.min_percent": "60"}
    assert job_name(values) == "width.min_percent=50 height.min_percent=60"


def test_groups_are_named_too() -> None:
    assert job_name({"augmentation": "retina", "hydra/launcher": "basic"}) == "augmentation=retina launcher=basic"
