"""Judges rows in doubt by what a list of the target shows: by ids where it keeps ours, else by number.

By number: how often a contact of the same face is there, less those that stood there before and those that are
accepted, is how many of the doubtful ones are there.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import polars as pl

from pipeline.records import TAKING_BACK, Status
from pipeline.run.doubt import Doubt
from pipeline.run.standing import told
from pipeline.stages.canary import Held
from pipeline.stages.faces import Face


@dataclass(slots=True)
class Reading:
    """What one pass over the target's list showed."""

    started: float  # loop's clock, seconds
    ids: Counter[str] = field(default_factory=Counter)  # of the wanted ones
    faces: Counter[bytes] = field(default_factory=Counter)  # of the wanted ones


class Judge:
    """Judges the rows of one doubt; numbers tell nothing before `count`. `keeps_ids`: None where that is not known."""

    def __init__(self, doubt: Doubt, keeps_ids: bool | None) -> None:
        self._doubt = doubt
        self._keeps_ids = keeps_ids
        self.rows = {row["position"]: row for row in doubt.standing.doubtful.iter_rows(named=True)}
        self.control = list(doubt.standing.control.iter_rows(named=True))
        self.listed = list(doubt.standing.listed.iter_rows(named=True)) if not self.control else []
        self.damaged = [row for row in self.rows.values() if row["reason"] == TAKING_BACK]
        theirs = {*doubt.theirs, *doubt.brought}
        brought = {row["position"] for row in self.rows.values() if UUID(row["contact_id"]).bytes in doubt.brought}
        #: Those that another run has brought there since, and of the damaged ones those that it may have.
        self.others = brought | {row["position"] for row in self.damaged if UUID(row["contact_id"]).bytes in theirs}
        self._ids = {row["contact_id"] for row in (*self.rows.values(), *self.control, *self.listed)}
        self._accepted_ids: Counter[str] = Counter()  # how often this run was accepted with an id
        self._faces_of: dict[int, Face] = {}  # by position
        self._wanted: set[bytes] = set()  # faces
        self._countable = False  # whether numbers tell anything
        self._before: Mapping[bytes, int] = {}  # how often a face stood there before the first row
        self._accepted: Counter[bytes] = Counter()  # how often this run was accepted with it
        if keeps_ids is not True:
            self._faces_of = {row["position"]: doubt.faces.sent(row) for row in (*self.rows.values(), *self.control)}
            both = ((face.destinations, face.whole) for face in self._faces_of.values())
            self._wanted = {each for pair in both for each in pair if each is not None}

    @property
    def counting(self) -> bool:
        """Whether contacts have to be read whole, as numbers may be needed."""
        return self._keeps_ids is not True

    def count(self) -> None:
        """Look up what stood there before, and count what this run was accepted with (blocking)."""
        doubt = self._doubt
        if self.counting and doubt.baseline.whole:
            self._countable = doubt.alone
            self._before = doubt.baseline.numbers(self._wanted)
        if not (self.counting or doubt.shared_ids):
            return
        for rows in told(doubt.walk(), doubt.recovery):
            for row in rows.filter(pl.col("status") == Status.ACCEPTED.value).iter_rows(named=True):
                if self.counting:
                    face = doubt.faces.sent(row)
                    self._accepted.update(self._wanted.intersection((face.destinations, face.whole)))
                if row["contact_id"] in self._ids:
                    self._accepted_ids[row["contact_id"]] += 1

    def note_id(self, reading: Reading, contact_id: str | None) -> None:
        """An id that the list shows."""
        if contact_id is not None and contact_id in self._ids:
            reading.ids[contact_id] += 1

    def note(self, reading: Reading, held: Held) -> None:
        """A contact that the list shows."""
        self.note_id(reading, held.contact_id)
        face = self._doubt.faces.held(held)
        reading.faces.update(self._wanted.intersection((face.destinations, face.whole)))

    def _by_ids(self, reading: Reading) -> bool:
        """Whether the target keeps our ids, as far as is known."""
        return self._keeps_ids is True or (self._keeps_ids is None and bool(reading.ids))

    def shows_control(self, reading: Reading) -> bool:
        """Whether the list proves itself by what is surely in it."""
        if self._by_ids(reading):
            # What was there before shows that the list is one, and holds our ids; that it is not behind, it does not.
            control = self.control or self.listed
            numbers = ((row["contact_id"], max(1, self._accepted_ids[row["contact_id"]])) for row in control)
            return bool(control) and all(reading.ids[contact_id] >= number for contact_id, number in numbers)
        if not self.control:
            return False
        faces = {self._faces_of[row["position"]].destinations for row in self.control}
        return self._countable and all(self._surplus(reading, face) >= 0 for face in faces)

    def _surplus(self, reading: Reading, face: bytes) -> int:
        """So many contacts of this face are there that nothing else explains."""
        return reading.faces[face] - self._before.get(face, 0) - self._accepted[face]

    def judge(self, reading: Reading, open_: set[int], *, shown: bool, final: bool) -> tuple[set[int], set[int]]:
        """Positions of `open_` that are there, and that are not. `shown`: the list proves itself; `final`: nothing can
        take effect any more, or be late in it.
        """
        rows = [self.rows[position] for position in open_]
        listed, untold = self._listed(reading, rows)
        there = listed.difference({row["position"] for row in self.damaged} - self.others)
        if self._by_ids(reading):
            return there, open_ - listed - untold if final else set()
        if shown and self._countable:
            return self._judge_by_number(reading, rows, final=final)
        return there, set()

    def _listed(self, reading: Reading, rows: list[dict[str, Any]]) -> tuple[set[int], set[int]]:
        """Positions of those that are listed beyond those that are accepted, and of those of which that cannot be told:
        rows of a source may share an id, and then their number tells which are there only if all or none are, or if one
        is as good as the other.
        """
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(row["contact_id"], []).append(row)
        listed: set[int] = set()
        untold: set[int] = set()
        for contact_id, group in groups.items():
            number = max(0, reading.ids[contact_id] - self._accepted_ids[contact_id])
            positions = sorted(row["position"] for row in group)
            if 0 < number < len(group) and len({row["content"] for row in group}) > 1:
                untold.update(positions)
            else:
                listed.update(positions[:number])
        return listed, untold

    def _judge_by_number(
        self, reading: Reading, rows: list[dict[str, Any]], *, final: bool
    ) -> tuple[set[int], set[int]]:
        groups: dict[bytes, list[int]] = {}
        untold: set[bytes] = set()
        for row in rows:
            face = self._faces_of[row["position"]].destinations
            groups.setdefault(face, []).append(row["position"])
            if not row["attempts"]:  # another run may have sent it, before or after ours was counted
                untold.add(face)
        there: set[int] = set()
        absent: set[int] = set()
        for destinations, positions in groups.items():
            surplus = self._surplus(reading, destinations)
            if destinations in untold or surplus > len(positions):
                continue  # somebody else may have added some: whether ours are among them is not to be told
            if surplus == len(positions):
                there.update(positions)
            elif final and surplus <= 0:
                absent.update(positions)
            elif final:
                self._judge_by_text(reading, positions, surplus, there, absent)
        return there, absent

    def _judge_by_text(
        self, reading: Reading, positions: list[int], surplus: int, there: set[int], absent: set[int]
    ) -> None:
        """Some of these rows, which have the same destinations, are there: which ones, their texts tell."""
        by_text: dict[bytes | None, list[int]] = {}
        for position in positions:
            by_text.setdefault(self._faces_of[position].whole, []).append(position)
        numbers = {
            whole: max(0, min(self._surplus(reading, whole), len(those)))
            for whole, those in by_text.items()
            if whole is not None
        }
        if None in by_text or sum(numbers.values()) != surplus:
            return
        for whole, those in by_text.items():
            assert whole is not None
            there.update(those[: numbers[whole]])
            absent.update(those[numbers[whole] :])
