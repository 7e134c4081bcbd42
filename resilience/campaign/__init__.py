"""Campaigns: a sweep's directory, resuming, shards, progress, and where trials run."""

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
