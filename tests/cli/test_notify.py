"""`[notify]`: a service hears how a run has ended, and the run does not care what becomes of that."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli.kit import Ended

from pipeline.run import notifying
from pipeline.simulator import RunningSimulator


class Hook:
    """A service that keeps what it is told; `answers` are its status codes, 200 once they are used up. 0: none."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.told: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.over = threading.Event()


@contextmanager
def listening(*answers: int) -> Iterator[Hook]:
    hook = Hook(*answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.headers.append({name.lower(): value for name, value in self.headers.items()})
            status = hook.answers.pop(0) if hook.answers else 200
            if not status:
                hook.over.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook?token=url-secret"
    try:
        yield hook
    finally:
        hook.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def told(
    command: Callable[..., Ended], configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> Callable[..., Ended]:
    """Import a list, and tell this service of it."""
    config = configured(serve())

    def work(hook: Hook | str, *more: str, settings: str = "") -> Ended:
        url = hook if isinstance(hook, str) else hook.url
        text = config.read_text(encoding="utf-8").partition("[notify]")[0]
        config.write_text(f'{text}[notify]\nurl = "{url}"\n{settings}\n', encoding="utf-8")
        return command("import", "list.csv", "--config", config, "--json", "--log-format", "json", *more)

    return work


def test_it_is_told_what_json_prints(told: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "Bearer header-secret")
    with listening() as hook:
        ended = told(
            hook,
            "--run-dir",
            "run",
            settings='headers = { Authorization = { env = "HOOK_TOKEN" }, X-Plain = "plain-secret" }',
        )
    assert ended.code == 1
    assert hook.told == [json.loads(ended.out)]
    assert hook.headers[0]["authorization"] == "Bearer header-secret"
    assert hook.headers[0]["x-plain"] == "plain-secret"
    assert hook.headers[0]["content-type"] == "application/json"
    assert "notify.sent" in ended.err
    text = json.dumps(hook.told)
    kept = "".join(path.read_text(errors="replace") for path in Path("run").iterdir() if path.is_file())
    for secret in ("header-secret", "plain-secret"):
        assert secret not in text + kept + ended.err
    assert not re.search(r"555\D?01\d\d|example\.com", text), "moments are numbers too, but none so long"


def test_it_is_tried_again(told: Callable[..., Ended]) -> None:
    with listening(503, 429) as hook:
        ended = told(hook)
    assert (ended.code, len(hook.told), "notify.sent" in ended.err) == (1, 3, True)


@pytest.mark.parametrize(("answers", "calls"), [((404,), 1), ((302,), 1), ((500,) * 9, notifying.ATTEMPTS)])
def test_a_service_that_refuses_changes_nothing(
    answers: tuple[int, ...], calls: int, told: Callable[..., Ended]
) -> None:
    with listening(*answers) as hook:
        ended = told(hook)
    assert (ended.code, len(hook.told)) == (1, calls)
    [warning] = [json.loads(line) for line in ended.err.splitlines() if "notify." in line]
    assert (warning["event"], warning["reason"]) == ("notify.failed", f"it answers HTTP {answers[0]}")
    assert "url-secret" not in ended.err


def test_a_service_that_is_silent_changes_nothing(told: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "WITHIN", 0.2)
    with listening(*[0] * 9) as hook:
        ended = told(hook)
    assert (ended.code, "notify.failed" in ended.err) == (1, True)


def test_nobody_there_changes_nothing(told: Callable[..., Ended]) -> None:
    ended = told("http://127.0.0.1:9/")
    assert (ended.code, ended.err.count("notify.failed")) == (1, 1)


def test_only_failures_are_told_on_request(told: Callable[..., Ended]) -> None:
    with listening() as hook:
        assert told(hook, "--tolerate", "1", settings='on = "failure"').code == 0
        assert hook.told == []
        assert told(hook, settings='on = "failure"').code == 1
        assert len(hook.told) == 1


def test_a_stop_and_its_resumption_are_told_and_a_verdict_is_not(
    told: Callable[..., Ended], command: Callable[..., Ended]
) -> None:
    with listening() as hook:
        assert told(hook, "--run-dir", "run", "--max-bad", "0").code == 3
        assert [each["exit_code"] for each in hook.told] == [3]
        assert command("resume", "run").code == 1
        assert command("resume", "run").code == 1
        assert [each["exit_code"] for each in hook.told] == [3, 1]
        assert command("check", "list.csv", "--config", "config.toml").code == 1
        assert len(hook.told) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('url = "ftp://example.com"', "notify.url: is an http or https address"),
        ('url = "https://me:pw@example.com"', "notify.url: holds a user name or password"),
        ('headers = "no"', "notify.headers: is a table"),
        ('headers = { "a b" = "x" }', "is no name of a header"),
        ('headers = { Authorization = { env = "NOT_SET" } }', "NOT_SET is not set"),
        ('on = "success"', "notify.on: must be 'always' or 'failure'"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    settings: str,
    words: str,
    command: Callable[..., Ended],
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
) -> None:
    service = serve()
    config = configured(service)
    config.write_text(config.read_text(encoding="utf-8") + f"[notify]\n{settings}\n", encoding="utf-8")
    ended = command("import", "list.csv", "--config", config)
    assert (ended.code, service.rows()) == (2, [])
    assert words in ended.err
