"""Where outputs are kept by content, and the records of what made them by state."""
