"""What nbpipeline remembers of a project on one machine: history, and what saves it work."""
