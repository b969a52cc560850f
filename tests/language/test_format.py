from __future__ import annotations

import pytest

from gatewright.language.catalogue import load, names
from gatewright.language.diagnostics import SpecError
from gatewright.language.format import format_spec, write_spec
from gatewright.language.new_cell import template
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve
from gatewright.resources import data_folder

from .corpus import BASE, cell

UNTIDY = """\
# a file comment


cell:   gru   # the name
title: "Gated: recurrent"   # quoted
cite: [ cho2014,   # one
   chung2014 ] # two
inputs: {x:   input}
states:
  # the hidden state
  h: [hidden]

parameters:   # all of them
  # input weights
  W_z,W_n : [hidden,input]   # matrices
  U_z,  U_n: [hidden,
              hidden]
  β_z, b_n: hidden
constants:
  gain: 1.50 # a number
  act: [tanh,relu]
equations:
  # the update gate
  z: σ(W_z@x ⊙ gain + U_z@h + β_z)   # update

  n: |     # candidate
    act(W_n @ x
      + U_n @ (z ⊙ h) + b_n)

  # the new state
  "h'":
    # convex
    '(1 − z)*n + z·h'
output: "h'"

gates:
  # just one
  - z # this

# the end
"""

TIDY = """\
# a file comment

cell: gru  # the name
title: "Gated: recurrent"  # quoted
# one
cite: [cho2014, chung2014]  # two
inputs: {x: input}
states:
  # the hidden state
  h: [hidden]

parameters:  # all of them
  # input weights
  W_z, W_n:    [hidden, input]  # matrices
  U_z, U_n:    [hidden, hidden]
  beta_z, b_n: hidden
constants:
  gain: 1.50  # a number
  act:  [tanh, relu]
equations:
  # the update gate
  z: sigmoid(W_z @ x * gain + U_z @ h + beta_z)  # update

  n: act(W_n @ x + U_n @ (z * h) + b_n)          # candidate

  # the new state
  # convex
  h': (1 - z) * n + z * h
output: h'

gates:
  # just one
  - z  # this

# the end
"""


def test_an_untidy_spec_is_put_in_house_style() -> None:
    assert format_spec(UNTIDY) == TIDY
    assert format_spec(TIDY) == TIDY
    assert cell(UNTIDY) == cell(TIDY)
    assert format_spec("\ufeff" + UNTIDY.replace("\n", "\r\n")) == TIDY


@pytest.mark.parametrize("name", names())
def test_formatting_the_catalogue_keeps_its_meaning(name: str) -> None:
    text = (data_folder("specs") / f"{name}.yaml").read_text(encoding="utf-8")
    tidy = format_spec(text)
    assert format_spec(tidy) == tidy
    assert resolve(read_spec_text(tidy)) == load(name)
    for comment in (line.strip() for line in text.split("\n") if line.startswith("#")):
        assert comment in tidy
    full = write_spec(load(name))
    assert format_spec(full) == full


def test_long_equations_are_wrapped_before_a_sum() -> None:
    terms = " + ".join(f"tanh(W_n @ x + {index} * h)" for index in range(12))
    text = BASE.replace("(1 - z) * n + z * h", f"n * z + {terms}")
    tidy = format_spec(text)
    assert max(map(len, tidy.split("\n"))) <= 100
    assert format_spec(tidy) == tidy
    assert cell(tidy) == cell(text)
    assert cell(write_spec(cell(text))) == cell(text)


@pytest.mark.parametrize(
    "title", ["a: b", "# a", "- a", "{{ 7*7 }}", '"""', "~", "a \\ b", "é ⊙", "'", "a, b"]
)
def test_titles_are_quoted_where_yaml_would_misread_them(title: str) -> None:
    import json

    text = BASE.replace("Gated recurrent unit", json.dumps(title, ensure_ascii=False))
    assert cell(text).title == title
    assert cell(format_spec(text)).title == title
    assert cell(write_spec(cell(text))).title == title


def test_directives_and_document_marks_are_dropped_with_their_comments_kept() -> None:
    text = "%YAML 1.2\n--- # opening\n" + BASE + "... # closing\n"
    assert format_spec(text).startswith("# opening\ncell: gru\n")
    assert format_spec(text).endswith("# closing\n")


def test_what_is_no_spec_is_refused() -> None:
    with pytest.raises(SpecError):
        format_spec(BASE.replace("tanh", "tanh("))


def test_the_template_checks_clean() -> None:
    text = template("my_cell")
    assert resolve(read_spec_text(text)).name == "my_cell"
    assert format_spec(text) == text
    assert template("no").split("\n")[2] == "cell: no"
    assert "$schema=/s.json" in template("a", "/s.json")
    for name in ("../../x", "GRU", "", "a b", 'a"b', "a\nb", "con", "class", "x" * 65, "~"):
        with pytest.raises(SpecError):
            template(name)
