"""What a column holds, as far as its name tells: the names that lists have for it, in several languages."""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final


class Role(StrEnum):
    """What a column may be for us."""

    SMS = "sms"  # numbers of mobile phones
    VOICE = "voice"  # numbers of phones
    EMAIL = "email"
    KEY = "key"  # names a person for good
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    FULL_NAME = "full_name"
    CONSENT = "consent"  # says yes where the person may be contacted
    REFUSAL = "refusal"  # says yes where the person may not


#: Letters that are no others with a mark, and signs.
_SPECIAL: Final = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "æ": "ae", "œ": "oe", "°": "o", "#": " no "}
)
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z\d])|(?<=\d)(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHORT: Final = re.compile(r"\bn\W*o\b")  # "N°", "N.º", "№"
_COMPOUND: Final = re.compile(r"(\w{3,})(nummern?|nr)")

#: A name within a longer word has so many letters at least: "kundentelefon", "handynummern".
_WITHIN: Final = 5


#: Which role a name speaks of, if several: the first of these, unless another is the whole of it.
_PRECEDENCE: Final = (
    Role.SMS, Role.EMAIL, Role.VOICE, Role.KEY, Role.FIRST_NAME, Role.LAST_NAME, Role.FULL_NAME
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the name of a column tells."""

    role: Role
    rank: tuple[int, int]  # how well it fits: the whole name, words of it or a part of one (3, 2, 1); in letters
    first_choice: bool  # False: it names a second number, one at work say
    sure: bool  # consent and refusal: the name leaves no doubt; False: only yes and no in the cells would prove it
    channels: frozenset[str]  # consent and refusal, of CHANNELS those that it is about; empty: all
    denies: bool  # the name holds a no


def meaning(name: str) -> Meaning | None:
    """What a column of this name most likely holds; None: the name does not tell."""
    words = _words(name)
    found = _found(words)
    denies = not _known().denying.isdisjoint(_plain(name))
    said = {role: found.pop(role) for role in (Role.CONSENT, Role.REFUSAL) if role in found}
    channels = frozenset(_channels(found, words))
    sure = any(part in "".join(words) for part in _known().consent)
    if said and max(said.values())[0] > 1:
        refusal = denies or said.get(Role.REFUSAL, (0, 0)) >= said.get(Role.CONSENT, (0, 0))
        return Meaning(Role.REFUSAL if refusal else Role.CONSENT, max(said.values()), True, sure, channels, denies)
    if not found:
        return None
    role = max(found, key=lambda role: (found[role][0] == 3, -_PRECEDENCE.index(role)))
    if role in (Role.SMS, Role.VOICE, Role.EMAIL) and not _known().about.isdisjoint(words):
        return None
    return Meaning(role, found[role], _known().second.isdisjoint(words), False, channels, denies)


def answers(cells: Set[str]) -> tuple[list[str], list[str]] | None:
    """The words for yes and those for no among these (lower case); None: they hold other words, or none."""
    yes, no = ([word for word in _file()["answers"][kind] if word in cells] for kind in ("yes", "no"))
    return (yes, no) if cells and len(yes) + len(no) == len(cells) else None


def languages(names: Sequence[str]) -> list[str]:
    """The languages that these columns may be named in, the likeliest first."""
    votes: Counter[str] = Counter()
    for name in names:
        joined = "".join(_words(name))
        spoken = {tongue for tongues in (_phrases()[role].get(joined, ()) for role in Role) for tongue in tongues}
        votes.update({tongue: 1 / len(spoken) for tongue in spoken})
    return [tongue for tongue, _ in votes.most_common()]


def _plain(name: str) -> list[str]:
    """A name in words, without marks and case: "clientEMail" is "client e mail", "Móvil" "movil"."""
    text = _HUMP.sub(" ", name.translate(_SPECIAL))
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.findall(r"[^\W_]+", _SHORT.sub("no", plain.casefold()))


def _words(name: str) -> list[str]:
    """The words of a name that tell something: "N° de client", "no client" and "client number" have the same two."""
    number, joining = _known().number, _known().joining
    words = (part for word in _plain(name) for part in _COMPOUND.sub(r"\1 \2", word).split())
    return ["no" if word in number else word for word in words if word not in joining]


def _found(words: Sequence[str]) -> dict[Role, tuple[int, int]]:
    """The roles that a name may speak of, with how well each fits."""
    parts = set(_joins(words))
    whole = "".join(words)
    found: dict[Role, tuple[int, int]] = {}
    for role, phrases in _phrases().items():
        for phrase in phrases:
            if phrase == whole:
                rank = (3, len(phrase))
            elif phrase in parts:
                rank = (2, len(phrase))
            elif len(phrase) >= _WITHIN and any(
                word.startswith(phrase) or word.endswith(phrase) for word in words if len(word) > len(phrase)
            ):
                rank = (1, len(phrase))
            else:
                continue
            found[role] = max(rank, found.get(role, (0, 0)))
    return found


def _joins(words: Sequence[str]) -> Iterator[str]:
    """Every run of words, as one: names are written in one word, in two, and with a dash."""
    for start in range(len(words)):
        for stop in range(start + 1, len(words) + 1):
            yield "".join(words[start:stop])


def _channels(found: Mapping[Role, tuple[int, int]], words: Sequence[str]) -> Iterator[str]:
    """The channels that a consent speaks of."""
    if Role.SMS in found or "text" in words:
        yield "sms"
    if Role.VOICE in found or not _known().calls.isdisjoint(words):
        yield "voice"
    if Role.EMAIL in found or "newsletter" in words:
        yield "email"


@dataclass(frozen=True, slots=True)
class _Words:
    """What headers.toml says of single words."""

    joining: frozenset[str]
    number: frozenset[str]
    about: frozenset[str]
    second: frozenset[str]
    denying: frozenset[str]
    consent: frozenset[str]
    calls: frozenset[str]


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(files("pipeline.stages").joinpath("headers.toml").read_text(encoding="utf-8"))


@cache
def _known() -> _Words:
    return _Words(**{kind: frozenset(words) for kind, words in _file()["words"].items()})


@cache
def _phrases() -> dict[Role, dict[str, tuple[str, ...]]]:
    """By role every name, as one word, with the languages that have it."""
    made: dict[Role, dict[str, tuple[str, ...]]] = {}
    for role in Role:
        phrases = made.setdefault(role, {})
        for tongue, names in _file()[role.value].items():
            for joined in {"".join(_words(name)): None for name in names}:
                phrases[joined] = (*phrases.get(joined, ()), tongue)
    return made
