"""Configuration: its schema, command-line overrides, and the trials that it describes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": ["build_trial"],
        "overrides": ["compose_trial", "trial_overrides"],
        "user_errors": ["ending_in_one_line", "one_line"],
    },
)
