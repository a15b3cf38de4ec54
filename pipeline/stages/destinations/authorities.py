"""Distinct destinations to verdicts, each asked once: a bounded memory in front of phonenumbers and email-validator."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import polars as pl

from pipeline.stages.destinations.email import Mail, read_mail
from pipeline.stages.destinations.email_columns import by_domain, surely_refused, well_formed
from pipeline.stages.destinations.phone import Phone, read_phone
from pipeline.stages.destinations.phone_verdicts import PhoneColumns

Verdict = TypeVar("Verdict", Phone, Mail)

#: About 400 bytes each.
_REMEMBERED: Final = 100_000

#: What a text is as a destination, row by row; all null where the text is.
VERDICTS: Final = pl.Schema(
    [
        ("value", pl.String),  # as it is sent; null where it is not valid
        ("fault", pl.String),  # why it is not valid; null where it is
        ("landline", pl.Boolean),
        ("remark", pl.String),  # what to know of a valid one; null: nothing
    ]
)


class Authorities:
    """What phonenumbers and email-validator said of each distinct text, shared by all walks of a run.

    At most `limit` phones and as many mails are remembered. A full memory keeps what it has: a second walk comes by
    in the same order, and would find nothing in one that forgets the oldest first.
    """

    def __init__(self, *, limit: int = _REMEMBERED) -> None:
        self._limit = limit
        self._phone_columns: dict[str | None, PhoneColumns] = {}  # by region: it is part of the question
        self._phones: dict[str | None, dict[str, Phone]] = {}  # those that were not certain by the column
        self._mails: dict[str, Mail] = {}
        self._domains: dict[str, Mail] = {}

    def phones(self, texts: pl.Series, region: str | None, *, remember: bool = True) -> pl.DataFrame:
        """The verdict on each text, in order: columns as in VERDICTS. `region` is upper case."""
        columns = self._phone_columns.setdefault(region, PhoneColumns(region))
        told = columns.read(texts)
        if told.height < len(texts):
            at = pl.int_range(len(texts), dtype=pl.UInt32, eager=True).alias("at")
            left = at.filter(pl.repeat(value=True, n=len(texts), eager=True).scatter(told["at"], values=False))
            asked = texts.gather(left)
            known = self._phones.setdefault(region, {})
            distinct, verdicts = self._ask(asked, known, lambda text: read_phone(text, region), remember=remember)
            rest = _spread(
                asked,
                distinct,
                [verdict.number for verdict in verdicts],
                [verdict.fault for verdict in verdicts],
                [verdict.landline for verdict in verdicts],
                [verdict.remark for verdict in verdicts],
            )
            told = pl.concat([told, rest.insert_column(0, left)])
        return told.sort("at").select(VERDICTS.names())

    def mails(self, texts: pl.Series, *, remember: bool = True) -> pl.DataFrame:
        """The verdict on each text, in order: columns as in VERDICTS."""
        rows = pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(
            "text",
            value=well_formed(texts),
            fault=pl.lit(None, pl.String),
            landline=pl.when(pl.col("text").is_not_null()).then(pl.lit(False)),
            remark=pl.lit(None, pl.String),
        )
        left = (rows["value"].is_null() & texts.is_not_null()).arg_true()
        if left.is_empty():
            return rows.select(VERDICTS.names())
        asked = texts.gather(left)
        told = dict(zip(*self._ask(asked, self._mails, self._mail, remember=remember), strict=True))
        verdicts = [told[text] for text in asked]
        answers = {
            "value": [verdict.address for verdict in verdicts],
            "fault": [verdict.fault for verdict in verdicts],
            "remark": [verdict.remark for verdict in verdicts],
        }
        return rows.with_columns(
            rows[name].scatter(left, pl.Series(given, dtype=pl.String)) for name, given in answers.items()
        ).select(VERDICTS.names())

    def _mail(self, text: str) -> Mail:
        """As `read_mail`, with less work."""
        return surely_refused(text) or by_domain(text, self._domain) or read_mail(text)

    def _domain(self, domain: str) -> Mail:
        """What is said of an address at that domain."""
        mail = self._domains.get(domain)
        if mail is None:
            mail = read_mail(f"a@{domain}")
            if len(self._domains) < self._limit:
                self._domains[domain] = mail
        return mail

    def _ask(
        self, texts: pl.Series, known: dict[str, Verdict], read: Callable[[str], Verdict], *, remember: bool
    ) -> tuple[list[str], list[Verdict]]:
        distinct: list[str] = texts.drop_nulls().unique().to_list()
        verdicts = []
        for text in distinct:
            verdict = known.get(text)
            if verdict is None:
                verdict = read(text)
                if remember and len(known) < self._limit:
                    known[text] = verdict
            verdicts.append(verdict)
        return distinct, verdicts


def _spread(
    texts: pl.Series,
    distinct: list[str],
    value: list[str | None],
    fault: list[str | None],
    landline: list[bool],
    remark: Sequence[str | None],
) -> pl.DataFrame:
    verdicts = pl.DataFrame(
        {"text": distinct, "value": value, "fault": fault, "landline": landline, "remark": remark},
        schema={"text": pl.String, **VERDICTS},
    )
    asked = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return asked.join(verdicts, on="text", how="left", maintain_order="left").select(VERDICTS.names())
