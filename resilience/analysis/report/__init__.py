"""The report of an analysis: findings as sentences, tables and figures, as HTML and Markdown."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
