"""Fixtures: simulators that serve over loopback, and clients for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from simulator.soap_client import SoapClient

from pipeline.simulator import OncSettings, RunningSimulator, Simulator, running


@pytest.fixture
def resources() -> Iterator[ExitStack]:
    """Whatever a test opens and must close."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(resources: ExitStack) -> Callable[..., RunningSimulator]:
    """Serve a simulator with these settings until the test ends."""

    def start(simulator: Simulator | None = None, **settings: Any) -> RunningSimulator:
        return resources.enter_context(running(simulator or OncSettings(**settings)))

    return start


@pytest.fixture
def client(serve: Callable[..., RunningSimulator], resources: ExitStack) -> Callable[..., SoapClient]:
    """A client with an open session on a simulator with these settings."""

    def start(simulator: Simulator | None = None, **settings: Any) -> SoapClient:
        soap = resources.enter_context(SoapClient(serve(simulator, **settings)))
        soap.open()
        return soap

    return start
