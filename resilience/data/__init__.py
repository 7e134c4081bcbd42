"""Labelled images: their sources, which are used, and how they become inputs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "images": ["Images", "load_images"],
        "preprocessing": ["Inputs", "Preprocessing"],
        "sources": ["Digits", "ImageNet", "image_folder", "imagenette"],
        "spec": ["Dataset"],
    },
)
