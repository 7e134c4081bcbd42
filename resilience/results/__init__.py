"""Results of trials: their records on disk, failed trials, and how two results compare."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
