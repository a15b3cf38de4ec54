"""Contacts to envelopes of AddCampaignContact or UpdateCampaignContact, a batch at a time.

Which channels a contact has, and whether each has a text of its own, is its shape. There are at most 27; each is
compiled from the contract once, and a batch is written shape by shape, column by column.
"""

from itertools import repeat
from typing import Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.records import CHANNELS
from pipeline.stages.encode import Body
from pipeline.targets.soap.contract import Contract, Request
from pipeline.targets.soap.members import Wanted
from pipeline.targets.soap.template import ESCAPES, FORBIDDEN, mark

#: The member of a contact that each channel fills (documented).
MEMBERS: Final = {"sms": "SMSCommInfo", "voice": "VoiceCommInfo", "email": "EmailCommInfo"}

#: The session id is not known when sizes are judged; no published one is near this length in bytes.
SESSION_ID_SIZE: Final = 256

_GUID_SIZE: Final = 36

#: How many bytes a byte can become when it is escaped.
_GROWTH: Final = 5


class ContactEncoder:
    """The `Encoder` of an ONC service. Raises ConfigError where the contract has no place for what a contact needs.

    `max_message` is the largest envelope in bytes.
    """

    def __init__(
        self,
        contract: Contract,
        contacts: ContactsSettings,
        campaign_id: str,
        max_message: int,
        *,
        operation: str = "AddCampaignContact",
    ) -> None:
        self._operation = operation
        self._contract = contract
        self._campaign_id = campaign_id
        self._retries = {name: channel.retries for name, channel in contacts.channels.items()}
        self._max_message = max_message
        self._shapes: dict[int, Request] = {}
        # The fullest shape is compiled now: a member that the contract lacks is found before anything is sent.
        self.request = self._shape(sum(2 * 3**place for place, name in enumerate(CHANNELS) if name in self._retries))

    @property
    def forbidden(self) -> str:
        """A regular expression of the characters that XML 1.0 cannot carry."""
        return FORBIDDEN

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, why its envelope is larger than the target takes; null where it is not."""
        shapes = _shape_of(contacts)
        sizes = self._sizes(shapes)
        # Mostly a row would fit that had the longest text of each column, even if every byte of these grew.
        longest = contacts.select(pl.col(_TEXTS).str.len_bytes().max()).row(0)
        texts = sum(length or 0 for length in longest)
        if texts * _GROWTH + max(sizes.values(), default=0) <= self._max_message:
            return pl.repeat(None, contacts.height, dtype=pl.String, eager=True).alias("unfit")
        escaped = pl.sum_horizontal(_length(column, _escaped(column)) for column in _TEXTS)
        without = shapes.replace_strict(sizes, return_dtype=pl.Int64)
        measured = contacts.select((escaped + without).alias("size"))["size"]
        return (
            pl.select(
                pl.when(measured > self._max_message).then(
                    pl.format(
                        "the message is {} bytes; the target takes {} (target.max_message)",
                        pl.Series(_thousands(measured)),
                        pl.lit(f"{self._max_message:,}"),
                    )
                )
            )
            .to_series()
            .alias("unfit")
        )

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One body per row, in order: the envelope, cut where the session id goes."""
        if contacts.is_empty():
            return []
        work = _all_escaped(contacts).with_columns(_shape_of(contacts).alias("_shape")).with_row_index("_row")
        parts = [
            (rows["_row"], *self._written(int(shape), rows))
            for (shape,), rows in work.partition_by("_shape", as_dict=True, maintain_order=True).items()
        ]
        order = pl.concat([rows for rows, _, _ in parts]).arg_sort()
        after = pl.concat([tails for _, _, tails in parts]).gather(order).to_list()
        heads = {head for _, head, _ in parts if isinstance(head, bytes)}
        if len(heads) == 1 and all(isinstance(head, bytes) for _, head, _ in parts):
            return list(zip(repeat(heads.pop()), after))
        before = pl.concat(
            [
                pl.Series([head]).new_from_index(0, len(rows)) if isinstance(head, bytes) else head
                for rows, head, _ in parts
            ]
        )
        return list(zip(before.gather(order).to_list(), after, strict=True))

    def _written(self, shape: int, rows: pl.DataFrame) -> tuple[bytes | pl.Series, pl.Series]:
        """The parts before and behind the session id. The one before it is the same for all rows where the contract
        puts the session id first, as it is documented.
        """
        template = self._shape(shape).template
        cut = template.names.index("session")
        head_names, tail_names = template.names[:cut], template.names[cut + 1 :]
        head_literals, tail_literals = template.literals[: cut + 1], template.literals[cut + 1 :]
        tail = _joined(rows, tail_literals, tail_names)
        return _joined(rows, head_literals, head_names) if head_names else head_literals[0].encode(), tail

    def _shape(self, shape: int) -> Request:
        if shape not in self._shapes:
            contact: dict[str, str | Wanted] = {"Id": mark("id"), "CampaignId": self._campaign_id}
            marks = ["session", "id"]
            for place, name in enumerate(CHANNELS):
                state = shape // 3**place % 3
                if not state:
                    continue
                channel = {"Destination": mark(name), "RetryCount": str(self._retries.get(name, 0))}
                marks.append(name)
                if state == 2:
                    channel["TextToSendOverwrite"] = mark(f"{name}_text")
                    marks.append(f"{name}_text")
                contact[MEMBERS[name]] = channel
            wanted: Wanted = {"sessionId": mark("session"), "contact": contact}
            self._shapes[shape] = self._contract.request(self._operation, wanted, marks)
        return self._shapes[shape]

    def _sizes(self, shapes: pl.Series) -> dict[int, int]:
        """Bytes of an envelope without its texts, by shape."""
        fixed = SESSION_ID_SIZE + _GUID_SIZE
        return {shape: self._shape(shape).template.size + fixed for shape in shapes.unique().to_list()}


_TEXTS: Final = tuple(column for name in CHANNELS for column in (name, f"{name}_text"))


def _shape_of(contacts: pl.DataFrame) -> pl.Series:
    """Per row: for each channel 0 (not used), 1 (destination alone) or 2 (with a text), as digits to the base of 3."""
    digits = (
        pl.when(pl.col(name).is_null()).then(0).when(pl.col(f"{name}_text").is_null()).then(1).otherwise(2) * 3**place
        for place, name in enumerate(CHANNELS)
    )
    return contacts.select(pl.sum_horizontal(digits).cast(pl.Int64).alias("shape")).to_series()


def _escaped(column: str) -> pl.Expr:
    return pl.col(column).str.replace_many(list(ESCAPES), list(ESCAPES.values()))


def _all_escaped(contacts: pl.DataFrame) -> pl.DataFrame:
    """Ids and texts as they stand in an envelope. In most columns there is nothing to escape, which is quickly seen."""
    special = contacts.select(pl.col(_TEXTS).str.contains(f"[{''.join(ESCAPES)}]").any()).row(0, named=True)
    return contacts.select("contact_id", *(_escaped(name) if special[name] else name for name in _TEXTS))


def _length(column: str, value: pl.Expr) -> pl.Expr:
    """Bytes of a text; of a channel that is not used none is sent."""
    length = value.str.len_bytes().cast(pl.Int64).fill_null(0)
    return pl.when(pl.col(column.removesuffix("_text")).is_null()).then(0).otherwise(length)


def _joined(rows: pl.DataFrame, literals: tuple[str, ...], names: tuple[str, ...]) -> pl.Series:
    pieces: list[pl.Expr] = [pl.repeat(literals[0], pl.len())]
    for name, literal in zip(names, literals[1:], strict=True):
        pieces += (pl.col("contact_id" if name == "id" else name), pl.lit(literal))
    return rows.select(pl.concat_str(pieces).cast(pl.Binary)).to_series()


def _thousands(numbers: pl.Series) -> list[str]:
    return [f"{number:,}" for number in numbers.to_list()]
