"""What a design can detect, what its tests assume, and how many replicas or faults it needs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
