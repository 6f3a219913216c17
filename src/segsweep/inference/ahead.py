"""Work done ahead by a thread, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

__all__ = ["ahead"]

Item = TypeVar("Item")

_END = object()


def ahead(items: Iterable[Item], most: int = 2) -> Generator[Item, None, None]:
    """The items, made by a thread of its own up to `most` ahead of their use.

    Close the generator (`contextlib.closing`) when it is left early; the item being made is waited for.
    """
    iterator = iter(items)
    waiting: deque[Future[object]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="segsweep-inference")
    try:
        while True:
            while len(waiting) < most:
                waiting.append(pool.submit(next, iterator, _END))
            item = waiting.popleft().result()
            if item is _END:
                return
            yield cast(Item, item)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
