"""A plain model of SQLAlchemy as the audit log: rows of an allowed, a denied and an anonymous request."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_keyaudit.testing import Recorder
from presets.requests import assert_rows_name_the_key, requests
from presets.serving import serving_wsgi
from support.servers.postgresql import PostgreSQL

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries

TARGET = "presets.apps.sqlalchemy_models:AuditLog.before_insert?fields=args.target.{}&action=args.target.action"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the database is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/db.sqlite3"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url


@pytest.mark.parametrize("column", ["details", "noted"])
def test_a_row_of_the_named_model_names_the_key(column: str, url: str, keyaudit_recorder: Recorder) -> None:
    """A JSON column receives the key on insert, whether its value is plain or tracks changes."""
    from presets.apps import audit_app, sqlalchemy_models  # noqa: PLC0415 - not everywhere

    engine = sqlalchemy_models.engine_of(url)
    keyaudit_recorder.instrument(presets="flask-httpauth", audit_targets=[TARGET.format(column)])
    application = audit_app.application(lambda: sqlalchemy_models.write(engine))

    credential = audit_app.CREDENTIAL
    requests(serving_wsgi(application, keyaudit_recorder), "open", credential.allowed, credential.denied, {})

    rows = sqlalchemy_models.rows(engine, column)[-3:]
    assert_rows_name_the_key(keyaudit_recorder, credential, rows, [{"title": "tea"}] * 3, "note.create")


def test_uninstrument_removes_the_listener(lenient_recorder: Recorder) -> None:
    """SQLAlchemy calls no code of the library after ``uninstrument()``."""
    from presets.apps.sqlalchemy_models import AuditLog  # noqa: PLC0415 - not everywhere

    def listeners() -> int:
        return len(list(AuditLog.__mapper__.dispatch.before_insert))

    lenient_recorder.instrument(audit_targets=[TARGET.format("details")])
    assert [status.state for status in lenient_recorder.status().values()] == ["active"]
    assert listeners() == 1
    lenient_recorder.uninstrument()

    assert listeners() == 0


def test_only_a_model_has_such_an_event(lenient_recorder: Recorder) -> None:
    """On any other class the name is resolved as an ordinary attribute."""
    lenient_recorder.instrument(audit_targets=["collections:OrderedDict.before_insert?fields=args.target.details"])

    (status,) = lenient_recorder.status().values()
    assert status.reason == "class 'OrderedDict' has no 'before_insert'"
