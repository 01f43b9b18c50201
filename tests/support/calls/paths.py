"""Reads expressions without a call, with given values for each root."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.targets.expressions.expression import Expression, Path, parse


def read(text: str, base: Any = None, **roots: Any) -> Any:
    """Return the value of an expression.

    Args:
        text: The expression.
        base: The object that paths without a root start from.
        **roots: ``args`` (a dict), ``result`` (for ``return``), ``self_``, ``scope`` and ``exc``.
    """
    expression = parse(text, emitted=False)
    assert isinstance(expression, Expression)
    return expression.read(lambda path: _start(path, base, roots))


def _start(path: Path, base: Any, roots: dict[str, Any]) -> Any:
    if path.root is None:
        return base
    if path.root == "args":
        return roots["args"][path.parameter]
    return roots[{"return": "result", "self": "self_"}.get(path.root, path.root)]
