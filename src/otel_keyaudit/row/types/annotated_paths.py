"""Determine the kind of the value at the end of a path from the annotation of a parameter or result.

The annotation ``rows: list[Row]`` determines the kind of ``args.rows[].extra``, although each row is a plain dict. An
attribute needs no such search, because the class of its object has annotations.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otel_keyaudit.row.types.annotations import (
    AllowedType,
    allowed_types,
    annotation_of_parameter,
    annotations_of,
    kind_of_annotation,
    names_around,
)
from otel_keyaudit.row.types.column_types import UNKNOWN
from otel_keyaudit.targets.expressions.steps import Step

_Annotation = tuple[Any, Mapping[str, Any]]
"""An annotation, and the names that it may use."""


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
            return _refuse_dict([(annotations[name], names_around(base))], member)
    return False


def _refuse_dict(annotations: list[_Annotation], member: str) -> bool:
    mappings = [one for annotation in annotations for one in allowed_types(*annotation) if _is_mapping(one)]
    return bool(mappings) and all(_refuses_dict(one, Step("name", member)) for one in mappings)


def _refuses_dict(one: AllowedType, step: Step) -> bool:
    is_declared = hasattr(one.cls, "__total__")  # a TypedDict
    values = [kind_of_annotation(*part) for part in _parts(one, step)]
    return not {"text", "bytes", UNKNOWN}.isdisjoint(values) or (is_declared and not values)


def _annotations_at(found: _Annotation | None, steps: Sequence[Step]) -> list[_Annotation]:
    """Return the annotations at the end of a path that begins at an annotation."""
    annotations = [] if found is None else [found]
    for step in steps:
        annotations = [part for one in annotations for allowed in allowed_types(*one) for part in _parts(allowed, step)]
    return annotations


def kind_of_further_keyword(function: Any, keywords: str, name: str) -> str | None:
    """Return the kind in the annotation of ``**keywords``, for a keyword without its own parameter."""
    found = annotation_of_parameter(function, keywords)
    if found is None:
        return None
    for one in allowed_types(*found):
        if one.name == "Unpack":
            parts = _annotations_at((one.arguments[0], one.names), [Step("name", name)])
            return kind_of_annotation(*parts[0]) if parts else None
    return kind_of_annotation(*found)


def _parts(one: AllowedType, step: Step) -> Iterator[_Annotation]:
    """Yield the annotations of the element or member to which a step leads."""
    if step.kind not in ("each", "index") and hasattr(one.cls, "__total__"):  # a TypedDict
        annotations = annotations_of(one.cls)
        if step.operand in annotations:
            yield annotations[step.operand], names_around(one.cls)  # type: ignore[arg-type]
        return
    for part in _arguments_at(one, step):
        yield part, one.names


def _arguments_at(one: AllowedType, step: Step) -> Sequence[Any]:
    arguments = [argument for argument in one.arguments if not _is_ellipsis(argument)]
    is_tuple = one.name.lower() == "tuple"
    if step.kind == "each":
        return arguments if is_tuple else arguments[:1]
    if step.kind == "index" and is_tuple and len(arguments) == len(one.arguments):
        return arguments[step.operand : step.operand + 1 or None]
    if step.kind == "index":
        return arguments[:1]
    return arguments[1:2] if _is_mapping(one) else ()


def _is_mapping(one: AllowedType) -> bool:
    return one.kind == "dict"


def _is_ellipsis(argument: Any) -> bool:
    return argument is Ellipsis or (isinstance(argument, ast.Constant) and argument.value is Ellipsis)
