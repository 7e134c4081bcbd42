"""What makes two things the same: canonical JSON and its sha256."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, ASCII, no NaN.

    Raises
    ------
    ValueError
        For NaN and infinities, which JSON has no words for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
