"""Wires a run: what the commands do, as functions; the command line and library users call these.

Which module is for what:

    what is given              inputs, standard_input, expecting
    what comes from outside    surroundings, stopping
    the run and its record     job, describing, recorded
    an import, end to end      importing
      who hears of it          progress, metrics, notifying
      before the first row     surveying, known, online
      with the target          sending, asking, earlier_runs, run_campaign, looking, census
      a walk that sends        delivering, canary, unproven, updating
      rows in doubt            reconciling, judging, doubt, standing
      its account              accounting, outcome, failures, reporting
    a run that was begun       resuming
      and is taken back        undoing, taking_back, added
    a look at runs             inspecting, listing, pruning
      and at what is there     proving, due
    the target without a run   session, campaigns, campaign_desk
      and its contacts         deliveries, following
    persons that are found     persons.finding, persons.questions
      and erased               persons.erasing, persons.erasing_contacts, persons.copies, persons.resubmitted
      what tells of it         persons.receipt, persons.earlier_receipts
    a first configuration      drafting
"""

from pipeline.run.campaigns import (
    Changed,
    Shown,
    add_campaign,
    delete_campaign,
    list_campaigns,
    show_campaign,
    update_campaign,
)
from pipeline.run.deliveries import Delivered, Destination, campaign_contacts
from pipeline.run.expecting import Expectation
from pipeline.run.importing import check_contacts, import_contacts
from pipeline.run.inputs import load, load_settings
from pipeline.run.inspecting import RunStatus, digest_of, status_of, verify_run
from pipeline.run.job import ImportOptions
from pipeline.run.listing import ListedRun, Stage, list_runs
from pipeline.run.metrics import Metrics, measured
from pipeline.run.outcome import Result
from pipeline.run.persons.erasing import ErasurePlan, erase, plan_erasure
from pipeline.run.persons.finding import find_persons
from pipeline.run.progress import Progress
from pipeline.run.proving import prove_run
from pipeline.run.pruning import Pruning, parse_age, plan_pruning, prune
from pipeline.run.resuming import AGAIN, continue_run, resume_run
from pipeline.run.run_campaign import campaign_of
from pipeline.run.session import session_check
from pipeline.run.standard_input import StandardInput
from pipeline.run.surroundings import Surroundings
from pipeline.run.surveying import Confirm
from pipeline.run.undoing import ConfirmUndo, undo_run

__all__ = [
    "AGAIN",
    "Changed",
    "Confirm",
    "ConfirmUndo",
    "Delivered",
    "Destination",
    "ErasurePlan",
    "Expectation",
    "ImportOptions",
    "ListedRun",
    "Metrics",
    "Progress",
    "Pruning",
    "Result",
    "RunStatus",
    "Shown",
    "Stage",
    "StandardInput",
    "Surroundings",
    "add_campaign",
    "campaign_contacts",
    "campaign_of",
    "check_contacts",
    "continue_run",
    "delete_campaign",
    "digest_of",
    "erase",
    "find_persons",
    "import_contacts",
    "list_campaigns",
    "list_runs",
    "load",
    "load_settings",
    "measured",
    "parse_age",
    "plan_erasure",
    "plan_pruning",
    "prove_run",
    "prune",
    "resume_run",
    "session_check",
    "show_campaign",
    "status_of",
    "undo_run",
    "update_campaign",
    "verify_run",
]
