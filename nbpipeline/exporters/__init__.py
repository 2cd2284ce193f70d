"""Orchestrators that a pipeline is exported to, one module each; rendering is pure and deploys nothing."""
