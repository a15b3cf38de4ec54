"""The command `simulate`: a simulated service to develop and to rehearse against."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, say

if TYPE_CHECKING:
    from pipeline.simulator import OncSettings

#: What the simulator needs beyond the package itself.
_EXTRA = ("starlette", "uvicorn")


class Dialect(StrEnum):
    """The two ways in which such services are built."""

    WCF = "wcf"
    ASMX = "asmx"


def simulate(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port on loopback. 0: any free one.")] = 0,
    dialect: Annotated[Dialect, typer.Option("--dialect", help="How the service is built.")] = Dialect.WCF,
    latency: Annotated[float, typer.Option("--latency", metavar="SECONDS", min=0, help="Delay of every answer.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="KIND[:NAME=VALUE,...]",
            help="Something that goes wrong, e.g. cut:every=50,stored. Kinds: unavailable, cut, cut_answer, hang, "
            "fault, html, busy, expire. Names: every, first, last, stored, status, retry_after, operation. "
            "May be repeated.",
        ),
    ] = None,
    refuse: Annotated[
        list[str] | None,
        typer.Option("--refuse", metavar="REGEX", help="Refuse contacts with such a destination. May be repeated."),
    ] = None,
    one_code: Annotated[
        int | None, typer.Option("--one-code", metavar="CODE", help="Answer every failure with this one code.")
    ] = None,
    session_cap: Annotated[
        int | None, typer.Option("--session-cap", metavar="N", min=0, help="At most so many open sessions.")
    ] = None,
    idle_limit: Annotated[
        float, typer.Option("--idle-limit", metavar="SECONDS", min=0, help="A session without a call ends after it.")
    ] = 1200,
    expire_after: Annotated[
        int | None, typer.Option("--expire-after", metavar="CALLS", min=1, help="A session ends after so many calls.")
    ] = None,
    own_ids: Annotated[bool, typer.Option("--own-ids", help="Give contacts other ids than those sent.")] = False,
    listing_lag: Annotated[
        float, typer.Option("--listing-lag", metavar="SECONDS", min=0, help="A contact shows up in lists so late.")
    ] = 0,
    lose: Annotated[
        list[str] | None,
        typer.Option(
            "--lose", metavar="MEMBER", help="Lose this member of a channel, e.g. Destination. May be repeated."
        ),
    ] = None,
) -> None:
    """Simulate a service until stopped (for developers).

    Its address is the one line on standard output. It keeps contacts in memory and reaches nobody.
    """
    with ending():
        try:
            from pipeline import simulator
        except ModuleNotFoundError as error:
            raise _missing(error) from None
        from pipeline.errors import UsageError

        try:
            settings = simulator.OncSettings(
                dialect=dialect.value,
                latency=latency,
                faults=tuple(simulator.Fault.parse(text) for text in fault or ()),
                refuse=dict.fromkeys(refuse or ()),
                codes=simulator.Codes() if one_code is None else simulator.Codes.all(one_code),
                session_cap=session_cap,
                idle_limit=idle_limit,
                expire_after_calls=expire_after,
                own_ids=own_ids,
                listing_lag=listing_lag,
                drop_members=frozenset(lose or ()),
            )
        except ValueError as error:
            raise UsageError(f"The simulator cannot be like that: {error}") from None
        try:
            simulator.run(settings, port, lambda url: _announce(url, settings))
        except OSError as error:
            raise UsageError(f"Port {port} cannot be had: {_reason(error)}. Choose another, or 0 for any.") from None


def _announce(url: str, settings: "OncSettings") -> None:
    complain(
        f"A simulated {settings.dialect} service listens; stop it with Ctrl-C. Point a configuration at it with\n"
        f"  --set target.endpoint={url} --set target.dialect={settings.dialect}\n"
        f'Its account is "{settings.account}", its user "{settings.username}", its password "{settings.password}", '
        f"its campaign {settings.campaigns[0].id}."
    )
    say(url)


def _reason(error: OSError) -> str:
    """What the system says, without what event loops add to it."""
    return os.strerror(error.errno) if error.errno else str(error)


def _missing(error: ModuleNotFoundError) -> Exception:
    from pipeline.errors import UsageError

    if (error.name or "").partition(".")[0] in _EXTRA:
        return UsageError("The simulator is an extra: install contact-pipeline[simulator].")
    return error
