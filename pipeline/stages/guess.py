"""A guess at the mapping of a list, by the names of its columns and the cells of its first rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from pipeline.records import CHANNELS
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.headers import Meaning, Role, answers, languages, meaning
from pipeline.stages.regions import region_of
from pipeline.template import blank

#: Distinct cells of a column that the authorities are asked about.
_ASKED: Final = 500

#: A column that is not named like one holds destinations if so many of its cells do.
_MOSTLY: Final = 0.8

#: A key is in so many rows, and in as few rows the same as in an earlier one.
_FILLED: Final = 0.98
_DISTINCT: Final = 0.9

#: A name of which only a part fits is believed to be that of a key if the part has so many letters.
_TELLING: Final = 8

#: So many different words for yes and no are in a column at most.
_ANSWERS: Final = 12

#: What is looked for where the words of a column do not tell what they mean.
_YES: Final = ("yes", "y", "true", "1")
_NO: Final = ("no", "n", "false", "0")

_NUMBER_LIKE: Final = r"^[+(]?[\d\s().\-/]{7,22}$"
_DATE_LIKE: Final = r"^(\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{2,4})"
# Plain digits are numbers of many other things.
_DRESSED: Final = r"[\s().+-]|^0"


@dataclass(frozen=True, slots=True)
class Consent:
    """A column that says who may be contacted: those who have one of these words in it."""

    column: str
    words: tuple[str, ...]  # lower case; of a column of refusals those that mean no, and the empty cell
    sure: bool  # False: its cells hold other words than yes and no, so a person must say what they mean


@dataclass(frozen=True, slots=True)
class Found:
    """A column of destinations."""

    column: str
    asked: int  # distinct cells that were looked at
    valid: int  # of these
    others: tuple[str, ...]  # further columns that may hold the same
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """What a list looks like."""

    rows: int  # that were looked at
    key: str | None
    repeated: int  # rows whose key an earlier one has
    region: str | None  # None: numbers have country codes, or there are none, or they are valid nowhere
    regions: tuple[str, ...]  # others that are nearly as likely
    channels: Mapping[str, Found]  # by CHANNELS
    where: Consent | None  # for all channels, beside those of each
    unused: tuple[Consent, ...]  # what speaks of consent and has no place in the mapping
    name: str | None  # the column to address a person with
    unnamed: tuple[str, ...]  # columns with destinations, whose names no template can hold


def guess(frame: pl.DataFrame, authorities: Authorities) -> Guess:
    """Look at the first rows of a list; all columns are text. Blocks for about a second."""
    return _Looking(frame, authorities).guess()


def can_be_named(column: str) -> bool:
    """Whether a template can name the column."""
    return not set("{}|") & set(column) and column == column.strip() != ""


class _Looking:
    """What is looked at more than once while a list is guessed at."""

    def __init__(self, frame: pl.DataFrame, authorities: Authorities) -> None:
        self._frame = frame
        self._authorities = authorities
        self._meanings: dict[str, Meaning] = {n: told for n in frame.columns if (told := meaning(n)) is not None}
        self._cells = {name: _distinct(frame[name]) for name in frame.columns}
        self._answers = {
            name: said
            for name, cells in self._cells.items()
            if cells.len() <= _ANSWERS and (said := answers({cell.casefold() for cell in cells})) is not None
        }

    def guess(self) -> Guess:
        """All of it."""
        mails = self._best(self._named(Role.EMAIL), self._mails)
        mails = mails or self._best(self._unnamed(lambda cells: cells.str.contains("@")), self._mails, sure=False)
        mobiles, phones = self._named(Role.SMS), self._named(Role.VOICE)
        unnamed = [] if mobiles or phones else self._unnamed(_like_numbers)
        region, regions = self._region(mobiles, [*phones, *unnamed], mails)

        def ask(texts: pl.Series) -> pl.DataFrame:
            return self._authorities.phones(texts, region, remember=False)

        found = {
            "sms": self._best(mobiles, ask),
            "voice": self._best(phones, ask) or self._best(unnamed, ask, sure=False),
            "email": mails,
        }
        all_found = {name: each for name in CHANNELS if (each := found[name]) is not None}
        usable = {name: each for name, each in all_found.items() if can_be_named(each.column)}
        channels, where, unused = self._allowed(usable)
        key = self._key({each.column for each in channels.values()})
        return Guess(
            rows=self._frame.height,
            key=key,
            repeated=self._frame.height - self._frame[key].n_unique() if key else 0,
            region=region,
            regions=regions,
            channels=channels,
            where=where,
            unused=unused,
            name=self._name(),
            unnamed=tuple(each.column for name, each in all_found.items() if name not in usable),
        )

    # --- destinations -----------------------------------------------------------------------------------------------

    def _named(self, role: Role) -> list[str]:
        """The columns that are named so, and do not answer with yes or no."""
        return [name for name, told in self._meanings.items() if told.role is role and name not in self._answers]

    def _unnamed(self, like: Callable[[pl.Series], pl.Series]) -> list[str]:
        """The columns whose names tell nothing and whose cells mostly look so."""
        others = [name for name in self._frame.columns if name not in self._meanings and len(self._cells[name])]
        return [name for name in others if int(like(self._cells[name]).sum()) >= _MOSTLY * len(self._cells[name])]

    def _mails(self, texts: pl.Series) -> pl.DataFrame:
        return self._authorities.mails(texts, remember=False)

    def _best(
        self, names: Sequence[str], ask: Callable[[pl.Series], pl.DataFrame], *, sure: bool = True
    ) -> Found | None:
        """The column that holds destinations best; `sure`: one of them does, whatever its cells look like."""
        valid = {name: int(ask(self._cells[name])["value"].count()) for name in names}
        tried = [name for name in names if sure or valid[name] >= _MOSTLY * len(self._cells[name])]
        if not tried:
            return None

        def order(name: str) -> tuple[bool, bool, bool, int, int]:
            told = self._meanings.get(name)
            half = valid[name] * 2 >= len(self._cells[name]) > 0
            return can_be_named(name), half, not told or told.first_choice, told.rank[0] if told else 0, valid[name]

        best = max(tried, key=order)  # of those that are as good the first
        return Found(best, len(self._cells[best]), valid[best], tuple(name for name in tried if name != best))

    def _region(
        self, mobiles: Sequence[str], phones: Sequence[str], mails: Found | None
    ) -> tuple[str | None, tuple[str, ...]]:
        domains = self._cells[mails.column].str.split(".").list.last().to_list() if mails else []
        spoken = languages(self._frame.columns)
        for names, mobile in ((mobiles, True), ([*phones, *mobiles], False)):
            numbers = [number for name in names for number in self._cells[name]]
            region, others = region_of(numbers, mobile=mobile, domains=domains, languages=spoken)
            if region is not None:
                return region, others
        return None, ()

    # --- consent ----------------------------------------------------------------------------------------------------

    def _allowed(self, channels: dict[str, Found]) -> tuple[dict[str, Found], Consent | None, tuple[Consent, ...]]:
        """The channels with what each is allowed by; what holds for all beside that; what finds no place."""
        told = [
            (consent, self._meanings[name].channels)
            for name in self._frame.columns
            if (consent := self._consent(name)) is not None
        ]
        # What is sure comes first, and what is about few channels.
        told.sort(key=lambda each: (not each[0].sure, len(each[1]) or len(CHANNELS)))
        where: Consent | None = None
        unused: list[Consent] = []
        for consent, about in told:
            meant = [name for name in channels if not about or name in about]
            if meant and all(channels[name].consent is None for name in meant):
                channels = channels | {name: replace(channels[name], consent=consent) for name in meant}
            elif meant and not about and where is None:
                where = consent
            elif meant:
                unused.append(consent)
        return channels, where, tuple(unused)

    def _consent(self, name: str) -> Consent | None:
        """What a column says of consent, if it speaks of it: by its name, or named like a channel and answering."""
        told, said = self._meanings.get(name), self._answers.get(name)
        if told is None:
            return None
        if told.role in (Role.CONSENT, Role.REFUSAL):
            refusal = told.role is Role.REFUSAL
            if said is None and not told.sure:
                return None
        elif told.role in (Role.SMS, Role.VOICE, Role.EMAIL) and said is not None:
            refusal = told.denies
        else:
            return None
        yes, no = said or ((), ())
        if refusal:
            return Consent(name, ("", *(no or (_NO if said else ()))), sure=said is not None)
        return Consent(name, tuple(yes or _YES), sure=said is not None)

    # --- who it is --------------------------------------------------------------------------------------------------

    def _key(self, taken: set[str]) -> str | None:
        """The column that names a person: it is called so, is hardly ever empty, and hardly ever repeats."""
        likely = [
            (told.rank, name)
            for name, told in self._meanings.items()
            if told.role is Role.KEY and name not in taken and (told.rank[0] == 3 or told.rank[1] >= _TELLING)
        ]
        for _, name in sorted(likely, key=lambda each: each[0], reverse=True):
            cells = self._frame[name]
            filled = cells.filter(~blank(cells))
            if len(filled) >= _FILLED * len(cells) and filled.n_unique() >= _DISTINCT * len(cells):
                return name
        return None

    def _name(self) -> str | None:
        for role in (Role.FIRST_NAME, Role.FULL_NAME):
            for name, told in self._meanings.items():
                if told.role is role and told.rank[0] == 3 and can_be_named(name):
                    return name
        return None


def _distinct(cells: pl.Series) -> pl.Series:
    """The first distinct cells that are not blank, in the order of rows."""
    return cells.filter(~blank(cells)).str.strip_chars().unique(maintain_order=True).head(_ASKED)


def _like_numbers(cells: pl.Series) -> pl.Series:
    """Whether cells look like phone numbers; few of them, or plain digits, say nothing."""
    if len(cells) < 3:
        return cells.is_null()
    like = cells.str.contains(_NUMBER_LIKE) & ~cells.str.contains(_DATE_LIKE)
    return like & cells.str.contains(_DRESSED)
