"""Wires a run: what the commands do, as functions; the command line and library users call these."""

from pipeline.run.importing import Confirm, Result, check_contacts, import_contacts
from pipeline.run.inputs import load, load_settings
from pipeline.run.inspecting import RunStatus, session_check, status_of, verify_run
from pipeline.run.job import ImportOptions
from pipeline.run.progress import Progress
from pipeline.run.proving import prove_run
from pipeline.run.resuming import AGAIN, continue_run, resume_run
from pipeline.run.surroundings import Surroundings
from pipeline.run.undoing import ConfirmUndo, undo_run

__all__ = [
    "AGAIN",
    "Confirm",
    "ConfirmUndo",
    "ImportOptions",
    "Progress",
    "Result",
    "RunStatus",
    "Surroundings",
    "check_contacts",
    "continue_run",
    "import_contacts",
    "load",
    "load_settings",
    "prove_run",
    "resume_run",
    "session_check",
    "status_of",
    "undo_run",
    "verify_run",
]
