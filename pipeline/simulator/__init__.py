"""A simulated ONC service over real HTTP: strict, with sessions, faults and its own account of what happened."""

from pipeline.simulator.app import Simulator
from pipeline.simulator.server import RunningSimulator, run, running, serve
from pipeline.simulator.settings import Campaign, Codes, Fault, OncSettings

__all__ = ["Campaign", "Codes", "Fault", "OncSettings", "RunningSimulator", "Simulator", "run", "running", "serve"]
