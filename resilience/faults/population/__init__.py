"""What faults may strike: the layers of a network, found by tracing it, and choices among them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
