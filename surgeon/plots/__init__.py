"""Plots of what trains: which elements of a weight, which depth, how far weights moved, how a run went.

They need matplotlib: `pip install 'surgeon-keras[plots]'`.
"""

from surgeon.plots.depth import plot_depth
from surgeon.plots.drift import plot_drift
from surgeon.plots.masks import plot_mask
from surgeon.plots.training import plot_training

__all__ = ["plot_depth", "plot_drift", "plot_mask", "plot_training"]
