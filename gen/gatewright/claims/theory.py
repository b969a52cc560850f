"""What a proof may use about functions: four theories, each containing the one before.

UF            nothing: an identity holds for every function in place of sigmoid and tanh
PARITY        sigmoid(-a) = 1 - sigmoid(a), tanh and sin odd, cos even, relu(k a) = k relu(a), k > 0
TANH-SIGMOID  tanh(a) = 2 sigmoid(2a) - 1 and exp(a + b) = exp(a) exp(b)
EXP           sigmoid(a) = 1 / (1 + exp(-a)), softplus(a) = log(1 + exp(a)), and
              hard_tanh(a) = relu(a + 1) - relu(a - 1) - 1

Why ordered: a claim is reported with the weakest theory that proves it, and the weakest says the
most; a claim proved in UF is true for whatever function is put in place of tanh.
"""

from __future__ import annotations

from enum import IntEnum


class Theory(IntEnum):
    """Identities about functions that a proof may use."""

    UF = 0
    PARITY = 1
    TANH_SIGMOID = 2
    EXP = 3

    def __str__(self) -> str:
        return self.name.replace("_", "-")


class Quality(IntEnum):
    """What is known of a variable or matrix beyond its shape."""

    FREE = 0
    SCALAR = 1
    NONZERO = 2
    SIGN = 3  # each element 1 or -1
    UNIT = 4  # sampled between 0 and 1; proofs use nothing of it
    NONNEGATIVE = 5
    NONZERO_SCALAR = 6
    PERMUTATION = 7
    DIAGONAL = 8
    INVERTIBLE = 9
    POSITIVE = 10


SCALARS = frozenset({Quality.SCALAR, Quality.NONZERO_SCALAR})
NEVER_ZERO = frozenset({Quality.NONZERO, Quality.SIGN, Quality.NONZERO_SCALAR, Quality.POSITIVE})
ODD = frozenset({"tanh", "sin", "softsign", "hard_tanh"})
AT_ZERO = {"tanh": 0, "sin": 0, "softsign": 0, "hard_tanh": 0, "cos": 1, "exp": 1, "relu": 0}
POSITIVE_FUNCTIONS = frozenset({"sigmoid", "exp", "softplus"})
# Strictly monotone, so equal only at equal arguments.
INJECTIVE = ("tanh", "sigmoid", "exp", "softplus", "softsign")
