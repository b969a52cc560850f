"""Cell, kernels -> Certificate: interpret a cell, and certify the gradients of its kernels."""
