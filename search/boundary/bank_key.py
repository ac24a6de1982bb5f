"""What the values of a bank depend on, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

CODE_VERSION = 1
"""Raise it with every change to the code that changes a bank's values."""


@dataclass(frozen=True)
class BankKey:
    """Everything that the values of a bank depend on.

    Attributes:
        weights: Fingerprint of the backbone's weights.
        prepared: Fingerprint of the prepared set.
        views: Fingerprint of which views of which images, and of how they are augmented.
        depth: The unfreeze depth.
        batch_size: Size of the trunk's batches.
        code: Version of the code.
        dtype: Dtype policy of the trunk's arithmetic.
        arithmetic: Libraries and kind of device that compute it, see `search.machine.libraries.arithmetic`: the
            folder of banks is shared by runs of all devices, and outlives an update.
    """

    weights: str
    prepared: str
    views: str
    depth: int
    batch_size: int
    code: int = CODE_VERSION
    dtype: str = "float32"
    arithmetic: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex)."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
