"""Energy above the convex hull: exact, fast, and on one energy scale."""

from wyckflow.thermo.hull.answer import HullDistances, Product
from wyckflow.thermo.hull.distance import Hull

__all__ = ["Hull", "HullDistances", "Product"]
