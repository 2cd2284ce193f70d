"""What nbpipeline shows and offers inside Jupyter."""
