"""Read several arguments of a call at once if all of them are plain: short ASCII strings without a credential.

Nearly all events and requirements are plain. They need no conversion, and one check serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from otel_keyaudit.key.canonical import MAX_LENGTH
from otel_keyaudit.patching.arguments import Arguments, Binding
from otel_keyaudit.targets.call import plain_parameter
from otel_keyaudit.targets.expressions.expression import Source
from otel_keyaudit.targets.presented_credential import Credentials, contains

PlainReader = Callable[[Arguments, Credentials], "tuple[str, ...] | None"]
"""Returns the arguments of a call, ``None`` if one of them is not plain; see :func:`plain_reader`."""


def plain_reader(sources: Iterable[Source | None], binding: Binding) -> PlainReader | None:
    """Return the function that reads the arguments of a call at once.

    Args:
        sources: The source of each argument.
        binding: The binding of all calls.

    Returns:
        The function, which takes a call and the credentials that its request presented; ``None`` if a source is not a
        parameter with the same position in every call.
    """
    positions = [_position(source, binding) for source in sources]
    if not positions or None in positions:
        return None
    pick = _picker(positions)

    def read(call: Arguments, credentials: Credentials) -> tuple[str, ...] | None:
        values = pick(call.positional)
        if not {*map(type, values)} <= _STRINGS:
            return None
        joined = "\n".join(values)
        is_plain = len(joined) <= MAX_LENGTH and joined.isascii() and not contains(joined, credentials)
        return values if is_plain else None

    return read


_STRINGS = {str}


def _position(source: Source | None, binding: Binding) -> int | None:
    parameter = None if source is None else plain_parameter(source)
    return None if parameter is None else binding.position(parameter)


def _picker(positions: list[Any]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return the function that picks the positional arguments at these positions."""
    if len(positions) == 1:
        (only,) = positions
        return lambda positional: (positional[only],)
    return itemgetter(*positions)
