"""Simulated services over real HTTP: strict, with sessions, faults and their own account of what happened."""

from pipeline.simulator.app import SERVICES, Simulator
from pipeline.simulator.genesys.settings import Device, Failure, GenesysSettings
from pipeline.simulator.intelliview.settings import IntelliviewSettings
from pipeline.simulator.onc.settings import Campaign, Codes, OncSettings
from pipeline.simulator.pagos.settings import PagosSettings
from pipeline.simulator.server import RunningSimulator, run, running, serve
from pipeline.simulator.settings import Fault, ServiceSettings

__all__ = [
    "SERVICES",
    "Campaign",
    "Codes",
    "Device",
    "Failure",
    "Fault",
    "GenesysSettings",
    "IntelliviewSettings",
    "OncSettings",
    "PagosSettings",
    "RunningSimulator",
    "ServiceSettings",
    "Simulator",
    "run",
    "running",
    "serve",
]
