"""Templates: texts with {column} placeholders, filled for a whole frame at once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[^{}]+|[{}]")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Where a column's value goes."""

    column: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text in parts: literal text, and placeholders. `{{` and `}}` are literal braces."""

    parts: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Take a template apart; raises ValueError, whose text says what is wrong with it."""
        return cls(tuple(_joined(_parts(text))))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, in order, each once."""
        return tuple(dict.fromkeys(part.column for part in self.parts if isinstance(part, Placeholder)))

    @property
    def literals(self) -> str:
        """What stands in every text made of it."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def fill(self, frame: pl.DataFrame) -> pl.Series:
        """The text of each row, never null: a null value leaves its place empty."""
        if not self.columns:
            return pl.repeat(self.literals, frame.height, dtype=pl.String, eager=True)
        pieces = [
            pl.lit(part) if isinstance(part, str) else pl.col(part.column).fill_null(pl.lit("")) for part in self.parts
        ]
        return frame.select(pl.concat_str(pieces)).to_series()

    def blank(self, frame: pl.DataFrame) -> pl.Series:
        """Whether a row gives nothing to fill it with: every column that it names is null or only white space."""
        if not self.columns:
            return pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
        return frame.select(pl.all_horizontal(blank(frame[name]) for name in self.columns)).to_series()


def blank(cells: pl.Series) -> pl.Series:
    """Whether a cell is null or only white space (Unicode's White_Space)."""
    return cells.fill_null("").str.strip_chars() == ""


def _parts(text: str) -> Iterator[str | Placeholder]:
    for token in _TOKEN.findall(text):
        if token in ("{{", "}}"):
            yield token[0]
        elif token in ("{", "}"):
            raise ValueError(f"a single {token} in it; write {token * 2} for a literal brace")
        elif token.startswith("{"):
            if not (name := token[1:-1].strip()):
                raise ValueError("a placeholder without a name, {}; write {{}} for literal braces")
            yield Placeholder(name)
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
