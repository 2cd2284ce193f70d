"""Where jobs run: one module a place."""
