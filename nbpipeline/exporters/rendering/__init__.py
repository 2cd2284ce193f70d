"""What exporters share: the workflow that they render, its losses, names, texts, the command, the image."""
