"""Templates: texts with {column|default} placeholders, filled for a whole frame at once.

What follows the first `|` of a placeholder is its default: it stands where the column's cell is null or only white
space. A column with a brace or a `|` in its name cannot be named in a template.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[^{}]+|[{}]")

#: What stands in HTML for what means something there.
_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Where a column's value goes."""

    column: str
    default: str | None = None  # what stands there for a blank cell; None: the cell as it is, and nothing for null


@dataclass(frozen=True, slots=True)
class Template:
    """A text in parts: literal text, and placeholders. `{{` and `}}` are literal braces."""

    parts: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Take a template apart; raises ValueError, whose text says what is wrong with it."""
        return cls(tuple(_joined(_parts(text))))

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Its placeholders, in order."""
        return tuple(part for part in self.parts if isinstance(part, Placeholder))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, in order, each once."""
        return tuple(dict.fromkeys(each.column for each in self.placeholders))

    @property
    def bare(self) -> tuple[str, ...]:
        """The columns that it names somewhere without a default, in order, each once."""
        return tuple(dict.fromkeys(each.column for each in self.placeholders if each.default is None))

    @property
    def literals(self) -> str:
        """What stands in every text made of it."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def own(self) -> str:
        """All that it may bring into a text by itself: literals and defaults."""
        return "".join(part if isinstance(part, str) else part.default or "" for part in self.parts)

    def fill(self, frame: pl.DataFrame, *, html: bool = False) -> pl.Series:
        """The text of each row, never null: a null value without a default leaves its place empty.

        `html`: the text is HTML, so what the cells hold is escaped; literals and defaults stand as they were written.
        """
        if not self.columns:
            return pl.repeat(self.literals, frame.height, dtype=pl.String, eager=True)
        pieces = [pl.lit(part) if isinstance(part, str) else _value(part, html=html) for part in self.parts]
        return frame.select(pl.concat_str(pieces)).to_series()

    def blank(self, frame: pl.DataFrame) -> pl.Series:
        """Whether a row gives nothing to fill it with: every column that it names is null or only white space."""
        if not self.columns:
            return pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
        return frame.select(pl.all_horizontal(blank(frame[name]) for name in self.columns)).to_series()


def template_columns(text: str) -> tuple[str, ...]:
    """The columns that a template names, in order, each once; none where it cannot be read, which is told elsewhere."""
    try:
        return Template.parse(text).columns
    except ValueError:
        return ()


def blank(cells: pl.Series) -> pl.Series:
    """Whether a cell is null or only white space (Unicode's White_Space)."""
    return cells.fill_null("").str.strip_chars() == ""


def _value(placeholder: Placeholder, *, html: bool) -> pl.Expr:
    cell = pl.col(placeholder.column).fill_null("")
    value = cell.str.replace_many(list(_HTML), list(_HTML.values())) if html else cell
    if placeholder.default is None:
        return value
    return pl.when(cell.str.strip_chars() == "").then(pl.lit(placeholder.default)).otherwise(value)


def _parts(text: str) -> Iterator[str | Placeholder]:
    for token in _TOKEN.findall(text):
        if token in ("{{", "}}"):
            yield token[0]
        elif token in ("{", "}"):
            raise ValueError(f"a single {token} in it; write {token * 2} for a literal brace")
        elif token.startswith("{"):
            name, bar, default = token[1:-1].partition("|")
            if not (name := name.strip()):
                raise ValueError(f"a placeholder without a name, {token}; write {{{{}}}} for literal braces")
            yield Placeholder(name, default if bar else None)
        else:
            yield token


def _joined(parts: Iterator[str | Placeholder]) -> Iterator[str | Placeholder]:
    """Literals that follow each other become one."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
            text = ""
        yield part
    if text:
        yield text
