"""Source -> Module -> Kernels: load a generated file, validate arguments, run its routines."""
