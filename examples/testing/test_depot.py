"""Tests of the audit rows of the depot."""

import asyncio

import pytest
from httpx import ASGITransport, AsyncClient

from depot import AUDIT_LOG, KEYS, app
from otel_keyaudit.testing import Recorder, assert_names, assert_names_no_key

LOADER, PORTER = KEYS


@pytest.fixture
def recorder(keyaudit_recorder: Recorder) -> Recorder:
    keyaudit_recorder.instrument(auth_targets=["depot:verify"], audit_targets=["depot:record"])
    return keyaudit_recorder


def request(method: str, path: str, secret: str = "") -> int:
    async def send() -> int:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://depot") as client:
            return (await client.request(method, path, headers={"X-API-Key": secret})).status_code

    return asyncio.run(send())


def test_each_row_names_its_key(recorder: Recorder) -> None:
    request("PUT", "/crates/tea", LOADER)
    request("PUT", "/crates/coal", PORTER)

    first, second = recorder.rows
    assert_names(first, "k_1")
    assert assert_names(second, "k_2")["scopes"] == ["crate:create", "crate:delete"]
    assert_names(AUDIT_LOG[-1], "k_2")  # the row as the depot stored it


def test_without_a_key(recorder: Recorder) -> None:
    request("GET", "/health")

    assert_names_no_key(recorder.rows[0])
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 1, "failed": 0}


def test_a_refused_key_writes_nothing(recorder: Recorder) -> None:
    assert request("PUT", "/crates/tea", "wrong") == 401

    assert recorder.rows == []
    assert recorder.authentications() == {"accepted": 0, "denied": 1}


def test_spans(recorder: Recorder) -> None:
    request("PUT", "/crates/tea", LOADER)

    (span,) = [span for span in recorder.spans if span.name == "audit create"]
    assert (span.attributes or {})["keyaudit.key.id"] == "k_1"


def test_nothing_holds_a_secret(recorder: Recorder) -> None:
    request("PUT", "/crates/tea", LOADER)
    request("PUT", "/crates/coal", PORTER)

    recorder.assert_no_secret(*KEYS)
    assert recorder.degraded() == {}
