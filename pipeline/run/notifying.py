"""Tells a web service how a run has ended (`[notify]`), by POST. Whatever becomes of that, the run stands."""

import anyio
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from pipeline.config import Settings
from pipeline.errors import ConfigError, NotDelivered, OutcomeUnknown, PipelineError
from pipeline.ledger.summary import Summary
from pipeline.logs import logger
from pipeline.wire import client_factory, exchange, hang_up

#: So long at most, in seconds, a run waits for the service in the end, and so often it tries.
WITHIN = 10.0
ATTEMPTS = 4


class _Later(PipelineError):
    """The service said that it can be tried again."""


async def notify(settings: Settings, summary: Summary) -> None:
    """Send the summary, as `--json` prints it, where the settings want that. Raises nothing; may be told twice."""
    notice = settings.notify
    if notice.url is None or (notice.on == "failure" and summary.exit_code == 0):
        return
    reason = f"no answer within {WITHIN:g} seconds"
    with anyio.move_on_after(WITHIN):
        try:
            await _posted(settings, summary.to_json().encode())
        except ConfigError as error:
            reason = "; ".join(error.problems)
        except PipelineError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a run that has ended well must not end with this
            reason = type(error).__name__
        else:
            logger().info("notify.sent")
            return
    logger().warning("notify.failed", reason=reason, advice="check notify.url; the run itself is not concerned")


async def _posted(settings: Settings, body: bytes) -> None:
    """POST `body`, with a few tries. Raises PipelineError."""
    notice = settings.notify
    assert notice.url is not None
    url = notice.url.read()
    if not url.startswith(("http://", "https://")):
        raise PipelineError("notify.url is no http or https address")
    headers = {name: secret.read() for name, secret in notice.headers.items()}
    client = client_factory(settings.http, WITHIN / 2)()
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((NotDelivered, OutcomeUnknown, _Later)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.3, max=2.0, jitter=0.3),
            sleep=anyio.sleep,
            reraise=True,
        ):
            with attempt:
                status = (await exchange(client, url, {"Content-Type": "application/json"} | headers, body)).status
                if status == 429 or status >= 500:
                    raise _Later(f"it answers HTTP {status}")
                if not 200 <= status < 300:
                    raise PipelineError(f"it answers HTTP {status}")
    finally:
        await hang_up(client)
