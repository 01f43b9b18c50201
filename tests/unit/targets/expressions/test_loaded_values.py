"""Only loaded attributes of mapped objects are read, so nothing runs SQL, flushes or begins a transaction."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from django.apps import apps
from django.db import models
from django.utils.functional import SimpleLazyObject
from sqlalchemy import orm
from sqlalchemy.ext.hybrid import hybrid_property
from werkzeug.local import LocalProxy

from otel_keyaudit.errors import MissingError, NotLoadedError
from otel_keyaudit.targets.expressions.loaded_values import is_mapped, readable
from otel_keyaudit.testing import Recorder
from support.calls.paths import read
from support.environment.installed import need_package
from support.environment.modules import LoadModule
from support.services.django_service import set_up

NOT_LOADED = ("authentication", "otel_keyaudit.errors.NotLoadedError")


class Base(orm.DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"
    id = orm.mapped_column(sqlalchemy.String, primary_key=True)
    name = orm.mapped_column(sqlalchemy.String)


class Scope(Base):
    __tablename__ = "scope"
    name = orm.mapped_column(sqlalchemy.String, primary_key=True)
    key_id = orm.mapped_column(sqlalchemy.ForeignKey("key.id"), primary_key=True)
    key = orm.relationship("Key", overlaps="grants")


class Key(Base):
    __tablename__ = "key"
    id = orm.mapped_column(sqlalchemy.String, primary_key=True)
    name = orm.mapped_column(sqlalchemy.String)
    used = orm.mapped_column(sqlalchemy.Integer, default=0)
    notes = orm.deferred(orm.mapped_column(sqlalchemy.String))
    owner_id = orm.mapped_column(sqlalchemy.ForeignKey("owner.id"))
    owner = orm.relationship(Owner)
    grants = orm.relationship(Scope)
    label = "of the class"

    @property
    def title(self) -> str:
        return f"key {self.name}"

    @property
    def owner_name(self) -> Any:
        return self.owner.name

    @hybrid_property
    def grant_names(self) -> list[str]:
        """As an attribute of the class, it raises."""
        return [grant.name for grant in self.grants]

    @cached_property
    def shout(self) -> str:
        return str(self.name).upper()

    def scopes(self) -> list[str]:
        return sorted(grant.name for grant in self.grants)

    @property
    def counted(self) -> Any:
        """Runs SQL by itself."""
        return orm.object_session(self).scalar(sqlalchemy.text("select 1"))  # type: ignore[union-attr]

    def first_owner(self) -> Any:
        return self.grants[0].key.owner.name

    @staticmethod
    def kind() -> str:
        return "ci"

    @classmethod
    def table(cls) -> Any:
        return cls.__tablename__


class Plain:
    id = "k_1"


@pytest.fixture
def statements() -> list[str]:
    """The SQL that runs."""
    return []


@pytest.fixture
def session(statements: list[str]) -> Iterator[Any]:
    """A session with one key, which has an owner and two scopes."""
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Owner(id="o_1", name="ada"))
        session.add(Key(id="k_1", name="ci", owner_id="o_1", notes="n", grants=[Scope(name="b"), Scope(name="a")]))
        session.commit()
        session.expunge_all()
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        yield session
    engine.dispose()


def loaded(session: Any, *options: Any) -> Any:
    """Return the key as a query loads it."""
    return session.scalars(sqlalchemy.select(Key).options(*options)).one()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id", "k_1"),
        ("name", "ci"),
        ("owner_id", "o_1"),
        ("title", "key ci"),
        ("shout", "CI"),
        ("label", "of the class"),
        ("kind()", "ci"),
        ("table()", "key"),
    ],
)
def test_loaded_attributes_are_read(session: Any, statements: list[str], text: str, expected: str) -> None:
    """Columns are read, and properties and methods that use loaded columns."""
    key = loaded(session)
    statements.clear()
    assert read(text, key) == expected
    assert statements == []


@pytest.mark.parametrize(
    "text", ["notes", "owner.name", "owner", "owner_name", "grants[].name", "scopes()", "counted", "grant_names"]
)
def test_attributes_that_are_not_loaded_are_unreadable(session: Any, statements: list[str], text: str) -> None:
    """Deferred columns, lazy relationships, and members that would load them are unreadable."""
    key = loaded(session)
    statements.clear()
    with pytest.raises(NotLoadedError, match="is not loaded, and the library runs no SQL; load it"):
        read(text, key)
    assert statements == []


def test_related_objects_that_are_loaded_are_read(session: Any, statements: list[str]) -> None:
    """The remedy is eager loading."""
    key = loaded(session, orm.joinedload(Key.owner), orm.selectinload(Key.grants), orm.undefer(Key.notes))
    statements.clear()
    texts = ["owner.name", "owner_name", "grants[].name", "scopes()", "notes"]
    assert [read(text, key) for text in texts] == ["ada", "ada", ["b", "a"], ["a", "b"], "n"]
    assert statements == []


def test_the_object_itself_is_the_value_of_a_path(session: Any) -> None:
    """A target may find its key or its subject in another mapped object."""
    key = loaded(session, orm.joinedload(Key.owner), orm.selectinload(Key.grants))
    assert type(read("owner", key)) is Owner
    assert type(read("grants[0]", key)) is Scope
    assert [type(grant) for grant in read("grants", key)] == [Scope, Scope]  # a refusal names this class


def test_a_method_cannot_load_through_related_objects(session: Any, statements: list[str]) -> None:
    """Related objects are read with the same restriction."""
    key = loaded(session, orm.selectinload(Key.grants).load_only(Scope.key_id))
    statements.clear()
    assert read("scopes()", key) == ["a", "b"]  # the identity has the names
    with pytest.raises(NotLoadedError):
        read("first_owner()", key)
    assert statements == []


def test_an_expired_object_keeps_its_id(session: Any, statements: list[str]) -> None:
    """The identity of the object has the id, although all attributes are expired."""
    key = loaded(session)
    session.commit()
    statements.clear()
    assert read("id", key) == "k_1"
    with pytest.raises(NotLoadedError):
        read("name", key)
    assert statements == []
    assert not session.in_transaction()


def test_the_identity_of_several_columns_is_told_apart(session: Any) -> None:
    """Each column has its own part of the identity."""
    scope = session.scalars(sqlalchemy.select(Scope).order_by(Scope.name)).first()
    session.commit()
    assert (read("name", scope), read("key_id", scope)) == ("a", "k_1")


def test_object_that_was_never_stored_is_read() -> None:
    """An attribute that was not set is ``None``, as for the application."""
    assert read("name", Key(id="k_2")) is None
    assert read("id", Key(id="k_2")) == "k_2"
    with pytest.raises(MissingError):
        read("nothing", Key(id="k_2"))


def test_a_deleted_or_detached_object_is_read_as_it_is(session: Any, statements: list[str]) -> None:
    """Nothing is loaded for such an object."""
    key = loaded(session)
    session.expunge(key)
    statements.clear()
    assert read("name", key) == "ci"
    with pytest.raises(NotLoadedError):
        read("owner.name", key)
    assert statements == []


def test_a_missing_attribute_is_missing(session: Any) -> None:
    """The attribute is reported as missing and not as unloaded."""
    with pytest.raises(MissingError):
        read("allow_list", loaded(session))


def test_other_objects_are_no_mapped_ones() -> None:
    """Objects that are not mapped are read as usual."""
    for value in (Plain(), {"id": 1}, SimpleNamespace(_meta=1), "text", None):
        assert readable(value) is value
        assert not is_mapped(type(value))
    assert is_mapped(Key)


APP = """
from sqlalchemy import select
ROWS = []

def verify(session, key_class, commit=True):
    key = session.scalars(select(key_class)).one()
    key.used += 1
    if commit:
        session.commit()
    return key

def same(key):
    return key

def record(action, additional_fields=None, subject=None):
    ROWS.append(additional_fields)
    return additional_fields
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that updates its key when it verifies it."""
    return load_module(APP)


@pytest.mark.parametrize("commit", [True, False])
def test_reading_a_key_leaves_the_session_alone(
    app: Any, recorder: Recorder, session: Any, statements: list[str], commit: bool
) -> None:
    """No transaction begins, nothing is flushed and no SQL runs, before and after a commit."""
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify?scopes=grants[].name&owner=owner.name"],
        audit_targets=[f"{app.__name__}:record?subject=args.subject"],
    )
    with recorder.request():
        key = app.verify(session, Key, commit)
        session.add(Key(id=None))  # it would fail if it were flushed
        count = len(statements)
        row = app.record("create", subject=key)
        assert len(statements) == count
        assert [one.id for one in session.new] == [None]
        session.expunge_all()
    assert row["request_api_key"]["id"] == "k_1"
    assert ("name" in row["request_api_key"]) is not commit
    assert row["api_key"]["id"] == "k_1"
    assert "scopes" not in row["request_api_key"]
    assert recorder.errors()[NOT_LOADED] == 1


def test_a_hybrid_property_that_is_not_loaded_leaves_the_other_fields(
    app: Any, recorder: Recorder, session: Any
) -> None:
    """It is not run as an attribute of its class, and the key has its id."""
    recorder.instrument(
        auth_targets=f"{app.__name__}:same?scopes=grant_names",
        audit_targets=f"{app.__name__}:record?subject=args.subject&subject_scopes=grant_names",
    )
    with recorder.request():
        row = app.record("create", subject=app.same(loaded(session)))
    assert [(row[name]["id"], row[name]["name"]) for name in ("request_api_key", "api_key")] == [("k_1", "ci")] * 2
    assert recorder.errors() == {NOT_LOADED: 1, ("audit", "otel_keyaudit.errors.NotLoadedError"): 1}


def test_the_remedy_is_logged(app: Any, recorder: Recorder, session: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the attribute and no value."""
    recorder.instrument(auth_targets=f"{app.__name__}:verify")
    with recorder.request():
        app.verify(session, Key)
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "Key.name is not loaded, and the library runs no SQL; load it before the target returns" in message
    assert "ci" not in message.split("Key.name")[1].split()


def test_expired_keys_are_told_apart(app: Any, recorder: Recorder, session: Any) -> None:
    """Only the identity of expired keys is read, so they are compared by it."""
    session.add(Key(id="k_2", name="other"))
    session.commit()
    keys = session.scalars(sqlalchemy.select(Key).order_by(Key.id)).all()
    session.commit()
    recorder.instrument(auth_targets=f"{app.__name__}:same", audit_targets=f"{app.__name__}:record")
    rows: list[Any] = []
    for key in [*keys, *keys]:
        with recorder.request():
            rows.append(app.record("create") if app.same(key) is key else None)
    assert [row["request_api_key"]["id"] for row in rows] == ["k_1", "k_2", "k_1", "k_2"]


class Token(Base):
    __tablename__ = "token"
    id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
    grants = orm.mapped_column(sqlalchemy.JSON)


def test_json_columns_are_read(session: Any) -> None:
    """A loaded value is whatever the column type made of it."""
    assert read("grants.scopes", Token(id=1, grants=json.loads('{"scopes": ["a"]}'))) == ["a"]


# Django


@pytest.fixture(scope="module")
def models_of_django() -> Iterator[SimpleNamespace]:
    """Models without a database: whatever would run SQL fails."""
    set_up()

    class Account(models.Model):  # type: ignore[misc]
        login = models.CharField(max_length=9)

        class Meta:
            app_label = "keyaudit_loaded_values"

    class Token(models.Model):  # type: ignore[misc]
        name = models.CharField(max_length=9)
        secret_notes = models.CharField(max_length=9)
        account = models.ForeignKey(Account, models.CASCADE)
        grants = models.ManyToManyField(Account, related_name="granted")

        class Meta:
            app_label = "keyaudit_loaded_values"

        @property
        def title(self) -> str:
            return f"token {self.name}"

        def login(self) -> Any:
            return self.account.login

    yield SimpleNamespace(Account=Account, Token=Token)
    apps.all_models.pop("keyaudit_loaded_values")
    apps.clear_cache()


@pytest.fixture
def token(models_of_django: SimpleNamespace) -> Any:
    """A token as the database returns it, with ``secret_notes`` deferred."""
    return models_of_django.Token.from_db("default", ["id", "name", "account_id"], [7, "ci", 3])


@pytest.mark.parametrize(
    ("text", "expected"), [("id", 7), ("pk", 7), ("name", "ci"), ("account_id", 3), ("title", "token ci")]
)
def test_loaded_fields_of_django_are_read(token: Any, text: str, expected: object) -> None:
    """Fields, the short name of the primary key, and properties that use them are read."""
    assert read(text, token) == expected


@pytest.mark.parametrize("text", ["secret_notes", "account", "account.login", "login()", "grants", "grants.all()[]"])
def test_fields_of_django_that_are_not_loaded_are_unreadable(token: Any, text: str) -> None:
    """Deferred fields and related objects are unreadable."""
    with pytest.raises(NotLoadedError):
        read(text, token)


def test_related_objects_of_django_that_are_loaded_are_read(models_of_django: SimpleNamespace, token: Any) -> None:
    """The remedies are ``select_related`` and ``prefetch_related``."""
    account = models_of_django.Account(id=3, login="ada")
    token.account = account
    token._prefetched_objects_cache = {"grants": [account]}
    assert (read("account.login", token), read("login()", token)) == ("ada", "ada")
    assert read("grants.all()[].login", token) == read("grants[].login", token) == ["ada"]
    assert read("grants", token) == read("grants.all()", token) == [account]


def test_an_object_inside_a_lazy_object_of_django_is_mapped(token: Any) -> None:
    """``request.user`` is a proxy; only loaded fields of its object are read."""
    lazy = SimpleLazyObject(lambda: token)
    assert lazy == token  # which creates the object
    assert (read("name", lazy), read("title", lazy)) == ("ci", "token ci")
    for text in ("secret_notes", "account.login", "login()"):
        with pytest.raises(NotLoadedError):
            read(text, lazy)
    with pytest.raises(MissingError):
        read("missing", lazy)


def test_a_lazy_object_of_django_is_not_created(token: Any) -> None:
    """Creating the object may run SQL, so it is ``None`` until the application uses it."""
    lazy = SimpleLazyObject(lambda: token)
    outer = SimpleNamespace(lazy=lazy)
    assert [read(text, lazy) for text in ("name", "login()", "grants[].login")] == [None] * 3
    assert [read(text, outer) for text in ("lazy", "lazy.name", "lazy.login()")] == [None] * 3
    with pytest.raises(NotLoadedError):
        readable(lazy).name  # noqa: B018
    assert lazy == token
    assert (read("lazy", outer), read("lazy.name", outer)) == (token, "ci")


def test_an_object_behind_a_proxy_of_werkzeug_is_read() -> None:
    """Such as ``current_token`` of Authlib. ``None`` behind a proxy is no object."""
    for found in ({"name": "ci"}, SimpleNamespace(name="ci"), None):
        outer = SimpleNamespace(proxy=LocalProxy(partial(next, repeat(found))))
        assert read("proxy", outer) is found
        assert read("proxy.name", outer) == (found and "ci")


def test_a_query_of_django_is_not_run(models_of_django: SimpleNamespace) -> None:
    """Its elements are read once the application has fetched them."""
    query = models_of_django.Account.objects.all()
    with pytest.raises(NotLoadedError, match="the query"):
        read("query[].login", {"query": query})
    query._result_cache = [models_of_django.Account(login="ada")]
    assert read("query[].login", {"query": query}) == ["ada"]


@pytest.fixture
def models_of_peewee(statements: list[str]) -> Iterator[SimpleNamespace]:
    """A key with an owner, in a database that records its statements."""
    need_package("peewee")
    peewee = importlib.import_module("peewee")
    database = peewee.SqliteDatabase(":memory:")
    execute = database.execute_sql

    def recorded(text: str, *args: Any) -> Any:
        statements.append(text)
        return execute(text, *args)

    database.execute_sql = recorded
    base: Any = type("Base", (peewee.Model,), {"Meta": type("Meta", (), {"database": database})})
    owner_class: Any = type("Owner", (base,), {"name": peewee.TextField()})
    fields = {
        "name": peewee.TextField(),
        "label": "of the class",
        "owner": peewee.ForeignKeyField(owner_class, backref="keys", null=True),
        "owner_name": property(lambda self: self.owner.name),
    }
    key_class: Any = type("Key", (base,), fields)
    database.create_tables([owner_class, key_class])
    key_class.create(name="ci", owner=owner_class.create(name="ada"))
    yield SimpleNamespace(Key=key_class, Owner=owner_class)
    database.close()


@pytest.mark.parametrize(
    ("text", "expected"), [("id", 1), ("name", "ci"), ("owner_id", 1), ("label", "of the class"), ("missing", None)]
)
def test_columns_of_peewee_are_read(
    models_of_peewee: SimpleNamespace, statements: list[str], text: str, expected: Any
) -> None:
    """The id of a related object is a column of the key."""
    key = models_of_peewee.Key.get()
    statements.clear()
    if text == "missing":
        with pytest.raises(MissingError):
            read(text, key)
    else:
        assert read(text, key) == expected
    assert statements == []


@pytest.mark.parametrize("text", ["owner", "owner.name", "owner_name", "owner.keys[].name"])
def test_related_objects_of_peewee_are_read_only_if_they_are_loaded(
    models_of_peewee: SimpleNamespace, statements: list[str], text: str
) -> None:
    """The attribute of a related object would run a query."""
    key = models_of_peewee.Key.get()
    statements.clear()
    with pytest.raises(NotLoadedError):
        read(text, key)
    assert statements == []
    assert key.owner.name == "ada"
    statements.clear()
    if text in ("owner.name", "owner_name"):
        assert read(text, key) == "ada"
    assert statements == []


def test_a_related_object_of_peewee_may_be_absent(models_of_peewee: SimpleNamespace) -> None:
    """Without a related object there is nothing to load."""
    assert read("owner.name", models_of_peewee.Key(name="ci")) is None
