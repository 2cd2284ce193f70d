"""Where kernels come from: one module a way to start them."""
