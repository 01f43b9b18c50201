"""Find the types that an annotation allows, and whether these are strings, bytes or mappings.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.row.types.column_types import UNKNOWN

_KINDS_BY_NAME = {
    "str": "text",
    "LiteralString": "text",
    "bytes": "bytes",
    "bytearray": "bytes",
    "memoryview": "bytes",
    **dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict"), "dict"),
}

_WRAPPERS = frozenset({
    "Annotated", "ClassVar", "DynamicMapped", "Final", "InitVar", "Mapped", "NotRequired", "Optional", "ReadOnly",
    "Required", "WriteOnlyMapped",
})  # fmt: skip
"""Generic names whose first argument is the type."""

_ARE_LAZY: bool = sys.version_info >= (3, 14)

_MAY_BE_DICT = (typing.Any, types.NoneType)

_MAX_DEPTH = 20
"""Maximum depth of aliases and brackets, because an alias can refer to itself."""


class AllowedType(NamedTuple):
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
    names: Mapping[str, Any]

    @property
    def kind(self) -> str | None:
        """``text``, ``bytes`` or ``dict``; ``UNKNOWN`` for any other type; ``None`` if it may be one of them."""
        cls = self.cls
        if cls is None:
            return _KINDS_BY_NAME.get(self.name)
        if issubclass(cls, str):
            return "text"
        if issubclass(cls, (bytes, bytearray, memoryview)):
            return "bytes"
        if issubclass(cls, Mapping):
            return "dict"
        may_be_dict = cls in _MAY_BE_DICT or quietly(issubclass, dict, cls) is not False
        return None if may_be_dict or "json" in cls.__name__.lower() else UNKNOWN


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
    for _ in range(_MAX_DEPTH):
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
        annotations = annotations_of(base)
        if name in annotations:
            found = kind_of_annotation(annotations[name], names_around(base))
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


def names_around(cls: type) -> Mapping[str, Any]:
    """Return the names in the module of a class, which its annotations may use."""
    return vars(sys.modules.get(cls.__module__, types))


def kind_of_annotation(annotation: Any, names: Mapping[str, Any]) -> str | None:
    """Return the kind of an annotation.

    Returns:
        ``text``, ``bytes`` or ``dict``; ``UNKNOWN`` if it allows none of them; ``None`` if it cannot be determined, or
        allows both a dict and a string.
    """
    kinds = {one.kind for one in allowed_types(annotation, names)} - {None}
    if kinds == {UNKNOWN}:
        return UNKNOWN
    kinds.discard(UNKNOWN)
    if not kinds or {"text", "dict"} <= kinds or {"bytes", "dict"} <= kinds:
        return None
    return "text" if "text" in kinds else kinds.pop()


def allowed_types(annotation: Any, names: Mapping[str, Any], depth: int = _MAX_DEPTH) -> Iterator[AllowedType]:
    """Yield the types that an annotation allows.

    Args:
        annotation: An object, a string or a node of a syntax tree.
        names: The names that it may use.
        depth: The number of aliases and brackets that may still follow.
    """
    if depth == 0 or annotation is None:
        return
    if isinstance(annotation, (str, typing.ForwardRef)):
        yield from allowed_types(_parsed(annotation), names, depth - 1)
    elif isinstance(annotation, ast.expr):
        yield from _types_of_node(annotation, names, depth - 1)
    elif isinstance(annotation, typing.TypeVar):
        yield from _types_of_each(quietly(_bounds, annotation) or (), names, depth - 1)
    elif isinstance(annotation, type) and typing.get_origin(annotation) is None:
        yield AllowedType(annotation.__name__, annotation, (), names)
    else:
        yield from _types_of_generic(annotation, names, depth - 1)


def _types_of_each(annotations: Iterable[Any], names: Mapping[str, Any], depth: int) -> Iterator[AllowedType]:
    for annotation in annotations:
        yield from allowed_types(annotation, names, depth)


def _types_of_generic(annotation: Any, names: Mapping[str, Any], depth: int) -> Iterator[AllowedType]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    name = getattr(origin, "__name__", None) or getattr(origin, "_name", None)
    if origin in (typing.Union, types.UnionType):
        yield from _types_of_each(arguments, names, depth)
    elif name in _WRAPPERS:
        yield from allowed_types(arguments[0], names, depth)
    elif (inner := _renamed(annotation, origin)) is not None:
        yield from allowed_types(inner, names, depth)
    else:
        name = name or str(getattr(annotation, "_name", ""))  # of a special form such as ``LiteralString``
        yield AllowedType(name, origin if isinstance(origin, type) else None, arguments, names)


def _renamed(annotation: Any, origin: Any) -> Any:
    """Return the annotation inside a ``NewType``, a type alias or an ``InitVar``, ``None`` for any other."""
    if origin is not None:
        return _aliased(origin)
    return getattr(annotation, "__supertype__", None) or _aliased(annotation) or getattr(annotation, "type", None)


def _types_of_node(node: ast.expr, names: Mapping[str, Any], depth: int) -> Iterator[AllowedType]:
    if isinstance(node, ast.Constant):
        yield from allowed_types(node.value if isinstance(node.value, str) else None, names, depth)
    elif isinstance(node, ast.BinOp):
        yield from _types_of_each((node.left, node.right), names, depth)
    elif isinstance(node, ast.Tuple):  # the constraints of a type variable
        yield from _types_of_each(node.elts, names, depth)
    elif isinstance(node, ast.Subscript):
        yield from _types_of_subscript(node, names, depth)
    elif (value := _looked_up(node, names)) is not None:
        yield from allowed_types(value, names, depth)
    else:
        yield AllowedType(_last_name(node), None, (), names)


def _types_of_subscript(node: ast.Subscript, names: Mapping[str, Any], depth: int) -> Iterator[AllowedType]:
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    name = _last_name(node.value)
    if name == "Union":
        yield from _types_of_each(arguments, names, depth)
    elif name in _WRAPPERS:
        yield from allowed_types(arguments[0], names, depth)
    else:
        for one in allowed_types(node.value, names, depth):
            yield one._replace(arguments=arguments, names=names)


def _last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, an empty string for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _looked_up(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the current value of a dotted name, without importing or computing anything."""
    if isinstance(node, ast.Attribute):
        owner = _looked_up(node.value, names)
        return vars(owner).get(node.attr) if isinstance(owner, (types.ModuleType, type)) else None
    return names.get(node.id, vars(builtins).get(node.id)) if isinstance(node, ast.Name) else None


def _parsed(annotation: str | typing.ForwardRef) -> ast.expr | None:
    """Return the syntax tree of a string annotation, ``None`` if it is not an expression."""
    text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
    with expected(SyntaxError, ValueError):
        return ast.parse(text.strip(), mode="eval").body
    return None


def _aliased(annotation: Any) -> Any:
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
