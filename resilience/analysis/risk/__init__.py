"""Which layers and bits are vulnerable: the probability that a draw of faults is critical."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
