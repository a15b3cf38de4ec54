"""One reading of the target's list: the ids that stand in it, and where those are not ours, a count of its contacts.

The list may be of millions: ids go to a file of SQLite's own that ends with the process; little of it is in memory.
"""

from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Any, Final
from uuid import UUID

import anyio
import anyio.to_thread

from pipeline.errors import NoList
from pipeline.ledger.baseline import Baseline
from pipeline.ledger.database import rows_of, spilling, temporary
from pipeline.logs import logger
from pipeline.run.asking import ask_patiently
from pipeline.run.job import Job
from pipeline.sessions import Lease
from pipeline.stages.faces import Face, Faces
from pipeline.targets import Lookup

#: Contacts that are put away at once.
AT_ONCE: Final = 1 << 16


class Census:
    """The ids that the target listed. Its methods block, and raise MachineFailed."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._database = temporary("CREATE TABLE ids (id BLOB PRIMARY KEY) WITHOUT ROWID")
        self.empty = True

    def clear(self) -> None:
        """Forget everything."""
        self.close()
        self._begin()

    @spilling()
    def add(self, ids: Sequence[bytes]) -> None:
        """Take these in."""
        self.empty = self.empty and not ids
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR IGNORE INTO ids VALUES (?)", [(each,) for each in sorted(ids)])
        self._database.execute("COMMIT")

    @spilling()
    def discard(self, ids: Sequence[bytes]) -> None:
        """These are not there, as a later reading has shown."""
        self._database.executemany("DELETE FROM ids WHERE id = ?", [(each,) for each in ids])

    @spilling()
    def among(self, ids: Sequence[bytes]) -> set[bytes]:
        """Those of `ids` that the target listed."""
        return {row[0] for row in rows_of(self._database, "SELECT id FROM ids WHERE id IN ({})", ids)}

    @property
    def size(self) -> int:
        """How many ids were listed."""
        (found,) = self._database.execute("SELECT COUNT(*) FROM ids").fetchone()
        return int(found)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()


async def take(job: Job, lookup: Lookup, lease: Lease[Any], *, counting: bool = False) -> Census | None:
    """Read the list once, and count it into the run's baseline if `counting` (the target may keep no ids of ours).

    None: the target gives no list (null), for `delivery.late_effect`. Raises TargetUnreachable where no answer comes
    for `delivery.outage`, TargetUnusable, MachineFailed.
    """
    delivery, faces = job.settings.delivery, Faces(job.settings.contacts)
    baseline = job.baseline if counting else None
    census = Census()

    async def read(handle: Any) -> None:
        census.clear()
        if baseline is None:
            async with aclosing(lookup.contact_ids(handle)) as ids:
                await _take_in(((contact_id, None) async for contact_id in ids), census, None)
        else:
            await anyio.to_thread.run_sync(baseline.begin)
            async with aclosing(lookup.read_back(handle, limit=None)) as contacts:
                await _take_in(((held.contact_id, faces.held(held)) async for held in contacts), census, baseline)
            await anyio.to_thread.run_sync(baseline.end)

    try:
        await ask_patiently(lease, read, patience=delivery.late_effect, outage=delivery.outage)
    except NoList as error:
        census.close()
        logger().warning("campaign.no_list", reason=error.reason, advice="repeats cannot be seen in the target")
        return None
    except BaseException:
        census.close()
        raise
    return census


async def _take_in(contacts: Any, census: Census, baseline: Baseline | None) -> None:
    ids: list[bytes] = []
    faces: list[Face] = []

    async def put_away() -> None:
        await anyio.to_thread.run_sync(census.add, ids.copy())
        if baseline is not None:
            both = [each for face in faces for each in (face.destinations, face.whole) if each is not None]
            await anyio.to_thread.run_sync(baseline.add, both)
        ids.clear()
        faces.clear()

    async for contact_id, face in contacts:
        if contact_id is not None:
            with suppress(ValueError):  # not ours, then
                ids.append(UUID(contact_id).bytes)
        if face is not None:
            faces.append(face)
        if max(len(ids), len(faces)) >= AT_ONCE:
            await put_away()
    await put_away()
