"""Locks of a workspace: what two processes want at once is done once, and the one that waits says for whom.

.locks/<what>-<beginning of its fingerprint>.lock      held as long as its holder lives; nothing is left locked
.locks/<what>-<beginning of its fingerprint>.holder    who holds it, for messages only
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from segsweep.reporting import Reporter

__all__ = ["held", "held_at_once"]

_SIGNS = 24


@contextmanager
def held(workspace: Path, what: str, fingerprint: str, reporter: Reporter) -> Iterator[None]:
    """Holds a lock for the length of the block; waits for who holds it now, and says so.

    Args:
        workspace: The workspace's folder.
        what: What is done under the lock, a word or two (`transform`), for its name and the message.
        fingerprint: What tells it from others of its kind.
        reporter: Told who is waited for.
    """
    lock = _lock(workspace, what, fingerprint)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.message(f"{what}: {_holder(lock)} is at the very same; waiting for it")
        lock.acquire()
    with _named(lock):
        yield


@contextmanager
def held_at_once(workspace: Path, what: str, fingerprint: str) -> Iterator[bool]:
    """Holds a lock for the length of the block if nobody else does; yields whether it does."""
    lock = _lock(workspace, what, fingerprint)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    with _named(lock):
        yield True


def _lock(workspace: Path, what: str, fingerprint: str) -> FileLock:
    folder = workspace / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{what.replace(' ', '-')}-{fingerprint[:_SIGNS]}.lock")


@contextmanager
def _named(lock: FileLock) -> Iterator[None]:
    """Says beside a lock who holds it, and releases it at the end."""
    holder = Path(lock.lock_file).with_suffix(".holder")
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _holder(lock: FileLock) -> str:
    """Who holds a lock; it may have been taken this very moment, and not said yet."""
    try:
        return Path(lock.lock_file).with_suffix(".holder").read_text() or "another process"
    except OSError:
        return "another process"
