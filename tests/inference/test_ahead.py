from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from segsweep.inference.ahead import ahead


@pytest.mark.parametrize("most", [1, 2, 5])
def test_items_come_in_order_and_whole(most: int) -> None:
    assert list(ahead(iter(range(20)), most)) == list(range(20))
    assert list(ahead([], most)) == []


def test_what_an_item_raises_comes_where_it_would_have_come() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("second")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(KeyError, match="second"):
        next(coming)


def test_no_more_than_asked_is_made_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(ahead(items(), 3)) as coming:
        assert next(coming) == 0
    assert len(made) <= 3
