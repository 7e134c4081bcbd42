"""The machine and its files: atomic writes, hashing, the cache, signals, provenance."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
