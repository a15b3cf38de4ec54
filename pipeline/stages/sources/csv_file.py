"""A CSV file to pieces of text rows: its bytes are cut into chunks of whole lines, each for the parser."""

from collections.abc import Callable, Iterator

from pipeline.errors import SourceError
from pipeline.stages.sources.csv_head import find_header, header_names
from pipeline.stages.sources.csv_parser import Parser
from pipeline.stages.sources.csv_records import LONGEST_RECORD, Scanner, with_lf
from pipeline.stages.sources.csv_text import BLOCK, LONGEST_LINE, CutShort, Form, text
from pipeline.stages.sources.pieces import Piece


def pieces(
    form: Form,
    *,
    block: int = BLOCK,
    longest: int = LONGEST_RECORD,
    passed: Callable[[int], None] | None = None,
) -> Iterator[Piece]:
    """The rows of a file with all of its columns, without the header, in pieces of about `block` bytes.

    Empty cells are null, quoted or not. Blank lines are no rows. A damaged row keeps what could be read of its cells:
    missing ones are null, those too many are in the last one, joined by the delimiter. Cells too many that are all
    empty hold nothing, so they are dropped and do not damage a row. `passed` as in `text`. Raises SourceError.
    """
    scanner = Scanner(form.delimiter, longest=longest)
    parser: Parser | None = None
    blocks = text(form, block=block, passed=passed)
    rest, line, final = b"", 1, False  # `rest` begins on physical line `line`
    while not final:
        try:
            data = next(blocks, None)
        except CutShort as error:
            raise SourceError(
                f"{form.name}: its compression breaks after line {line + with_lf(rest).count(10) - 1}; "
                "the file is incomplete or damaged, fetch it again"
            ) from error
        if data is None:
            final, data = True, b"" if not rest or rest.endswith((b"\n", b"\r")) else b"\n"
        stop = len(data) if final else _last_break(data)
        if not stop and data.endswith(b"\r") and len(rest) > LONGEST_LINE:
            stop = len(data)  # nothing but CRs for so long
        if not stop and not final:
            rest += data
            continue
        chunk, tail = b"".join((rest, memoryview(data)[:stop])), data[stop:]
        at = 0
        if parser is None and (header := find_header(chunk, scanner, final=final)) is not None:
            parser = Parser(form, header_names(header, form.name), header.record.cells, scanner)
            at, line = header.record.end, header.next_line
        more = parser is not None and at < len(chunk)
        while parser is not None and more:
            piece, end, line, more = parser.parse(chunk[at:], line, final=final)
            yield piece
            at += end
        rest = chunk[at:] + tail


def _last_break(data: bytes) -> int:
    """The offset behind the last line break that is sure to be whole: a CR at the end may belong to an LF after it."""
    sure = len(data.rstrip(b"\r"))
    return max(data.rfind(b"\n", 0, sure), data.rfind(b"\r", 0, sure)) + 1
