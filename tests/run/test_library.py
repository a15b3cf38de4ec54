"""The package as a library: in a notebook, where a loop runs already, and in a service that is shut down."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from cli.kit import CONFIG, LIST
from simulator.halting import ADD, halted
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipeline import Summary, check_contacts, import_contacts
from pipeline.errors import ConfigError
from pipeline.run import Progress, load_settings, resume_run
from pipeline.simulator import Campaign, OncSettings, RunningSimulator, running
from pipeline.stages.read import open_source

CAMPAIGNS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator]:
    """Serve a simulator, with a list and a configuration for it in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "password")
    Path("list.csv").write_text(LIST, encoding="utf-8")
    with running(OncSettings(campaigns=tuple(Campaign(each, "Spring") for each in CAMPAIGNS), latency=0.01)) as server:
        Path("config.toml").write_text(CONFIG.format(endpoint=server.url), encoding="utf-8")
        yield server


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_notebook(service: RunningSimulator, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Cells are awaited one after another in one loop that nobody ends between them; the host's own is left alone."""

    def host() -> tuple[Any, ...]:
        root = logging.getLogger()
        own = logging.getLogger("contact_pipeline")
        signals = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        return signals, gc.get_threshold(), gc.get_freeze_count(), root.handlers[:], own.handlers[:], own.propagate

    gc.unfreeze()  # what other tests froze may end meanwhile, and would be counted
    with asyncio.Runner(loop_factory=loop) as notebook:
        notebook.run(asyncio.sleep(0))
        before = host()
        checked = notebook.run(check_contacts("config.toml", ["list.csv"]))
        assert checked.summary.counts["pending"] == 3

        async def both() -> list[Summary]:
            other = load_settings([Path("config.toml")], [f"target.campaign_id={CAMPAIGNS[1]}"])
            ended = await asyncio.gather(
                import_contacts("config.toml", ["list.csv"], run_dir=Path("one"), limit=2),
                import_contacts(other, [Path("list.csv")], run_dir=Path("two")),
            )
            return [each.summary for each in ended]

        one, two = notebook.run(both())
        assert (one.rows, one.counts["accepted"], one.exit_code) == (2, 2, 0)
        assert (two.rows, two.counts["accepted"], two.exit_code) == (5, 3, 1)
        assert host() == before
    assert service.state()["sessions"]["open"] == 0


def application(config: str) -> Starlette:
    """A service that imports in the background and tells how far it is."""
    progress = Progress()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(import_contacts(config, ["list.csv"], run_dir=Path("run"), progress=progress))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def told(_: Any) -> JSONResponse:
        return JSONResponse({"phase": progress.phase, "rows": progress.rows})

    return Starlette(routes=[Route("/progress", told)], lifespan=lifespan)


def test_a_service_is_shut_down_and_goes_on(service: RunningSimulator) -> None:
    rows = "".join(f"{number},Ann,,ann{number}@example.com\n" for number in range(1, 401))
    Path("list.csv").write_text("customer_id,first_name,mobile,email\n" + rows, encoding="utf-8")

    async def serve() -> None:
        app = application("config.toml")
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            await asyncio.to_thread(halt.enter_context, halted(service, ADD, 20))
            told = (await client.get("http://service/progress")).json()
            assert (told["phase"] != "done", told["rows"]) == (True, 400)

    with ExitStack() as halt:
        asyncio.run(serve())
    assert 20 <= len(service.contacts()) < 400, "it was shut down on the way"
    assert service.state()["sessions"]["open"] == 0
    resumed = asyncio.run(resume_run(Path("run"), ["delivery.late_effect=0.2"]))
    assert (resumed.error, resumed.summary.counts["accepted"], resumed.summary.exit_code) == (None, 400, 0)
    assert len(service.contacts()) == 400


def test_choices_are_taken_as_the_command_takes_them(service: RunningSimulator) -> None:
    choices = {"run_dir": "runs/a", "max_bad": "50%", "tolerate": 2, "expect": ["rows>=1", "sendable=3"]}
    ended = asyncio.run(import_contacts("config.toml", ["list.csv"], **choices))
    assert (ended.summary.exit_code, ended.summary.run_dir) == (0, "runs/a")


def test_what_is_wrong_with_choices_is_said_at_once(service: RunningSimulator) -> None:
    with pytest.raises(ConfigError) as wrong:
        asyncio.run(import_contacts("config.toml", ["list.csv"], limit="2", max_bad="many", expect="lines>1"))
    assert [problem.partition(":")[0] for problem in wrong.value.problems] == ["limit", "max_bad", "expect"]
    assert not Path("runs").exists()


def test_columns_of_an_opened_source_are_looked_at_too(service: RunningSimulator) -> None:
    Path("list.csv").write_text(
        "customer_id,first_name,phone,email\n1,Ann,416 555 0101,a@example.com\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="mobile"):
        asyncio.run(import_contacts("config.toml", [open_source(Path("list.csv"))]))
