"""Writes what an author would else type: a first project, a stage wired to others."""
