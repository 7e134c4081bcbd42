"""Campaigns: the directory of a sweep, resuming, shards, progress and launchers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "lifecycle": ["Run"],
        "progress": ["Tally"],
        "resume": ["MixedCampaignError"],
        "session": ["Session"],
        "sweep": ["sweep"],
    },
)
