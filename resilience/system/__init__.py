"""The machine and its files: atomic writes, hashing, the cache, signals, provenance."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "atomic": ["replacing"],
        "cache": ["cache_directory", "made_once"],
        "console": ["Console"],
        "errors": ["UserError"],
        "hashing": ["digest", "identity_digest"],
        "signals": ["Interrupted"],
    },
)
