"""An import makes the campaign that it needs, tells what that would do with the list, and starts it in the end."""

from pathlib import Path

import pytest
from cli.kit import run as call
from simulator.halting import struck

from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_state_of_campaign import begun, desk, imported, prepared  # noqa: F401

pytestmark = pytest.mark.usefixtures("desk")

CAMPAIGN = """
name = "Spring"
paused = false
[active]
to_date = 2999-12-31
[sms]
enabled = true
from_number = "+15145550100"
[email]
enabled = true
html = "<p>Hello</p>"
"""
MAKE = ("--campaign", "campaign.toml")


def ready(server: RunningSimulator, rows: int = 20, campaign: str = CAMPAIGN) -> None:
    prepared(server, rows)
    Path("campaign.toml").write_text(campaign, encoding="utf-8")


def made(server: RunningSimulator) -> dict[str, int]:
    """The campaigns that were added: their ids, with how many contacts each holds."""
    listed = server.state()["campaigns"]
    return {key: told["contacts"] for key, told in listed.items() if told["name"] == "Spring"}


def paused(campaign_id: str) -> bool:
    ended = call("campaign", "show", campaign_id, "--config", "config.toml")
    return "paused = true" in ended.out


def test_a_campaign_is_made_paused_and_started_only_where_that_was_asked_for():
    with running() as server:
        ready(server)
        assert imported("first", *MAKE)[:2] == (0, {"accepted": 20})
        [(campaign_id, contacts)] = made(server).items()
        assert contacts == 20
        assert paused(campaign_id), "whatever the file says"
        assert imported("second", *MAKE, "--activate")[:2] == (0, {"accepted": 20})
        assert len(made(server)) == 2, "each run makes its own"
        other = next(key for key in made(server) if key != campaign_id)
        assert not paused(other)
        assert paused(campaign_id)


def test_a_campaign_with_an_id_of_its_own_is_made_once():
    with running() as server:
        ready(server, campaign='id = "5f0d5a8e-7d5d-4c1f-8a65-1a2b3c4d5e6f"\n' + CAMPAIGN)
        assert imported("first", *MAKE)[:2] == (0, {"accepted": 20})
        assert imported("second", *MAKE, "--activate")[:2] == (0, {"duplicate": 20})
        assert made(server) == {"5f0d5a8e-7d5d-4c1f-8a65-1a2b3c4d5e6f": 20}
        assert not paused("5f0d5a8e-7d5d-4c1f-8a65-1a2b3c4d5e6f"), "though there was nothing to send"


def test_a_run_that_is_killed_and_gone_on_with_makes_one_campaign():
    with running(OncSettings(latency=0.01)) as server:
        ready(server, 80)
        process = begun("first", *MAKE, "--activate")
        struck(server, process, 20)
        Path("campaign.toml").unlink()
        [campaign_id] = made(server)
        assert paused(campaign_id), "not before all rows are settled"
        assert call("resume", "first").code == 0
        assert made(server) == {campaign_id: 80}
        assert not paused(campaign_id)


def test_continue_goes_on_in_the_campaign_that_was_made():
    with running() as server:
        ready(server)
        for _ in range(2):
            assert imported("first", *MAKE, "--continue")[:2] == (0, {"accepted": 20})
        assert list(made(server).values()) == [20]


def test_an_addition_without_an_answer_is_looked_for_and_not_repeated():
    with running(OncSettings(faults=(Fault("cut", operation="AddCampaign", stored=True, last=1),))) as server:
        ready(server)
        assert imported("first", *MAKE)[:2] == (0, {"accepted": 20})
        assert list(made(server).values()) == [20]
        assert server.state()["calls"]["AddCampaign"] == 1


def test_a_campaign_is_not_started_while_rows_are_in_doubt():
    settings = OncSettings(
        faults=(Fault("cut", first=10, last=10), Fault("html", operation="GetCampaignContactsListing"))
    )
    with running(settings) as server:
        ready(server)
        code, counts, _ = imported(
            "first", *MAKE, "--activate", "--set", "target.keeps_ids=true", "--set", 'state.known=["state"]',
            "--set", "delivery.outage=1",
        )  # fmt: skip
        assert (code, counts["in_doubt"]) == (5, 1)
        [campaign_id] = made(server)
        assert paused(campaign_id)
        server.control(faults=[])
        assert call("resume", "first").code == 0
        assert not paused(campaign_id)


def test_mistakes_in_the_file_send_nothing():
    with running() as server:
        ready(server, campaign='name = ""\n[sms]\nenabled = "yes"\nspeed = 3\n')
        ended = call("import", "list.csv", "--config", "config.toml", "--run-dir", "first", *MAKE)
        assert ended.code == 2
        for words in ("sms.enabled: is true or false", "sms.speed: there is no such key", "name: is missing"):
            assert words in ended.err
        assert not Path("first").exists()
        assert server.state()["calls"] == {}
        both = call("import", "list.csv", "--config", "config.toml", *MAKE, "--campaign-id", "x")
        assert both.code == 2
        assert "leave out --campaign-id" in both.err


def test_what_the_campaign_would_not_do_is_told():
    with running() as server:
        ready(server, campaign='name = "Spring"\n[active]\nto_date = 2020-01-31\n[email]\nenabled = true\n')
        code, _, ended = imported("first", *MAKE)
        assert code == 0
        told = [line for line in ended.err.splitlines() if "campaign.outlook" in line]
        for words in ("It is paused", "It is over: its last day was 2020-01-31", "It does not deliver by sms"):
            assert any(words in line for line in told), words
        assert any("It has no text for email" in line for line in told)
        assert len(told) == 4
        _, _, ended = imported("second", *MAKE, "--activate")
        assert "It is paused" not in ended.err
