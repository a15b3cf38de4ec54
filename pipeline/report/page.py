"""Builds pages of HTML from elements, so that no text can become markup; one file, which asks for nothing else."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from lxml import etree

from pipeline.report.text import line

#: What an element holds: words, or another element.
Content: TypeAlias = str | etree._Element


def tag(name: str, /, *children: Content | None, **attributes: str) -> etree._Element:
    """An element; None is nothing. Words stand on one line; the attribute `class` is given as `class_`, and so on."""
    made = etree.Element(name, {key.rstrip("_").replace("_", "-"): line(value) for key, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            if len(made):
                made[-1].tail = (made[-1].tail or "") + line(child)
            else:
                made.text = (made.text or "") + line(child)
        elif child is not None:
            made.append(child)
    return made


def prose(name: str, text: str, /, **attributes: str) -> etree._Element:
    """An element of text in which `code` stands between backticks."""
    parts = re.split(r"`([^`]*)`", text)
    return tag(name, *(tag("code", part) if place % 2 else part for place, part in enumerate(parts)), **attributes)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Content]], /, **classes: str) -> etree._Element:
    """A table whose rows begin with what they are about; columns are of the class that `classes` name for their head.

    Without `head` it has none.
    """
    kinds = [classes.get(name, "") for name in head]
    made = tag("table", tag("caption", caption))
    if head:
        cells = [tag("th", name, scope="col", class_=kind) for name, kind in zip(head, kinds, strict=True)]
        made.append(tag("thead", tag("tr", *cells)))
    body = tag("tbody")
    for row in rows:
        first, *others = row
        cells = [tag("th", first, scope="row", class_=kinds[0] if kinds else "")]
        cells += [
            tag("td", cell, class_=kind) for cell, kind in zip(others, kinds[1:] or [""] * len(others), strict=True)
        ]
        body.append(tag("tr", *cells))
    made.append(body)
    return made


def page(title: str, style: str, *content: etree._Element) -> str:
    """A whole page. Its policy allows this style sheet and nothing besides: no script, no request, no form."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sheet = etree.Element("style")
    sheet.text = style
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        sheet,
    )
    whole = tag("html", head, tag("body", *content), lang="en")
    for each in whole.iter("*"):
        if each.get("class") == "":
            del each.attrib["class"]
    return etree.tostring(whole, method="html", doctype="<!DOCTYPE html>", encoding="unicode") + "\n"
