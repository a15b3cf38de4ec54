"""Below the system calls: what is durable before a request leaves, disks that fail, machines that stop at any call.

strace watches the real command, makes its calls fail, or kills it as it makes one.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from kills.kit import ADD, Import, Striking, Victim, ended, execute, simulated, start

NOT_PROVEN: Final = "NOT PROVEN HERE, what the disk has when a request leaves and when a call fails: "


@pytest.fixture(autouse=True, scope="module")
def _strace() -> None:
    """Skip loudly where nothing can be watched."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        pytest.skip(NOT_PROVEN + "strace is missing; install it (apt-get install strace)")
    tried = subprocess.run([*STRACE, "-o", "/dev/null", "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(NOT_PROVEN + f"strace may not trace here: {tried.stderr.strip()}")


#: Watched calls alone stop the process, which is then hardly slower; signals cannot be injected in this way.
STRACE: Final = ("strace", "-f", "-y", "--seccomp-bpf")

#: What may write to a file, make it durable, and put it in place, by the names that kernels have for it.
WRITES: Final = "write,pwrite64"
SYNCS: Final = "fdatasync,fsync"
RENAMES: Final = "?rename,?renameat,?renameat2"

#: And whatever else writes, to sockets too.
CALLS: Final = f"{WRITES},{SYNCS},writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile"

#: strace counts the calls of each thread by itself, and how many commits there are depends on the disk: however slow it
#: is, each file of a list has one of its own. A run may still come to its end before the n-th call of any thread.
FILES: Final = 15


#: Runs a command that any process of this user may attach to; without Yama that is so anyway.
ATTACHABLE: Final = (
    sys.executable,
    "-c",
    "import ctypes, os, sys\n"
    "PR_SET_PTRACER, ANY = 0x59616D61, ctypes.c_ulong(-1)\n"
    "ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)


class Call(NamedTuple):
    """One system call; begun and ended are lines of the trace: what has ended before another begins, came before it."""

    name: str
    descriptor: str  # number and path
    arguments: str
    begun: int
    ended: int
    result: int


def calls(trace: Path) -> Iterator[Call]:
    """The finished calls of a trace."""
    pending: dict[str, tuple[str, int]] = {}
    with trace.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines):
            thread, _, text = line.rstrip("\n").partition(" ")
            text = text.lstrip()
            begun = number
            if text.endswith("<unfinished ...>"):
                pending[thread] = (text.removesuffix("<unfinished ...>"), number)
                continue
            if text.startswith("<... ") and thread in pending:
                head, begun = pending.pop(thread)
                text = head + text.partition("resumed>")[2]
            if found := re.fullmatch(r"(\w+)\((\d+<.*?>)(.*)\)\s+= (-?\d+).*", text):
                name, descriptor, arguments, result = found.groups()
                yield Call(name, descriptor, arguments.replace('\\"', '"'), begun, number, int(result))


class Traced:
    """What a trace tells of one process: when the begin records of slices were durable, and when each row left."""

    def __init__(self, trace: Path, work: Import) -> None:
        self.begun: dict[range, int] = {}  # slices by the rows they cover: the line where their record was durable
        self.left: list[tuple[str, int]] = []  # the id of each contact that left, and in which line
        self.named: int | None = None  # the line where the name of the journal was durable
        written: dict[str, list[range]] = {}
        requests: dict[str, int] = {}  # by socket: where the head of the request left whose body is to come
        for call in calls(trace):
            _, _, path = call.descriptor.rstrip(">").partition("<")
            if path == str(work.journal):
                if call.name in SYNCS.split(","):
                    if call.result == 0:
                        self.begun.update(dict.fromkeys(written.get(call.descriptor, ()), call.ended))
                        written[call.descriptor] = []
                else:
                    assert call.name in WRITES.split(","), "of others it is not read here how much was to be written"
                    length = call.arguments.rpartition('", ')[2].partition(",")[0]
                    assert call.result == int(length), "it was written whole"
                    found = re.findall(r'"t":"begun","number":\d+,"start":(\d+),"stop":(\d+)', call.arguments)
                    written.setdefault(call.descriptor, []).extend(range(int(a), int(b)) for a, b in found)
            elif path == str(work.run_dir) and call.name in SYNCS.split(",") and call.result == 0 and written:
                self.named = self.named or call.ended
            elif path.startswith(("socket:", "TCP")):
                if f"/{ADD}" in call.arguments:
                    requests[call.descriptor] = call.begun
                for contact_id in re.findall(_CONTACT_ID, call.arguments):
                    self.left.append((contact_id.lower(), requests.get(call.descriptor, call.begun)))

    def assert_durable_before_sent(self, positions: dict[str, int]) -> int:
        """For every row that left: a slice that covers it was durable before. How many rows left."""
        sent = [(positions[contact_id], line) for contact_id, line in self.left if contact_id in positions]
        for position, line in sent:
            durable = [at for rows, at in self.begun.items() if position in rows]
            assert durable, f"row {position} left, and no slice that covers it was ever durable"
            assert min(durable) < line, f"row {position} left in line {line}, its slice was durable in {min(durable)}"
        return len({position for position, _ in sent})


_CONTACT_ID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-5[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def traced(command: list[str], trace: Path) -> list[str]:
    return [*STRACE, "-s", "1000000", "-o", str(trace), "-e", f"trace={CALLS}", *command]


def positions(work: Import) -> dict[str, int]:
    """Where the row of each contact id stands in the whole input."""
    return {contact_id: at for at, contact_id in enumerate(work.ledger()["contact_id"])}


def test_a_slice_is_durable_before_any_of_its_rows_leaves(tmp_path):
    with simulated(latency=0.002) as (server, _):
        work = Import(tmp_path, server, 150, "delivery.sessions=4", files=3)
        code, said = execute(traced(work.beginning, tmp_path / "trace"))
        assert code == 0, said
        work.assert_complete()
        whole = Traced(tmp_path / "trace", work)
        assert len(whole.begun) >= 4, "the canary, the rest of its file, and two more files"
        assert whole.assert_durable_before_sent(positions(work)) == 150
        assert whole.named is not None
        assert whole.named < min(line for _, line in whole.left)


def test_a_resumed_run_too_makes_slices_durable_before_it_sends(tmp_path):
    with simulated(latency=0.002) as (server, simulator):
        work = Import(tmp_path, server, 150, "delivery.sessions=4", files=3)
        victim = Victim()
        simulator.arm(ADD, 70, "done", victim.kill)
        assert ended(victim.run(start(work.beginning)))[0] == -9
        code, said = execute(traced(work.resuming, tmp_path / "trace"))
        assert code == 0, said
        work.assert_complete()
        rest = Traced(tmp_path / "trace", work)
        assert 0 < rest.assert_durable_before_sent(positions(work)) < 150


# --- a disk that fails ---


def failing(work: Import, trace: Path, command: list[str], calls: str, error: str, number: int) -> list[str]:
    """A command in which the n-th such call of a thread on the journal fails."""
    inject = f"inject={calls}:error={error}:when={number}"
    return [*STRACE, "-o", str(trace), "-P", str(work.journal), "-e", f"trace={calls}", "-e", inject, *command]


failures = pytest.mark.parametrize(("calls", "error"), [(SYNCS, "EIO"), (WRITES, "ENOSPC")], ids=["sync", "write"])


@failures
def test_a_journal_that_cannot_be_written_ends_the_run_and_nothing_is_lost(tmp_path, calls, error):
    with simulated(latency=0.004) as (server, _):
        work = Import(tmp_path, server, 120, "delivery.sessions=2", files=FILES)
        for struck, number in enumerate((2, 1, 3, 6)):
            trace = tmp_path / f"trace{number}"
            code, said = execute(failing(work, trace, work.next, calls, error, number))
            if "(INJECTED)" not in trace.read_text():
                assert (code, struck >= 3) == (0, True), said
                break
            assert code == 8, said
            assert f"{work.journal}: the journal could not be" in said
            assert "resume" in said
            assert server.state()["sessions"]["open"] == 0
            if (work.run_dir / "summary.json").exists():  # it came so far that it gave an account of itself
                assert work.assert_agreement().get("accepted", 0) < 120, "there is something left to fail at"
        code, said = execute(work.resuming)
        assert code == 0, said
        work.assert_complete()


@failures
def test_a_journal_that_cannot_be_begun_sends_nothing(tmp_path, calls, error):
    with simulated() as (server, _):
        work = Import(tmp_path, server, 20)
        code, said = execute(failing(work, tmp_path / "trace", work.beginning, calls, error, 1))
        assert code == 8, said
        assert str(work.journal) in said
        assert server.state()["calls"] == {}
        code, said = execute(work.next)
        if code == 8:  # not even its header is there
            assert "Delete the directory and import again" in said
            shutil.rmtree(work.run_dir)
            code, said = execute(work.beginning)
        assert code == 0, said
        work.assert_complete()


# --- a machine that stops ---


def killing(calls: str, number: int, *, path: Path | None = None) -> list[str]:
    """strace that kills what it watches just before the n-th such call of a thread, on a file if that is given."""
    where = [] if path is None else ["-P", str(path)]
    inject = f"inject={calls}:signal=KILL:when={number}"
    return ["strace", "-f", "-o", "/dev/null", *where, "-e", f"trace={calls}", "-e", inject]


def killed_at(
    simulator: Striking, command: list[str], tracer: list[str], operation: str = "OpenAPISession"
) -> tuple[int, str]:
    """Run a command to which a tracer is attached when it makes its first call of an operation.

    Watched from its start on, without the filter, a process takes seconds.
    """
    victim = Victim()
    tracers: list[subprocess.Popen[str]] = []

    async def attach() -> None:
        attached = start([*tracer, "-p", str(victim.process.pid)])
        tracers.append(attached)
        assert attached.stderr is not None
        line = attached.stderr.readline()  # it is written when all threads are held
        assert "attached" in line, line

    simulator.arm(operation, 1, "arrived", attach)
    try:
        return ended(victim.run(start([*ATTACHABLE, *command])))
    finally:
        simulator.disarm()
        for attached in tracers:
            ended(attached)


@pytest.mark.parametrize("calls", [WRITES, SYNCS], ids=["write", "sync"])
def test_killed_at_a_call_of_the_journal_again_and_again(tmp_path, calls):
    with simulated(latency=0.004) as (server, simulator):
        work = Import(tmp_path, server, 150, "delivery.sessions=2", files=FILES)
        for struck, number in enumerate((1, 2, 3, 1, 5, 8)):
            code, said = killed_at(simulator, work.next, killing(calls, number, path=work.journal))
            if code != -9:
                assert (code, struck >= 4) == (0, True), said
                break
        code, said = execute(work.resuming)
        assert code == 0, said
        work.assert_complete()


def test_killed_while_a_resumed_run_takes_up_the_journal(tmp_path):
    with simulated(latency=0.002) as (server, simulator):
        work = Import(tmp_path, server, 60, "delivery.sessions=2")
        victim = Victim()
        simulator.arm(ADD, 30, "done", victim.kill)
        assert ended(victim.run(start(work.beginning)))[0] == -9
        for calls in ("ftruncate", WRITES, SYNCS):
            code, said = execute([*killing(calls, 1, path=work.journal), *work.resuming])
            assert code == -9, said
        code, said = execute(work.resuming)
        assert code == 0, said
        work.assert_complete()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_killed_while_the_ledger_is_put_in_place(tmp_path, number):
    with simulated() as (server, simulator):
        work = Import(tmp_path, server, 30, "delivery.sessions=1")
        code, said = killed_at(simulator, work.beginning, killing(RENAMES, number), "CloseAPISession")
        assert code == -9, said
        received = server.state()["adds"]["received"]
        code, said = execute(work.resuming)
        assert code == 0, said
        assert server.state()["adds"]["received"] == received
        work.assert_complete()
