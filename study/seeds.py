"""Every random number of a study, by purpose."""

from __future__ import annotations

import zlib

import numpy as np


def derive_seed(study_seed: int, family: str, number: int, purpose: str) -> int:
    """A 32-bit seed from (study seed, family, number, purpose), independent for every combination."""
    entropy = (study_seed, zlib.crc32(family.encode()), number, zlib.crc32(purpose.encode()))
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
