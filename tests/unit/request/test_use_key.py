"""A key set by hand, for a worker, a script, a test."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otel_keyaudit import ApiKey, current_key, use_key
from support import bare
from support.keyaudit import KeyAudit, keyaudit_attributes

HAND = ApiKey("hand", "by hand", ["write"], ["w1"])


@pytest.fixture(autouse=True)
def _instrumented(keyaudit: KeyAudit) -> None:
    bare.instrument(keyaudit)


def test_outside_of_any_request(keyaudit: KeyAudit) -> None:
    """A script's rows name the key, and the audit span has its lists."""
    with use_key(HAND) as used:
        assert used is HAND
        assert current_key() is HAND
        bare.record("a")
    bare.record("b")
    assert bare.named() == {"a": "hand", "b": None}
    assert current_key() is None
    assert keyaudit_attributes(keyaudit.audit_spans()[0])["keyaudit.key.scopes"] == ("write",)


def test_wins_inside_its_block_only(keyaudit: KeyAudit) -> None:
    """Inside the block it is the key, before and after it the request's own is."""
    with keyaudit.request():
        bare.verify("own")
        bare.record("before")
        with use_key(HAND):
            bare.record("inside")
            bare.verify("own")
            assert current_key() is HAND
        bare.record("after")
    assert bare.named() == {"before": "own", "inside": "hand", "after": "own"}


def test_wins_over_ambiguity(keyaudit: KeyAudit) -> None:
    """Whoever knows better says so."""
    with keyaudit.request():
        bare.verify("k1")
        bare.verify("k2")
        assert current_key() is None
        with use_key(HAND):
            bare.record("inside")
        bare.record("outside")
    assert bare.named() == {"inside": "hand", "outside": "?"}
    assert bare.rows[1]["request_api_key"]["ids"] == ["k1", "k2"]


def test_nested_blocks() -> None:
    """The innermost wins, and each block gives back what was there."""
    with use_key(HAND):
        with use_key(ApiKey("inner")):
            bare.record("inner")
        with use_key(None):
            bare.record("outer")
    assert bare.named() == {"inner": "inner", "outer": "hand"}


def test_none_sets_nothing(keyaudit: KeyAudit) -> None:
    """``use_key(current_key())`` is right where there is no key, too."""
    with keyaudit.request():
        bare.verify("own")
        with use_key(None) as used:
            assert used is None
            bare.record("a")
    with keyaudit.request(), use_key(current_key()):
        bare.record("b")
    assert bare.named() == {"a": "own", "b": None}


def test_an_exception_goes_through() -> None:
    """The block raises what it raises, and the key is gone."""
    with pytest.raises(ZeroDivisionError), use_key(HAND):
        raise ZeroDivisionError
    assert current_key() is None


@pytest.mark.parametrize("wrong", ["k1", 7, {"id": "k1"}])
def test_only_keys_are_taken(wrong: Any) -> None:
    """Anything but an ``ApiKey`` is a mistake of the caller, said at once and without its value."""
    with pytest.raises(TypeError, match=rf"takes an ApiKey or None, not {type(wrong).__name__}$"):
        use_key(wrong)


def test_one_object_can_be_used_again() -> None:
    """Also inside itself."""
    using = use_key(HAND)
    with using, using:
        bare.record("a")
    with using:
        bare.record("b")
    assert current_key() is None
    assert bare.named() == {"a": "hand", "b": "hand"}


def test_works_without_the_instrumentation(keyaudit: KeyAudit) -> None:
    """Application code that uses it runs with the library switched off."""
    keyaudit.uninstrument()
    with use_key(HAND):
        assert current_key() is HAND
    assert current_key() is None


def test_shows_on_the_server_span_around(keyaudit: KeyAudit) -> None:
    """Where the request has no key of its own the server span shows it; the audit span need not repeat the lists."""
    with keyaudit.request(), use_key(HAND):
        bare.record("a")
    shown = keyaudit.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.key.scopes"]) == ("hand", ("write",))
    assert (shown["keyaudit.detail"], "keyaudit.outcome" in shown) == ("full", False)
    assert "keyaudit.key.scopes" not in keyaudit_attributes(keyaudit.audit_spans()[0])


def test_does_not_show_where_the_request_has_its_own(keyaudit: KeyAudit) -> None:
    """The server span keeps the request's own key; the audit span has the lists of the one set by hand."""
    with keyaudit.request():
        bare.verify("own")
        with use_key(HAND):
            bare.record("inside")
        bare.record("after")
    assert keyaudit.server_span()["keyaudit.key.id"] == "own"
    assert keyaudit.server_span()["keyaudit.key.scopes"] == ("read",)
    inside, after = (keyaudit_attributes(span) for span in keyaudit.audit_spans())
    assert (inside["keyaudit.key.id"], inside["keyaudit.key.scopes"]) == ("hand", ("write",))
    assert after["keyaudit.key.id"] == "own"
    assert "keyaudit.key.scopes" not in after


def test_gives_way_to_the_requests_own_key(keyaudit: KeyAudit) -> None:
    """What the request shows itself later takes its place on the server span, and what no longer holds is blank."""
    with keyaudit.request():
        with use_key(HAND):
            pass
        bare.verify("own")
    shown = keyaudit.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.key.name"], shown["keyaudit.key.allow_list"]) == ("own", "", ())


def test_lists_stay_with_the_key_whose_row_was_full(keyaudit: KeyAudit) -> None:
    """With a sampler, a full row of another key neither brings nor takes the lists of the request's own."""
    keyaudit.uninstrument()
    keyaudit.instrument(
        auth_targets=bare.AUTH_TARGETS, audit_targets=bare.AUDIT_TARGETS, sampler="actions", sampler_arg="full*"
    )
    for name, own, other in (
        ("both", "full", "full"),
        ("own", "full", "x"),
        ("other", "x", "full"),
        ("none", "x", "x"),
    ):
        with keyaudit.request(name):
            bare.verify("own")
            bare.record(own)
            with use_key(HAND):
                bare.record(other)
    shown = {span.name: keyaudit_attributes(span) for span in keyaudit.spans() if span.parent is None}
    scopes = {name: attributes.get("keyaudit.key.scopes") for name, attributes in shown.items()}
    assert scopes == {"both": ("read",), "own": ("read",), "other": None, "none": None}
    details = {name: attributes["keyaudit.detail"] for name, attributes in shown.items()}
    assert details == {"both": "full", "own": "full", "other": "minimal", "none": "minimal"}


def test_concurrent_blocks() -> None:
    """Tasks and threads inherit the key of the block they were started in, and no other."""

    async def work(number: int) -> None:
        with use_key(ApiKey(f"k{number}")):
            await asyncio.sleep(0)
            await asyncio.gather(asyncio.to_thread(bare.record, f"{number}"), asyncio.sleep(0))

    async def run() -> None:
        await asyncio.gather(*[work(number) for number in range(30)])

    asyncio.run(run())
    assert bare.named() == {str(number): f"k{number}" for number in range(30)}


def test_abandoned_generator() -> None:
    """A generator that is closed in another context leaves the key there as it is."""

    async def numbers() -> AsyncIterator[int]:
        with use_key(HAND):
            yield 1

    generator = numbers()
    step = generator.__anext__()
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(step.send, None)  # type: ignore[attr-defined]
    with use_key(ApiKey("outer")), pytest.raises(StopIteration):
        generator.aclose().send(None)  # type: ignore[attr-defined]
    assert current_key() is None
