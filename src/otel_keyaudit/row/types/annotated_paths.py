"""Determine the kind of the value at the end of a path from the annotation of a parameter or result.

The annotation ``rows: list[Row]`` determines the kind of ``args.rows[].extra``, although each row is a plain dict. An
attribute needs no such search, because the class of its object has annotations.
"""

from __future__ import annotations

import ast
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from otel_keyaudit.row.types.annotations import (
    KINDS_BY_NAME,
    MAX_DEPTH,
    WRAPPERS,
    aliased,
    annotation_of_parameter,
    annotations_of,
    kind_of_annotation,
    last_name,
    looked_up,
    parsed,
)
from otel_keyaudit.row.types.column_types import UNKNOWN
from otel_keyaudit.targets.expressions.steps import Step

_Names = Mapping[str, Any]


class _Type(NamedTuple):
    """One of the types that an annotation allows.

    Attributes:
        name: The name of the class.
        cls: The class; ``None`` if only its name is known.
        arguments: The annotations in the brackets.
        names: The names that the arguments may use.
    """

    name: str
    cls: type | None
    arguments: Sequence[Any]
    names: _Names


def kind_at_path(function: Any, parameter: str, steps: Sequence[Step]) -> str | None:
    """Return the kind at the end of a path: ``text``, ``bytes`` or ``dict``; ``None`` if it is unknown.

    Args:
        function: The function.
        parameter: The parameter, or ``return``.
        steps: The steps from the parameter or result.
    """
    ends = {kind_of_annotation(*one) for one in _annotations_at(annotation_of_parameter(function, parameter), steps)}
    return ends.pop() if len(ends) == 1 else None


def refuses_dict_in_parameter(function: Any, parameter: str, steps: Sequence[Step], member: str) -> bool:
    """Return whether the mapping at the end of a path has no member of this name with a dict as value.

    Args:
        function: The function.
        parameter: The parameter.
        steps: The steps from the parameter.
        member: The name of the member.
    """
    return _refuse_dict(_annotations_at(annotation_of_parameter(function, parameter), steps), member)


def refuses_dict_in_attribute(kind: type, name: str, member: str) -> bool:
    """Return whether the mapping in an attribute has no member of this name with a dict as value."""
    for base in kind.__mro__:
        annotations = annotations_of(base)
        if name in annotations:
            return _refuse_dict([(annotations[name], vars(sys.modules.get(base.__module__, types)))], member)
    return False


def _refuse_dict(annotations: list[tuple[Any, _Names]], member: str) -> bool:
    allowed = [one for annotation, names in annotations for one in _types(annotation, names, MAX_DEPTH)]
    mappings = [one for one in allowed if _is_mapping(one)]
    return bool(mappings) and all(_refuses_dict(one, Step("name", member)) for one in mappings)


def _refuses_dict(one: _Type, step: Step) -> bool:
    is_declared = hasattr(one.cls, "__total__")  # a TypedDict
    values = [kind_of_annotation(*part) for part in _parts(one, step)]
    return not {"text", "bytes", UNKNOWN}.isdisjoint(values) or (is_declared and not values)


def _annotations_at(found: tuple[Any, _Names] | None, steps: Sequence[Step]) -> list[tuple[Any, _Names]]:
    """Return the annotations at the end of a path that begins at an annotation."""
    annotations = [] if found is None else [found]
    for step in steps:
        kinds = [one for annotation, names in annotations for one in _types(annotation, names, MAX_DEPTH)]
        annotations = [part for one in kinds for part in _parts(one, step)]
    return annotations


def kind_of_further_keyword(function: Any, keywords: str, name: str) -> str | None:
    """Return the kind in the annotation of ``**keywords``, for a keyword without its own parameter."""
    found = annotation_of_parameter(function, keywords)
    if found is None:
        return None
    for one in _types(*found, MAX_DEPTH):
        if one.name == "Unpack":
            step = Step("name", name)
            parts = [part for row in _types(one.arguments[0], one.names, MAX_DEPTH) for part in _parts(row, step)]
            return kind_of_annotation(*parts[0]) if parts else None
    return kind_of_annotation(*found)


def _parts(one: _Type, step: Step) -> Iterator[tuple[Any, _Names]]:
    """Return the annotations of the element or member to which a step leads."""
    arguments = [argument for argument in one.arguments if not _is_ellipsis(argument)]
    is_tuple = one.name.lower() == "tuple"
    if step.kind == "each":
        parts = arguments if is_tuple else arguments[:1]
    elif step.kind == "index" and is_tuple and len(arguments) == len(one.arguments):
        parts = arguments[step.operand : step.operand + 1 or None]
    elif step.kind == "index":
        parts = arguments[:1]
    elif hasattr(one.cls, "__total__"):  # a TypedDict
        annotations = annotations_of(one.cls)
        parts = [annotations[step.operand]] if step.operand in annotations else []
    else:
        parts = arguments[1:2] if _is_mapping(one) else []
    for part in parts:
        yield part, one.names


def _is_mapping(one: _Type) -> bool:
    return KINDS_BY_NAME.get(one.name) == "dict" if one.cls is None else issubclass(one.cls, Mapping)


def _is_ellipsis(argument: Any) -> bool:
    return argument is Ellipsis or (isinstance(argument, ast.Constant) and argument.value is Ellipsis)


def _types(annotation: Any, names: _Names, depth: int) -> Iterator[_Type]:
    """Return the types that an annotation allows, without evaluating it."""
    if depth == 0 or annotation is None:
        return
    if isinstance(annotation, (str, typing.ForwardRef)):
        yield from _types(parsed(annotation), names, depth - 1)
    elif isinstance(annotation, ast.expr):
        yield from _types_of_node(annotation, names, depth)
    elif isinstance(annotation, type) and typing.get_origin(annotation) is None:
        yield _Type(annotation.__name__, annotation, (), vars(sys.modules.get(annotation.__module__, types)))
    else:
        yield from _types_of_generic(annotation, names, depth)


def _types_of_generic(annotation: Any, names: _Names, depth: int) -> Iterator[_Type]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    name = getattr(origin, "__name__", None) or getattr(origin, "_name", None) or ""
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _types(argument, names, depth - 1)
    elif name in WRAPPERS:
        yield from _types(arguments[0], names, depth - 1)
    elif origin is not None:
        yield _Type(name, origin if isinstance(origin, type) else None, arguments, names)
    else:
        yield from _types(getattr(annotation, "__supertype__", None) or aliased(annotation), names, depth - 1)


def _types_of_node(node: ast.expr, names: _Names, depth: int) -> Iterator[_Type]:
    if isinstance(node, ast.Constant):
        yield from _types(node.value if isinstance(node.value, str) else None, names, depth - 1)
    elif isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            yield from _types(side, names, depth - 1)
    elif isinstance(node, ast.Subscript):
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        name = last_name(node.value)
        if name == "Union" or name in WRAPPERS:
            for argument in arguments if name == "Union" else arguments[:1]:
                yield from _types(argument, names, depth - 1)
        else:
            cls = looked_up(node.value, names)
            yield _Type(name, cls if isinstance(cls, type) else None, arguments, names)
    else:
        yield from _types(looked_up(node, names), names, depth - 1)
