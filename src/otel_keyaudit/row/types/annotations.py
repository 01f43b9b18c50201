"""Determine from an annotation whether a parameter or attribute takes a string, bytes or a mapping.

Annotations are never evaluated: a string is parsed, and its names are looked up in the module. Since Python 3.14 all
annotations are read as strings, because evaluation would fail for names imported under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.row.types.column_types import UNKNOWN

KINDS_BY_NAME = {
    "str": "text",
    "LiteralString": "text",
    "bytes": "bytes",
    "bytearray": "bytes",
    "memoryview": "bytes",
    **dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict"), "dict"),
}

WRAPPERS = frozenset({
    "Annotated", "ClassVar", "DynamicMapped", "Final", "InitVar", "Mapped", "NotRequired", "Optional", "ReadOnly",
    "Required", "WriteOnlyMapped",
})  # fmt: skip
"""Generic names whose first argument is the type."""

_ARE_LAZY: bool = sys.version_info >= (3, 14)

_MAY_BE_DICT = (typing.Any, types.NoneType)

MAX_DEPTH = 20
"""Maximum depth of aliases and brackets, because an alias can refer to itself."""


def kind_of_parameter(function: Any, name: str) -> str | None:
    """Return the kind in the annotation of a parameter: ``text``, ``bytes``, ``dict`` or ``None``.

    Args:
        function: The function, or a wrapper that has it in ``__wrapped__``.
        name: The parameter.
    """
    found = annotation_of_parameter(function, name)
    return None if found is None else kind_of_annotation(*found)


def annotation_of_parameter(function: Any, name: str) -> tuple[Any, Mapping[str, Any]] | None:
    """Return the annotation of a parameter and the names that it may use, ``None`` if it has none."""
    for _ in range(MAX_DEPTH):
        annotations, wrapped = annotations_of(function), getattr(function, "__wrapped__", None)
        if name in annotations and not _is_same(annotations[name], annotations_of(wrapped).get(name)):
            variables = {one.__name__: one for one in getattr(function, "__type_params__", ())}
            return annotations[name], {**getattr(function, "__globals__", {}), **variables}
        function = wrapped
    return None


def _is_same(annotation: Any, wrapped: Any) -> bool:
    """Return whether a wrapper has the annotation of the function inside, whose module has the names in it."""
    return annotation is wrapped or (isinstance(annotation, str) and annotation == wrapped)


def kind_of_attribute(kind: type, name: str) -> str | None:
    """Return the kind in a class's annotation of an attribute, a property or a parameter of ``__init__``."""
    for base in kind.__mro__:
        annotations, namespace = annotations_of(base), vars(sys.modules.get(base.__module__, types))
        if name in annotations:
            found = kind_of_annotation(annotations[name], namespace)
            if found is not None:
                return found
        getter = getattr(vars(base).get(name), "fget", None)
        if getter is not None:
            return kind_of_parameter(getter, "return")
    return kind_of_parameter(kind.__init__, name)  # type: ignore[misc]


def annotations_of(owner: Any) -> Mapping[str, Any]:
    """Return the own annotations of a function or class, as objects or strings."""
    if _ARE_LAZY:
        return quietly(_annotations_as_strings, owner) or {}
    found = vars(owner).get("__annotations__") if isinstance(owner, type) else getattr(owner, "__annotations__", None)
    return found if isinstance(found, Mapping) else {}


def kind_of_annotation(annotation: Any, namespace: Mapping[str, Any]) -> str | None:
    """Return the kind of an annotation.

    Returns:
        ``text``, ``bytes`` or ``dict``; ``UNKNOWN`` if it allows none of them; ``None`` if it cannot be determined, or
        allows both a dict and a string.
    """
    kinds = set(_kinds(annotation, namespace, MAX_DEPTH))
    if kinds == {UNKNOWN}:
        return UNKNOWN
    kinds.discard(UNKNOWN)
    if not kinds or {"text", "dict"} <= kinds or {"bytes", "dict"} <= kinds:
        return None
    return "text" if "text" in kinds else kinds.pop()


def _kinds(annotation: Any, namespace: Mapping[str, Any], depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(annotation, ast.expr):
        yield from _kinds_of_node(annotation, namespace, depth)
    elif isinstance(annotation, (str, typing.ForwardRef)):
        yield from _kinds_of_node(parsed(annotation), namespace, depth - 1)
    elif isinstance(annotation, typing.TypeVar):
        for one in quietly(_bounds, annotation) or ():
            yield from _kinds(one, namespace, depth - 1)
    elif isinstance(annotation, type) and typing.get_origin(annotation) is None:
        yield from _kinds_of_class(annotation)
    else:
        yield from _kinds_of_generic(annotation, namespace, depth - 1)


def _kinds_of_class(kind: type) -> Iterator[str]:
    if issubclass(kind, str):
        yield "text"
    elif issubclass(kind, (bytes, bytearray, memoryview)):
        yield "bytes"
    elif issubclass(kind, Mapping):
        yield "dict"
    elif kind not in _MAY_BE_DICT and quietly(issubclass, dict, kind) is False and "json" not in kind.__name__.lower():
        yield UNKNOWN


def _kinds_of_generic(annotation: Any, namespace: Mapping[str, Any], depth: int) -> Iterator[str]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    name = getattr(origin, "__name__", None) or getattr(origin, "_name", None)
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _kinds(argument, namespace, depth)
    elif name in WRAPPERS:
        yield from _kinds(arguments[0], namespace, depth)
    elif isinstance(origin, type):
        yield from _kinds_of_class(origin)
    elif getattr(annotation, "_name", None) == "LiteralString":
        yield "text"
    elif aliased(origin) is not None:  # a generic alias of a ``type`` statement
        yield from _kinds(aliased(origin), namespace, depth)
    elif origin is None:
        inner = getattr(annotation, "__supertype__", None) or aliased(annotation) or getattr(annotation, "type", None)
        if inner is not None:  # a NewType, a type alias, an InitVar
            yield from _kinds(inner, namespace, depth)


def _kinds_of_node(node: ast.expr | None, namespace: Mapping[str, Any], depth: int) -> Iterator[str]:
    if depth == 0 or node is None:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _kinds(node.value, namespace, depth)
    elif isinstance(node, ast.BinOp):
        yield from _kinds_of_node(node.left, namespace, depth - 1)
        yield from _kinds_of_node(node.right, namespace, depth - 1)
    elif isinstance(node, ast.Tuple):  # the constraints of a type variable
        for element in node.elts:
            yield from _kinds_of_node(element, namespace, depth - 1)
    elif isinstance(node, ast.Subscript):
        yield from _kinds_of_node(_type_in(node), namespace, depth - 1)
    elif (name := last_name(node)) in KINDS_BY_NAME:
        yield KINDS_BY_NAME[name]
    else:
        yield from _kinds(looked_up(node, namespace), namespace, depth)


def _type_in(node: ast.Subscript) -> ast.expr:
    """Return the part of a generic type that determines its kind."""
    name, arguments = last_name(node.value), node.slice
    if name == "Union":
        return arguments
    if name in WRAPPERS:
        return arguments.elts[0] if isinstance(arguments, ast.Tuple) else arguments
    return node.value


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, an empty string for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def looked_up(node: ast.expr, namespace: Mapping[str, Any]) -> Any:
    """Return the current value of a dotted name, without importing or computing anything."""
    if isinstance(node, ast.Attribute):
        owner = looked_up(node.value, namespace)
        return vars(owner).get(node.attr) if isinstance(owner, (types.ModuleType, type)) else None
    return namespace.get(node.id, vars(builtins).get(node.id)) if isinstance(node, ast.Name) else None


def parsed(annotation: str | typing.ForwardRef) -> ast.expr | None:
    """Return the syntax tree of a string annotation, ``None`` if it is not an expression."""
    text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
    with expected(SyntaxError, ValueError):
        return ast.parse(text.strip(), mode="eval").body
    return None


def aliased(annotation: Any) -> Any:
    """Return the value of a ``type`` statement, since Python 3.14 as a string."""
    if type(annotation).__name__ != "TypeAliasType":
        return None
    return _as_string(annotation.evaluate_value) if _ARE_LAZY else quietly(getattr, annotation, "__value__")


def _bounds(variable: Any) -> Iterable[Any]:
    """Return the bound of a type variable, or its constraints; as a string if they would have to be evaluated."""
    evaluate = (variable.evaluate_bound or variable.evaluate_constraints) if _ARE_LAZY else None
    if evaluate is None or type(evaluate).__name__ == "_ConstEvaluator":  # of a call of ``TypeVar``
        return variable.__constraints__ or (variable.__bound__,)
    return (_as_string(evaluate),)


def _as_string(evaluate: Any) -> Any:
    annotationlib = importlib.import_module("annotationlib")
    return annotationlib.call_evaluate_function(evaluate, annotationlib.Format.STRING)


def _annotations_as_strings(owner: Any) -> Mapping[str, Any]:
    annotationlib = importlib.import_module("annotationlib")
    found: Mapping[str, Any] = annotationlib.get_annotations(owner, format=annotationlib.Format.STRING)
    return found
