"""The merge into JSON: every byte that was there is still there, at any depth."""

import json
import sys
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.row.json_object import members_of
from support.merges.members import REQUEST, SUBJECT, ambiguous_member, key_member, merge_of, merged
from support.merges.properties import ODD_VALUES, TOKENS, check

MEMBER = key_member()
OURS = f'"{REQUEST}":{MEMBER.as_json()}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", f"{{{OURS}}}"),
        ("{ }", f"{{ {OURS}}}"),
        ('{"a":1}', f'{{"a":1,{OURS}}}'),
        (' {\n\t"a" : 1\r\n} \n', f' {{\n\t"a" : 1\r\n,{OURS}}} \n'),
        ('{"a":"}"}', f'{{"a":"}}",{OURS}}}'),
        ('{"a":1,"a":2}', f'{{"a":1,"a":2,{OURS}}}'),
        ('{"a":0.1000000000000000055,"b":1.0,"c":1e5}', f'{{"a":0.1000000000000000055,"b":1.0,"c":1e5,{OURS}}}'),
        ('{"n":12345678901234567890123}', f'{{"n":12345678901234567890123,{OURS}}}'),
        ('{"n":-0,"m":-0.0}', f'{{"n":-0,"m":-0.0,{OURS}}}'),
        ('{"n":1e400}', f'{{"n":1e400,{OURS}}}'),
        ('{"n":NaN,"i":[Infinity,-Infinity]}', f'{{"n":NaN,"i":[Infinity,-Infinity],{OURS}}}'),
        (r'{"\u0061":"\u00e9\/\ud83d\ude00"}', rf'{{"\u0061":"\u00e9\/\ud83d\ude00",{OURS}}}'),
        (r'{"lone":"\ud800"}', rf'{{"lone":"\ud800",{OURS}}}'),
        ('{"lone":"\ud800"}', f'{{"lone":"\ud800",{OURS}}}'),
        ('{"é\u2028":"\u202e"}', f'{{"é\u2028":"\u202e",{OURS}}}'),
        ('{"a":{"request_api_key":1}}', f'{{"a":{{"request_api_key":1}},{OURS}}}'),
        ('{"a":[{"request_api_key":1e400}]}', f'{{"a":[{{"request_api_key":1e400}}],{OURS}}}'),
        ("", f"{{{OURS}}}"),
        (" \t\r\n", f" \t\r\n{{{OURS}}}"),
        ("null", f"{{{OURS}}}"),
        ("\nnull ", f"\n{{{OURS}}} "),
        ('\ufeff{"a":1}', f'\ufeff{{"a":1,{OURS}}}'),
        ("\ufeff", f"\ufeff{{{OURS}}}"),
    ],
)
def test_text_gets_the_member_before_its_last_brace(before: str, after: str) -> None:
    """Spacing, escapes, numbers and duplicates stay as written, and an empty string or null becomes an object."""
    assert merged(before, MEMBER) == after
    try:
        raw = before.encode()
    except UnicodeEncodeError:
        return
    assert merged(raw, MEMBER) == after.encode()
    if not before.startswith("\ufeff"):
        assert merged(b"\xef\xbb\xbf" + raw, MEMBER) == b"\xef\xbb\xbf" + after.encode()


@pytest.mark.parametrize(
    "text",
    [
        "[]", "[{}]", "1", "-1.5", "1e400", '"{}"', "true", "false", "NaN", "nul", "nullnull", "Null", "None", "{", "}",
        "{}}", "{{}}", "{},", "{} {}", "{}x", '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}', '{"a"}', '{"a":}', '{a:1}',
        "{'a':1}", '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":0x1}', '{"a":nan}', '{"a":\u0661}', '{1:2}',
        '{"a":1 "b":2}', '{"a":"\n"}', '{"a":"\x00"}', '{"a":"\\x"}', '{"a":"\\ud8"}', '{"a":undefined}', '{"a":1}//',
        '/**/{"a":1}', '\ufeff\ufeff{"a":1}', "\ufeff1", "\xa0", "\x0b", "\x0c{}", "\x00", "{}\x00", '{"a":"',
        '{"a":[1}',
        '{"request_api_key":1,}', '{"request_api_key":NaN', "{null:1}", "{\xa0}", "no JSON",
    ],
)  # fmt: skip
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_text_that_is_no_object_is_refused(text: str, member: Any) -> None:
    """A string that ``json`` does not read as an object is unchanged, and the error does not show it."""
    for fields in (text, text.encode()):
        with pytest.raises(UnchangeableError) as caught:
            merge_of(member).into(fields)
        assert text not in str(caught.value) or len(text) < 5


def test_numbers_of_any_length_stay() -> None:
    """Numbers with more digits than Python converts are kept."""
    digits = "9" * 5000
    text = f'{{"n":{digits},"request_api_key":{digits},"x":NaN}}'
    after = merged(text, MEMBER)
    assert after == f'{{"n":{digits},"request_api_key_unverified":{digits},"x":NaN,{OURS}}}'
    assert merged(f'{{"request_api_key":{{"n":{digits}}}}}') == f'{{"request_api_key_unverified":{{"n":{digits}}}}}'


class Text(str):
    """A subclass whose methods lie."""

    __slots__ = ()

    def __str__(self) -> str:
        return "lie"

    def __getitem__(self, index: Any) -> str:
        return "lie"

    def strip(self, characters: str | None = None, /) -> str:
        return ""


def test_a_subclass_of_str_is_the_text_it_holds() -> None:
    """The methods of the subclass are not called, and without a member the object itself is returned."""
    fields = Text('{"a":1}')
    assert merged(fields, MEMBER) == f'{{"a":1,{OURS}}}'
    assert merged(Text('{"request_api_key":NaN}')) == '{"request_api_key_unverified":NaN}'
    assert merged(fields) is fields


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    """Return a JSON array or object that is nested so deeply."""
    return opening * levels + ("1" if opening.rstrip().endswith(":") else "") + closing * levels


@pytest.mark.parametrize("levels", [900, 990, 1_500, 5_000, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[1,{"b":"]",\n"c" : ', " } , 2]")])
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_a_forged_member_is_found_at_any_depth_of_the_rest(
    levels: int, opening: str, closing: str, member: Any
) -> None:
    """The member is found before and after a value that is nested more deeply than ``json`` reads."""
    deep = nested(levels, opening, closing)
    ours = "" if member is None else f",{OURS}"
    for text, expected in (
        (f'{{"{REQUEST}":{{"id":"root"}},"x":{deep}}}', f'{{"{REQUEST}_unverified":{{"id":"root"}},"x":{deep}{ours}}}'),
        (f'{{"x":{deep},"{SUBJECT}": 1}}', f'{{"x":{deep},"{SUBJECT}_unverified": 1{ours}}}'),
        (f'{{"{REQUEST}":{deep}}}', f'{{"{REQUEST}_unverified":{deep}{ours}}}'),
        (f'{{"x":{deep}}}', f'{{"x":{deep}{ours}}}'),
    ):
        assert merged(text, member) == expected
        assert merged(text.encode(), member) == expected.encode()


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", ""), ("[", "}"), ('{"a":', "]"), ("[1,", "]"), ('{"a"', "}"), ('{"a":1,', "}"), ("[1 2", "]"), ("[x", "]")],
)
def test_a_broken_deep_value_is_refused(opening: str, closing: str) -> None:
    """The deep value is checked as strictly as any other JSON."""
    with pytest.raises(UnchangeableError):
        merged(f'{{"{REQUEST}":1,"x":{nested(5_000)},"y":{"[" * 5_000}{opening}{closing}{"]" * 5_000}}}', MEMBER)


def test_a_deep_value_is_read_from_a_deep_stack() -> None:
    """The value is read however few calls the caller's stack has left for the merge."""

    def down(levels: int) -> Any:
        return merged(f'{{"{REQUEST}":1,"x":{nested(990)}}}') if levels == 0 else down(levels - 1)

    assert down(sys.getrecursionlimit() - 150 - depth()).startswith(f'{{"{REQUEST}_unverified":1')


def depth() -> int:
    """Return how many frames are on the stack."""
    frame, number = sys._getframe(), 0
    while frame.f_back is not None:
        frame, number = frame.f_back, number + 1
    return number


def test_time_grows_linearly_with_depth() -> None:
    """Eight times the depth takes less than thirty times as long."""

    def seconds(levels: int) -> float:
        text = f'{{"{REQUEST}":1,"x":{nested(levels)}}}'
        started = time.process_time()
        merged(text, MEMBER)
        return time.process_time() - started

    short = min(seconds(100_000) for _ in range(3))
    assert min(seconds(800_000) for _ in range(3)) < 30 * short


@pytest.mark.parametrize("text", ["{}", " {\n} "])
def test_an_object_without_members_has_none(text: str) -> None:
    """An empty object is found with any spacing and depth."""
    assert members_of(text) == []


def test_ten_megabytes_are_kept_byte_for_byte() -> None:
    """Long strings, many members and long white space stay as they are."""
    for content in (f'"a":"{"x" * 10_000_000}"', ",".join(f'"k{i}":{i}' for i in range(300_000)), " " * 10_000_000):
        text = f"{{{content}}}"
        comma = "," if content.strip() else ""
        assert merged(text, MEMBER) == f"{{{content}{comma}{OURS}}}"
        if comma:
            unusual = f'{{{content},"api_key":1e400}}'
            assert merged(unusual, MEMBER) == f'{{{content},"api_key_unverified":1e400,{OURS}}}'


WHITE_SPACE = st.text(" \t\r\n", max_size=2)


def _number(value: float) -> str:
    return json.dumps(value)


def _object(members: list[tuple[str, str, str, str]]) -> str:
    return "{" + ",".join(f"{left}{name}{right}:{value}{left}" for name, value, left, right in members) + "}"


NAMES = st.sampled_from(
    [f'"{REQUEST}"', f'"{SUBJECT}"', r'"\u0061pi_key"', f'"{SUBJECT}_unverified"', '"a"']
) | st.text(max_size=4).map(json.dumps)
SCALARS = (
    st.sampled_from(ODD_VALUES)
    | st.integers().map(str)
    | st.floats().map(_number)
    | st.text(max_size=5).map(json.dumps)
    | st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False))
)
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=3).map(lambda elements: f"[{', '.join(elements)}]")
        | st.lists(st.tuples(NAMES, values, WHITE_SPACE, WHITE_SPACE), max_size=3).map(_object)
    ),
    max_leaves=4,
)
OBJECTS = st.lists(st.tuples(NAMES, VALUES, WHITE_SPACE, WHITE_SPACE), max_size=5).map(_object)
MERGES = st.sampled_from(
    [
        (None, None),
        (MEMBER, None),
        (None, MEMBER),
        (MEMBER, key_member("k_2", span=None)),
        (ambiguous_member("1"), None),
    ]
)


@given(text=OBJECTS, around=st.tuples(WHITE_SPACE, WHITE_SPACE), members=MERGES)
@example(text='{"\ud800":1}', around=("", ""), members=(MEMBER, None))
def test_every_object_is_preserved(text: str, around: tuple[str, str], members: Any) -> None:
    """Any JSON object keeps every member, value and byte, as ``str`` and as ``bytes``."""
    text = f"{around[0]}{text}{around[1]}"
    assert check(text, merge_of(*members)) in ("object", "nothing")
    if text.isprintable() and not any("\ud800" <= character <= "\udfff" for character in text):
        check(text.encode(), merge_of(*members))


@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=12), members=MERGES)
def test_invalid_json_stays_untouched(tokens: list[str], members: Any) -> None:
    """Any sequence of tokens is either an object, and preserved, or untouched."""
    check("".join(tokens), merge_of(*members))
    check("".join(tokens).encode(), merge_of(*members))


@given(raw=st.binary(max_size=20), members=MERGES)
def test_arbitrary_bytes_stay_untouched(raw: bytes, members: Any) -> None:
    """Any bytes are either an object, and preserved, or untouched."""
    check(raw, merge_of(*members))
    check(b'{"a":"' + raw + b'"}', merge_of(*members))
