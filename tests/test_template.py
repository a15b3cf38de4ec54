"""Templates: literal text and columns' values."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.template import Template, blank, template_columns

FRAME = pl.DataFrame(
    {"a": ["x", None, "", " "], "b c": ["1", "2", None, "\u3000"]}, schema={"a": pl.String, "b c": pl.String}
)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ["", "", "", ""]),
        ("plain", ["plain"] * 4),
        ("{a}", ["x", "", "", " "]),
        ("Hi { a }, {b c}!", ["Hi x, 1!", "Hi , 2!", "Hi , !", "Hi  , \u3000!"]),
        ("{{{a}}}", ["{x}", "{}", "{}", "{ }"]),
        ("{{a}}", ["{a}"] * 4),
        ("\n{a}{a}", ["\nxx", "\n", "\n", "\n  "]),
        ("{a|you}", ["x", "you", "you", "you"]),
        ("{a|}.", ["x.", ".", ".", "."]),
        ("{ a | you |&}", ["x", " you |&", " you |&", " you |&"]),
        ("{b c|0}{a}", ["1x", "2", "0", "0 "]),
    ],
)
def test_fill(text: str, filled: list[str]) -> None:
    assert Template.parse(text).fill(FRAME).to_list() == filled


def test_what_it_names() -> None:
    template = Template.parse("a{a|1}b{b c}{a}{d|}{{")
    assert (template.columns, template.bare) == (("a", "b c", "d"), ("b c", "a"))
    assert (template.literals, template.own) == ("ab{", "a1b{")


def test_cells_are_escaped_in_html_once() -> None:
    frame = pl.DataFrame({"a": ["<&amp;>", "'\"", None]})
    filled = Template.parse("<b>{a|<i>}</b>").fill(frame, html=True).to_list()
    assert filled == ["<b>&lt;&amp;amp;&gt;</b>", "<b>&#39;&quot;</b>", "<b><i></b>"]


@pytest.mark.parametrize(
    ("text", "blanks"),
    [("{a}", [False, True, True, True]), ("+1{a}{b c}", [False, False, True, True]), ("+1", [False] * 4)],
)
def test_blank(text: str, blanks: list[bool]) -> None:
    assert Template.parse(text).blank(FRAME).to_list() == blanks


def test_blank_cells() -> None:
    assert blank(pl.Series([None, "", "\u2003\t\r\n\x0b\x85", "\u200b", "\x1c"])).to_list() == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{a", "a single {"),
        ("a}", "a single }"),
        ("{a}}", "a single }"),
        ("{ }", "without a name"),
        ("{|you}", "without a name"),
    ],
)
def test_mistakes(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Template.parse(text)


def test_a_template_that_cannot_be_read_names_nothing() -> None:
    assert template_columns("{a}{b|c}{a}") == ("a", "b")
    assert template_columns("{a}{") == ()


@given(st.text(max_size=20), st.text(max_size=20))
@settings(deadline=None)  # the machine may be busy
def test_braces_written_twice_come_out_once(before: str, value: str) -> None:
    doubled = before.replace("{", "{{").replace("}", "}}")
    frame = pl.DataFrame({"a": [value]})
    assert Template.parse(doubled + "{a}").fill(frame).item() == before + value
