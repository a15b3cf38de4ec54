"""What a run is, for the record: run.toml and the journal's header."""

import getpass
import hashlib
import json
import os
import platform
import shlex
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl
import tomli_w

from pipeline import __version__, configfile
from pipeline.config import Settings
from pipeline.ledger import lines
from pipeline.ledger.rundirectory import STDIN
from pipeline.run.job import ImportOptions
from pipeline.run.standard_input import NAME
from pipeline.stages.read import Source, fingerprint


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


#: Where the state lies, unless the configuration or the environment says otherwise.
STATE_DIRECTORY: Final = Path("runs") / ".state"
STATE_VARIABLE: Final = "CONTACT_PIPELINE_STATE"


#: The mode of a run that was only checked.
CHECK: Final = "check"


@dataclass(frozen=True, slots=True)
class Description:
    """A run as it was begun."""

    run_id: str
    created: datetime
    settings: Settings
    wave: str | None
    sources: tuple[lines.Source, ...]
    toml: str

    def header(self, rows: int | None) -> lines.Header:
        """The first line of the journal; `rows` as the survey counted them."""
        target = self.settings.target
        return lines.Header(
            run_id=self.run_id,
            created=int(self.created.timestamp() * 1000),
            mapping=mapping(self.settings),
            system=target.system,
            place=target.place,
            campaign=target.campaign,
            wave=self.wave or "",
            sources=self.sources,
            rows=rows,
        )


def changed(
    sources: Sequence[Source], recorded: Sequence[lines.Source], passed: Callable[[int], None] | None = None
) -> list[str]:
    """The sources whose content is not what is on record of them, by name; reads them whole (blocking). `passed` as in
    `fingerprint`.

    Raises SourceError where one cannot be read.
    """
    both = zip(sources, recorded, strict=True)
    return [source.name for source, told in both if fingerprint(source, passed) != told.fingerprint]


def mapping(settings: Settings) -> str:
    """A hash of everything in the configuration that decides what is sent for a row."""
    plain = configfile.dump(settings)
    return hashlib.sha256(json.dumps(plain["contacts"], sort_keys=True).encode()).hexdigest()


def describe(
    settings: Settings,
    sources: Sequence[Source],
    options: ImportOptions,
    *,
    checking: bool,
    passed: Callable[[int], None],
) -> Description:
    """Look at everything once; reads the sources whole for their fingerprints (blocking), of which `passed` hears.

    Raises SourceError.
    """
    run_id = str(uuid.uuid4())
    created = now()
    read = [(source, fingerprint(source, passed)) for source in sources]
    run = {
        "id": run_id,
        "created": created,
        "command": shlex.join(options.command),
        "user": user(),
        "host": socket.gethostname(),
        "wave": options.wave or "",
        "limit": options.limit or 0,
        "canary": options.canary,
        "tolerate": str(options.tolerate or ""),
        "mode": CHECK if checking else "upsert" if options.upsert else "add",
        "activate": options.activate,
        "state": str(state_directory(settings).absolute()),
        "target": identity(settings),
    }
    tables = {
        "run": run,
        "versions": {
            "contact-pipeline": __version__,
            "python": platform.python_version(),
            "polars": pl.__version__,
        },
        "source": [
            {
                "name": source.name,
                "path": _place(source),
                "format": source.format,
                "delimiter": source.delimiter or "",
                "encoding": source.encoding or "",
                "sheet": source.sheet or "",
                "size": source.size,
                "sha256": digest,
            }
            for source, digest in read
        ],
        "settings": configfile.dump(settings),
    }
    return Description(
        run_id=run_id,
        created=created,
        settings=settings,
        wave=options.wave,
        sources=tuple(lines.Source(source.name, _place(source), source.size, digest) for source, digest in read),
        toml=tomli_w.dumps(tables),
    )


def _place(source: Source) -> str:
    """Where the source is read from: what came through standard input goes wherever the run directory is moved to."""
    return STDIN if source.name == NAME else str(source.path.absolute())


def identity(settings: Settings) -> str:
    """A hash of the target's address and account."""
    return hashlib.sha256(settings.target.identity.encode()).hexdigest()[:32]


def state_directory(settings: Settings) -> Path:
    """Where the state of all campaigns lies."""
    return settings.state.directory or Path(os.environ.get(STATE_VARIABLE) or STATE_DIRECTORY)


def user() -> str:
    """Who runs this process; empty where that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return ""
