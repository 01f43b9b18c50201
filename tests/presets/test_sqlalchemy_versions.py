"""Libraries that keep the versions of SQLAlchemy's objects: rows of an allowed, a denied and an anonymous request."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from otel_keyaudit.testing import Recorder, assert_names
from presets.requests import assert_rows_name_the_key, requests
from presets.serving import serving_wsgi
from support.servers.postgresql import PostgreSQL

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


def _sent(write: Callable[[], object], recorder: Recorder) -> None:
    """Send an allowed, a denied and an anonymous request to an application that writes."""
    from presets.apps.audit_app import CREDENTIAL, application  # noqa: PLC0415 - not everywhere

    serving = serving_wsgi(application(write), recorder)
    assert requests(serving, "open", CREDENTIAL.allowed, CREDENTIAL.denied, {}) == [201] * 3


def test_continuum_names_the_key_in_the_metadata_of_a_transaction(tmp_path: Path, keyaudit_recorder: Recorder) -> None:
    """The key is written as a string, even if the application replaces the metadata in between."""
    from presets.apps.audit_app import CREDENTIAL  # noqa: PLC0415 - not everywhere
    from presets.apps.continuum_models import versioned  # noqa: PLC0415

    keyaudit_recorder.instrument(presets=["flask-httpauth", "continuum"])
    with versioned(f"sqlite:///{tmp_path}/db.sqlite3") as notes:
        _sent(notes.write, keyaudit_recorder)
        rows = notes.rows()

    rows[0]["request_api_key"] = json.loads(rows[0]["request_api_key"])
    assert_rows_name_the_key(keyaudit_recorder, CREDENTIAL, rows, [{"origin": "application"}] * 3, calls=2)


def test_metadata_of_the_reserved_name_stays(tmp_path: Path, keyaudit_recorder: Recorder) -> None:
    """The table can hold only one row of that name, so the write counts as failed and the transaction continues."""
    from presets.apps.audit_app import CREDENTIAL, application  # noqa: PLC0415 - not everywhere
    from presets.apps.continuum_models import versioned  # noqa: PLC0415

    keyaudit_recorder.instrument(presets=["flask-httpauth", "continuum"])
    with versioned(f"sqlite:///{tmp_path}/db.sqlite3") as notes:
        serving = serving_wsgi(application(lambda: notes.write_with(request_api_key="mine")), keyaudit_recorder)
        assert requests(serving, "open", CREDENTIAL.allowed) == [201]
        assert notes.rows() == [{"request_api_key": "mine"}]

    assert keyaudit_recorder.writes()["failed"] == 1


def test_session_continues_after_a_rollback(tmp_path: Path, keyaudit_recorder: Recorder) -> None:
    """The transaction that was rolled back does not stay in the session, so its id can be used again."""
    from presets.apps.audit_app import CREDENTIAL, application  # noqa: PLC0415 - not everywhere
    from presets.apps.continuum_models import versioned  # noqa: PLC0415

    keyaudit_recorder.instrument(presets=["flask-httpauth", "continuum"])
    gc.disable()
    try:
        with versioned(f"sqlite:///{tmp_path}/db.sqlite3") as notes:
            serving = serving_wsgi(application(notes.write_after_rollback), keyaudit_recorder)
            assert requests(serving, "open", CREDENTIAL.allowed) == [201]
            (row,) = notes.rows()
    finally:
        gc.enable()

    assert_names({"request_api_key": json.loads(row["request_api_key"])}, CREDENTIAL.snapshot["id"])


MANAGERS = {
    "postgresql-audit": "postgresql_audit.base",
    "postgresql-audit-flask": "postgresql_audit.flask",
}


@pytest.mark.parametrize("name", MANAGERS)
def test_postgresql_audit_names_the_key_in_the_row_of_a_transaction(
    name: str, postgresql: PostgreSQL, keyaudit_recorder: Recorder
) -> None:
    """The key follows the application's own values, whose manager stays the same."""
    from presets.apps.audit_app import CREDENTIAL  # noqa: PLC0415 - not everywhere
    from presets.apps.postgresql_audit_models import audited  # noqa: PLC0415

    values = {"additional_fields": {"origin": "application"}}
    manager = import_module(MANAGERS[name]).VersioningManager
    keyaudit_recorder.instrument(presets=["flask-httpauth", name])
    with audited(postgresql.url, manager, name.replace("-", "_")) as notes:
        notes.manager.values = values
        _sent(notes.write, keyaudit_recorder)
        rows = notes.rows(lambda transaction: transaction.additional_fields)

    assert_rows_name_the_key(keyaudit_recorder, CREDENTIAL, rows, [{"origin": "application"}] * 3)
    assert values == {"additional_fields": {"origin": "application"}}


def test_transaction_without_the_column_is_unchanged(postgresql: PostgreSQL, keyaudit_recorder: Recorder) -> None:
    """Nothing is written without such a column, because a value for it would make the application fail."""
    from presets.apps.postgresql_audit_models import audited  # noqa: PLC0415 - not everywhere

    keyaudit_recorder.instrument(presets=["flask-httpauth", "postgresql-audit"])
    manager = import_module("postgresql_audit.base").VersioningManager
    with audited(postgresql.url, manager, "audit_without_column", has_column=False) as notes:
        notes.manager.values = {"actor_id": "7"}
        _sent(notes.write, keyaudit_recorder)
        assert notes.rows(lambda transaction: transaction.actor_id) == ["7"] * 3

    assert keyaudit_recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 0}
    assert keyaudit_recorder.degraded() == {}
