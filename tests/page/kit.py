"""A page as a browser shows it, and as a strict reader reads it."""

import re
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from lxml import html

WITHIN = 120

#: Elements that end with their start.
VOID = {"meta", "br", "hr", "img", "link", "input"}

#: Attributes by which a page can ask for something.
ASKING = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background", "style", "ping"}


@dataclass(frozen=True)
class Shown:
    """What a browser makes of a page."""

    text: str  # of the whole body, in one line
    complaints: tuple[str, ...]  # what it has refused


def show(program: str, profile: Path, page: Path, *options: str) -> Shown:
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--disable-background-networking", "--enable-logging=stderr", *options, "--dump-dom"]
    ended = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=WITHIN, check=True)
    [body] = html.document_fromstring(ended.stdout).iter("body")
    complaints = tuple(line for line in ended.stderr.splitlines() if "CONSOLE" in line)
    return Shown(" ".join(body.text_content().split()), complaints)


def printed(program: str, profile: Path, page: Path) -> int:
    """How many sheets of paper it takes."""
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    paper = page.with_suffix(".pdf")
    subprocess.run(
        [*command, f"--print-to-pdf={paper}", page.as_uri()], capture_output=True, timeout=WITHIN, check=True
    )
    return len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))


class Strict(HTMLParser):
    """Reads a page, and raises where an element is not closed in its place, or could ask for something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: dict[str, int] = {}
        self.words: list[str] = []
        self.policy = ""
        assert page.startswith("<!DOCTYPE html>\n<html lang=")
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        assert len(given) == len(attributes), f"an attribute of {tag} is given twice"
        assert not ASKING & set(given), f"{tag} has {given}"
        assert not any(name.startswith("on") for name in given)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given["content"])
        self.found[tag] = self.found.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))
