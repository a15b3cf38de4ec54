"""What names a contact for good: its key, its id in the target, and the hash of what is sent for it.

Ids and hashes are kept for years, by us and by the target: whatever changes here makes every contact a new one.
"""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

import polars as pl

from pipeline.records import CHANNELS
from pipeline.stages.verdicts import nothing

#: The columns of CONTACTS_SCHEMA that `contents` is made of.
SENT: Final = (*(column for channel in CHANNELS for column in (channel, f"{channel}_text")), "fields")


def contact_id(campaign: str, wave: str | None, key: str) -> str:
    """The id of one contact: the UUIDv5 (RFC 9562, 5.5) of campaign, wave and key, lower case.

    Its namespace is the campaign, as it is where it is a UUID, else as UUIDv5 of its text among URLs; a wave makes a
    namespace within the campaign's, so that no wave and key can be taken for another wave or key.
    """
    return str(uuid5(_namespace(campaign, wave), key))


def contact_ids(campaign: str, wave: str | None, keys: pl.Series) -> pl.Series:
    """`contact_id` of each key; null where the key is null."""
    namespace = hashlib.sha1(_namespace(campaign, wave).bytes, usedforsecurity=False)
    there = keys.is_not_null()
    digests = _digests(namespace, keys.filter(there))
    digests[6::_SHA1] = digests[6::_SHA1].translate(_VERSION)
    digests[8::_SHA1] = digests[8::_SHA1].translate(_VARIANT)
    hexed = pl.col("digest").str  # 40 digits, of which 32 are used
    fields = (hexed.slice(0, 8), hexed.slice(8, 4), hexed.slice(12, 4), hexed.slice(16, 4), hexed.slice(20, 12))
    rows = _hexed(digests, _SHA1).to_frame("digest")
    return _spread(rows.select(pl.concat_str(fields, separator="-")).to_series(), there).alias("contact_id")


#: Bytes of a SHA-1, and of a SHA-256.
_SHA1: Final = 20
_SHA256: Final = 32

#: What becomes of the seventh byte, whose first digit is the version, and of the ninth, whose first two bits are 10
#: (RFC 9562, 4.1 and 4.2).
_VERSION: Final = bytes(byte & 0x0F | 0x50 for byte in range(256))
_VARIANT: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))


def destination_keys(contacts: pl.DataFrame) -> pl.Series:
    """The keys of contacts that have none of their own, from the columns sms, voice, email; null where all are null.

    SHA-256 of the lines `sms=+14165550100`, `voice=…`, `email=…` of the destinations that there are, joined by line
    feeds; the first 32 hexadecimal digits.
    """
    lines = contacts.select(
        pl.concat_str(
            [pl.format(f"{channel}={{}}", channel) for channel in CHANNELS], separator="\n", ignore_nulls=True
        )
    ).to_series()
    there = lines != ""
    return _spread(_sha256(lines.filter(there)), there).alias("key")


def contents(contacts: pl.DataFrame, retries: Mapping[str, int]) -> pl.Series:
    """Per row the hash of what is sent for it: destination, text and retries of every channel that is used.

    `contacts` has the columns SENT. First 32 hexadecimal digits of the SHA-256 of, channel by channel,
    `-` where it is not used, else destination, text and retries, each led by its length in bytes (`12:+14165550100`);
    `-` stands for a text that is not given. The fields follow, each led in the same way.
    """
    pieces: list[pl.Expr] = []
    for channel in CHANNELS:
        count = str(retries.get(channel, 0))
        end = f"{len(count)}:{count}"
        used, text = pl.col(channel).is_not_null(), pl.col(f"{channel}_text")
        ending = pl.when(~used).then(pl.lit("-")).when(text.is_null()).then(pl.lit(f"-{end}")).otherwise(pl.lit(end))
        pieces += (_led(pl.col(channel)), pl.when(used).then(_led(text)), ending)
    if contacts["fields"].list.len().max():
        pieces.append(pl.col("fields").list.eval(_led(pl.element()).fill_null("-")).list.join("").fill_null(""))
    return _sha256(contacts.select(pl.concat_str(pieces, ignore_nulls=True)).to_series()).alias("content")


def _led(text: pl.Expr) -> pl.Expr:
    """The text led by its length in bytes; null where it is null."""
    return pl.format("{}:{}", text.str.len_bytes(), text)


def _namespace(campaign: str, wave: str | None) -> UUID:
    try:
        namespace = UUID(campaign)
    except ValueError:
        namespace = uuid5(NAMESPACE_URL, campaign)
    return namespace if wave is None else uuid5(namespace, wave)


def _sha256(texts: pl.Series) -> pl.Series:
    """The first 32 hexadecimal digits of each; no text is null."""
    return _hexed(_digests(hashlib.sha256(), texts), _SHA256).str.head(32)


def _digests(begun: "hashlib._Hash", texts: pl.Series) -> bytearray:
    """The digests of what was `begun` and goes on with each of the texts, one behind the other; no text is null."""
    digests = bytearray()
    for text in texts.cast(pl.Binary).to_list():
        digest = begun.copy()  # quicker than to begin anew
        digest.update(text)
        digests += digest.digest()
    return digests


def _hexed(digests: bytearray, size: int) -> pl.Series:
    """Digests of `size` bytes in hexadecimal digits."""
    return pl.Series([digests.hex("\n", size)] if digests else [], dtype=pl.String).str.split("\n").explode()


def _spread(values: pl.Series, where: pl.Series) -> pl.Series:
    """The values in their order where `where` is true, null elsewhere."""
    if len(values) == len(where):
        return values
    return nothing(len(where)).scatter(where.arg_true(), values)
