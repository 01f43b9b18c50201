"""A key in the header of a message: a string that can be nothing but a key."""

from __future__ import annotations

import pytest

from otel_keyaudit import ApiKey
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.request.attribution import Delegation
from otel_keyaudit.request.context import UsedKey
from otel_keyaudit.request.workers.message import MAX_BYTES, decode_key, encode_key

FULL = ApiKey("k_1", "Zoë", ["b:write", "a:read"], [], "u_1", "2026-11-23T16:00:00Z")


def of_length(size: int) -> ApiKey:
    """Return a key whose header has this number of bytes."""
    scopes = [f"{number:05}" + "s" * 995 for number in range(size // 1_003)]
    rest = size - len(encode_key(UsedKey(ApiKey("k_1", scopes=[*scopes, ""]))))
    return ApiKey("k_1", scopes=[*scopes, "r" * rest])


@pytest.mark.parametrize("key", [FULL, ApiKey("k_1"), ApiKey("k_1", scopes=[]), of_length(MAX_BYTES)])
def test_a_key_arrives_as_it_was(key: ApiKey) -> None:
    """Every known field arrives, up to a length that every broker accepts."""
    assert decode_key(encode_key(UsedKey(key))).key == key


def test_delegation_arrives_with_the_key() -> None:
    """Principal and actors are part of the header, even if some fields of the key are left out."""
    text = encode_key(UsedKey(FULL, Delegation("user:7", ("gateway", "job"), 2)), ("id",))
    assert text == '{"id":"k_1","on_behalf_of":"user:7","actors":["gateway","job"]}'
    arrived = decode_key(text)
    assert (arrived.key, arrived.delegation) == (ApiKey("k_1"), Delegation("user:7", ("gateway", "job"), 2))


def test_number_of_all_actors_arrives_if_the_list_was_cut() -> None:
    """A row of the job does not claim that the list is complete."""
    delegation = Delegation(None, ("gateway", "job"), 5)
    text = encode_key(UsedKey(ApiKey("k_1"), delegation))
    assert text == '{"id":"k_1","actors":["gateway","job"],"actors_count":5}'
    assert decode_key(text).delegation == delegation


def test_some_fields_can_be_left_out() -> None:
    """Only the named fields are left out."""
    assert encode_key(UsedKey(FULL), ("id", "name")) == '{"id":"k_1","name":"Zoë"}'
    assert encode_key(UsedKey(ApiKey("k_1")), ("id", "name")) == '{"id":"k_1"}'


def test_overlong_key_is_an_error() -> None:
    """The error names the limit."""
    with pytest.raises(UnreadableError, match=r"^a key of more than 32,768 bytes is too large for a message header$"):
        encode_key(UsedKey(of_length(MAX_BYTES + 1)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "the header of the key is not a string of at most 32,768 bytes"),
        (b'{"id":"k_1"}', "the header of the key is not a string of at most 32,768 bytes"),
        ('{"id":"k_1"}' + " " * MAX_BYTES, "the header of the key is not a string of at most 32,768 bytes"),
        ('["id"]', "the header of the key is not a JSON object with the fields of a key"),
        ('"id"', "the header of the key is not a JSON object with the fields of a key"),
        ("{}", "the header of the key is not a JSON object with the fields of a key"),
        ('{"name":"n"}', "the header of the key is not a JSON object with the fields of a key"),
        ('{"id":"k_1","secret":"s"}', "the header of the key is not a JSON object with the fields of a key"),
        (
            '{"id":"k_1","actors":["a"],"actors_count":0}',
            "the header of the key is not in the form in which the library writes it",
        ),
        (
            '{"id":"k_1","actors":["a"],"actors_count":"5"}',
            "the header of the key is not in the form in which the library writes it",
        ),
        ('{"id": "k_1"}', "the header of the key is not in the form in which the library writes it"),
        ('{"id":1}', "the header of the key is not in the form in which the library writes it"),
        ('{"name":"n","id":"k_1"}', "the header of the key is not in the form in which the library writes it"),
        ('{"id":"k_1","name":null}', "the header of the key is not in the form in which the library writes it"),
        ('{"id":"k_1","on_behalf_of":7}', "on_behalf_of must be a string, and actors a list of strings"),
        ('{"id":"k_1","actors":"a"}', "on_behalf_of must be a string, and actors a list of strings"),
        ('{"id":"k_1","actors":["a",null]}', "on_behalf_of must be a string, and actors a list of strings"),
        ('{"id":"k_1","on_behalf_of":""}', "the header of the key is not in the form in which the library writes it"),
        ('{"id":"k_1","actors":[]}', "the header of the key is not in the form in which the library writes it"),
        ('{"actors":["a"],"id":"k_1"}', "the header of the key is not in the form in which the library writes it"),
        ('{"id":"k_1","scopes":["a","a"]}', "the header of the key is not in the form in which the library writes it"),
    ],
)
def test_header_of_another_form_is_no_key(text: object, reason: str) -> None:
    """Only a header of the library's form is read as a key."""
    with pytest.raises(UnreadableError) as caught:
        decode_key(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", ["", "k_1", '{"id":"k_1"', '{"id":[]}', '{"id":""}'])
def test_malformed_key_is_an_error_of_its_value(text: str) -> None:
    """Errors of the parser and of ``ApiKey`` become errors of the value."""
    with pytest.raises(ValueError, match=r".+"):
        decode_key(text)
