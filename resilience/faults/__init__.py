"""Faults: what may be struck and how it is held in memory, drawing faults, and injecting them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
