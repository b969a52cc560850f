"""Cell -> trained model: five small jobs, each with any cell of the catalogue or one of your own.

    adding    add the two marked numbers of a sequence
    copying   repeat a few letters after a long pause
    reversal  an encoder and a decoder that spell a word backwards
    forecast  the Mackey-Glass series, six steps ahead
    char_lm   the next character of a text of 1776 and 1787

Each file is a program as a user of PyTorch would write it around `gatewright.torch.layer`: a
model, batches, a loss, and the loss of an answer that needs no memory. `gatewright example NAME`
trains one. The size `small` takes seconds; `full` takes a minute or two.

Why every job names its baseline: a loss that falls has learnt nothing until it is below that of
the best answer without a memory.
"""
