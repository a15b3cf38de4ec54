"""Logging: event names with fields through structlog, into the standard library's logger "contact_pipeline".

A program that uses the package as a library decides itself what becomes of the records; the command line calls
`configure` once. Whatever goes out passes `redact`: a log is no place for people's numbers.

structlog is imported with the first record: it brings rich along, and most commands end without having logged anything.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from functools import cached_property
from typing import Any, Final, Literal, TextIO

NAME: Final = "contact_pipeline"

_MAIL = re.compile(r"[^\s@<>\"'=:,;]+@[^\s@<>\"',;]+\.[^\s@<>\"',;]+")
# A plus and seven digits or more, or ten digits or more with the separators that people use; not a date or an id.
_PHONE = re.compile(r"(?<![\w.-])(?:\+\d[\d ().-]{6,}\d|\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4,})(?![\w-])")


def mask(text: str) -> str:
    """`text` with everything that looks like a destination replaced."""
    return _PHONE.sub("[number]", _MAIL.sub("[mail]", text))


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: mask every text field but the frame's own."""
    for key, value in event.items():
        if isinstance(value, str) and key not in ("timestamp", "level"):
            event[key] = mask(value)
    return event


def logger() -> Any:
    """The package's logger: `logger().info("event.name", field=value)`."""
    import structlog

    return structlog.wrap_logger(
        logging.getLogger(NAME),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
    )


def configure(style: Literal["text", "json"], stream: TextIO = sys.stderr, *, level: int = logging.INFO) -> None:
    """Send the package's records to `stream`, as lines of text or of JSON. Called by the command line alone."""
    handler = logging.StreamHandler(stream)
    terminal = stream.isatty()
    colors = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    handler.setFormatter(_Lines(style, colors=colors, brief=terminal))
    target = logging.getLogger(NAME)
    target.handlers[:] = [handler]
    target.setLevel(level)
    target.propagate = False


class _Lines(logging.Formatter):
    """structlog's formatter of lines, made for the first record."""

    def __init__(self, style: Literal["text", "json"], *, colors: bool, brief: bool) -> None:
        super().__init__()
        self._as = style
        self._colors = colors
        self._brief = brief  # for a person who looks on: the time of day will do

    def format(self, record: logging.LogRecord) -> str:
        return self._formatter.format(record)

    @cached_property
    def _formatter(self) -> logging.Formatter:
        import structlog

        renderer: Any
        if self._as == "json":
            renderer = structlog.processors.JSONRenderer()
        else:
            renderer = structlog.dev.ConsoleRenderer(colors=self._colors, pad_event_to=0, pad_level=False)
        without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        brief = [_time_of_day] if self._brief and self._as == "text" else []
        return structlog.stdlib.ProcessorFormatter(processors=[without_meta, *brief, renderer])


def _time_of_day(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: "2026-11-26T01:12:10.164831Z" as "01:12:10Z"."""
    if len(told := str(event.get("timestamp", ""))) > 19:
        event["timestamp"] = f"{told[11:19]}Z"
    return event
