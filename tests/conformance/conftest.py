"""The systems of the suite, each behind a line of its own. A further system is one more entry in SYSTEMS."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conformance.genesys import GENESYS
from conformance.intelliview import INTELLIVIEW
from conformance.line import Strike
from conformance.onc import ONC
from conformance.pagos import PAGOS
from conformance.system import Bench, System, bench
from conformance.toy_server import TOY

from pipeline import targets

SYSTEMS = (ONC, GENESYS, PAGOS, INTELLIVIEW, TOY)

Open = Callable[..., Bench]


@pytest.fixture(autouse=True)
def hurried(short_pauses: None) -> None:
    """Nothing waits for long before it is tried again."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy is a system like any other: one line in the register."""
    monkeypatch.setitem(targets.REGISTER, "toy", "conformance.toy")


@pytest.fixture(params=SYSTEMS, ids=lambda system: system.name)
def any_system(request: pytest.FixtureRequest) -> System:
    """Each system."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[system for system in SYSTEMS if system.rows], ids=lambda system: system.name)
def row_system(request: pytest.FixtureRequest) -> System:
    """Each system that takes contacts."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Put a system behind a line until the test ends; damage and wants as for `bench`."""
    with ExitStack() as stack:

        def make(system: System, *strikes: Strike, **wants: object) -> Bench:
            return stack.enter_context(bench(system, tmp_path, monkeypatch, *strikes, **wants))

        yield make
