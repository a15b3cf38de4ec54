"""The command `simulate`: simulated services to develop and to rehearse against."""

import os
from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import choices
from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, say

if TYPE_CHECKING:
    from pipeline.simulator import Fault, Simulator

#: What the simulator needs beyond the package itself.
_EXTRA = ("starlette", "uvicorn")


class Dialect(StrEnum):
    """The two ways in which such services are built."""

    WCF = "wcf"
    ASMX = "asmx"


def simulate(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port on loopback. 0: any free one.")] = 0,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="NAME",
            help="Simulate this system only. May be repeated.",
            autocompletion=choices.of(choices.SYSTEMS),
        ),
    ] = None,
    dialect: Annotated[
        Dialect, typer.Option("--dialect", help="How the SOAP service with campaigns is built.")
    ] = Dialect.WCF,
    latency: Annotated[float, typer.Option("--latency", metavar="SECONDS", min=0, help="Delay of every answer.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="KIND[:NAME=VALUE,...]",
            help="Something that goes wrong, e.g. cut:every=50,stored. Kinds: unavailable, cut, cut_answer, hang, "
            "fault, html, busy, incomplete, expire. Names: every, first, last, stored, status, retry_after, "
            "operation. It befalls every system that has the operation. May be repeated.",
            autocompletion=choices.of(choices.FAULTS),
        ),
    ] = None,
    refuse: Annotated[
        list[str] | None,
        typer.Option("--refuse", metavar="REGEX", help="Refuse rows with such a destination. May be repeated."),
    ] = None,
    one_code: Annotated[
        int | None, typer.Option("--one-code", metavar="CODE", help="Answer every failure with this one code.")
    ] = None,
    session_cap: Annotated[
        int | None, typer.Option("--session-cap", metavar="N", min=0, help="At most so many open sessions.")
    ] = None,
    idle_limit: Annotated[
        float | None,
        typer.Option("--idle-limit", metavar="SECONDS", min=0, help="A session without a call ends after it."),
    ] = None,
    expire_after: Annotated[
        int | None, typer.Option("--expire-after", metavar="CALLS", min=1, help="A session ends after so many calls.")
    ] = None,
    own_ids: Annotated[bool, typer.Option("--own-ids", help="Give rows other ids than those sent.")] = False,
    listing_lag: Annotated[
        float, typer.Option("--listing-lag", metavar="SECONDS", min=0, help="A contact shows up in lists so late.")
    ] = 0,
    lose: Annotated[
        list[str] | None,
        typer.Option(
            "--lose",
            metavar="MEMBER",
            help="Lose this member of a channel, e.g. Destination. May be repeated.",
            autocompletion=choices.of(choices.MEMBERS),
        ),
    ] = None,
) -> None:
    """Simulate the systems until stopped (for developers).

    The address of the first of them is the one line on standard output; standard error tells how to point a
    configuration at each. An option is for every system that knows of such a thing. Rows are kept in memory and reach
    nobody.
    """
    with ending():
        try:
            from pipeline import simulator
        except ModuleNotFoundError as error:
            raise _missing(error) from None
        from pipeline.errors import UsageError

        given = {
            "dialect": dialect.value,
            "latency": latency,
            "refuse": dict.fromkeys(refuse or ()),
            "codes": simulator.Codes() if one_code is None else simulator.Codes.all(one_code),
            "session_cap": session_cap,
            "idle_limit": idle_limit,
            "expire_after_calls": expire_after,
            "own_ids": own_ids,
            "listing_lag": listing_lag,
            "drop_members": frozenset(lose or ()),
        }
        if idle_limit is None:
            del given["idle_limit"]  # each system has a limit of its own
        try:
            faults = [simulator.Fault.parse(text) for text in fault or ()]
            simulated = _simulator(system or (), given, faults)
        except ValueError as error:
            raise UsageError(f"The simulator cannot be like that: {error}") from None
        try:
            simulator.run(simulated, port, lambda url: _announce(url, simulated))
        except OSError as error:
            raise UsageError(f"Port {port} cannot be had: {_reason(error)}. Choose another, or 0 for any.") from None


def _simulator(systems: Iterable[str], given: dict[str, Any], faults: Iterable["Fault"]) -> "Simulator":
    """A simulator of these systems, of none given: of all. Each takes what it knows of `given` and `faults`."""
    from pipeline.simulator import SERVICES, Simulator

    known = {service.system: (settings, service) for settings, service in SERVICES.items()}
    wanted = list(dict.fromkeys(systems)) or list(known)
    if unknown := [each for each in wanted if each not in known]:
        raise ValueError(f"there is no system {unknown[0]!r}, only {', '.join(known)}")
    for fault in faults:
        if not any(known[each][1].knows(fault) for each in wanted):
            raise ValueError(f"fault {fault.kind}: no operation {fault.operation or 'of rows'} here has it")
    made = []
    for settings, service in (known[each] for each in wanted):
        names = {each.name for each in fields(settings)}
        own = tuple(each for each in faults if service.knows(each))
        made.append(settings(faults=own, **{name: value for name, value in given.items() if name in names}))
    return Simulator(*made)


def _announce(url: str, simulator: "Simulator") -> None:
    assert simulator.listener is not None
    origin = simulator.listener.origin
    lines = ["Simulated systems listen; stop them with Ctrl-C. Point a configuration at one with"]
    for system, service in simulator.services.items():
        first, *more = service.introduction(origin)
        lines += [f"  {system:<12} --set target.system={system} {first}", *(f"  {'':<12} {line}" for line in more)]
    lines.append(f"What they hold and did is at {origin}/state; {origin}/control changes how they behave.")
    complain("\n".join(lines))
    say(url)


def _reason(error: OSError) -> str:
    """What the system says, without what event loops add to it."""
    return os.strerror(error.errno) if error.errno else str(error)


def _missing(error: ModuleNotFoundError) -> Exception:
    from pipeline.errors import UsageError

    if (error.name or "").partition(".")[0] in _EXTRA:
        return UsageError("The simulator is an extra: pip install 'contact-pipeline[simulator]'")
    return error
