"""The same test images' masks across runs, as small pictures: what each run hit, missed and made up.

Predicted masks are those that MLflow keeps with each run. The input and the truth come from the project that the run
recorded as its test set; where that is gone or was changed since, the runs are still shown against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsweep.comparison import panels
from segsweep.comparison.compared import Compared
from segsweep.comparison.intervals import Counted
from segsweep.comparison.panels import Indices, Original, Picture, rgb, to_webp
from segsweep.comparison.reading import Files
from segsweep.comparison.truth import Originals, open_test_set
from segsweep.errors import DataError
from segsweep.evaluation.panels import HIT, PANEL, ClassStyle, draw
from segsweep.files import read_json, read_mask
from segsweep.reporting import SILENT, Reporter, track

__all__ = ["MOST_BYTES", "Gallery", "Panel", "ShownImage", "gather"]

MOST_BYTES = 7_500_000
"""Of all pictures; as text in the page they take a third more."""

_MOST_CLASSES = 200
_UNKNOWN = (136, 136, 136)


@dataclass(frozen=True)
class Panel:
    """One run on one image; pictures are WebP.

    Attributes:
        run_id: The run.
        difference: Hits, misses and false alarms; without a truth the same as `prediction`.
        prediction: The classes in their colours; None where the difference shows them too.
        dice: Its Dice on the image, the mean over classes.
    """

    run_id: str
    difference: bytes
    prediction: bytes | None
    dice: float


@dataclass(frozen=True)
class ShownImage:
    """One test image under all runs; pictures are WebP.

    Attributes:
        name: Its data set and file name.
        input: The image, if it is still there.
        truth: The true classes, if they are still there.
        disagreement_map: Where the runs differ, and how evenly; None with one run.
        panels: The runs, best first.
        disagreement: From 0 where all runs agree to 1 where half of them are against the others.
        majority: Dice of what most runs say; NaN without a truth or with fewer than three runs.
    """

    name: str
    input: bytes | None
    truth: bytes | None
    disagreement_map: bytes | None
    panels: tuple[Panel, ...]
    disagreement: float
    majority: float

    @property
    def dice(self) -> float:
        """The mean of the runs' Dice."""
        return float(np.mean([panel.dice for panel in self.panels]))


@dataclass(frozen=True)
class Gallery:
    """Test images under runs.

    Attributes:
        images: Those on which the runs' scores differ most, first.
        runs: The runs' ids, best first.
        classes: The classes' titles and colours, `#rrggbb`.
        total: How many test images there are.
        notes: What is missing, a line each.
    """

    images: tuple[ShownImage, ...]
    runs: tuple[str, ...]
    classes: Mapping[str, str]
    total: int
    notes: tuple[str, ...] = ()


def gather(compared: Compared, files: Files, *, images: int, runs: int, reporter: Reporter = SILENT) -> Gallery | None:
    """Reads masks and draws them; None where no run has any.

    Args:
        compared: The runs; those of the largest test that have masks are shown, the best first.
        files: Where their artifacts are read.
        images: At most so many images, those on which the runs' Dice differs most.
        runs: At most so many runs.
        reporter: Shows progress.
    """
    kept = [
        (place.run_id, colours) for place in compared.scored if (colours := _colours(compared, files, place.run_id))
    ]
    kept = [(run, colours) for run, colours in kept if run in compared.tested]
    if not kept or not images:
        return None
    test = compared.tested[kept[0][0]]
    same = [(run, colours) for run, colours in kept if compared.tested[run].key == test.key]
    shown = dict(same[:runs])
    notes = []
    if len(shown) < len(compared.scored):
        notes.append(
            f"{len(shown)} of {len(compared.scored)} runs are shown, the best of those with masks and this test"
        )
    originals, why = open_test_set((compared.by_id[run] for run, _ in same), test)
    notes += [why] if why else []
    drawing = _Drawing(compared, files, test, originals, shown)
    drawn: list[ShownImage] = []
    size = 0
    for place in track(_most_different(compared, test, list(shown))[:images], reporter, "compare: masks", unit="img"):
        picture = drawing.image(place)
        size += _bytes(picture)
        if drawn and size > MOST_BYTES:
            notes.append("more images would make the page too large")
            break
        drawn.append(picture)
    notes.extend(drawing.notes)
    classes = {title: next(iter(shown.values())).get(title, "#888888") for title in test.classes}
    return Gallery(tuple(drawn), tuple(shown), classes, len(test.images), tuple(dict.fromkeys(notes)))


def _colours(compared: Compared, files: Files, run_id: str) -> dict[str, str] | None:
    """What the colours of a run's masks mean; None where it has none."""
    path = files.get(compared.by_id[run_id], "predictions/classes.json")
    if path is None:
        return None
    found = read_json(path)
    if not isinstance(found, dict) or len(found) > _MOST_CLASSES:
        return None
    return {str(title): str(colour) for title, colour in found.items() if rgb(colour) is not None}


def _most_different(compared: Compared, test: Counted, runs: Sequence[str]) -> list[int]:
    """Places of the images on which the runs' Dice differs most, first; of equal ones the harder."""
    scores = np.stack([compared.tested[run].by_image("dice") for run in runs])
    scores = np.nan_to_num(scores, nan=1.0)
    spread, mean = np.ptp(scores, axis=0), scores.mean(axis=0)
    return sorted(range(len(test.images)), key=lambda place: (-round(float(spread[place]), 6), mean[place], place))


class _Drawing:
    """Draws test images; collects what is missing."""

    def __init__(
        self,
        compared: Compared,
        files: Files,
        test: Counted,
        originals: Originals | None,
        runs: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.notes: list[str] = []
        self._compared = compared
        self._files = files
        self._test = test
        self._originals = originals
        self._runs = runs
        self._labels = compared.labels()
        first = next(iter(runs.values()))
        self._styles = [ClassStyle(title, rgb(first.get(title)) or _UNKNOWN) for title in test.classes]
        self._dice = {run: compared.tested[run].by_image("dice") for run in runs}

    def image(self, place: int) -> ShownImage:
        """One test image under all runs."""
        dataset, name = self._test.images[place]
        original = self._original(place)
        shape = None if original is None else original.truth.shape
        votes: Indices | None = None
        shown = []
        for run, mask in self._masks(dataset, name):
            shape = shape or mask.shape
            if mask.shape != shape:
                self.notes.append(f"{self._labels[run]}: its mask of {name} has another size than the image")
                continue
            votes = np.zeros((len(self._test.classes) + 1, *shape), dtype=np.uint8) if votes is None else votes
            for index, of_class in enumerate(votes):
                of_class += mask == index
            shown.append(self._panel(run, mask, original, float(self._dice[run][place])))
        disagreement, heat, majority = 0.0, None, float("nan")
        if votes is not None and len(shown) > 1:
            disagreement, heat = panels.disagreement(votes, len(shown), original)
            if original is not None and len(shown) > 2:
                majority = panels.dice(original, votes.argmax(axis=0).astype(np.uint8), len(votes))
        true = None if original is None else self._drawn(original, original.truth)
        return ShownImage(
            name=f"{dataset}/{name}",
            input=None if true is None else to_webp(true["Input"]),
            truth=None if true is None else to_webp(true["Truth"]),
            disagreement_map=heat,
            panels=tuple(shown),
            disagreement=disagreement,
            majority=majority,
        )

    def _masks(self, dataset: str, name: str) -> Iterator[tuple[str, Indices]]:
        """(run, class indices) of every run that has a mask of the image."""
        for run, colours in self._runs.items():
            path = self._files.get(self._compared.by_id[run], f"predictions/masks/{dataset}/{Path(name).stem}.png")
            if path is None:
                self.notes.append(f"{self._labels[run]} has no mask of {name}")
                continue
            try:
                yield run, panels.indices_of(read_mask(path), [colours.get(title) for title in self._test.classes])
            except DataError as error:
                self.notes.append(str(error))

    def _original(self, place: int) -> Original | None:
        if self._originals is None:
            return None
        try:
            return self._originals.original(place)
        except DataError as error:
            self.notes.append(str(error))
            return None

    def _panel(self, run: str, mask: Indices, original: Original | None, dice: float) -> Panel:
        if original is None:
            colours = [HIT] if len(self._styles) == 1 else [style.color for style in self._styles]
            return Panel(run, to_webp(np.array([PANEL, *colours], dtype=np.uint8)[mask]), None, dice)
        drawn = self._drawn(original, mask)
        prediction = to_webp(drawn["Prediction"]) if len(self._styles) > 1 else None
        return Panel(run, to_webp(drawn["Difference"]), prediction, dice)

    def _drawn(self, original: Original, mask: Indices) -> dict[str, Picture]:
        """The pictures of a mask, as those of a single run's evaluation, by the first word of their headings."""
        drawn = draw(original.image, original.truth, mask, self._styles, valid=original.counted)
        return {panel.heading.partition(":")[0]: panel.picture for panel in drawn.panels}


def _bytes(image: ShownImage) -> int:
    own = [image.input, image.truth, image.disagreement_map]
    runs = [part for panel in image.panels for part in (panel.difference, panel.prediction)]
    return sum(len(part) for part in [*own, *runs] if part is not None)
