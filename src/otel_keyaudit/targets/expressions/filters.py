"""The filters of an expression, which convert the value at the end of a path."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from fnmatch import translate
from functools import partial
from typing import Any

from otel_keyaudit.errors import ConfigurationError, MissingError, UnreadableError, hint, shown
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.key.canonical import as_string, as_time, is_list
from otel_keyaudit.targets.expressions.steps import member

MAX_KEPT = 1_000_000
"""Maximum number of characters or elements that ``head`` and ``tail`` keep."""

MAX_VISIBLE_CHARACTERS = 4
"""Maximum number of characters of a secret that ``tail`` may keep."""

MAX_ACTORS = 10
"""Maximum number of actors of an ``act`` claim that are recorded."""


@dataclass(frozen=True)
class Filter:
    """A compiled filter.

    Attributes:
        name: Its name.
        argument: Its argument: a number, a string or ``None``.
        convert: Converts a value.
        of_none: Whether it converts ``None``. All other filters return ``None`` unchanged.
        maps: Whether it converts each element of a list, because it takes a single value.
    """

    name: str
    argument: Any
    convert: Callable[[Any], Any] = field(repr=False, compare=False)
    of_none: bool = False
    maps: bool = False

    def __call__(self, value: Any) -> Any:
        """Return the converted value."""
        if value is None and not self.of_none:
            return None
        if self.maps and is_list(value):
            return [self(element) for element in _ordered(value)]
        return self.convert(value)

    def for_secret(self) -> Filter | None:
        """Return the filter in the form that may follow a secret, ``None`` if it must not follow one."""
        if self.name == "sha256":
            return self
        if self.name == "tail" and self.argument <= MAX_VISIBLE_CHARACTERS:
            return replace(self, convert=lambda value: self.convert(_text(value)))
        return None


def compile_filter(expression: str, name: str, argument: str | None) -> Filter:
    """Compile a filter.

    Args:
        expression: The expression that contains it, for the error message.
        name: The name of the filter.
        argument: The string after the colon, ``None`` without a colon.

    Raises:
        ConfigurationError: There is no such filter, or it does not take that argument.
    """
    if name not in _FILTERS:
        raise ConfigurationError(
            f"expression {shown(expression)} has an unknown filter {shown(name)}; "
            f"known are {', '.join(sorted(_FILTERS))}{hint(name, _FILTERS)}"
        )
    try:
        return _FILTERS[name](name, argument)
    except ValueError as error:
        raise ConfigurationError(
            f"expression {shown(expression)}: filter {name!r} {error}, not {shown(argument)}"
        ) from None


def _plain(convert: Callable[[Any], Any], *, maps: bool = False) -> Callable[[str, str | None], Filter]:
    def build(name: str, argument: str | None) -> Filter:
        if argument is not None:
            raise ValueError("takes no argument")
        return Filter(name, None, convert, maps=maps)

    return build


def _split(name: str, separator: str | None) -> Filter:
    if separator == "":
        raise ValueError("takes a separator after the colon")

    def convert(value: Any) -> list[str]:
        parts = _text(value).split(separator)
        return [stripped for part in parts if (stripped := part.strip())]

    def split_elements(value: Any) -> list[str]:
        """Split each element of a list into one list."""
        if is_list(value):
            return [part for element in _ordered(value) for part in convert(element)]
        return convert(value)

    return Filter(name, separator, split_elements)


def _number(argument: str | None, low: int, high: int) -> int:
    if argument is None or not re.fullmatch(r" *[0-9]{1,9} *", argument) or not low <= int(argument) <= high:
        raise ValueError(f"takes a number from {low} to {high}")
    return int(argument)


def _head(name: str, argument: str | None) -> Filter:
    number = _number(argument, 1, MAX_KEPT)
    return Filter(name, number, lambda value: _sliceable(value)[:number])


def _tail(name: str, argument: str | None) -> Filter:
    number = _number(argument, 1, MAX_KEPT)
    return Filter(name, number, lambda value: _sliceable(value)[-number:])


def _sha256(name: str, argument: str | None) -> Filter:
    number = 16 if argument is None else _number(argument, 8, 64)

    def convert(value: Any) -> str:
        content = bytes(value) if isinstance(value, (bytes, bytearray)) else _text(value).encode()
        return hashlib.sha256(content).hexdigest()[:number]

    return Filter(name, number, convert, maps=True)


def _ts(name: str, argument: str | None) -> Filter:
    if argument not in (None, "ms"):
        raise ValueError("takes no argument or 'ms'")
    unit = "seconds" if argument is None else "milliseconds"

    def convert(value: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UnreadableError(f"filter ts takes a number, not {type(value).__name__}")
        with expected(OverflowError, ValueError):
            return _EPOCH + timedelta(**{unit: value})
        raise UnreadableError(f"filter ts takes {unit} since 1970 within the years 1 to 9999")

    return Filter(name, argument, convert, maps=True)


def _if(name: str, argument: str | None) -> Filter:
    if not argument:
        raise ValueError("takes a value, or two separated by a comma")
    yes, comma, no = argument.partition(",")
    otherwise = no.strip() if comma else None
    return Filter(name, argument, lambda value: yes.strip() if value else otherwise, of_none=True, maps=True)


def _is(name: str, argument: str | None) -> Filter:
    if not argument:
        raise ValueError("takes a glob pattern")
    matches = re.compile(translate(argument)).match
    return Filter(name, argument, lambda value: matches(_text(value)) is not None, maps=True)


def _prefix(name: str, argument: str | None) -> Filter:
    if not argument:
        raise ValueError("takes a string")
    return Filter(name, argument, lambda value: argument + _text(value), maps=True)


def _local(value: Any) -> datetime:
    time = as_time(value)
    return time.astimezone() if time.utcoffset() is None else time


def _keys(value: Any, *, true_only: bool) -> list[Any]:
    if not isinstance(value, Mapping) and not hasattr(value, "keys"):
        raise UnreadableError(f"filter keys takes a mapping, not {type(value).__name__}")
    return [key for key in value.keys() if not true_only or value[key]]  # noqa: SIM118 - not every such object iterates


def _strs(value: Any) -> list[str]:
    if isinstance(value, (str, bytes, Mapping, Iterator)) or not isinstance(value, Iterable):
        raise UnreadableError(f"filter strs takes a list, not {type(value).__name__}")
    return [_text(element) for element in _ordered(value)]


def _sliceable(value: Any) -> Any:
    """Return a list, or a scalar as a string."""
    return _ordered(value) if is_list(value) else _text(value)


def _ordered(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=_text) if isinstance(values, Set) else list(values)


def _text(value: Any) -> str:
    """Convert a scalar into a string.

    Besides the scalars of a key, numbers, addresses, dates and times are accepted. ``str`` is called only on well-known
    classes, because the string of any other object may contain a secret.
    """
    if isinstance(value, bytes):
        return value.decode()
    if type(value).__module__ in _TEXT_MODULES or isinstance(value, (bool, float)):
        return str(value)
    return as_string(value)


class Actors(list[str]):
    """The current actor and the earlier ones, at most 10.

    Attributes:
        total: The number of all actors.
    """

    total: int = 0


def _actors(value: Any) -> Actors:
    """Return the subjects of an ``act`` claim and of the nested claims, outermost first (RFC 8693, section 4.1).

    A claim is a mapping, or an object such as a model of pydantic.
    """
    actors, distinct = Actors(), set[str]()
    for _ in range(MAX_KEPT):
        if value is None:
            actors.total = len(distinct)
            return actors
        names = [one for one in (_in_claim(value, "sub"), _in_claim(value, "client_id")) if isinstance(one, str)]
        if not names:
            raise UnreadableError("filter acts found an actor without a string 'sub' or 'client_id'")
        if names[0] not in distinct and len(distinct) < MAX_ACTORS:
            actors.append(names[0])
        distinct.add(names[0])
        value = _in_claim(value, "act")
    raise UnreadableError("filter acts found an endless chain of actors")


def _in_claim(claim: Any, name: str) -> Any:
    with expected(MissingError):
        return member(claim, name)
    return None


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TEXT_MODULES = frozenset({"datetime", "decimal", "ipaddress"})

_FILTERS: dict[str, Callable[[str, str | None], Filter]] = {
    "split": _split,
    "keys": _plain(partial(_keys, true_only=False)),
    "true_keys": _plain(partial(_keys, true_only=True)),
    "str": _plain(_text, maps=True),
    "strs": _plain(_strs),
    "head": _head,
    "tail": _tail,
    "sha256": _sha256,
    "ts": _ts,
    "if": _if,
    "is": _is,
    "prefix": _prefix,
    "local": _plain(_local, maps=True),
    "acts": _plain(_actors),
}
