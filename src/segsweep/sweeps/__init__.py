"""Sweeps: a parent run, a named child for each job, a leaderboard."""
