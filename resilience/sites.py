"""Where faults strike: choices of sites, for `draw_faults` and for `sites._target_`."""

from resilience.faults.population import Layerwise, Paper, Sites, Uniform

__all__ = ["Layerwise", "Paper", "Sites", "Uniform"]
