"""On whose behalf a key acts, and through whom."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.modules import LoadModule

TOKEN = {
    "id": "k_1",
    "sub": "u_alice",
    "act": {"sub": "svc_ci", "act": {"sub": "svc_cron", "act": {"client_id": "c_root"}}},
}


def instrument(recorder: Recorder, shop: Any, *auth: str, **options: Any) -> None:
    """Instrument the application."""
    name = shop.__name__
    recorder.instrument(auth_targets=[f"{name}:{one}" for one in auth], audit_targets=[f"{name}:record"], **options)


def test_row_and_spans_name_principal_and_actors(recorder: Recorder, shop: Any) -> None:
    """``act`` claims are followed outwards, from the current actor on."""
    instrument(recorder, shop, "verify?on_behalf_of=sub&actors=act|acts")
    with recorder.request():
        shop.verify(TOKEN)
        member = shop.record("create")["request_api_key"]
    assert member["on_behalf_of"] == "u_alice"
    assert member["actors"] == ["svc_ci", "svc_cron", "c_root"]
    assert list(member)[-4:] == ["on_behalf_of", "actors", "trace_id", "span_id"]
    for shown in (recorder.server_span(), keyaudit_attributes(recorder.audit_spans()[0])):
        assert shown["keyaudit.on_behalf_of"] == "u_alice"
        assert shown["keyaudit.actors"] == ("svc_ci", "svc_cron", "c_root")


def test_digest_does_not_depend_on_the_delegation(recorder: Recorder, shop: Any) -> None:
    """Delegation belongs to the request, not to the key."""
    instrument(recorder, shop, "verify?on_behalf_of=sub")
    digests = []
    for subject in ("u_1", "u_2"):
        with recorder.request():
            shop.verify({**TOKEN, "sub": subject})
            digests.append(shop.record("create")["request_api_key"]["digest"])
    assert digests[0] == digests[1]


def test_key_of_an_actor_makes_nothing_ambiguous(recorder: Recorder, shop: Any) -> None:
    """The gateway's key is an actor of the user's token, in either order."""
    instrument(recorder, shop, "verify?actors=act|acts", "gateway?role=actor")
    rows = []
    for first, second in ((shop.gateway, shop.verify), (shop.verify, shop.gateway)):
        with recorder.request():
            first({"id": "k_gateway"} if first is shop.gateway else TOKEN)
            second({"id": "k_gateway"} if second is shop.gateway else TOKEN)
            rows.append(shop.record("create")["request_api_key"])
    assert [(row["id"], row["actors"][:2]) for row in rows] == [("k_1", ["k_gateway", "svc_ci"])] * 2
    assert recorder.writes()["ambiguous"] == 0


def test_key_of_an_actor_that_the_claims_name_is_listed_once(recorder: Recorder, shop: Any) -> None:
    """A gateway whose id is also in the ``act`` claim comes first, and only once."""
    instrument(recorder, shop, "verify?actors=act|acts", "gateway?role=actor", max_items=2)
    with recorder.request():
        shop.gateway({"id": "svc_cron"})
        shop.verify(TOKEN)
        row = shop.record("create")["request_api_key"]
    assert (row["actors"], row["actors_count"]) == (["svc_cron", "svc_ci"], 3)


def test_key_of_an_actor_alone_is_the_requests_key(recorder: Recorder, shop: Any) -> None:
    """The actor's key is the request's while no other key is accepted."""
    instrument(recorder, shop, "gateway?role=actor")
    with recorder.request():
        shop.gateway({"id": "k_gateway"})
        member = shop.record("create")["request_api_key"]
    assert member["id"] == "k_gateway"
    assert "actors" not in member


def test_keys_of_several_actors_make_nothing_ambiguous(recorder: Recorder, shop: Any) -> None:
    """Without another key, the first gateway's key is the request's, and later gateways are its actors."""
    instrument(recorder, shop, "gateway?role=actor")
    with recorder.request():
        for key_id in ("k_edge", "k_mesh", "k_sidecar"):
            shop.gateway({"id": key_id})
        member = shop.record("create")["request_api_key"]
    assert (member["id"], member["actors"]) == ("k_edge", ["k_sidecar", "k_mesh"])
    shown = recorder.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.actors"]) == ("k_edge", ("k_sidecar", "k_mesh"))
    assert recorder.writes()["ambiguous"] == 0


def test_key_of_an_actor_without_an_id_makes_nothing_ambiguous(recorder: Recorder, shop: Any) -> None:
    """Alone it cannot be named, and beside another actor's key it is none."""
    instrument(recorder, shop, "gateway?role=actor")
    with recorder.request():
        shop.gateway({"id": None})
        assert shop.record("create") is None
        shop.gateway({"id": "k_mesh"})
        assert shop.record("create")["request_api_key"]["id"] == "k_mesh"
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 1}


def test_long_list_of_actors_is_cut(recorder: Recorder, shop: Any) -> None:
    """``actors_count`` has the full number."""
    instrument(recorder, shop, "verify?actors=through", max_items=2)
    with recorder.request():
        shop.verify({"id": "k_1", "through": ["a", "b", "c"]})
        member = shop.record("create")["request_api_key"]
    assert (member["actors"], member["actors_count"]) == (["a", "b"], 3)


def test_number_of_nested_actors_is_exact(recorder: Recorder, shop: Any) -> None:
    """All actors of a deeply nested claim are counted, and the current ones are listed."""
    instrument(recorder, shop, "verify?actors=act|acts", max_items=2)
    act: dict[str, Any] = {"sub": "svc_0"}
    for number in range(1, 2_000):
        act = {"sub": f"svc_{number}", "act": act}
    with recorder.request():
        shop.verify({"id": "k_1", "act": act})
        member = shop.record("create")["request_api_key"]
    assert (member["actors"], member["actors_count"]) == (["svc_1999", "svc_1998"], 2_000)


def test_list_with_ids_of_actor_keys_is_cut(recorder: Recorder, shop: Any) -> None:
    """``max_items`` limits the whole list, and ``actors_count`` has the number of all actors."""
    instrument(recorder, shop, "verify?actors=through", "gateway?role=actor", max_items=2)
    with recorder.request():
        for number in range(4):
            shop.gateway({"id": f"k_{number}"})
        shop.verify({"id": "k_1", "through": ["a"]})
        member = shop.record("create")["request_api_key"]
    assert (member["actors"], member["actors_count"]) == (["k_3", "k_2"], 5)
    for shown in (recorder.server_span(), keyaudit_attributes(recorder.audit_spans()[0])):
        assert (shown["keyaudit.actors"], shown["keyaudit.actors_count"]) == (("k_3", "k_2"), 5)


def test_long_list_of_actors_set_by_hand_is_cut(recorder: Recorder, shop: Any) -> None:
    """``max_items`` limits the row and both spans, without duplicates."""
    instrument(recorder, shop, "verify", max_items=2)
    with recorder.request(), use_key(ApiKey("k_1"), actors=["a", "b", "a", "c"]):
        member = shop.record("create")["request_api_key"]
    assert (member["actors"], member["actors_count"]) == (["a", "b"], 3)
    for shown in (recorder.server_span(), keyaudit_attributes(recorder.audit_spans()[0])):
        assert (shown["keyaudit.actors"], shown["keyaudit.actors_count"]) == (("a", "b"), 3)


def test_unencodable_delegation_set_by_hand_is_escaped(recorder: Recorder, shop: Any) -> None:
    """A lone surrogate becomes an escape, as in the fields of a key."""
    instrument(recorder, shop, "verify")
    with use_key(ApiKey("k_1"), on_behalf_of="u\ud800", actors=["s\ud800"]):
        member = shop.record("create")["request_api_key"]
    assert (member["on_behalf_of"], member["actors"]) == ("u\\ud800", ["s\\ud800"])


def test_denial_withdraws_an_actor(recorder: Recorder, load_module: LoadModule) -> None:
    """A gateway whose key was accepted inside a check that then denies is no actor, before or after another key."""
    app = load_module(
        """
        def verify(claims):
            return claims

        def gateway(claims):
            return claims

        def check(claims):
            gateway(claims)
            return False

        def record(action, additional_fields=None):
            return additional_fields
        """
    )
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify", f"{name}:gateway?role=actor", f"{name}:check"],
        audit_targets=[f"{name}:record"],
    )
    for first, second in ((app.check, app.verify), (app.verify, app.check)):
        with recorder.request():
            first({"id": "k_1"})
            second({"id": "k_1"})
            member = app.record("create")["request_api_key"]
        assert member["id"] == "k_1"
        assert "actors" not in member
    assert recorder.errors() == {}


def test_ambiguous_row_has_no_delegation(recorder: Recorder, shop: Any) -> None:
    """Two keys do not tell for whom they act."""
    instrument(recorder, shop, "verify?on_behalf_of=sub")
    with recorder.request():
        shop.verify(TOKEN)
        shop.verify({**TOKEN, "id": "k_2"})
        assert list(shop.record("create")["request_api_key"]) == ["ambiguous", "ids", "trace_id", "span_id"]
    assert recorder.server_span()["keyaudit.on_behalf_of"] == ""


def test_delegation_set_by_hand(recorder: Recorder, shop: Any) -> None:
    """``use_key`` takes principal and actors, and shows them on the surrounding server span."""
    instrument(recorder, shop, "verify")
    with recorder.request(), use_key(ApiKey("k_1"), on_behalf_of="u_1", actors=["svc"]):
        member = shop.record("create")["request_api_key"]
    assert (member["on_behalf_of"], member["actors"]) == ("u_1", ["svc"])
    assert recorder.server_span()["keyaudit.on_behalf_of"] == "u_1"


def test_unreadable_delegation_is_counted_and_unknown(recorder: Recorder, shop: Any) -> None:
    """The key is named, and the failure is counted."""
    instrument(recorder, shop, "verify?on_behalf_of=sub&actors=act|acts")
    with recorder.request():
        shop.verify({"id": "k_1", "sub": 1.5, "act": {"nobody": 1}})
        member = shop.record("create")["request_api_key"]
    assert member["id"] == "k_1"
    assert not {"on_behalf_of", "actors"} & member.keys()
    assert sum(recorder.errors().values()) == 1


@pytest.mark.parametrize("field", ["sub", "act"])
def test_credential_is_no_principal_and_no_actor(recorder: Recorder, load_module: LoadModule, field: str) -> None:
    """A value that contains the presented credential is unknown and counted."""
    app = load_module(
        """
        def verify(token, claims):
            return claims

        def record(action, additional_fields=None):
            return additional_fields
        """
    )
    instrument(recorder, app, "verify?on_behalf_of=sub&actors=act|acts")
    secret = "s3cret-0123456789"
    claims = {**TOKEN, field: {"sub": f"via {secret}"} if field == "act" else secret}
    with recorder.request():
        app.verify(secret, claims)
        row = app.record("create")
    member = row["request_api_key"]
    assert member["id"] == "k_1"
    assert ({"sub": "on_behalf_of", "act": "actors"}[field]) not in member
    assert secret not in repr(row) + repr(recorder.server_span())
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.CredentialError"): 1}
