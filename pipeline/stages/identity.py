"""What names a contact for good: its key, its id in the target, and the hash of what is sent for it.

Ids and hashes are kept for years, by us and by the target: whatever changes here makes every contact a new one.
"""

import hashlib
from collections.abc import Mapping
from uuid import NAMESPACE_URL, UUID, uuid5

import polars as pl

from pipeline.records import CHANNELS


def contact_id(campaign: str, wave: str | None, key: str) -> str:
    """The id of one contact: the UUIDv5 (RFC 9562, 5.5) of campaign, wave and key, lower case.

    Its namespace is the campaign, as it is where it is a UUID, else as UUIDv5 of its text among URLs; a wave makes a
    namespace within the campaign's, so that no wave and key can be taken for another wave or key.
    """
    return str(uuid5(_namespace(campaign, wave), key))


def contact_ids(campaign: str, wave: str | None, keys: pl.Series) -> pl.Series:
    """`contact_id` of each key; null where the key is null."""
    start = hashlib.sha1(_namespace(campaign, wave).bytes, usedforsecurity=False)

    def one(key: str | None) -> str | None:
        if key is None:
            return None
        digest = start.copy()
        digest.update(key.encode())
        text = digest.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"

    return pl.Series("contact_id", [one(key) for key in keys], pl.String)


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
    return pl.Series("key", [_sha256(line) if line else None for line in lines], pl.String)


def contents(contacts: pl.DataFrame, retries: Mapping[str, int]) -> pl.Series:
    """Per row the hash of what is sent for it: destination, text and retries of every channel that is used.

    `contacts` has the columns of CONTACTS_SCHEMA. First 32 hexadecimal digits of the SHA-256 of, channel by channel,
    `-` where it is not used, else destination, text and retries, each led by its length in bytes (`12:+14165550100`);
    `-` stands for a text that is not given. The fields follow, each led in the same way.
    """
    pieces: list[pl.Expr] = []
    for channel in CHANNELS:
        count = str(retries.get(channel, 0))
        used = pl.concat_str(_led(channel), _led(f"{channel}_text"), pl.lit(f"{len(count)}:{count}"))
        pieces.append(pl.when(pl.col(channel).is_null()).then(pl.lit("-")).otherwise(used))
    pieces.append(pl.col("fields").list.eval(_led("")).list.join("").fill_null(""))
    sent = contacts.select(pl.concat_str(pieces)).to_series()
    return pl.Series("content", [_sha256(text) for text in sent], pl.String)


def _led(column: str) -> pl.Expr:
    text = pl.col(column) if column else pl.element()
    return pl.when(text.is_null()).then(pl.lit("-")).otherwise(pl.format("{}:{}", text.str.len_bytes(), text))


def _namespace(campaign: str, wave: str | None) -> UUID:
    try:
        namespace = UUID(campaign)
    except ValueError:
        namespace = uuid5(NAMESPACE_URL, campaign)
    return namespace if wave is None else uuid5(namespace, wave)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
