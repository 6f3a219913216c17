"""What only the stages can judge of a configuration is told before anything runs, with the key and the fix."""

from __future__ import annotations

import pytest

from segsweep.checks import CHECKS
from segsweep.config.compose import compose
from segsweep.errors import Problems


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model=unet_efficientnet_lite0", "training.input_size.width=112"],
            "training.input_size: 112x112 will not do: unet_efficientnet_lite0 needs multiples of 32",
        ),
        (["training.loss_weights={bce: 0, dice: 0}"], "training.loss_weights: bce and dice are both 0"),
        (["training.weights_init_type=continue_training"], "continue_training needs a starting model"),
        (["training.special_classes.neutral=bg"], "training.special_classes: background and neutral must differ"),
        (["training.dataset_tags.val=train"], "train and val name the same tag"),
        (["training.steps=5", "training.minutes=1"], "training.minutes: is given beside training.steps"),
        (["training.sampling=resize", "training.foreground_share=0.5"], "training.foreground_share: is about crops"),
        (["training.sampling=resize", "training.image_scale=0.5"], "training.image_scale: is about crops"),
        (["training.sampling=resize", "training.crops_per_image=2"], "training.crops_per_image: is about crops"),
        (["training.lr_cycles=2"], "training.lr_cycles: is about cosine cycles"),
        (
            ["training.weights_init_type=continue_training", "model.weights=pyproject.toml"],
            "pyproject.toml is a file of weights",
        ),
        (["training.processes=2", "training.gpu_devices=[0]"], "training.processes: is for the CPU"),
        (["augmentation=light", "augmentation.turn={transform: Rotated}"], "augmentation.turn"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: list[str], message: str) -> None:
    problems = Problems()
    compose("run", ["experiments=vessels_quick", *overrides], problems, check=CHECKS["run"])
    assert message in "\n".join(map(str, problems.found))
