"""One instance's life: lock, protect, inputs, check, kernel, check, publish, record, clear."""
