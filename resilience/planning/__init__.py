"""What a campaign will cost and be able to show, before it is run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cost": ["Measurement", "measure_apart"],
        "plan": ["Plan", "plan"],
        "text": ["plan_text"],
    },
)
