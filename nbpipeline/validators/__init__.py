"""Checks of data, before a stage reads it and after it wrote it: one module a validator."""
