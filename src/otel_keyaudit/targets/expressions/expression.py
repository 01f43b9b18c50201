"""Parse the expressions of a target string, refuse secrets, and evaluate expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from otel_keyaudit.errors import ConfigurationError, MissingError, shown
from otel_keyaudit.targets.expressions.filters import Filter, compile_filter
from otel_keyaudit.targets.expressions.secret_names import is_secret, unwraps
from otel_keyaudit.targets.expressions.steps import Step, follow

_NAME = r"(?:[^\W\d]|%[0-9A-Fa-f]{2})(?:\w|%[0-9A-Fa-f]{2})*"
_ROOT = re.compile(
    rf"\s*(?:(?P<of>args|closure)\.(?P<name>{_NAME})|(?P<root>return|self|exc)(?![\w%])|(?P<scope>scope)(?=[.\[]))"
)
_FIRST = re.compile(rf"\s*(?P<name>{_NAME})(?P<call>\(\))?")
_STEP = re.compile(
    rf"\.(?P<name>{_NAME})(?P<call>\(\))?|\[(?P<index>-?\d{{1,9}})\]|\['(?P<item>[^']*)'\]|\[\"(?P<item2>[^\"]*)\"\]|(?P<each>\[\])"
)
_FILTER = re.compile(r"\s*\|\s*(?P<filter>\w+)(?::(?P<argument>(?:(?!\?\?)[^|])*))?")
_OTHERWISE = re.compile(r"\s*\?\?")
_REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_WRONG_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Path(NamedTuple):
    """One alternative of an expression.

    Attributes:
        root: ``args``, ``closure``, ``return``, ``self``, ``scope``, ``exc``, or ``None`` for the key object.
        name: The parameter for ``args``, the free variable for ``closure``.
        steps: The steps from there.
        filters: The filters at its end.
    """

    root: str | None
    name: str | None
    steps: tuple[Step, ...]
    filters: tuple[Filter, ...] = ()

    def follow(self, start: Any) -> Any:
        """Return the value at the end of the path, ``None`` if a value along the path is ``None``."""
        return self.filtered(follow(start, self.steps))

    def filtered(self, value: Any) -> Any:
        """Return a value after the filters."""
        for apply in self.filters:
            value = apply(value)
        return value

    @property
    def parameter(self) -> str | None:
        """The parameter at which the path starts, if it starts at one."""
        return self.name if self.root == "args" else None

    @property
    def member(self) -> str | None:
        """The member of the key object that the path reads, if that is its only step."""
        is_member = self.root is None and [step.kind for step in self.steps] == ["name"]
        return str(self.steps[0].operand) if is_member else None

    @property
    def secret(self) -> str | None:
        """The secret name at the end of the path, also before unwrapping steps such as ``.value`` or ``[0]``."""
        for step in reversed(self.steps):
            if step.kind in ("name", "item", "call") and is_secret(step.operand):
                return str(step.operand)
            if step.kind == "name" and not unwraps(step.operand):
                return None
        return self.name if self.name is not None and is_secret(self.name) else None


class Expression(NamedTuple):
    """Alternative paths, of which the first value that is not ``None`` is used.

    Attributes:
        text: The expression as written.
        paths: The alternatives.
        is_default: Whether it is the default of a field, so that a missing attribute is unknown and not an error.
    """

    text: str
    paths: tuple[Path, ...]
    is_default: bool = False

    @property
    def roots(self) -> frozenset[str | None]:
        """The roots of the alternatives."""
        return frozenset(path.root for path in self.paths)

    @property
    def free_variables(self) -> frozenset[str]:
        """The free variables of the target that the expression reads."""
        return frozenset(path.name for path in self.paths if path.root == "closure" and path.name is not None)

    @property
    def maps(self) -> bool:
        """Whether it reads the elements of a list (``[]``), so that its value is a list."""
        return any(step.kind == "each" for path in self.paths for step in path.steps)

    def read(self, start: Callable[[Path], Any]) -> Any:
        """Return the first value that is not ``None``.

        Args:
            start: Returns the object at which a path starts.

        Raises:
            MissingError: Every alternative names a missing attribute.
        """
        return self.first(lambda path: path.follow(start(path)))

    def first(self, value_of: Callable[[Path], Any]) -> Any:
        """Return the first value that is not ``None``.

        Args:
            value_of: Returns the value of an alternative.

        Raises:
            MissingError: Every alternative names a missing attribute.
        """
        is_there = self.is_default
        for path in self.paths:
            try:
                value = value_of(path)
            except MissingError:
                if path is self.paths[-1] and not is_there:
                    raise
                continue
            if value is not None:
                return value
            is_there = True
        return None


class ObjectReference(NamedTuple):
    """``module:name.path`` in place of an expression: a function of the user, or an object that is the value."""

    text: str


Source = Expression | ObjectReference | Callable[[Any], Any]
"""The source of a value: an expression, the name of an object, or a function that takes the call."""


def parse(text: str, *, emitted: bool, is_default: bool = False) -> Expression | ObjectReference:
    """Parse an expression, or a reference to an object.

    Args:
        text: The expression as written.
        emitted: Whether its value is recorded, so that a path that ends at a secret is refused.
        is_default: Whether it is the default of a field.

    Raises:
        ConfigurationError: The expression is wrong, or would record a secret.
    """
    if _REFERENCE.fullmatch(text.strip()):
        return _reference(text.strip(), emitted=emitted)
    if _WRONG_ESCAPE.search(text):
        raise ConfigurationError(
            f"expression {shown(text)} has a '%' without two hex digits after it; write %25 instead"
        )
    paths, position = [], 0
    while True:
        path, position = _parse_path(text, position)
        paths.append(_protected(text, path) if emitted else path)
        if otherwise := _OTHERWISE.match(text, position):
            position = otherwise.end()
            continue
        if text[position:].strip():
            raise ConfigurationError(
                f"expression {shown(text)} cannot be read from {shown(text[position:])} on; "
                "allowed are .name, .name(), [0], ['item'], [] after a root or name, then |filter:argument, then ??"
            )
        return Expression(text, tuple(paths), is_default)


def _parse_path(text: str, position: int) -> tuple[Path, int]:
    root, name, steps = None, None, []
    if match := _ROOT.match(text, position):
        root = match["of"] or match["root"] or match["scope"]
        name = None if match["name"] is None else decode(text, match["name"])
        position = match.end()
    elif match := _FIRST.match(text, position):
        steps.append(Step("call" if match["call"] else "name", decode(text, match["name"])))
        position = match.end()
    elif not _STEP.match(text, position):
        raise ConfigurationError(
            f"expression {shown(text)} has no path at {shown(text[position:])}; a path starts with a name"
        )
    while match := _STEP.match(text, position):
        steps.append(_step(text, match))
        position = match.end()
    filters = []
    while match := _FILTER.match(text, position):
        argument = None if match["argument"] is None else decode(text, match["argument"].strip() or match["argument"])
        filters.append(compile_filter(text, match["filter"], argument))
        position = match.end()
    return Path(root, name, tuple(steps), tuple(filters)), position


def _step(text: str, match: re.Match[str]) -> Step:
    if match["name"]:
        return Step("call" if match["call"] else "name", decode(text, match["name"]))
    if match["index"]:
        return Step("index", int(match["index"]))
    if match["each"]:
        return Step("each")
    return Step("item", decode(text, match["item"] if match["item"] is not None else match["item2"]))


def decode(text: str, part: str) -> str:
    """Decode every ``%XX`` in a part of a target string.

    Args:
        text: The whole string, for the error.
        part: The part.

    Raises:
        ConfigurationError: The bytes are not UTF-8, or a ``%`` is not followed by two hex digits.
    """
    if _WRONG_ESCAPE.search(part):
        raise ConfigurationError(f"{shown(text)} has a '%' without two hex digits after it; write %25 instead")
    try:
        return unquote_to_bytes(part).decode() if "%" in part else part
    except UnicodeDecodeError:
        raise ConfigurationError(f"{shown(text)} has a %XX that is not UTF-8") from None


def _reference(text: str, *, emitted: bool) -> ObjectReference:
    names = text.partition(":")[2].split(".")
    secret = Path(None, None, tuple(Step("name", name) for name in names)).secret
    if emitted and secret is not None:
        raise ConfigurationError(
            f"expression {shown(text)} would record {secret!r}, which holds a secret; name a function that returns "
            "a public value"
        )
    return ObjectReference(text)


def _protected(text: str, path: Path) -> Path:
    """Refuse a path that ends at a secret, unless its first filter hashes or shortens the value."""
    secret = path.secret
    if secret is None:
        return path
    hidden = path.filters and path.filters[0].for_secret()
    if not hidden or (hidden.name == "tail" and any(step.kind == "each" for step in path.steps)):
        raise ConfigurationError(
            f"expression {shown(text)} would record {secret!r}, which holds a secret; "
            "allowed is only its hash (|sha256:16) or the last four characters of a string (|tail:4) at once"
        )
    return path._replace(filters=(hidden, *path.filters[1:]))
