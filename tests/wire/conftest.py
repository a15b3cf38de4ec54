"""Every test of the wire runs on asyncio's own loop and on uvloop: they differ in what they tell, and when."""

import sys

import pytest

LOOPS = [pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")]
if sys.platform != "win32":
    LOOPS.append(pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return request.param
