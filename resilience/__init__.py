"""Evaluate the resilience of deep-learning models by injecting failures into their weights."""

from resilience.results.record import DamagedResultError, Result, find_results, read_result

__all__ = ["DamagedResultError", "Result", "find_results", "read_result"]
__version__ = "0.1.0"
