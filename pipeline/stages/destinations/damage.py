"""What has visibly happened to a cell that an authority has refused: it explains a refusal and never overrules one."""

import re
import unicodedata
from html.entities import html5
from typing import Final

#: Signs that people put into a cell that they have nothing for, alone or repeated: `-`, `--`, `?`, `...`, `000`, `xx`.
_SIGNS: Final = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2212_.\u2026?!*/\\,;:\u00b7~=|'\"0xX()[]<>{} ")

# Words for the same, by language; compared without case, accents, spaces and punctuation, so `n.v.t.` is `nvt` and
# `<NA>` is `na`. Whole cells only: "none" is a part of many names.
_WORDS: Final = """
    n, na, n/a, none, null, nil, nan, nat, nothing, no, unknown, undefined, missing, empty, blank, void, pending, tbd,
    tba, tbc, not available, not applicable, not provided, not known, not given, none given, no data, no email, no mail,
    no phone, no number, no mobile, unavailable, withheld, refused, declined, private, deleted, removed, error
    keine, kein, keiner, keine angabe, keine angaben, k.a., unbekannt, nicht vorhanden, nicht bekannt, nicht verfügbar,
    n.v., nb, leer, ohne, entfällt, fehlt, keine nummer, keine email, kein telefon, kein handy, nein
    inconnu, inconnue, aucun, aucune, néant, non renseigné, non communiqué, non disponible, nc, nd, nr, sans, vide, non,
    pas de téléphone, pas de mail, pas d'email, sans objet, s/o
    ninguno, ninguna, desconocido, desconocida, no tiene, sin, sin datos, sin número, sin teléfono, sin correo, s/d,
    s/n, no disponible, no consta, nulo, vacío, no aplica
    nessuno, nessuna, sconosciuto, sconosciuta, non disponibile, non pervenuto, assente, vuoto
    nenhum, nenhuma, desconhecido, desconhecida, não, não tem, não informado, não disponível, não consta, n/i, sem,
    vazio
    geen, onbekend, n.v.t., niet bekend, niet beschikbaar, niet van toepassing, leeg, nee
    ingen, inget, okänd, okänt, saknas, ukendt, ukjent, mangler, nej, nei, ei, ei ole, tuntematon, puuttuu
    brak, brak danych, nieznany, nie dotyczy, nie ma, nie podano, bd, nie, není, žádný, neznámý, neuvedeno, nemá
    nincs, ismeretlen, nu are, necunoscut, niciunul, lipsă, yok, bilinmiyor, nema, nepoznato, няма, неизвестен
    нет, неизвестно, нет данных, отсутствует, н/д, немає, невідомо, κανένα, άγνωστο, όχι
    なし, 無し, 無, 不明, 未定, 未登録, 該当なし, 无, 没有, 沒有, 未知, 不详, 不詳, 暂无, 空, 없음, 미상, 모름
    لا يوجد, لا, غير معروف, אין, לא ידוע
"""

#: What a cell shows whose formula failed: `#REF!`, `#DIV/0!`, `#NOM?`, `#N/A`, `#NV`, in any language; `####`, which is
#: a column too narrow; LibreOffice's `Err:502`.
_FORMULA_ERROR = re.compile(r"#\W?[^\W\d]+(?:/0)?[!?]|#[^\W\d_]/?[^\W\d_]!?|#+|err:\d{3}", re.IGNORECASE)

#: What exports write to keep a spreadsheet from changing a text: `="0123"`; and links: `=HYPERLINK("...")`.
_FORMULA = re.compile(r'=\s*(?:".*"|[A-Za-z.]+\(.*\))', re.DOTALL)

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|([A-Za-z][A-Za-z0-9]{1,31}));")
_TAG = re.compile(r"</?(?:a|b|br|div|em|font|i|li|p|span|strong|td|tr|u|ul)(?:\s[^<>]*)?/?>", re.IGNORECASE)

# A non-breaking space of UTF-8 read as Windows-1252 whose second half has been trimmed or made a plain space.
_HALF_SPACE = re.compile(r"\u00c2(?:\s|$)")

#: No destination is nearly as long: what is longer has another fault than those here.
_LONGEST_TEXT: Final = 1000

#: Controls that are white space to people: they separate, and do not damage.
_WHITE: Final = frozenset("\t\n\v\f\r\x85")


def damage(text: str) -> str | None:
    """What has happened to a refused text, in words without any part of it; None where nothing shows.

    The words stand after "not a valid number: " and "not a valid mail address: ". An invisible character is named by
    its code point: it is the one thing about the cell that nobody can see.
    """
    if len(text) > _LONGEST_TEXT:
        return None
    if _FORMULA_ERROR.fullmatch(text):
        return "the error of a spreadsheet's formula"
    if _stands_for_nothing(text):
        return "a word or a sign in place of an empty cell"
    if _FORMULA.fullmatch(text):
        return "a spreadsheet's formula in place of a text"
    if _is_garbled(text):
        return "garbled: UTF-8 was read as Windows-1252"
    if "\ufffd" in text:
        return "garbled: a character was lost (U+FFFD) when the text was read in a wrong encoding"
    if _is_html(text):
        return "written in HTML (tags or entities)"
    if not (text.isascii() and text.isprintable()):
        hidden = next((character for character in text if _is_invisible(character)), None)
        return f"has an invisible character (U+{ord(hidden):04X})" if hidden else None
    return None


def _plain(text: str) -> str:
    """Letters and digits alone, without case and accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in apart if character.isalnum())


_NOTHING: Final = frozenset(_plain(word) for line in _WORDS.split("\n") for word in line.split(",")) - {""}
_LONGEST_WORD: Final = 2 * max(map(len, _NOTHING))  # punctuation included


def _stands_for_nothing(text: str) -> bool:
    if text and _SIGNS.issuperset(text):
        return True
    # With an @-sign it is a made-up address, or a real one: na@example.com.
    return len(text) <= _LONGEST_WORD and "@" not in text and _plain(text) in _NOTHING


def _is_garbled(text: str) -> bool:
    """Whether the bytes that Windows-1252 or Latin-1 has for the text are UTF-8 of another one."""
    if text.isascii():
        return False
    try:
        # The five bytes that Windows-1252 leaves open are read as Latin-1 has them by most programs.
        octets = b"".join(character.encode("latin-1" if character < "\u0100" else "cp1252") for character in text)
        octets.decode()
    except UnicodeError:
        return bool(_HALF_SPACE.search(text))
    return True


def _is_html(text: str) -> bool:
    # The first halves are for speed: most cells have neither sign.
    return ("<" in text and _TAG.search(text) is not None) or (
        "&" in text and any(found[1] is None or f"{found[1]};" in html5 for found in _ENTITY.finditer(text))
    )


def _is_invisible(character: str) -> bool:
    """Zero-width and bidi characters, soft hyphens, marks of byte order, controls."""
    return unicodedata.category(character) in ("Cc", "Cf") and character not in _WHITE
