from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gatewright.language.diagnostics import Diagnostic, Span, SpecError
from gatewright.language.reader import read, read_spec_text
from gatewright.language.source_text import decode

from ..effort import effort
from ..refusals import Case, shown
from .corpus import cell, edited, equation, refusal, rejected


@pytest.mark.parametrize("case", rejected(), ids=lambda case: case.name)
def test_every_mistake_is_reported_with_its_place(case: Case) -> None:
    with effort(100_000):
        error = refusal(case.text)
    assert shown(error) == case.expected
    assert str(error).startswith("error[E")
    for item in error.diagnostics:
        assert re.fullmatch(r"E[0-9]{4}", item.code)
        assert item.to_json()["severity"] == "error"


@pytest.mark.parametrize(
    ("text", "place", "code", "message"),
    [
        ("", "-", "E0102", "the file is empty"),
        ("cell: " + "[" * 100_000, "1:14", "E0104", "nested more than 8 levels deep"),
        ("k: v\n" * 30_000, "9999:4", "E0104", "the file has too many entries"),
        ("x" * 300_000, "-", "E0001", "file is 300000 bytes; the limit is 262144"),
        (edited(l1="cell: " + "g" * 5000), "1:7", "E0114", "cell name 'ggg"),
        (edited(l1="cell: gr\ru"), "1:9", "E0003", "invisible or control character U+000D"),
        (edited(l2="title: " + "x " * 150), "2:8", "E0113", "the title has 299 characters"),
        (
            edited(
                l8="\n".join(f"  {','.join(f'p{i}_{j}' for j in range(9))}: []" for i in range(99))
            ),
            "6:3",
            "E0125",
            "`parameters` declares 895 names; the limit is 256",
        ),
        (equation("1" * 10_000), "10:6", "E0204", "malformed number"),
        (equation(" + ".join(["h"] * 10_000)), "10:516", "E0209", "the equation is too long"),
        (equation("(" * 300 + "h" + ")" * 300), "10:70", "E0208", "nested more than 64"),
        (equation("-" * 50_000 + "h"), "10:7", "E0210", "two signs in a row"),
        (equation("-(" * 60 + "h"), "10:125", "E0206", "a `(` is never closed"),
        (equation('"\\U99999999"'), "-", "E0101", "this is not valid YAML"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_large_inputs_are_refused_at_once(text: str, place: str, code: str, message: str) -> None:
    with effort(20_000_000):
        error = refusal(text)
        rendered = str(error)
    first = error.diagnostics[0]
    assert (f"{first.span.line}:{first.span.column}" if first.span else "-") == place
    assert first.code == code
    assert first.message.startswith(message)
    assert max(map(len, rendered.split("\n"))) < 250


RENDERED = {
    equation("sigmoid(W_z @ x + Uz @ h + b_z)"): """\
error[E0301]: unknown name `Uz` in equation `z`
    --> spec.yaml:10:24
     |
  10 |   z: sigmoid(W_z @ x + Uz @ h + b_z)
     |                        ^^ not an input, state, parameter or earlier equation
     = help: did you mean `U_z`?""",
    edited(l8="  W_z: [hidden]"): """\
error[E0109]: duplicate key `W_z` in `parameters`
    --> spec.yaml:8:3
     |
   6 |   W_z, W_n: [hidden, input]
     |   --- first defined here
   8 |   W_z: [hidden]
     |   ^^^ defined again here""",
    equation("σ(W_z ⊙ x)"): """\
error[E0404]: elementwise product of a matrix [hidden, input] and a vector [input] in equation `z`
    --> spec.yaml:10:8
     |
  10 |   z: σ(W_z ⊙ x)
     |        ^^^^^^^
     = help: use `@` for a matrix-vector product""",
    equation("h ＋ x"): """\
error[E0201]: character '＋' (U+FF0B FULLWIDTH PLUS SIGN) cannot be used here in equation `z`
    --> spec.yaml:10:8
     |
  10 |   z: h ＋ x
     |        ^^
     = help: looks like `+`; write it in ASCII""",
    edited(l10="  z: >\n    sigmoid(W_z @ x\n      + Uz @ h)"): """\
error[E0301]: unknown name `Uz` in equation `z`
    --> spec.yaml:12:9
     |
  12 |       + Uz @ h)
     |         ^^ not an input, state, parameter or earlier equation
     = help: did you mean `U_z`?""",
    edited(l1="cell: g\u202eru"): """\
error[E0003]: invisible or control character U+202E (RIGHT-TO-LEFT OVERRIDE)
    --> spec.yaml:1:8
     |
   1 | cell: g\N{REPLACEMENT CHARACTER}ru
     |        ^
     = help: delete it; hidden characters can make a spec read differently from what it does""",
}


@pytest.mark.parametrize(("text", "message"), RENDERED.items(), ids=range(len(RENDERED)))
def test_messages_are_fixed(text: str, message: str) -> None:
    assert str(refusal(text)) == message


@pytest.mark.parametrize(
    ("value", "line", "column"),
    [
        ("Q + h", 10, 6),
        ("h +  Q", 10, 11),
        ("h\n    + Q", 11, 7),
        ("'h + Q'", 10, 11),
        ('"h + Q"', 10, 11),
        ('"h \\\n    + Q"', 11, 7),
        ('"\\u0068 + Q"', 10, 16),
        ("|\n    h\n    + Q", 12, 7),
        (">-  # folded\n    h\n\n    + Q", 13, 7),
        ("|2\n      h + Q", 11, 11),
        ("⊙ Q", 0, 0),
    ],
)
def test_carets_stand_under_the_name(value: str, line: int, column: int) -> None:
    error = refusal(equation(value))
    span = error.diagnostics[0].span
    assert span is not None
    if line:
        assert error.diagnostics[0].code == "E0301"
        assert (span.line, span.column, span.end_column) == (line, column, column + 1)
    else:
        assert error.diagnostics[0].code == "E0212"


def test_a_quote_inside_single_quotes_keeps_the_place() -> None:
    error = refusal(edited(l12="  h': '(1 - z) * n + z * h'' + Q'"))
    assert [(item.code, item.span and item.span.column) for item in error.diagnostics] == [
        ("E0302", 26),
        ("E0301", 32),
    ]


def test_tabs_keep_the_caret_in_place() -> None:
    error = refusal(equation("'h +\tQ'"))
    assert str(error).split("\n")[3:5] == [
        "  10 |   z: 'h +    Q'",
        "     |              ^ not an input, state, parameter or earlier equation",
    ]


def test_json_has_the_same_content() -> None:
    (item,) = refusal(equation("sigmoid(W_z @ x + Uz @ h + b_z)")).to_json()
    assert item == {
        "code": "E0301",
        "severity": "error",
        "message": "unknown name `Uz` in equation `z`",
        "file": "spec.yaml",
        "range": {"start": {"line": 10, "column": 24}, "end": {"line": 10, "column": 26}},
        "help": "did you mean `U_z`?",
        "related": [],
    }


def test_at_most_twenty_mistakes_are_shown() -> None:
    names = "\n".join(f"  a{index}: [{index}]" for index in range(50))
    error = refusal(edited(l8=names))
    assert len(error.diagnostics) == 20
    assert str(error).endswith("only the first 20 mistakes are shown")


def test_bytes_of_a_spec(tmp_path: Path) -> None:
    for data, code in ((b"\xff\xfec\0", "E0002"), (b"cell: \xe9", "E0002")):
        with pytest.raises(SpecError) as caught:
            decode(data, "a.yaml")
        assert caught.value.diagnostics[0].code == code
    text = edited().replace("\n", "\r\n")
    path = tmp_path / "with spaces é.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(path).cell.value == "gru"


def test_files_that_are_no_specs(tmp_path: Path) -> None:
    sparse = tmp_path / "large.yaml"
    with sparse.open("wb") as stream:
        stream.truncate(1 << 30)
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    expected = {
        tmp_path / "none.yaml": "E0004",
        tmp_path: "E0005",
        fifo: "E0005",
        sparse: "E0001",
        Path("/dev/zero"): "E0005",
    }
    for path, code in expected.items():
        with effort(1_000), pytest.raises(SpecError) as caught:
            read(path)
        assert caught.value.diagnostics[0].code == code
    with pytest.raises(SpecError):
        read("a\0b.yaml")


def test_spans_outside_the_source_do_not_break_a_message() -> None:
    item = Diagnostic("E0301", "lost", Span("a.yaml", 99, 1, 99, 2))
    assert str(SpecError([item], {"a.yaml": "x"})).startswith("error[E0301]: lost")


def test_yes_and_no_are_names() -> None:
    text = edited(l10="  no: sigmoid(W_z @ x + U_z @ h + b_z)", l14="gates: [no]")
    text = text.replace("z * h", "no * h").replace("1 - z", "1 - no")
    assert cell(text).gates == ("no",)


def test_hostile_text_stays_text() -> None:
    spec = read_spec_text(edited(l2='title: \'{{ 7*7 }} """ <script>\''))
    assert spec.title == '{{ 7*7 }} """ <script>'
