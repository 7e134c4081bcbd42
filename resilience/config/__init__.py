"""Configuration: its schema, command-line overrides, and the trials that it describes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
