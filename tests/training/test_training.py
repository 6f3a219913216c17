"""Whole trainings: small ones that learn, and what they leave behind."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, ProjectMeta, ProjectWriter, Rectangle, Tag
from segsweep.errors import TrainingError
from segsweep.models.folder import load_model, read_config
from segsweep.reporting import ListReporter
from segsweep.training import TrainingSettings, train

from .projects import DISC, NEUTRAL, SQUARE, disc, disc_and_square, make_project

SMALL = TrainingSettings(
    width=64,
    height=64,
    model_width=4,
    epochs=16,
    val_every=8,
    batch_size_train=3,
    batch_size_val=2,
    lr=0.01,
    lr_schedule="one_cycle",
    devices="cpu",
    documented={"lr": 0.01},
)
ONE_STEP = replace(SMALL, epochs=1, batch_size_train=6, val_every=1, model_width=2)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("projects") / "discs")


@pytest.fixture(scope="module")
def trained(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one step at width 2."""
    output = tmp_path_factory.mktemp("trained")
    train(discs, output, ONE_STEP)
    return output


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder)[0].state_dict()


def _equal(one: Path, other: Path) -> bool:
    theirs = _weights(other)
    return all(torch.equal(value, theirs[name]) for name, value in _weights(one).items())


def test_a_small_training_learns_discs(discs: Path, tmp_path: Path) -> None:
    reporter = ListReporter()
    result = train(discs, tmp_path / "out", SMALL, reporter=reporter)

    assert result.best_metrics["val/dice"] > 0.8
    assert (result.steps, result.train_samples, result.val_samples) == (32, 6, 2)
    assert result.class_title_to_idx == {"bg": 0, "disc": 1}
    assert result.device == "cpu" and result.precision in {"fp32", "bf16"}

    assert [step for step, _ in reporter.series("train/loss")] == list(range(32))
    assert [step for step, _ in reporter.series("val/loss")] == [15, 31]
    losses = dict(reporter.series("val/loss"))
    assert result.best_val_loss == min(losses.values()) == losses[result.best_step]
    assert result.best_epoch == (result.best_step + 1) / 2
    assert {key for values, _, _ in reporter.logged for key in values} == {
        *(f"train/{name}" for name in ("loss", "accuracy", "dice", "lr")),
        *(f"val/{name}" for name in ("loss", "accuracy", "dice")),
    }
    assert reporter.logged[0][2] == 0.5  # epochs after the first of two steps
    assert max(rate for _, rate in reporter.series("train/lr")) == pytest.approx(0.01, rel=0.05)

    assert {name for name, _, _ in reporter.images} == {"validation/image_6", "validation/image_7"}
    assert {step for _, _, step in reporter.images} == {15, 31}
    assert all(image.dtype == np.uint8 and image.shape[1] <= 512 for _, image, _ in reporter.images)

    model, config = load_model(result.best)
    assert sum(value.numel() for value in model.parameters()) == result.parameters
    assert config.class_title_to_idx == {"bg": 0, "disc": 1}
    assert config.settings == {"lr": 0.01, "input_size": {"width": 64, "height": 64}}
    assert config.model == {"name": "unet_v2", "width": 4}
    assert read_config(result.last) == config


def test_several_classes_are_learnt_with_cross_entropy(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", disc_and_square, (DISC, SQUARE))
    reporter = ListReporter()
    result = train(project, tmp_path / "out", replace(SMALL, epochs=40, val_every=20), reporter=reporter)
    assert result.class_title_to_idx == {"bg": 0, "disc": 1, "square": 2}
    assert "val/dice" not in result.last_metrics
    assert result.best_metrics["val/accuracy"] > 0.93
    assert load_model(result.best)[0](torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_crops_at_native_resolution_are_learnt_and_validated_on_whole_images(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", train=3, val=1, size=(150, 90))
    settings = replace(
        SMALL,
        sampling="crop",
        crops_per_image=4,
        epochs=30,
        val_every=30,
        batch_size_train=4,
        workers_train=2,
        augmentation={"flip": {"transform": "HorizontalFlip"}, "turn": {"transform": "RandomRotate90"}},
    )
    reporter = ListReporter()
    result = train(project, tmp_path / "out", settings, reporter=reporter)
    assert result.steps == 90
    assert result.best_metrics["val/dice"] > 0.8
    (_, picture, _) = reporter.images[-1]
    assert picture.shape[1] == 3 * 150 + 2 * 4  # the whole image, without its padding
    assert picture.shape[0] == 90


def test_images_are_shrunk_before_they_are_cropped(tmp_path: Path) -> None:
    """Crops, validation and its pictures are of shrunk images, and the model says so to whoever applies it."""
    project = make_project(tmp_path / "p", train=2, val=1, size=(150, 90))
    settings = replace(
        SMALL,
        sampling="crop",
        image_scale=0.5,
        crops_per_image=4,
        epochs=1,
        val_every=1,
        documented={"sampling": "crop", "image_scale": 0.5},
    )
    reporter = ListReporter()
    result = train(project, tmp_path / "out", settings, reporter=reporter)
    (_, picture, _) = reporter.images[-1]
    assert picture.shape[:2] == (45, 3 * 75 + 2 * 4)
    assert read_config(result.last).image_scale == 0.5


def test_neutral_pixels_teach_nothing(tmp_path: Path) -> None:
    """Two projects that differ only under a neutral rectangle give the same weights."""
    corner = LabeledObject("neutral", Rectangle(0, 0, 31, 63))
    classes = (DISC, NEUTRAL)

    def paint_hidden(rng: np.random.Generator, image: np.ndarray) -> tuple[LabeledObject, ...]:  # type: ignore[type-arg]
        hidden = LabeledObject("disc", Bitmap(np.ones((38, 18), dtype=bool), 2, 2))
        return (*disc(rng, image), hidden, corner)

    def paint(rng: np.random.Generator, image: np.ndarray) -> tuple[LabeledObject, ...]:  # type: ignore[type-arg]
        return (*disc(rng, image), corner)

    results = [
        train(make_project(tmp_path / name, how, classes), tmp_path / f"{name}_out", ONE_STEP)
        for name, how in [("a", paint), ("b", paint_hidden)]
    ]
    assert results[0].class_title_to_idx == {"bg": 0, "disc": 1}
    assert results[0].last_metrics == results[1].last_metrics
    assert _equal(results[0].last, results[1].last)


def test_the_seed_decides_everything_whatever_happened_before(discs: Path, trained: Path, tmp_path: Path) -> None:
    torch.manual_seed(12345)
    random.seed(12345)
    train(discs, tmp_path / "again", replace(ONE_STEP, workers_train=2, workers_val=1, cache_bytes=0))
    assert _equal(trained / "last", tmp_path / "again" / "last")
    train(discs, tmp_path / "other", replace(ONE_STEP, seed=1))
    assert not _equal(trained / "last", tmp_path / "other" / "last")


def test_a_training_leaves_no_state_behind(discs: Path, tmp_path: Path) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_rng_state().numpy().tobytes(),
            random.getstate(),
            np.random.get_state()[1].tobytes(),  # type: ignore[union-attr]  # noqa: NPY002
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"},
        )

    before = state()
    train(discs, tmp_path / "out", replace(ONE_STEP, augmentation={"noise": {"transform": "GaussNoise", "p": 1.0}}))
    assert state() == before


def test_samples_outside_the_memory_limit_are_read_again_and_give_the_same(
    discs: Path, trained: Path, tmp_path: Path
) -> None:
    reporter = ListReporter()
    train(discs, tmp_path / "out", replace(ONE_STEP, cache_bytes=3 * 64 * 64 * 4), reporter=reporter)
    assert any("6 training and 2 validation samples, 3 of them in memory" in text for _, text in reporter.messages)
    assert _equal(trained / "last", tmp_path / "out" / "last")


def test_the_learning_rate_falls_with_patience(discs: Path, tmp_path: Path) -> None:
    reporter = ListReporter()
    settings = replace(
        ONE_STEP,
        epochs=8,
        batch_size_train=3,
        val_every=0.5,
        lr=0.3,
        lr_schedule="constant",
        lr_patience=1,
        lr_divisor=4.0,
    )
    train(discs, tmp_path / "out", settings, reporter=reporter)
    losses = [value for _, value in reporter.series("val/loss")]
    rates = [value for _, value in reporter.series("train/lr")]
    expected, rate, since = [], 0.3, 0
    for count, loss in enumerate(losses, start=1):
        expected.append(rate)
        if count - since > 1 and loss > min(losses[:count]):
            rate, since = rate / 4, count
    assert rates == pytest.approx(expected)
    assert rates[-1] < 0.3, "these losses should have made it fall"


def test_the_moving_average_of_the_weights_is_what_is_kept(discs: Path, tmp_path: Path) -> None:
    steps = replace(ONE_STEP, epochs=4, keep_every=1)  # an epoch is one step
    train(discs, tmp_path / "plain", steps)
    train(discs, tmp_path / "averaged", replace(steps, ema_decay=0.75))
    expected: dict[str, torch.Tensor] = {}
    for step in range(4):
        for name, value in _weights(tmp_path / "plain" / f"{step:08d}").items():
            if value.is_floating_point():
                expected[name] = 0.75 * expected[name] + 0.25 * value if step else value
    found = _weights(tmp_path / "averaged" / "last")
    assert all(torch.allclose(found[name], value, rtol=1e-4, atol=1e-6) for name, value in expected.items())
    assert not _equal(tmp_path / "averaged" / "last", tmp_path / "plain" / "last")


@pytest.mark.parametrize("eval_mode", [True, False])
def test_validation_uses_running_statistics_only_if_told_to(discs: Path, tmp_path: Path, eval_mode: bool) -> None:
    result = train(discs, tmp_path / "out", replace(ONE_STEP, validate_with_model_eval=eval_mode))
    tracked = _weights(result.last)["encoder_blocks.0.1.num_batches_tracked"].item()
    assert tracked == (1 if eval_mode else 2)  # one step, and the validation batch if it counts


# --- starting weights


def test_transfer_learning_starts_from_the_weights_of_a_model(discs: Path, trained: Path, tmp_path: Path) -> None:
    reporter = ListReporter()
    settings = replace(ONE_STEP, start_model=trained / "last", lr=1e-12, lr_schedule="constant", seed=7)
    result = train(discs, tmp_path / "out", settings, reporter=reporter)
    old, new = _weights(trained / "last"), _weights(result.last)
    assert torch.allclose(old["bottle.conv.weight"], new["bottle.conv.weight"])
    assert not torch.allclose(old["last_conv.weight"], new["last_conv.weight"])
    assert any("2 of the head start anew" in text for _, text in reporter.messages)


def test_continue_training_takes_head_and_indices(trained: Path, discs: Path, tmp_path: Path) -> None:
    settings = replace(
        ONE_STEP, start_model=trained / "last", weights_init_type="continue_training", lr=1e-12, lr_schedule="constant"
    )
    result = train(discs, tmp_path / "out", settings)
    assert torch.allclose(_weights(trained / "last")["last_conv.weight"], _weights(result.last)["last_conv.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_init_type": "continue_training"}, "continue_training needs the folder of a model"),
        ({"start_model": "last", "model_width": 3}, "is a unet_v2 of base width 2, and the network to train a unet_v2"),
        (
            {"start_model": "last", "weights_init_type": "continue_training", "background": "sky"},
            r"only the model has \['bg'\], only the project has \['sky'\]",
        ),
        ({"neutral": "bg"}, "background and neutral are both 'bg'"),
        ({"train_tag": "trian"}, r"no image has the tag 'trian' \(dataset_tags\).* \['train', 'val'\]"),
        ({"width": 16, "height": 16, "batch_size_train": 5}, "16x16 leaves one pixel at the bottleneck"),
        (
            {"width": 16, "height": 16, "batch_size_val": 1, "validate_with_model_eval": False},
            "use a batch_size.val that leaves no batch of one",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_is_written(
    discs: Path, trained: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    if "start_model" in change:
        change = change | {"start_model": trained / str(change["start_model"])}
    with pytest.raises(TrainingError, match=message):
        train(discs, tmp_path / "out", replace(ONE_STEP, **change))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


# --- samples


def test_a_set_without_any_object_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", paint=lambda rng, image: ())
    with pytest.raises(TrainingError, match="no image with the tag 'train' has an object"):
        train(project, tmp_path / "out", ONE_STEP)


def test_broken_samples_are_counted_named_and_left_out_if_allowed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", train=5)
    (project / "ds" / "img" / "image_1.png").write_bytes(b"no picture")
    (project / "ds" / "ann" / "image_3.png.json").write_text("{")
    with pytest.raises(TrainingError) as caught:
        train(project, tmp_path / "out", replace(ONE_STEP, allow_corrupted_train=1))
    assert "2 samples of the set 'train' cannot be read, and 1 are allowed" in str(caught.value)
    assert "ds/image_1.png" in str(caught.value) and "ds/image_3.png" in str(caught.value)

    reporter = ListReporter()
    # whose annotation is unreadable may have belonged to either set
    settings = replace(ONE_STEP, allow_corrupted_train=2, allow_corrupted_val=1)
    result = train(project, tmp_path / "out", settings, reporter=reporter)
    assert (result.train_samples, result.val_samples) == (3, 2)
    warnings = [text for level, text in reporter.messages if level == "warning"]
    assert sum("image_1.png is left out of 'train'" in text for text in warnings) == 1


def test_an_image_with_both_tags_is_in_both_sets(tmp_path: Path) -> None:
    with ProjectWriter(tmp_path / "p", ProjectMeta((ClassMeta("box", "rectangle", "#ff0000"),))) as writer:
        box = LabeledObject("box", Rectangle(3, 3, 9, 9))
        tags = (Tag("val"), Tag("train"))
        for number in range(2):
            annotation = Annotation(32, 32, (box,), tags)
            writer.add("ds", f"{number}.png", annotation, np.zeros((32, 32, 3), dtype=np.uint8))
        writer.add("ds", "unused.png", Annotation(32, 32, (box,)), np.zeros((32, 32, 3), dtype=np.uint8))
    result = train(tmp_path / "p", tmp_path / "out", ONE_STEP)
    assert (result.train_samples, result.val_samples) == (2, 2)


# --- devices, failures


def test_missing_gpus_mean_the_cpu_and_one_warning(discs: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there are GPUs on this machine")
    reporter = ListReporter()
    result = train(discs, tmp_path / "out", replace(ONE_STEP, devices=(0, 1, 2, 3)), reporter=reporter)
    assert result.device == "cpu"
    warnings = [text for level, text in reporter.messages if level == "warning"]
    assert warnings == ["no GPU 0, 1, 2, 3 on this machine: training runs on the CPU"]


def test_a_loss_that_leaves_the_numbers_stops_the_training(discs: Path, tmp_path: Path) -> None:
    settings = replace(SMALL, lr=1e30, lr_schedule="constant", model_width=2, precision="fp32")
    with pytest.raises(TrainingError, match=r"loss is no finite number any more at step \d+ \(epoch .*rate 1e\+30"):
        train(discs, tmp_path / "out", settings)


@dataclass
class _Interrupting(ListReporter):
    """Somebody presses Ctrl-C at a step."""

    at: int = 3

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        super().metrics(values, step, epoch)
        if step == self.at and "train/loss" in values:
            raise KeyboardInterrupt

    @contextmanager
    def progress(self, title: str, total: int | None, unit: str = "it") -> Iterator[object]:  # type: ignore[override]
        yield lambda count: None


def test_an_interrupted_training_leaves_the_models_of_the_last_validation(discs: Path, tmp_path: Path) -> None:
    settings = replace(ONE_STEP, epochs=4, batch_size_train=3, val_every=0.5, workers_train=2)
    reporter = _Interrupting()
    with pytest.raises(KeyboardInterrupt):
        train(discs, tmp_path / "out", settings, reporter=reporter)
    assert [step for step, _ in reporter.series("val/loss")] == [0, 1, 2]
    for name in ("best", "last"):
        load_model(tmp_path / "out" / name)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["best", "last", "state.pt"]


def test_a_second_training_does_not_overwrite_the_models_of_another(discs: Path, trained: Path, tmp_path: Path) -> None:
    from segsweep.errors import DataError

    reporter = ListReporter()
    other = replace(ONE_STEP, lr=5, documented={"lr": 5})
    with pytest.raises(TrainingError, match=r"had other settings(.|\n)*lr was 0\.01, is 5"):
        train(discs, trained, other, reporter=reporter)
    without_state = shutil.copytree(trained, tmp_path / "copy", ignore=shutil.ignore_patterns("state.pt"))
    with pytest.raises(DataError, match="holds another model"):
        train(discs, without_state, other, reporter=reporter)
    assert reporter.logged == [], "it should not train first and refuse then"
