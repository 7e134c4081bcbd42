"""What faults may strike: the layers of a network, found by tracing it, and choices among them."""

from resilience.faults.population.layers import PARTS, TRANSIENT_PARTS, Layer, Population
from resilience.faults.population.sites import Layerwise, Paper, Sites, Uniform
from resilience.faults.population.tracing import find_layers

__all__ = [
    "PARTS",
    "TRANSIENT_PARTS",
    "Layer",
    "Layerwise",
    "Paper",
    "Population",
    "Sites",
    "Uniform",
    "find_layers",
]
