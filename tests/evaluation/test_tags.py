from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from segsweep.annotation import Tag
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.tags import TagSettings, count_tags, tag_scores

SETTINGS = TagSettings({"sharp": "sharp_net", "left": "left_net"}, threshold=0.5)
KINDS = st.sampled_from([None, "", "any text", 0.49, 0.5, 1.0])


def summed(images: list[Counts]) -> Counts:
    return Counts(*(np.sum([getattr(image, key) for image in images], axis=0) for key in ("tp", "fp", "fn", "tn")))


@given(st.lists(st.tuples(st.booleans(), KINDS, st.booleans(), KINDS), min_size=1, max_size=20))
def test_tags_are_scored_as_sklearn_scores_a_classification(images) -> None:
    counts = summed(
        [
            count_tags([Tag("sharp", first)] if here else [], [Tag("sharp_net", second)] if there else [], SETTINGS)
            for here, first, there, second in images
        ]
    )
    true = [here and first != 0.49 for here, first, _, _ in images]
    predicted = [there and second != 0.49 for _, _, there, second in images]
    expected = sklearn_metrics.confusion_matrix(true, predicted, labels=[False, True])
    assert [[counts.tn[0], counts.fp[0]], [counts.fn[0], counts.tp[0]]] == expected.tolist()
    assert counts.tn[1] == len(images), "the other tag is nowhere"


def test_totals_are_sums_over_tags() -> None:
    counts = Counts(*np.array([[8, 1], [2, 0], [1, 4], [9, 15]]))
    scores = tag_scores(counts)
    assert scores == pytest.approx({"accuracy": 33 / 40, "precision": 9 / 11, "recall": 9 / 14, "f1": 18 / 25})


def test_one_of_several_tags_of_a_name_is_enough() -> None:
    tags = [Tag("sharp", 0.1), Tag("sharp", 0.7)]
    assert count_tags(tags, [], SETTINGS).fn.tolist() == [1, 0]
    assert count_tags(tags[:1], [], SETTINGS).tn.tolist() == [1, 1]
