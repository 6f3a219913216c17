"""The configuration: where it lies, how it is composed, what it may hold.

`compose` turns a command and its overrides into a checked `Composition`; every problem is collected and told at once.
Importing this package costs nothing; Hydra and pydantic are imported when something is composed.
"""
