from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gatewright.language.catalogue import load, names
from gatewright.language.latex import cell_latex, equation_latex
from gatewright.language.mathml import cell_mathml, equation_mathml

from .corpus import BASE, cell, edited, equation

MORE = "parameters:\n  p, q: [hidden]\n  alpha_t, k: []\n"


def _z(text: str) -> str:
    return equation(
        f"{text} + 0 * sigmoid(W_z @ x + U_z @ h + b_z) + 0 * (p + q + alpha_t + k)"
    ).replace("parameters:\n", MORE)


def test_a_cell_in_latex() -> None:
    assert cell_latex(cell(BASE)) == "\n".join(
        [
            r"\begin{aligned}",
            r"  z_{t} &= \sigma\left(W_{z} x_{t} + U_{z} h_{t-1} + b_{z}\right) \\",
            r"  n_{t} &= \tanh\left(W_{n} x_{t} "
            r"+ U_{n} \left(z_{t} \odot h_{t-1}\right) + b_{n}\right) \\",
            r"  h_{t} &= \left(1 - z_{t}\right) \odot n_{t} + z_{t} \odot h_{t-1}",
            r"\end{aligned}",
        ]
    )
    found = cell(BASE)
    assert equation_latex(found.equations[2], found, time=False) == (
        r"h' = \left(1 - z\right) \odot n + z \odot h"
    )


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("p * q", r"p \odot q"),
        ("k * p", r"k \, p"),
        ("2 * p", r"2 \, p"),
        ("alpha_t * p", r"\alpha_{t} \, p"),
        ("p / q", r"\frac{p}{q}"),
        ("p / q * h", r"\frac{p}{q} \odot h_{t-1}"),
        ("(p / q)^2", r"{\left(\frac{p}{q}\right)}^{2}"),
        ("tanh(p)^2", r"{\left(\tanh\left(p\right)\right)}^{2}"),
        ("p^-2", r"{p}^{-2}"),
        ("abs(p)", r"\left|p\right|"),
        ("sqrt(p)", r"\sqrt{p}"),
        ("max(p, q)", r"\max\left(p, q\right)"),
        ("p * -q", r"p \odot \left(-q\right)"),
        ("p * (q * h)", r"p \odot \left(q \odot h_{t-1}\right)"),
        ("1e-9 * p", r"1 \times 10^{-9} \, p"),
        ("hard_tanh(p)", r"\mathrm{hard\_tanh}\left(p\right)"),
    ],
)
def test_terms_in_latex(text: str, latex: str) -> None:
    found = cell(_z(text))
    assert equation_latex(found.equations[0], found).startswith(f"z_{{t}} = {latex} + 0 ")


def test_an_equation_in_mathml() -> None:
    found = cell(BASE)
    assert equation_mathml(found.equations[2], found, time=False) == (
        '<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>'
        "<msup><mi>h</mi><mo>′</mo></msup><mo>=</mo>"
        "<mrow><mrow><mrow><mo>(</mo><mrow><mn>1</mn><mo>−</mo><mi>z</mi></mrow><mo>)</mo></mrow>"
        "<mo>⊙</mo><mi>n</mi></mrow><mo>+</mo>"
        "<mrow><mi>z</mi><mo>⊙</mo><mi>h</mi></mrow></mrow></mrow></math>"
    )


@pytest.mark.parametrize("name", names())
def test_every_cell_is_typeset(name: str) -> None:
    found = load(name)
    for time in (True, False):
        text = cell_latex(found, time)
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")
        root = ElementTree.fromstring(cell_mathml(found, time))
        assert root.tag.endswith("math")
        assert len(root.findall(".//{*}mtr")) == len(found.equations)


def test_titles_do_not_become_markup() -> None:
    found = cell(edited(l2='title: "<script>alert(1)</script> \\" &"'))
    text = cell_mathml(found)
    assert "<script" not in text
    assert ElementTree.fromstring(text).get("aria-label") == found.title
