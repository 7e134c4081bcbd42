"""The data model: observations, the tables of an analysis, and how both are written as text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
