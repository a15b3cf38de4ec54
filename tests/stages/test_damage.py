"""Refused cells: what has visibly happened to them, in words that repeat nothing of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.destinations.damage import damage

NOTHING = "a word or a sign in place of an empty cell"
FORMULA_ERROR = "the error of a spreadsheet's formula"
FORMULA = "a spreadsheet's formula in place of a text"
GARBLED = "garbled: UTF-8 was read as Windows-1252"
HTML = "written in HTML (tags or entities)"


@pytest.mark.parametrize(
    "text",
    [
        *("N/A", "n/a", "n.a.", "NA", "<NA>", "none", "None", "NULL", "(null)", "nil", "NaN", "\\N", "unknown", "TBD"),
        *("-", "--", "\u2014", "?", "...", "\u2026", "/", "***", "0", "000-0000", "x", "XXX", "( )", "''"),
        *("keine", "k. A.", "Keine Angabe", "UNBEKANNT", "n.v.", "inconnu", "Aucune", "n\u00e9ant", "neant", "ninguno"),
        *(
            "no e-mail",
            "sin tel\u00e9fono",
            "S/D",
            "nessuno",
            "n\u00e3o tem",
            "nao tem",
            "n.v.t.",
            "geen",
            "saknas",
            "ei ole",
            "brak",
        ),
        *(
            "yok",
            "\u043d\u0435\u0442",
            "\u306a\u3057",
            "\u65e0",
            "\uc5c6\uc74c",
            "\u0644\u0627 \u064a\u0648\u062c\u062f",
        ),
        *("\uff2e\uff0f\uff21", "neant\u0301"),
    ],
)
def test_nothing(text: str) -> None:
    assert damage(text) == NOTHING


@pytest.mark.parametrize(
    "text",
    [
        *(
            "#N/A",
            "#NV",
            "#N/D",
            "#REF!",
            "#BEZUG!",
            "#DIV/0!",
            "#NAME?",
            "#NOM?",
            "#\u00a1REF!",
            "#NULL!",
            "#GETTING_DATA!",
        ),
        *("###", "########", "Err:502"),
    ],
)
def test_errors_of_formulas(text: str) -> None:
    assert damage(text) == FORMULA_ERROR


@pytest.mark.parametrize("text", ['="4165550123"', '=HYPERLINK("mailto:ann@example.com")', "= T(A1)"])
def test_formulas(text: str) -> None:
    assert damage(text) == FORMULA


@pytest.mark.parametrize(
    "letters", ["é", "Zoë Müller", "naïve ’quoted’", "Ångström", "í", "à", "ő", "日本", "\u00a0", "🙂"]
)
@pytest.mark.parametrize("misread", ["cp1252", "latin-1"])
def test_garbled(letters: str, misread: str) -> None:
    # As programs do it: what Windows-1252 leaves open is taken from Latin-1.
    garbled = "".join(
        bytes([octet]).decode(misread if octet not in b"\x81\x8d\x8f\x90\x9d" else "latin-1")
        for octet in f"ann {letters}@example.com".encode()
    )
    assert damage(garbled) == GARBLED
    assert damage(garbled.encode().decode("latin-1")) == GARBLED  # and once more


@pytest.mark.parametrize("text", ["ann@example.com\u00c2", "+44 20\u00c2 7946 0000", "\u00c2 ann@example.com"])
def test_half_of_a_garbled_space(text: str) -> None:
    assert damage(text) == GARBLED


@pytest.mark.parametrize(
    "text",
    [
        *("ann&amp;bob@example.com", "ann&#64;example.com", "ann&#x40;example.com", "&nbsp;ann@example.com"),
        *("4165550123&lt;", "<a href='mailto:ann@example.com'>ann</a>", "4165550123<br>", "<b>4165550123</B>"),
    ],
)
def test_html(text: str) -> None:
    assert damage(text) == HTML


@pytest.mark.parametrize(
    "point", ["\u200b", "\u200e", "\u202a", "\u202c", "\u2066", "\u2060", "\u00ad", "\ufeff", "\0", "\x7f"]
)
def test_invisible_characters(point: str) -> None:
    for text in (f"ann{point}@example.com", f"{point}ann@example.com", f"zoë{point}@example.com"):
        assert damage(text) == f"has an invisible character (U+{ord(point):04X})"


def test_lost_characters() -> None:
    assert "(U+FFFD)" in (damage("zo\ufffd@example.com") or "")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "+",
            "@",
            "ann",
            "none@example",
            "mail",
            "keine Ahnung von Telefonen",
            "#ann",
            "#1",
            "=ann",
            "a&b;c",
            "R&D; ann",
            "&;",
        ),
        *("<ann@example.com>", "Ann <ann@example.com>", "JOSÉ", "CAFÉ AU LAIT", "Zoë Müller", "日本", "naïve ’quoted’"),
        *("416 555 0123\n416 555 0124", "a\tb", "a\u00a0b", "0x1f", "00 41"),
    ],
)
def test_what_shows_no_damage(text: str) -> None:
    assert damage(text) is None


def test_long_texts_are_not_looked_at() -> None:
    assert damage("<a " * 1_000_000) is None
    assert damage("-" * 1_001) is None


@given(st.text(max_size=30))
def test_any_text_may_be_asked_about(text: str) -> None:
    damage(text)


@given(
    st.text(st.characters(categories=("Nd",), max_codepoint=0x7F), min_size=5).filter(
        lambda digits: set(digits) > {"0"}
    )
)
def test_words_repeat_nothing(digits: str) -> None:
    for text in (
        f"{digits}&amp;",
        f"{digits}\u200b",
        f'="{digits}"',
        f"{digits}Ã©",
        f"<b>{digits}</b>",
        f"{digits}\ufffd",
    ):
        words = damage(text)
        assert words is not None
        assert digits not in words
