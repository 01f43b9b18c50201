"""Check a target against the parameters and free variables of its function."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from otel_keyaudit.errors import hint
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.expressions.expression import Expression, Path
from otel_keyaudit.targets.target import DEFAULT_PLACE, AuditTarget


def explain_mismatch(target: Target, binding: Binding, free_variables: Collection[str] = ()) -> str | None:
    """Explain why a function lacks a value that a target reads; return ``None`` if it has all of them.

    Args:
        target: The target.
        binding: The parameters of the function.
        free_variables: Its free variables (``co_freevars``).
    """
    if isinstance(target, AuditTarget) and target.fields_place is DEFAULT_PLACE:
        name = DEFAULT_PLACE.name or ""
        if name not in binding:
            return (
                f"it has no parameter {name!r}{hint(name, binding.names)}; "
                "add fields=… with the place of the additional fields, or fields=none"
            )
    lookup = _explain_lookup(target, binding)
    if lookup is not None:
        return lookup
    for field, path in _paths(target):
        name = path.name or ""
        if path.root == "self" and not binding.has_self:
            return f"field {field!r} reads self, but it is not a method"
        if path.root == "args" and name not in binding:
            return f"field {field!r} reads a parameter {name!r}, which it does not have{hint(name, binding.names)}"
        if path.root == "closure" and name not in free_variables:
            near = hint(name, free_variables)
            return f"field {field!r} reads a free variable {name!r}, which it does not have{near}"
    return None


def _explain_lookup(target: Target, binding: Binding) -> str | None:
    """Return why an undeclared keyword of ``get_or_create`` cannot receive fields: it belongs to the look-up."""
    name = target.qualified_name.rpartition(".")[2]
    path = target.fields_place if isinstance(target, AuditTarget) else None
    if not name.endswith(("get_or_create", "update_or_create")) or path is None or path.root != "args":
        return None
    if path.steps or binding.declares(path.name or ""):
        return None
    return f"keywords of {name} are a look-up; write fields=args.defaults['{path.name}'], or name the method that saves"


def _paths(target: Target) -> Iterator[tuple[str, Path]]:
    for field, source in target.sources.items():
        for path in source.paths if isinstance(source, Expression) else ():
            yield field, path
    yield from target.places.items()
