"""The jobs of APScheduler belong to no request, although an asyncio scheduler runs in the context of one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.installed import need_package
from support.services import bare

SECONDS = 0.02


@pytest.fixture(params=[None, "executors", "threads"], autouse=True)
def _instrumented(request: pytest.FixtureRequest, lenient_recorder: Recorder) -> None:
    need_package("apscheduler")
    bare.instrument(lenient_recorder, **({} if request.param is None else {"presets": request.param}))


async def _job() -> None:
    bare.record("job")


def _job_in_a_thread() -> None:
    bare.record("job")


@contextmanager
def _consumer(recorder: Recorder) -> Iterator[None]:
    with recorder.tracer.start_as_current_span("receive", kind=SpanKind.CONSUMER):
        yield


async def _other() -> None:
    """Do nothing, as a job that the request adds."""


async def _wait_for_jobs(number: int) -> None:
    while sum(row["action"] == "job" for row in bare.rows) < number:  # noqa: ASYNC110 - jobs run in threads, too
        await asyncio.sleep(SECONDS)


@pytest.mark.parametrize("job", [_job, _job_in_a_thread])
@pytest.mark.parametrize("request_of", [lambda recorder: recorder.request(), _consumer], ids=["server", "consumer"])
def test_jobs_of_others_while_a_request_that_added_a_job_goes_on(
    job: Any, request_of: Callable[[Recorder], Any], lenient_recorder: Recorder
) -> None:
    """A regular job names no key, and the request keeps its own."""
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - not everywhere

    async def run() -> None:
        scheduler = AsyncIOScheduler()
        scheduler.add_job(job, "interval", seconds=SECONDS)
        scheduler.start()
        with request_of(lenient_recorder):
            bare.verify("k1")
            scheduler.add_job(_other)
            await _wait_for_jobs(3)
            bare.record("request")
        scheduler.shutdown()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert bare.named() == {"job": None, "request": "k1"}
    assert not any("request_api_key" in row for row in bare.rows if row["action"] == "job")
    assert lenient_recorder.writes()["failed"] == 0


def test_jobs_in_an_asgi_call(lenient_recorder: Recorder) -> None:
    """The same holds for a request that a call delimits."""
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - not everywhere

    need_package("starlette")
    from starlette.applications import Starlette  # noqa: PLC0415 - not everywhere

    scheduler = AsyncIOScheduler()

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("k1")
        scheduler.add_job(_other)
        await _wait_for_jobs(3)
        bare.record("request")
        await bare.answer(send)

    app = Starlette()
    app.mount("/", endpoint)

    async def run() -> None:
        scheduler.add_job(_job, "interval", seconds=SECONDS)
        scheduler.start()
        await app(bare.scope(), bare.receive, bare.ignore)
        scheduler.shutdown()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert bare.named() == {"job": None, "request": "k1"}
    assert lenient_recorder.writes()["failed"] == 0


def test_key_that_the_program_has_set_by_hand() -> None:
    """``use_key`` around a scheduler, outside of requests, also sets the key of its jobs."""
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - not everywhere

    async def run() -> None:
        scheduler = AsyncIOScheduler()
        scheduler.add_job(_job, "interval", seconds=SECONDS)
        with use_key(ApiKey("k_nightly")):
            scheduler.start()
            await _wait_for_jobs(1)
        scheduler.shutdown()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert bare.named() == {"job": "k_nightly"}


def test_scheduler_in_a_thread_that_a_request_starts(lenient_recorder: Recorder) -> None:
    """Its jobs name no key either, also with the preset ``threads``."""
    from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415 - not everywhere

    done = threading.Event()

    def job() -> None:
        bare.record("job")
        done.set()

    scheduler = BackgroundScheduler()
    with lenient_recorder.request():
        bare.verify("k1")
        scheduler.start()
    scheduler.add_job(job)
    assert done.wait(30)
    assert scheduler.get_jobs() == []  # waits until the scheduler has removed the job
    scheduler.shutdown()

    assert bare.named() == {"job": None}
