"""Text -> StageSpec: notebooks and pipeline.yaml read as data, never executed, every complaint gathered."""
