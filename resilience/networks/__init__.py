"""Networks and their weights: specifying, loading, and training them once."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "models": ["Classifier", "load_classifier", "torchvision_network"],
        "spec": ["Model", "Recipe"],
        "training": ["fit"],
    },
)
