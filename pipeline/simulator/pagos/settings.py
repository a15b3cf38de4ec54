"""Settings of the simulated Pagos SpreadsheetWEB: its application, its client and its habits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pipeline.simulator.settings import ServiceSettings, check_choices, check_patterns, check_prefix, optional_int

BatchOrder = Literal["asked", "reversed"]
TakenRecord = Literal["replace", "refuse", "add"]


@dataclass(frozen=True, slots=True)
class PagosSettings(ServiceSettings):
    """What the simulated service looks like and how it behaves. Without arguments it is well-behaved, with the keys
    that the document shows."""

    runtime: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        **ServiceSettings.runtime,
        "token_life": float,
        "token_calls": optional_int,
        "block_after": optional_int,
        "refuse": dict,
        "taken_record": str,
        "own_ids": bool,
        "batch_order": str,
        "batch_lost": optional_int,
    }

    session_ids: tuple[str, ...] = ("25eae3ae-755e-4b3c-aa48-d7f096f6a2a7",)  # that of the document comes first
    max_request_bytes: int = 4_194_304  # a batch may be large

    # Where it is.
    prefix: str = ""  # stands before /Api/Applications; the address for a configuration is origin and prefix
    token_path: str = "/oauth/token"  # noqa: S105 - where client credentials become a bearer token

    # Who may do what.
    application_key: str = "a4dcfb4f0464453b928ce1d6bcfb6aa3"
    token: str = "Do3l_2l3uLdmYX76u-BufLzuuhFPOE-nRZDyU0adiFk1"  # noqa: S105 - valid from the start; "" = none is
    client_id: str = "client"
    client_secret: str = "secret"  # noqa: S105 - a simulated one
    token_life: float = 3600.0  # seconds after which a fetched token is invalid
    token_calls: int | None = None  # calls after which any token is invalid; None = no such limit
    block_after: int | None = 5  # bad logins of a client, one after the other, after which it is blocked; None = never

    # Records.
    refs: frozenset[str] = frozenset()  # cells that may be given; empty = any
    taken_record: TakenRecord = "replace"  # a RecordId that is taken: save over it, say no, or save a second record
    own_ids: bool = False  # records get ids of the service's own in place of ours
    refuse: Mapping[str, str | None] = field(
        default_factory=dict
    )  # regex on values of cells -> message; None = one made up
    batch_list: str = "Results"  # the member of a batch's answer that holds the answers; no document names it
    batch_item: str = "Result"  # the member beside Id that holds one; "" = its members stand beside Id
    batch_order: BatchOrder = "asked"  # order of the answers of a batch
    batch_lost: int | None = None  # every n-th answer of a batch is missing; None = none

    # Words, none of which are documented.
    session_message: str = "The dedicated session is invalid or has expired."
    refused_message: str = "The values are not valid."
    busy_message: str = "The server is busy. Please try again later."

    def __post_init__(self) -> None:
        check_choices(self, batch_order=BatchOrder, taken_record=TakenRecord)
        check_patterns(self.refuse)
        check_prefix(self.prefix)
        if not self.token_path.startswith("/"):
            raise ValueError(f"token_path {self.token_path!r} must start with /")
