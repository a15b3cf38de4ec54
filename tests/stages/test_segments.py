"""Segments of short messages: the columns count what a slow, obvious filling of one message after another counts."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.segments import segments

#: GSM 7 bit's default alphabet by rows of sixteen, as 3GPP TS 23.038 prints it by columns; \x1b leads to its extension.
BASIC = (
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\x1b\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./"
    "0123456789:;<=>?"
    "\u00a1ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmno"
    "pqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
EXTENDED = "\x0c^{}\\[~]|\u20ac"


def slowly(text: str) -> tuple[int, str | None]:
    """Fill message after message, character by character."""
    foreign = next((char for char in text if (char not in BASIC or char == "\x1b") and char not in EXTENDED), None)
    if foreign is None:
        widths = [2 if char in EXTENDED else 1 for char in text]
        one, each = 160, 153
    else:
        widths = [len(char.encode("utf-16-le")) // 2 for char in text]
        one, each = 70, 67
    if sum(widths) <= one:
        return 1, foreign
    messages, room = 1, each
    for width in widths:
        if width > room:
            messages, room = messages + 1, each
        room -= width
    return messages, foreign


def test_the_table_is_whole() -> None:
    assert (len(BASIC), len(set(BASIC)), len(EXTENDED)) == (128, 128, 10)
    every = "".join(map(chr, range(0xD800))) + "".join(map(chr, range(0xE000, 0x11000)))
    texts = [char * 71 for char in every]
    told = segments(pl.Series(texts))
    assert told.rows() == [slowly(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("\u20ac" * 80, 1),
        ("a" * 159 + "\u20ac", 2),
        ("a" * 152 + "\u20ac" + "a" * 152, 3),  # 306 septets, and a pair that does not fit behind the first 152
        ("a" * 152 + "\u20ac" + "a" * 151, 2),
        ("\u2019" + "a" * 69, 1),
        ("\u2019" + "a" * 70, 2),
        ("\u2019" * 134, 2),
        ("\U0001f600" * 35, 1),
        ("\u2019" * 66 + "\U0001f600" + "\u2019" * 66, 3),
        ("\u2019" * 66 + "\U0001f600" + "\u2019" * 65, 2),
        ("a" * 100 + "\x1b", 2),
    ],
)
def test_edges(text: str, count: int) -> None:
    assert slowly(text)[0] == count
    assert segments(pl.Series([text]))["segments"].item() == count


def test_no_text_has_no_segments() -> None:
    assert segments(pl.Series([None, "x"], dtype=pl.String)).rows() == [(None, None), (1, None)]
    assert segments(pl.Series([], dtype=pl.String)).height == 0


#: Runs of few kinds, so that pairs come to lie about the ends of messages.
RUNS = st.lists(
    st.tuples(st.sampled_from("ab\u20ac[\n\u00e9\u2019\U0001f600\u0105\x1b<>."), st.integers(1, 160)), max_size=6
).map(lambda runs: "".join(char * count for char, count in runs))


@given(st.lists(st.one_of(RUNS, st.text(max_size=200)), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)  # the machine may be busy
def test_columns_count_as_the_slow_way_does(texts: list[str]) -> None:
    told = segments(pl.Series(texts, dtype=pl.String)).rows()
    for text, (count, foreign) in zip(texts, told, strict=True):
        expected, odd = slowly(text)
        assert count == expected
        assert foreign == (odd if len(text.encode()) > 70 else None)
