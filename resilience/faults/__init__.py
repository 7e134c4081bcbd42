"""Faults: what may be struck and how it is held in memory, drawing faults, and injecting them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "draw": ["Draw", "LayerFaults"],
        "fault_file": ["read_faults"],
        "injection": ["Patch", "RestorationError", "injected"],
        "fault_plan": ["SamplingPlan", "draw_faults"],
        "population": ["Layer", "Population", "find_layers"],
    },
)
