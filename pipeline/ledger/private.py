"""Files that hold people's numbers: for their owner's eyes alone, and either whole in their place or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import MachineFailed
from pipeline.ledger.disk import sync_directory, sync_file


def write_private(path: Path, content: bytes) -> None:
    """Put a file of mode 0600 in place, durably; raises MachineFailed where it cannot be written."""
    with replacing(path) as part, writing(path):
        part.write_bytes(content)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes what is to become `path`, into MachineFailed."""
    try:
        yield
    except OSError as error:
        advice = "Free space on the disk, or mend it; then resume the run, or give the same command again"
        if isinstance(error, PermissionError):
            advice = "Do it as the user who owns it, or mend the rights to the directory, and start again"
        raise MachineFailed(f"{path}: cannot be written: {error.strerror or error}. {advice}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file of mode 0600 beside `path` to write to; it takes the place of `path` at the end, durably.

    Where the block fails `path` is left as it was. Raises MachineFailed, and what the block raises as it is.
    """
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        part.unlink(missing_ok=True)  # of a run that was killed; its mode is not known
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield part
        with writing(path):
            handle = os.open(part, os.O_RDWR)
            try:
                sync_file(handle)
            finally:
                os.close(handle)
            part.replace(path)
            sync_directory(path.parent)
    finally:
        with suppress(OSError):
            part.unlink()
