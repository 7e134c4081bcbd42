"""Fast evaluation of networks: folding, tuned batch sizes, and reuse of the golden run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "engine": ["Engine"],
        "golden_prefix": ["GoldenPrefix"],
        "predict": ["finite", "predict"],
    },
)
