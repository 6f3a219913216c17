"""Sweeps: a parent run, and a named child for each job."""
