"""The reading stage: looking at files, batches over several of them, and what it says about files it cannot read."""

import gzip
import hashlib
import io
import os
import random
import re
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import anyio
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.records import Batch
from pipeline.stages.read import Source, batches, fingerprint, open_source, read


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archive(*names: str) -> bytes:
    """A ZIP archive with these in it; the same bytes every time, as they name tests."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), b"x")
    return packed.getvalue()


def rows(*sources: Source, batch_rows: int = 8192, limit: int | None = None, block: int = 4 << 20) -> list[tuple]:
    walk = list(batches(sources, batch_rows=batch_rows, limit=limit, block=block))
    assert all(batch.frame.height for batch in walk)
    return [row for batch in walk for row in zip(batch.lines, *batch.frame, batch.damage, strict=True)]


# --- looking at a file ----------------------------------------------------------------------------------------------


def test_a_source_says_what_the_file_is(tmp_path: Path) -> None:
    path = write(tmp_path / "people.txt", "\ufeffid; name ;\r\n1;Zoë;\r\n")
    assert open_source(path, name="lists/people.txt") == Source(
        path=path,
        name="lists/people.txt",
        format="csv",
        columns=("id", "name", "column_3"),
        delimiter=";",
        encoding="utf-8",
        compressed=False,
        rows=None,
        size=path.stat().st_size,
        line_end="\r\n",
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_spite_of_the_others_in_cells(tmp_path: Path, delimiter: str) -> None:
    names = delimiter.join(["id", '"name, given; other|x\ty"', "mobile"])
    record = delimiter.join(["1", '"a,b;c|d\te,,;;||"', "2"])
    source = open_source(write(tmp_path / "list.csv", f"{names}\n{record}\n{record}\n"))
    assert source.delimiter == delimiter
    assert source.columns == ("id", "name, given; other|x\ty", "mobile")


def test_the_delimiter_is_the_one_under_which_rows_are_like_the_header(tmp_path: Path) -> None:
    content = "name, in full;address, in full\nDoe;Main Street 1, Montréal, QC\nRoe;Main Street 2\n"
    assert open_source(write(tmp_path / "list.csv", content)).delimiter == ";"


def test_a_given_delimiter_is_used(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "list.csv", "a:b,c\n1:2,3\n"), delimiter=":")
    assert source.columns == ("a", "b,c")
    assert rows(source) == [(2, "1", "2,3", None)]


def test_unnamed_columns_get_names_of_their_own(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "list.csv", "a,,column_2,\n1,2,3,4\n"))
    assert source.columns == ("a", "column_2_", "column_2", "column_4")


def test_the_header_may_span_lines_and_follow_blank_ones(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "list.csv", '\n  \n"a\nb",c\n1,2\n'))
    assert source.columns == ("a\nb", "c")
    assert rows(source, block=1) == [(5, "1", "2", None)]


def test_content_decides_the_format_not_the_name(tmp_path: Path) -> None:
    plain = open_source(write(tmp_path / "list.parquet", "a,b\n1,2\n"))
    packed = open_source(write(tmp_path / "list.csv", gzip.compress(b"a,b\n1,2\n")))
    assert (plain.format, plain.compressed) == ("csv", False)
    assert (packed.format, packed.compressed) == ("csv", True)
    assert rows(plain) == rows(packed) == [(2, "1", "2", None)]


def test_the_fingerprint_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n1,2\n")
    source = open_source(write(tmp_path / "list.csv.gz", content))
    assert fingerprint(source) == hashlib.sha256(content).hexdigest()
    source.path.unlink()
    with pytest.raises(SourceError, match="there is no such file"):
        fingerprint(source)


# --- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; export the list again, with a header line"),
        (b"\xef\xbb\xbf", "is empty; export the list again, with a header line"),
        (b"\n \r\n\n", "is empty; export the list again, with a header line"),
        (gzip.compress(b"", mtime=0), "is empty; export the list again, with a header line"),
        (b"a,b\n", "has a header and no rows; export the list again, or check the path"),
        (b"a,b", "has a header and no rows; export the list again, or check the path"),
        (b"a,b\r\n\r\n  \n", "has a header and no rows; export the list again, or check the path"),
        (
            "id,name\n1,x\n2,Ольга\n3,Иван\n".encode("windows-1251"),
            ", line 3: holds characters that are not UTF-8; save the file as CSV UTF-8, "
            "or name its encoding (often windows-1252)",
        ),
        (
            "id,имя\n1,x\n".encode("windows-1251"),
            ", line 1: holds characters that are not UTF-8; save the file as CSV UTF-8, "
            "or name its encoding (often windows-1252)",
        ),
        (
            "id,name\n1,x\n".encode("utf-32-le"),
            "looks like UTF-16 without a byte order mark; save it as CSV UTF-8, "
            "or name its encoding (utf-16-le or utf-16-be)",
        ),
        (b",".join([b"x"] * 20_000) + b"\n1\n", ", line 1: the header has 20000 fields; this is no list of contacts"),
        (
            b"PK\x03\x04rest",
            "this Excel workbook, or ZIP archive, is incomplete or damaged; fetch it again, or save the sheet as CSV "
            "UTF-8",
        ),
        (archive("list.csv"), "is a ZIP archive; unpack it"),
        (
            archive("xl/workbook.bin"),
            "is a binary Excel workbook (.xlsb); save it as .xlsx, or the sheet as CSV UTF-8",
        ),
        (
            archive("mimetype", "content.xml"),
            "is an OpenDocument file; save it as .xlsx, or the sheet as CSV UTF-8",
        ),
        (
            gzip.compress(archive("xl/workbook.xml"), mtime=0),
            "is an Excel workbook or a ZIP archive; save the sheet as CSV UTF-8, or unpack it",
        ),
        (b"\xd0\xcf\x11\xe0rest", "is an Excel workbook; save the sheet as CSV UTF-8"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), "is compressed twice; decompress it once"),
        (gzip.compress(b"PAR1 and so on", mtime=0), "is a Parquet file within gzip; decompress it"),
        (
            gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9],
            "its compression breaks near the beginning; the file is incomplete or damaged, fetch it again",
        ),
        (
            b"Contacts of May\nid,name,mobile\n1,x,2\n3,y,4\n",
            ", line 1: has 1 field where the lines after it have 3, separated by a comma; "
            "remove what stands above the header, or add the missing names to it",
        ),
        (
            b"id,name,mobile\n1;x;2\n3;y;4\n",
            ", line 1: the header is separated by a comma and the rows by a semicolon; "
            "use one delimiter in the whole file",
        ),
        (b'id,"name\n1,x\n', ", line 1: the header has a quoted field that opens on line 1 and is not closed"),
        (b"id,na\0me\n1,x\n", ", line 1: the header holds NUL bytes; save the file as CSV UTF-8"),
        (
            b"_status,_reason\ninvalid,x\n",
            "has no columns but _status, _reason; export the list again",
        ),
        (b"PAR1 and no more", "this Parquet file is incomplete or damaged; write it or fetch it again"),
        (b"x" * 300_000, ", line 1: the line does not end; this is no list of contacts"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "list.csv", content)
    with pytest.raises(SourceError) as caught:
        open_source(path, name="list.csv")
    assert str(caught.value).removeprefix("list.csv").removeprefix(": ") == message


def test_paths_that_are_no_readable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"^missing\.csv: there is no such file; check the path$"):
        open_source(tmp_path / "missing.csv", name="missing.csv")
    with pytest.raises(SourceError, match=r"^here: is a directory; name a file in it$"):
        open_source(tmp_path, name="here")
    path = write(tmp_path / "secret.csv", "a,b\n1,2\n")
    with pytest.raises(SourceError, match=r": is a pipe or a device, which can be read once only; give it on standard"):
        open_source(Path(os.devnull))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # whoever runs the tests may be allowed to read everything
    with pytest.raises(SourceError, match=r"^secret\.csv: may not be read; ask for permission"):
        open_source(path, name="secret.csv")


@pytest.mark.parametrize("delimiter", ["", "::", '"', "\n", " ", "é"])
def test_a_delimiter_that_is_none(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(SourceError, match="the delimiter must be one character"):
        open_source(write(tmp_path / "list.csv", "a,b\n1,2\n"), delimiter=delimiter)


def test_a_given_delimiter_that_the_header_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "list.csv", "a,b\n1,2\n")
    with pytest.raises(
        SourceError, match=r"line 1: the header is not separated by a semicolon but by a comma; correct"
    ):
        open_source(path, delimiter=";")


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13"])
def test_an_encoding_that_is_none(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(SourceError, match=f"there is no encoding called '{encoding}'; use utf-8"):
        open_source(write(tmp_path / "list.csv", "a,b\n1,2\n"), encoding=encoding)


def test_messages_hold_no_cell(tmp_path: Path) -> None:
    for content in (b"a,b\n+15551234567,\xe9\n", b"+15551234567\n1,2,3\n1,2,3\n", b'a,b\n"+15551234567,1\n'):
        path = write(tmp_path / "list.csv", content)
        try:
            found = [batch.damage.to_list() for batch in batches([open_source(path)])]
        except SourceError as error:
            found = [[str(error)]]
        assert found
        assert "5551234" not in str(found)


def test_a_compressed_file_that_breaks_midway_says_where(tmp_path: Path) -> None:
    lines = [f"{number},{random.Random(number).random()}" for number in range(60_000)]
    content = "\n".join(["a,b", *lines, ""]).encode()
    packed = gzip.compress(content)
    cut = write(tmp_path / "cut.csv.gz", packed[: len(packed) * 3 // 4])
    walk = batches([open_source(cut, name="list.csv.gz")], batch_rows=100, block=100_000)
    seen: list[tuple] = []
    with pytest.raises(SourceError, match="its compression breaks after line") as caught:
        seen.extend(row for batch in walk for row in batch.frame.rows())
    said = re.search(r"after line (\d+)", str(caught.value))
    assert said is not None
    assert int(said[1]) == zlib.decompressobj(wbits=31).decompress(cut.read_bytes()).count(b"\n") > 30_000
    assert 0 <= int(said[1]) - 1 - len(seen) < 100  # all but an unfinished batch came through
    assert seen == [tuple(line.split(",")) for line in lines[: len(seen)]]


@pytest.mark.parametrize("place", [0.5, 0.999])
def test_a_compressed_file_with_other_bytes_in_it_is_told(tmp_path: Path, place: float) -> None:
    lines = [f"{number},{random.Random(number).random()}" for number in range(60_000)]
    packed = bytearray(gzip.compress("\n".join(["a,b", *lines, ""]).encode()))
    packed[int(len(packed) * place)] ^= 0x55
    source = open_source(write(tmp_path / "list.csv.gz", bytes(packed)))
    with pytest.raises(SourceError, match="its compression breaks after line"):
        rows(source)


def test_a_missing_closing_quote_does_not_hold_back_the_rows_after_it(tmp_path: Path) -> None:
    lines = [f"{number},{random.Random(number).random()}" for number in range(60_000)]
    packed = gzip.compress("\n".join(["a,b", '"lost,1', *lines, ""]).encode())
    source = open_source(write(tmp_path / "cut.csv.gz", packed[: len(packed) // 2]))
    walk = batches([source], block=10_000, longest_cell=50_000, batch_rows=100)
    seen: list[tuple] = []
    with pytest.raises(SourceError, match="its compression breaks after line"):
        seen.extend(row for batch in walk for row in batch.frame.rows())
    assert len(seen) > 10_000


def test_gzip_of_several_members_is_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "list.csv.gz", gzip.compress(b"a,b\n1,") + gzip.compress(b"2\n3,4\n"))
    assert rows(open_source(path)) == [(2, "1", "2", None), (3, "3", "4", None)]


def test_a_file_that_changed_since_it_was_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "list.csv", "a,b\n1,2\n")
    source = open_source(path)
    write(path, "a,c\n1,2\n")
    with pytest.raises(SourceError, match="its columns changed"):
        rows(source)
    path.unlink()
    with pytest.raises(SourceError, match="there is no such file"):
        rows(source)


# --- batches --------------------------------------------------------------------------------------------------------


def test_batches_walk_all_sources_and_span_none(tmp_path: Path) -> None:
    first = open_source(write(tmp_path / "1.csv", "a,b\n1,2\n3,4\n5,6\n"), name="first")
    second = open_source(write(tmp_path / "2.csv", "c\n7\n8\n"), name="second")
    seen = [
        (batch.source, batch.start, batch.stop, batch.row, batch.frame.rows(), batch.lines.to_list())
        for batch in batches([first, second], batch_rows=2)
    ]
    assert seen == [
        ("first", 0, 2, 1, [("1", "2"), ("3", "4")], [2, 3]),
        ("first", 2, 3, 3, [("5", "6")], [4]),
        ("second", 3, 5, 1, [("7",), ("8",)], [2, 3]),
    ]


@pytest.mark.parametrize("limit", range(7))
def test_the_limit_counts_rows_of_all_sources(tmp_path: Path, limit: int) -> None:
    first = open_source(write(tmp_path / "1.csv", "a\n1\n2\n3\n"))
    second = open_source(write(tmp_path / "2.csv", "a\n4\n5\n"))
    for batch_rows in (1, 2, 3, 8192):
        assert [row[1] for row in rows(first, second, batch_rows=batch_rows, limit=limit)] == list("12345")[:limit]


@pytest.mark.parametrize("block", [10_000, 1 << 20, 4 << 20])
@pytest.mark.parametrize("quotes", [False, True])
def test_many_rows_with_some_of_every_kind(tmp_path: Path, block: int, quotes: bool) -> None:
    """Enough of them for polars to divide the work."""
    chance = random.Random(7)
    content = ["id,name,mobile"]
    expected: list[tuple] = []
    line = 2
    for number in range(40_000):
        kind = chance.randrange(1000)
        if kind == 0:
            content.append("")
            line += 1
        elif kind == 1:
            content.append(f"{number},x")
            expected.append((line, str(number), "x", None, "has 2 fields where the header has 3"))
            line += 1
        elif kind == 2:
            content.append(f"{number},x,y,z")
            expected.append((line, str(number), "x", "y,z", "has 4 fields where the header has 3"))
            line += 1
        elif kind < 50 and quotes:
            content.append(f'{number},"x ""{number}"",\n\nz",')
            expected.append((line, str(number), f'x "{number}",\n\nz', None, None))
            line += 3
        elif kind < 500 and quotes:
            content.append(f'"{number}","é {number}",""')
            expected.append((line, str(number), f"é {number}", None, None))
            line += 1
        else:
            content.append(f"{number},name {number},{kind}")
            expected.append((line, str(number), f"name {number}", str(kind), None))
            line += 1
    source = open_source(write(tmp_path / "list.csv", "\n".join(content)))
    assert rows(source, block=block) == expected


# --- the stage ------------------------------------------------------------------------------------------------------


async def collect(*sources: Source, **how: int) -> list[Batch]:
    send, receive = anyio.create_memory_object_stream[Batch](1)
    with anyio.fail_after(30):  # a stage that does not close its stream must not hang the tests
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: read(batches(sources, **how), send))
            async with receive:
                received = [batch async for batch in receive]
    return received


def test_the_stage_sends_all_batches_and_closes(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "list.csv", "a\n1\n2\n3\n4\n5\n"))
    received = anyio.run(lambda: collect(source, batch_rows=2, limit=4))
    assert [(batch.start, batch.frame.rows()) for batch in received] == [(0, [("1",), ("2",)]), (2, [("3",), ("4",)])]


def test_the_stage_closes_when_a_source_breaks(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "list.csv", "a\n1\n"))
    source.path.unlink()

    async def run() -> None:
        send, receive = anyio.create_memory_object_stream[Batch](1)
        async with receive:
            with pytest.raises(SourceError, match="there is no such file"):
                await read(batches([source]), send)
            with pytest.raises(anyio.EndOfStream):
                receive.receive_nowait()

    anyio.run(run)


def test_the_stage_waits_for_the_one_after_it_and_can_be_cancelled(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "list.csv", "a\n1\n2\n3\n"))

    async def run() -> None:
        send, receive = anyio.create_memory_object_stream[Batch](0)
        async with receive:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: read(batches([source], batch_rows=1), send))
                first = await receive.receive()
                assert first.frame.rows() == [("1",)]
                group.cancel_scope.cancel()
            with pytest.raises(anyio.EndOfStream):
                receive.receive_nowait()

    anyio.run(run)


# --- how far a walk has come ------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heights=st.lists(st.integers(1, 400), min_size=1, max_size=3),
    kinds=st.lists(st.sampled_from(["csv", "parquet"]), min_size=3, max_size=3),
    batch_rows=st.integers(1, 90),
    block=st.integers(40, 3_000),
)
def test_a_walk_tells_of_no_byte_before_its_rows(
    tmp_path: Path, heights: list[int], kinds: list[str], batch_rows: int, block: int
) -> None:
    sources, ends = [], []  # where in all bytes each row ends
    for number, (height, kind) in enumerate(zip(heights, kinds, strict=False)):
        lines = [f"{row},{'x' * (row % 40)}\n" for row in range(height)]
        path = write(tmp_path / f"{number}.{kind}", text := "".join(["id,name\n", *lines]))
        if kind == "parquet":
            pl.read_csv(path).write_parquet(path)
        sources.append(source := open_source(path))
        before = sum(each.size for each in sources[:-1])
        if kind == "csv":
            ends += [before + len(text) - len("".join(lines[row + 1 :])) for row in range(height)]
        else:  # as if rows were of one size
            ends += [before + source.size * (row + 1) // height for row in range(height)]
    told: list[int] = []
    given = 0
    for batch in batches(sources, batch_rows=batch_rows, block=block, passed=told.append):
        due = sum(end <= told[-1] for end in ends) if told else 0
        assert due <= given + batch_rows, "bytes are told of whose rows have yet to come"
        given += batch.frame.height
    assert told == sorted(told)
    assert told[-1] == sum(source.size for source in sources)


def test_a_walk_tells_as_it_goes(tmp_path: Path) -> None:
    """Of a compressed file by what was read of it, a gzip of bytes that cannot be compressed above all."""
    text = "".join(
        ["id,name\n", *(f"{row},{random.Random(row).randbytes(400).hex()}\n" for row in range(2_000))]
    ).encode()
    sources = [open_source(write(tmp_path / "a.csv", text)), open_source(write(tmp_path / "b", gzip.compress(text)))]
    size = sum(source.size for source in sources)
    told: list[int] = [0]
    for _ in batches(sources, batch_rows=10, block=50_000, passed=told.append):
        pass
    assert max(after - before for before, after in pairwise(told)) < size / 8
