"""Fresh or stale, and why: what a run would do with each instance."""

from nbpipeline.plan.planner import Planner

__all__ = ["Planner"]
