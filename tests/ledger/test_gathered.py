"""Gathered contacts come back whole and in order, however many they are."""

import random
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest

from pipeline.errors import MachineFailed
from pipeline.ledger import gathered as module
from pipeline.ledger.gathered import Gathered


def contacts(ids: list[int], first: int = 0) -> pl.DataFrame:
    """With contents that number them."""
    texts = [str(UUID(int=each)) for each in ids]
    return pl.DataFrame({"contact_id": texts, "content": [f"{first + row:032x}" for row in range(len(texts))]})


@pytest.mark.parametrize("held", [1, 30, 300, 1000, 10_000])
def test_contacts_come_back_by_id_and_those_of_one_id_as_they_came(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD", held)
    chance = random.Random(held)
    with Gathered(tmp_path) as gathered:
        for _ in range(2):  # what was taken is not there any more
            ids = [chance.getrandbits(128) for _ in range(900)]
            ids += chance.choices(ids, k=100)  # some come again
            chance.shuffle(ids)
            for first in range(0, 1000, 50):
                gathered.add(contacts(ids[first : first + 50], first))
            parts = list(gathered.take())
            found = [row for part in parts for row in part.iter_rows()]
            assert found == sorted(contacts(ids).iter_rows(), key=lambda row: row[0])
            assert max(part.height for part in parts) < 2 * held + 100
            assert list(tmp_path.iterdir()) == []
        assert list(gathered.take()) == []


def test_a_directory_that_takes_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HELD", 2)
    gathered = Gathered(tmp_path / "nowhere")
    with pytest.raises(MachineFailed, match=r"nowhere.*: cannot be written: No such file or directory\. Free space"):
        gathered.add(contacts([1, 2]))
