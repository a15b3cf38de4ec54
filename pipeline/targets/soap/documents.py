"""The documents that make up a WSDL: read from files, fetched, or taken from the copy that a run keeps.

They are handed to zeep as its transport, so nothing is loaded but through here: a WSDL in a file may refer to files
beside or below it and to nothing else, and one from the network to addresses alone.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import httpx

from pipeline.config import HttpSettings
from pipeline.errors import ConfigError, MachineFailed, TargetUnreachable, TargetUnusable
from pipeline.wire import client_factory, host

#: A WSDL larger than this, or one of more documents, is none that describes this service.
LARGEST: Final = 8 * 1024 * 1024
MOST: Final = 64

#: Seconds for fetching one document.
FETCH_WITHIN: Final = 30.0

#: Where files seem to lie for zeep: real paths would tie the run's copy to this machine.
_FILES: Final = "file:///contract/"

_INDEX: Final = "index.json"


class Documents:
    """What zeep loads from, by location; every document is read once and remembered.

    `place` names the WSDL for messages.
    """

    def __init__(self, root: str, place: str, read: Callable[[str], bytes]) -> None:
        self.root = root
        self.place = place
        self._read = read
        self.loaded: dict[str, bytes] = {}

    def load(self, location: object) -> bytes:
        """The document at a location; zeep's transports have this method. Raises a RunError."""
        key = str(location)
        if key not in self.loaded:
            if len(self.loaded) >= MOST:
                raise ConfigError([f"{self.place}: is made of more than {MOST} documents"])
            content = self._read(key)
            if len(content) > LARGEST:
                raise ConfigError([f"{self.place}: a document of it is larger than {LARGEST:,} bytes"])
            self.loaded[key] = content
        return self.loaded[key]


@contextmanager
def documents(wsdl: str | None, shipped: Path, http: HttpSettings, copy: Path | None) -> Iterator[Documents]:
    """The documents of the contract in force: `wsdl` (`target.wsdl`, a path or an address), else the `shipped` file. On
    leaving without an error they are copied into the directory `copy`, unless it holds a copy already, which is then
    what is read.
    """
    if copy is not None and (copy / _INDEX).is_file():
        yield _from_copy(copy)
        return
    if wsdl is None:
        found = _from_file(shipped, "the package's contract")
    elif "://" in wsdl:
        found = _from_web(wsdl, http)
    else:
        found = _from_file(Path(wsdl), f"target.wsdl: {wsdl}")
    yield found
    if copy is not None:
        _keep(found, copy)


def _from_file(file: Path, place: str) -> Documents:
    folder = file.parent.resolve()

    def read(location: str) -> bytes:
        name = unquote(location.removeprefix(_FILES)).replace("\\", "/")
        path = (folder / name).resolve()
        if not location.startswith(_FILES) or not path.is_relative_to(folder):
            raise ConfigError(
                [f"{place}: refers to {location}, which is not a file beside or below it: download it to there"]
            )
        try:
            with path.open("rb") as stream:
                return stream.read(LARGEST + 1)
        except OSError as error:
            which = "" if name == file.name else f" refers to {name}, which"
            raise ConfigError([f"{place}:{which} cannot be read: {error.strerror or 'bad name'}"]) from None

    return Documents(_FILES + quote(file.name), place, read)


def _from_web(url: str, http: HttpSettings) -> Documents:
    clients = client_factory(http, FETCH_WITHIN)
    place = f"target.wsdl: the WSDL at {host(url)}"

    async def fetch(location: str) -> bytes:
        content = bytearray()
        async with clients() as client, client.stream("GET", location, follow_redirects=True) as response:
            if response.status_code in (401, 403, 407):
                raise TargetUnusable(
                    f"{place} is not given to us (HTTP {response.status_code}): save it as a file and set target.wsdl "
                    "to that."
                )
            if response.status_code in (429, 500, 502, 503, 504):
                raise TargetUnreachable(f"{place} cannot be had now (HTTP {response.status_code}). Try again later.")
            if response.status_code != 200:
                raise ConfigError([f"{place} is not there (HTTP {response.status_code}): check the address"])
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST:
                    break
        return bytes(content)

    def read(location: str) -> bytes:
        if urlsplit(location).scheme not in ("http", "https"):
            raise ConfigError([f"{place} refers to {location}, which is no http address: save all as files"])
        try:
            # A loop of its own, in a thread of its own: the caller may be in one already.
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(asyncio.run, fetch(location)).result()
        except httpx.ConnectError as error:
            if "SSL" in str(error) or "CERTIFICATE" in str(error).upper():
                raise TargetUnusable(
                    f"{place}: TLS to {host(location)} failed: {error}. Check the address; for a CA of your own set "
                    "http.ca."
                ) from None
            raise TargetUnreachable(f"{place}: no connection to {host(location)}: {error}. Try again later.") from None
        except httpx.HTTPError as error:
            raise TargetUnreachable(
                f"{place}: {host(location)} gave no whole answer ({type(error).__name__}). Try again later."
            ) from None

    return Documents(url, place, read)


def _from_copy(copy: Path) -> Documents:
    place = f"the run's copy of the contract in {copy}"
    damaged = f"{place} is damaged. Start a new run."
    try:
        index = json.loads((copy / _INDEX).read_text(encoding="utf-8"))
        files = {str(location): str(name) for location, name in index["documents"].items()}
        root = str(index["root"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise MachineFailed(damaged) from None

    def read(location: str) -> bytes:
        try:
            name = files[location]
            if Path(name).name != name:
                raise KeyError(name)
            return (copy / name).read_bytes()
        except (KeyError, OSError):
            raise MachineFailed(damaged) from None

    return Documents(root, place, read)


def _keep(found: Documents, copy: Path) -> None:
    """Write the copy; the index comes last and at once, so a copy is whole or not there."""
    try:
        copy.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {}
        for number, (location, content) in enumerate(found.loaded.items()):
            suffix = ".wsdl" if location == found.root else ".xsd"
            names[location] = f"{number:02}{suffix}"
            _write(copy / names[location], content)
        index = json.dumps({"root": found.root, "documents": names}, indent=2)
        _write(copy / "index.json.new", index.encode())
        (copy / "index.json.new").replace(copy / _INDEX)
    except OSError as error:
        raise MachineFailed(f"the contract cannot be copied to {copy}: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    # O_BINARY: without it Windows would write line ends of its own.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
