"""Texts for tests of sizes."""

from __future__ import annotations

import base64
import random


def noise(size: int) -> str:
    """So many characters that do not pack; ``size`` is a multiple of four."""
    return base64.b64encode(random.Random(7).randbytes(size * 3 // 4)).decode()  # noqa: S311
