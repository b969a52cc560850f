from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from gatewright.language.catalogue import names, read_spec
from gatewright.language.new_cell import template
from gatewright.language.reader import KEYS, REQUIRED, REQUIRED_ALONE, read_spec_text
from gatewright.language.resolve import resolve
from gatewright.resources import PACKAGE

from .corpus import BASE, rejected
from .test_format import TIDY, UNTIDY

SCHEMA: dict[str, Any] = json.loads((PACKAGE / "cell.schema.json").read_text(encoding="utf-8"))


def _valid(text: str) -> bool:
    # What an editor's language server sees: YAML 1.2, where `no` is text and 1.0 a number.
    node = yaml.load(text, Loader=yaml.BaseLoader)
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(node))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_schema_and_the_reader_know_the_same_keys() -> None:
    assert sorted(SCHEMA["properties"]) == sorted(KEYS)
    assert SCHEMA["required"] == list(REQUIRED)
    assert sorted(SCHEMA["then"]["required"]) == sorted(REQUIRED_ALONE)
    samples = {
        "cell": "cell: a",
        "title": "title: t",
        "cite": "cite: [a]",
        "extends": "extends: gru",
        "inputs": "inputs: {x: input}",
        "states": "states: {h: hidden}",
        "parameters": "parameters: {W: [hidden, input]}",
        "constants": "constants: {beta: 1.0}",
        "equations": "equations:\n  h': W @ x",
        "output": "output: h'",
        "gates": "gates: [z]",
    }
    assert sorted(samples) == sorted(KEYS)
    for key in KEYS:
        text = "\n".join(dict.fromkeys([samples["cell"], samples["extends"], samples[key]]))
        read_spec_text(text)
        assert _valid(text), key


@pytest.mark.parametrize("text", [BASE, UNTIDY, TIDY, template("a")])
def test_accepted_specs_are_valid(text: str) -> None:
    resolve(read_spec_text(text))
    assert _valid(text)


@pytest.mark.parametrize("name", names())
def test_the_catalogue_is_valid(name: str) -> None:
    assert _valid(read_spec(name).source)


def test_the_schema_sees_mistakes_in_form() -> None:
    form = {"E0110", "E0112", "E0118", "E0119", "E0120", "E0122"}
    cases = [case for case in rejected() if case.expected.split()[1] in form]
    assert len(cases) > 6
    for case in cases:
        assert not _valid(case.text), case.name
