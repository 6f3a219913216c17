"""Randomness that is addressed, not consumed.

Every draw takes a generator derived from what it is for, so that results do not depend on the number of workers,
the order of work, or a resume.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["generator", "seed_of"]


def seed_of(*address: str | int) -> int:
    """A 128-bit seed for an address such as (seed, "crop", "train/img_01", 3). Equal addresses give equal seeds."""
    text = "\0".join(f"{type(part).__name__}:{part}" for part in address)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(*address: str | int) -> np.random.Generator:
    """A numpy generator of its own for an address.

    >>> generator(0, "crop", "a").integers(1000) == generator(0, "crop", "a").integers(1000)
    True
    """
    return np.random.Generator(np.random.PCG64(seed_of(*address)))
