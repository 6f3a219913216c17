"""Work done ahead by threads, in order.

Threads rather than processes: decoding, resizing and warping happen in OpenCV, outside the interpreter's lock; decoded
images are shared instead of copied; and nothing is forked from a process whose maths libraries already run threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ordered_map"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def ordered_map(function: Callable[[Job], Result], jobs: Iterable[Job], threads: int) -> Generator[Result, None, None]:
    """`function` of every job, in the order of the jobs, at most `2 * threads` results ahead.

    Close the iterator (`contextlib.closing`) when it is left early; running jobs are waited for.

    Args:
        function: Called in several threads at once.
        jobs: What to do.
        threads: Number of threads; 0 does every job when its result is asked for.
    """
    if threads == 0:
        yield from map(function, jobs)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="segsweep-training")
    try:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
