"""Identity by content: canonical JSON and its sha256."""

import hashlib
import json
from typing import Any

from resilience.system.former_names import in_first_names


def canonical_json(value: Any) -> str:
    """JSON text that is identical for equal values: sorted keys, no spaces, ASCII, no NaN.

    Raises
    ------
    ValueError
        For NaN and infinities, which JSON can't express.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def identity_digest(value: Any) -> str:
    """sha256 of the identity of a trial, a fit or a golden run.

    Components appear under the names by which they were first recorded, so that moving one
    changes neither a fingerprint nor the key of a cached file.
    """
    return digest(in_first_names(value))
