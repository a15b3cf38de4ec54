"""Settings of the simulated Intelliview NXT: its face, its user and its habits."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from pipeline.simulator.intelliview.messages import EXCEPTION, Quirk
from pipeline.simulator.settings import ServiceSettings

ResultForm = Literal["escaped", "cdata"]


@dataclass(frozen=True, slots=True)
class IntelliviewSettings(ServiceSettings):
    """What the simulated service looks like and how it behaves. Without arguments it is well-behaved and gives the
    session of the document's sample first."""

    runtime: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        **ServiceSettings.runtime,
        "quirks": frozenset,
        "exception_id": str,
        "lost_session": int,
        "result_form": str,
        "declared": bool,
    }

    session_ids: tuple[str, ...] = ("aa773e46-61d6-4597-ad35-e69f0666dbd1",)  # that of the document comes first
    idle_limit: float = math.inf  # seconds; ends a session before its Timeout does where that is longer, or 0

    # The face: what ?wsdl says. None of it is documented.
    path: str = "/intelliview.asmx"
    namespace: str = "http://tempuri.org/"  # of wrapper elements, parameters and SOAPAction
    service: str = "IntelliviewNXT"  # name of the service in the WSDL

    # Who may do what.
    company: str = "company"  # CompanyShortName; "NEW" is good too
    company_id: int = 23
    username: str = "user"
    password: str = "password"  # noqa: S105 - a simulated one
    auth_types: tuple[int, ...] = (1,)
    application_types: tuple[int, ...] = (1,)

    # What it says.
    version: str = "1.3.1.1"
    exception_id: str = EXCEPTION.id  # the document has SYN_REP_ERROR_5035 too
    lost_session: int = 7507  # what closing a session that is gone is answered: 7507 or 7501
    close_id: str = "SYN_REP_INFO_7540"
    close_message: str = "Intelliview NXT session is closed successfully"  # the document has no words for it
    quirks: frozenset[Quirk] = frozenset()  # mistakes in the XML of answers
    result_form: ResultForm = "escaped"  # how the XML stands in the SOAP result
    declared: bool = False  # whether that XML begins with a declaration

    def __post_init__(self) -> None:
        if unknown := set(self.quirks) - set(get_args(Quirk)):
            raise ValueError(f"quirks: {', '.join(sorted(unknown))}: they are {', '.join(get_args(Quirk))}")
        if self.lost_session not in (7501, 7507):
            raise ValueError("lost_session is 7501 or 7507")
        if self.result_form not in get_args(ResultForm):
            raise ValueError(f"result_form is one of {', '.join(get_args(ResultForm))}")
        if not re.fullmatch(r"SYN_REPO?_ERROR_5035", self.exception_id):
            raise ValueError("exception_id is SYN_REPO_ERROR_5035 or SYN_REP_ERROR_5035")
        if not self.path.startswith("/"):
            raise ValueError(f"path {self.path!r} must start with /")
