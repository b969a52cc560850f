"""LoadedCell -> nn.Module: a cell as a layer of PyTorch, with the surface of `nn.LSTM`.

    functions  the function table in PyTorch's words
    eager      a forward Program in plain operations: any device, every derivative
    registration  how an operator of PyTorch runs: on a device, under autograd, traced, under vmap
    contract   what the operators take and return, and whether it fits
    sequence_operators  the three operators of a generated file, wherever they run
    operators  compiled kernels of the CPU as these operators
    cuda       kernels on a GPU as these operators
    gpu        what runs CUDA tensors: those operators, else plain operations with a reason
    guards     what is refused, with a sentence
    backend    kernels or plain operations, and why
    inputs     what a caller gives, in whichever form, and the way back to it
    sequences  sequences of different lengths, in pieces of constant batch size
    layer      the module
    weights    parameters of `nn.RNN`, `nn.LSTM` and `nn.GRU`, both ways

Why two backends: the kernels are fast, and the plain operations support every device and transform
of PyTorch and are an oracle that shares nothing with the kernels but the Program.
"""
