"""A list that comes through standard input: copied once into the run directory, and read from there like any file."""

import hashlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from pipeline.errors import MachineFailed
from pipeline.ledger.disk import sync_file
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.stages.read import Source, open_source
from pipeline.stages.sources.csv_text import unreadable

#: What stands for standard input among the sources, and so in the ledger.
NAME: Final = "-"

#: What messages call it.
WORDS: Final = "standard input"

#: Bytes that are asked for at once.
_BLOCK: Final = 1 << 20

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class StandardInput:
    """A source that can be read once only. How it is written is guessed where it is not told, as of any file."""

    descriptor: int  # open for reading
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None

    async def spooled(self, directory: RunDirectory) -> Source:
        """Copy all of it into the run directory, for its owner alone, and look at the copy.

        Can be cancelled while it waits. Raises SourceError where it cannot be read or is no list of contacts,
        MachineFailed where the copy cannot be written.
        """
        path = directory.stdin
        try:
            with os.fdopen(os.open(path, _CREATE, 0o600), "wb") as file:
                async for data in self._blocks():
                    await anyio.to_thread.run_sync(file.write, data)
                file.flush()
                await anyio.to_thread.run_sync(sync_file, file.fileno())
        except OSError as error:
            raise MachineFailed(
                f"{path}: {WORDS} cannot be copied there: {error.strerror or error}. Free space on the disk, or mend "
                "it, and start again. Nothing was sent."
            ) from None
        look = partial(
            open_source, path, name=WORDS, delimiter=self.delimiter, encoding=self.encoding, sheet=self.sheet
        )
        return replace(await anyio.to_thread.run_sync(look), name=NAME)

    async def fingerprint(self) -> str | None:
        """What `read.fingerprint` says of a file with the same bytes; None: there are none, or a terminal, which is not
        read. Raises SourceError.
        """
        if os.isatty(self.descriptor):
            return None
        digest, empty = hashlib.sha256(), True
        async for data in self._blocks():
            digest.update(data)
            empty = False
        return None if empty else digest.hexdigest()

    async def _blocks(self) -> AsyncIterator[bytes]:
        # A file is always ready and cannot be waited for; on Windows nothing but a socket can.
        waits = sys.platform != "win32" and not stat.S_ISREG(os.fstat(self.descriptor).st_mode)
        while True:
            try:
                if waits:
                    await anyio.wait_readable(self.descriptor)
            except PermissionError:  # Linux says so of a device that is always ready, /dev/null say
                waits = False
            try:
                data = await anyio.to_thread.run_sync(os.read, self.descriptor, _BLOCK)
            except BlockingIOError:  # whoever started us does not like to wait, and another reader was faster
                continue
            except OSError as error:
                raise unreadable(WORDS, error) from None
            if not data:
                return
            yield data
