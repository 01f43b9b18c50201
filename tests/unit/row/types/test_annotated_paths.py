"""The annotation of a container tells the types of its parts."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

HEAD = """
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Dict, List, NewType, Optional, Tuple, TypedDict, TypeVar, Union

Json = NewType("Json", str)

class Base(TypedDict, total=False):
    extra: Optional[str]

class Row(Base):
    action: str

class Nested(TypedDict):
    row: Row

class Plain:
    extra: Any = None

Rows = List[Row]
Bound = TypeVar("Bound", bound=Row)
Each = TypeVar("Each")
Some = List[Each]
ROWS = []
"""

TEXT: dict[str, tuple[str, str, Any]] = {
    "list": ("rows: List[Optional[str]]", "rows[]", ([None],)),
    "iterable": ("rows: 'Iterable[Optional[str]]'", "rows[]", ([None],)),
    "iterator": ("rows: Iterator[Optional[Json]]", "rows[]", (iter([None]),)),
    "sequence": ("rows: Optional[Sequence[Annotated[Optional[str], 1]]]", "rows[]", ((None,),)),
    "tuple": ("rows: Tuple[Optional[str], ...]", "rows[]", ((None,),)),
    "element of a tuple": ("row: Tuple[int, Optional[str]]", "row[1]", ((1, None),)),
    "element of a list": ("row: List[Optional[str]]", "row[0]", ([None],)),
    "all positional arguments": ("*rows: Optional[str]", "rows[]", (None,)),
    "items of all positional arguments": ("*rows: Row", "rows[].extra", ({},)),
    "parameter beside further keywords": ("row: Optional[str], **values: Any", "row", (None,)),
    "mapping": ("row: Dict[str, Optional[str]]", "row.extra", ({},)),
    "item": ("row: Mapping[str, Union[str, None]]", "row['extra']", ({},)),
    "typed dict": ("row: Row", "row.extra", ({},)),
    "list of typed dicts": ("rows: List[Row]", "rows[].extra", ([{}],)),
    "name for it": ("rows: Rows", "rows[].extra", ([{}],)),
    "bound of a type variable": ("rows: List[Bound]", "rows[].extra", ([{}],)),
    "alias with an argument": ("rows: Some[Row]", "rows[].extra", ([{}],)),
    "list of lists": ("rows: List[List[Row]]", "rows[][].extra", ([[{}]],)),
    "annotated container": ("rows: Annotated[List[Optional[str]], 1]", "rows[]", ([None],)),
    "one of two containers": ("rows: Union[List[Optional[str]], Tuple[Optional[str], ...]]", "rows[]", ((None,),)),
    "nested": ("event: Nested", "event.row.extra", ({"row": {}},)),
}

OTHERS: dict[str, tuple[str, str, Any]] = {
    "any": ("row: Dict[str, Any]", "row.extra", ({},)),
    "object": ("rows: List[Plain]", "rows[].extra", None),
    "both": ("row: Dict[str, Union[str, dict, None]]", "row.extra", ({},)),
    "plain list": ("rows: list", "rows[]", ([None],)),
    "unknown name": ("rows: 'List[Missing]'", "rows[].extra", ([{}],)),
    "dicts": ("rows: List[Optional[Dict[str, Any]]]", "rows[]", ([None],)),
    "no such item": ("row: Row", "row.other", ({},)),
    "different elements": ("row: Tuple[Optional[str], Optional[dict]]", "row[]", ((None,),)),
}


def value_at_place(recorder: Recorder, load_module: LoadModule, future: bool, case: tuple[str, str, Any]) -> Any:
    """Return what becomes of ``None`` at the end of the path."""
    parameter, place, arguments = case
    name = parameter.partition(":")[0]
    lines = ["from __future__ import annotations"] * future
    app = load_module("\n".join([*lines, HEAD, f"def record({parameter}):", f"    ROWS.append({name.strip('*')})"]))
    recorder.instrument(audit_targets=[f"{app.__name__}:record?fields=args.{place}"])
    with use_key(ApiKey("k_1")):
        app.record(*(arguments or ([app.Plain()],)))
    value = app.ROWS[-1]
    while not isinstance(value, (str, dict)) or (isinstance(value, dict) and "request_api_key" not in value):
        if isinstance(value, app.Plain):
            value = value.extra
        elif isinstance(value, dict):
            (value,) = value.values()
        else:
            value = [*value][-1]
    return value


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize("case", TEXT)
def test_string_in_a_container(recorder: Recorder, load_module: LoadModule, future: bool, case: str) -> None:
    """It becomes JSON, whether the annotation is an object or a string."""
    kind = TEXT[case]
    arguments = (iter([None]),) if case == "iterator" else kind[2]
    assert isinstance(value_at_place(recorder, load_module, future, (*kind[:2], arguments)), str)
    assert recorder.errors() == {}


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize("case", OTHERS)
def test_other_parts_become_a_dict(recorder: Recorder, load_module: LoadModule, future: bool, case: str) -> None:
    """An annotation of no type or of several types makes the part a dict."""
    assert isinstance(value_at_place(recorder, load_module, future, OTHERS[case]), dict)
    assert recorder.errors() == {}


@pytest.mark.parametrize("annotation", ["Optional[str]", "Unpack[Row]"])
def test_further_keywords(recorder: Recorder, load_module: LoadModule, annotation: str) -> None:
    """The annotation of ``**values`` applies to each value, or names the type of each."""
    if annotation.startswith("Unpack") and sys.version_info < (3, 11):
        pytest.skip("new in Python 3.11")
    imported = "from typing import Unpack\n" if "Unpack" in annotation else ""
    app = load_module(f"{imported}{HEAD}\ndef record(**values: {annotation}):\n    ROWS.append(values)\n")
    recorder.instrument(audit_targets=[f"{app.__name__}:record?fields=args.extra"])
    with use_key(ApiKey("k_1")):
        app.record(action="a")
    assert isinstance(app.ROWS[-1]["extra"], str)
