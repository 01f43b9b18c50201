"""The merge handles JSON bytes of every encoding that ``json.loads`` reads, and every class that holds bytes."""

import codecs
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.errors import UnchangeableError
from support.merges.members import REQUEST, SUBJECT, becomes, key_member, merge_of, merged

MEMBER = key_member("k_é")
OURS = f'"{REQUEST}":{MEMBER.as_json()}'
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
KINDS = [bytes, bytearray, memoryview]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("has_mark", [False, True])
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_a_forged_member_is_moved_in_every_encoding(kind: Any, encoding: str, has_mark: bool, member: Any) -> None:
    """Encoding, byte order mark and class stay, and the given object is unchanged."""
    mark = MARKS[encoding] if has_mark else b""
    raw = mark + f'{{"{REQUEST}": "root", "ü":"\U0001f600"}}'.encode(encoding)
    fields = kind(raw)
    after = merged(fields, member)
    ours = "" if member is None else f",{OURS}"
    assert bytes(after) == mark + f'{{"{REQUEST}_unverified": "root", "ü":"\U0001f600"{ours}}}'.encode(encoding)
    assert (type(after), bytes(fields)) == (kind, raw)
    assert json.loads(bytes(after))[f"{REQUEST}_unverified"] == "root"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", MARKS)
def test_bytes_without_anything_to_do_are_returned_themselves(kind: Any, encoding: str) -> None:
    """Without a member nothing is encoded again."""
    fields = kind('{"a":1}'.encode(encoding))
    assert merged(fields) is fields


@pytest.mark.parametrize("encoding", MARKS)
def test_a_mark_alone_becomes_an_object(encoding: str) -> None:
    """A byte order mark alone becomes an object, as an empty string does."""
    assert merged(MARKS[encoding], MEMBER) == MARKS[encoding] + f"{{{OURS}}}".encode(encoding)


def test_none_becomes_utf_8() -> None:
    """``None`` becomes UTF-8 in a place that takes bytes."""
    assert merge_of(MEMBER).into(None, becomes("bytes"))[0] == f"{{{OURS}}}".encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff", b'{"a":"\xff"}', b'{"a":1}\xff', b'{"a":"\xc0\xaf"}', b'{"a":"\xe9"}', codecs.BOM_UTF8 * 2 + b"{}",
        codecs.BOM_UTF16_LE + b"{", codecs.BOM_UTF32_BE + b"{}", '{"a":1}'.encode("utf-16-le")[:-1],
        b"\xfe\xff\x00{\x00",
    ],
)  # fmt: skip
def test_bytes_that_json_does_not_read_are_refused(raw: bytes) -> None:
    """Bytes that ``json.loads`` refuses are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - json has several
        json.loads(raw)
    with pytest.raises(UnchangeableError):
        merge_of(MEMBER).into(raw)


def test_lone_surrogates_stay() -> None:
    """``json.loads`` reads them in bytes, and every byte is kept."""
    raw = b'{"a":"\xed\xa0\x80"}'
    assert merged(raw, MEMBER) == raw[:-1] + f",{OURS}}}".encode()


class Raw(bytes):
    """A subclass whose methods lie."""

    def __bytes__(self) -> bytes:
        return b"{}"

    def startswith(self, *_: Any) -> bool:
        return True


def test_a_subclass_of_bytes_is_the_bytes_it_holds() -> None:
    """The methods of the subclass are not called."""
    assert merged(Raw(b'{"a":1}'), MEMBER) == f'{{"a":1,{OURS}}}'.encode()


def test_a_view_of_every_shape_is_read() -> None:
    """Views of another format or with gaps are read."""
    text = b'{"api_key":1}   '
    assert bytes(merged(memoryview(text).cast("I"))) == b'{"api_key_unverified":1}   '
    assert bytes(merged(memoryview(b"".join(bytes([one, 0]) for one in text))[::2])) == b'{"api_key_unverified":1}   '


@given(
    content=st.dictionaries(st.sampled_from([REQUEST, SUBJECT, "a", "é"]), st.text(max_size=3), max_size=3),
    encoding=st.sampled_from(list(MARKS)),
    has_mark=st.booleans(),
)
def test_every_encoding_is_merged_like_the_string(content: dict[str, str], encoding: str, has_mark: bool) -> None:
    """The result equals the merge into the decoded string, byte for byte."""
    mark = MARKS[encoding] if has_mark else b""
    text = json.dumps(content, ensure_ascii=False)
    expected = merged(text, MEMBER).encode(encoding, "surrogatepass")
    assert merged(mark + text.encode(encoding, "surrogatepass"), MEMBER) == mark + expected
