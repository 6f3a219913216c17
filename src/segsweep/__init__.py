"""Segsweep: a configuration-driven experiment manager for image segmentation."""

__version__ = "0.1.0"
