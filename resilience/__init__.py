"""Evaluate the resilience of deep-learning models by injecting failures into their weights."""

__version__ = "0.1.0"
