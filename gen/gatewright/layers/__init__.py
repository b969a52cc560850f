"""LoadedCell -> layers: stacks of a cell over whole sequences, described once for every library.

    network    the description: cell, sizes, parameters by name
    segments   sequences of different lengths, in runs of constant batch size
    layer      the layer on kernels, NumPy arrays in and out
    unit       one scalar cell, plain numbers in and out

Why a stage of its own: a layer is more than a cell, and less than a library's module.
"""
