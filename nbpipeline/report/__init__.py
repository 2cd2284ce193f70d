"""Values -> what people read: the drawn DAG, the history of runs."""
