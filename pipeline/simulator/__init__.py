"""Simulated services over real HTTP: strict, with sessions, faults and their own account of what happened."""

from pipeline.simulator.app import Simulator
from pipeline.simulator.onc.settings import Campaign, Codes, OncSettings
from pipeline.simulator.server import RunningSimulator, run, running, serve
from pipeline.simulator.settings import Fault

__all__ = ["Campaign", "Codes", "Fault", "OncSettings", "RunningSimulator", "Simulator", "run", "running", "serve"]
