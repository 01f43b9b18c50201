"""Each way to authenticate in Django: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import pytest

from otel_keyaudit.testing import Recorder, assert_names, assert_names_no_key
from presets.requests import ABOUT_THE_ROW, expected_attributes, requests, server_spans

NAMES = (
    "drf-token", "knox", "simplejwt", "oauth-toolkit", "drf-api-key", "drf-scoped-permissions", "drf-simple-apikey",
    "tenant-apikeys", "keysmith", "ninja", "ninja-api-key",
)  # fmt: skip
REFUSED = (401, 403)
pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own are not ours to mend


@pytest.mark.parametrize("name", NAMES)
def test_the_key_is_on_the_row_and_on_the_span(name: str, recorder: Recorder) -> None:
    """An allowed request's row and span name the key, a denied one's only the reason, an anonymous one's nothing."""
    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name]()
    recorder.instrument(presets=name, audit_targets=["presets.django_project.audit:record"])

    answers = requests(recorder, name, credential.allowed, credential.denied, {})

    assert answers[0] in (200, 201)
    assert answers[1] in REFUSED
    assert answers[2] in REFUSED
    (row,) = [row for row in recorder.rows if row.get("by") == "application"]
    said = assert_names(row, credential.snapshot["id"])
    assert {name: value for name, value in said.items() if name not in ABOUT_THE_ROW} == credential.snapshot
    allowed, denied, anonymous = server_spans(recorder)
    assert allowed.items() >= expected_attributes(credential.snapshot).items()
    assert allowed["keyaudit.outcome"] == "accepted"
    assert denied["keyaudit.outcome"] == "denied"
    assert denied["keyaudit.denied.reason"] == credential.reason
    assert denied.get("keyaudit.denied.key.id") == credential.denied_key_id
    assert not any(attribute.startswith("keyaudit.key") for attribute in {**denied, **anonymous})
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)


def test_one_preset_is_enough_for_what_goes_through_the_framework(recorder: Recorder) -> None:
    """The framework's preset knows the key by its class, without the library's own preset."""
    from presets.django_project.credentials import drf_token  # noqa: PLC0415 - not everywhere

    credential = drf_token()
    recorder.instrument(presets="drf", audit_targets=["presets.django_project.audit:record"])

    requests(recorder, "drf-token", credential.allowed)

    assert_names(recorder.rows[0], credential.snapshot["id"])
    recorder.assert_no_secret(*credential.secrets)


def test_a_text_as_credential_is_no_key(recorder: Recorder) -> None:
    """Some libraries leave the presented key itself in ``request.auth``: it is passed by, and nothing is degraded."""
    from presets.django_project.credentials import drf_simple_apikey  # noqa: PLC0415 - not everywhere

    credential = drf_simple_apikey()
    recorder.instrument(presets="drf", audit_targets=["presets.django_project.audit:record"])

    requests(recorder, "drf-simple-apikey", credential.allowed)

    assert_names_no_key(recorder.rows[0])
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)
