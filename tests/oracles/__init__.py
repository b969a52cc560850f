"""What the kernels are compared with: written from the papers, never from `specs/`."""
