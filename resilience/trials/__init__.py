"""Trials: a workload, the faults that it runs with, and what they did."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "experiment": ["Cell", "Evaluation", "evaluate", "run"],
        "settings": ["Settings"],
        "trial": ["Trial", "run_trial"],
        "workload": ["Workload"],
        "workloads": ["ConfiguredTrial", "Workloads"],
    },
)
