"""One scalar cell: the equations of a paper with plain numbers."""

from __future__ import annotations

from math import exp, tanh

import pytest

import gatewright
from gatewright.runtime.validate import ArgumentError


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def test_an_lstm_of_one_unit_is_its_equations() -> None:
    unit = gatewright.unit("lstm")
    p = unit.init(seed=2)
    assert all(isinstance(each, float) and abs(each) <= 1 for each in p.values())
    run = unit.forward(p, [0.5, -1.0], {"h": 0.1, "c": 0.2})
    h, c = 0.1, 0.2
    for t, x in enumerate([0.5, -1.0]):
        i, f, o = (sigmoid(p[f"W_{k}"] * x + p[f"U_{k}"] * h + p[f"b_{k}"]) for k in "ifo")
        g = tanh(p["W_g"] * x + p["U_g"] * h + p["b_g"])
        c = f * c + i * g
        h = o * tanh(c)
        assert run.y[t] == pytest.approx(h, abs=1e-15)
        assert run.states["c"][t + 1] == pytest.approx(c, abs=1e-15)
    assert run.states["h"][0] == 0.1


@pytest.mark.parametrize("cell", ["lstm", "gru", "fast_grnn", "indrnn"])
def test_gradients_are_differences(cell: str) -> None:
    unit = gatewright.unit(cell)
    p, xs, ct_y = unit.init(seed=1), [0.3, -0.7, 1.1], [0.5, -1.0, 2.0]

    def loss(parameters: dict[str, float], xs: list[float]) -> float:
        y = unit.forward(parameters, xs).y
        return sum(a * b for a, b in zip(y, ct_y, strict=True))

    found, step = unit.backward(unit.forward(p, xs), ct_y), 1e-6
    for name, value in p.items():
        ends = [loss({**p, name: value + sign * step}, xs) for sign in (1, -1)]
        assert found.parameters[name] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)
    ends = [loss(p, [xs[0] + sign * step, *xs[1:]]) for sign in (1, -1)]
    assert found.x[0] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_several_inputs_and_mistakes() -> None:
    unit = gatewright.unit(gatewright.transforms.zoneout("gru"))
    p = unit.init()
    run = unit.forward(p, {"x": [0.5, 0.5], "keep_h": [1.0, 0.0]}, {"h": 0.25})
    assert run.y[0] == 0.25
    assert set(unit.backward(run, [1.0, 0.0]).x) == {"x", "keep_h"}
    with pytest.raises(ArgumentError, match="inputs lack `keep_h`"):
        unit.forward(p, {"x": [0.5]})
    with pytest.raises(ArgumentError, match="`x` must be a list of numbers; got 'a'"):
        gatewright.unit("gru").forward(p, "a")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"`W_r` must be a number; got \[1, 2\]"):
        gatewright.unit("gru").forward({**p, "W_r": [1, 2]}, [0.5])  # type: ignore[dict-item]
    with pytest.raises(ArgumentError, match="parameters lack `W_r`"):
        gatewright.unit("gru").forward({}, [0.5])
    assert repr(unit) == "Unit('gru_zoneout')"
    assert gatewright.unit("janet", beta=2.0).loaded.cell.constants[0].value == 2.0
    with pytest.raises(ArgumentError, match="a loaded cell has its settings: beta come late"):
        gatewright.unit(gatewright.load("janet"), beta=2.0)
