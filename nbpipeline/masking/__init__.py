"""What must not be seen: secrets, and what steers a terminal so that they look like something else."""
