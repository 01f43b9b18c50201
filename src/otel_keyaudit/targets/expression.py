"""The path language: where in a call a value is found (docs/reference.md, section 3). Secrets are refused at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from otel_keyaudit.errors import ConfigurationError, MissingError, UnreadableError
from otel_keyaudit.targets.filters import Filter, compile_filter

SECRET_NAMES = frozenset({
    "key", "api_key", "apikey", "raw_key", "full_key", "key_secret", "key_hash", "hashed_key", "lookup_hash",
    "token", "raw_token", "auth_token", "access_token", "refresh_token", "id_token", "token_hash", "hashed_token",
    "jwt", "secret", "client_secret", "secret_key", "private_key", "password", "passwd", "passphrase", "plaintext",
    "digest", "hmac_digest", "signature", "credential", "credentials", "authorization", "cookie",
})  # fmt: skip
"""Names of members that hold a secret wherever they are met."""

_NAME = r"[^\W\d]\w*"
_ROOT = re.compile(rf"\s*(?:args\.(?P<parameter>{_NAME})|(?P<root>return|self|exc)(?!\w)|(?P<scope>scope)(?=[.\[]))")
_FIRST = re.compile(rf"\s*(?P<name>{_NAME})(?P<call>\(\))?")
_STEP = re.compile(
    rf"\.(?P<name>{_NAME})(?P<call>\(\))?|\[(?P<index>-?\d{{1,9}})\]|\['(?P<item>[^']*)'\]|\[\"(?P<item2>[^\"]*)\"\]|(?P<each>\[\])"
)
_FILTER = re.compile(r"\s*\|\s*(?P<filter>\w+)(?::(?P<argument>(?:(?!\?\?)[^|])*))?")
_OTHERWISE = re.compile(r"\s*\?\?")
_FUNCTION = re.compile(rf"{_NAME}(?:\.{_NAME})*:{_NAME}(?:\.{_NAME})*")


class Step(NamedTuple):
    """One step of a path: ``kind`` is ``name``, ``call``, ``index``, ``item`` or ``each``."""

    kind: str
    operand: Any = None


class Path(NamedTuple):
    """One alternative: where it starts, the steps from there, the filters at the end.

    Attributes:
        root: ``args``, ``return``, ``self``, ``scope`` or ``exc``; ``None`` for a path from another object.
        parameter: The parameter, for ``args``.
    """

    root: str | None
    parameter: str | None
    steps: tuple[Step, ...]
    filters: tuple[Filter, ...] = ()

    def follow(self, start: Any) -> Any:
        """Return the value at the end of the path; ``None`` on the way gives ``None``."""
        value = _follow(start, self.steps)
        for apply in self.filters:
            value = apply(value)
        return value

    @property
    def last_names(self) -> tuple[str, ...]:
        """The last named member and the methods called after it: what tells whether the path ends at a secret."""
        names = [] if self.parameter is None else [self.parameter]
        for step in self.steps:
            if step.kind in ("name", "item"):
                names = [step.operand]
            elif step.kind == "call":
                names.append(step.operand)
        return tuple(names)


class Expression(NamedTuple):
    """Alternatives, of which the first that gives a value counts.

    Attributes:
        text: The expression as written.
        paths: Its alternatives.
        lenient: A path that leads to nothing is no error: for defaults, which name members that a key may lack.
    """

    text: str
    paths: tuple[Path, ...]
    lenient: bool = False

    @property
    def roots(self) -> frozenset[str | None]:
        """Where its alternatives start."""
        return frozenset(path.root for path in self.paths)

    @property
    def parameters(self) -> frozenset[str]:
        """Parameters of the target that it names."""
        return frozenset(path.parameter for path in self.paths if path.parameter is not None)

    def read(self, start: Callable[[Path], Any]) -> Any:
        """Return the first value that is not ``None``.

        Args:
            start: Gives the object at which a path starts.

        Raises:
            MissingError: No alternative leads anywhere.
        """
        missing: MissingError | None = None
        leads_somewhere = self.lenient
        for path in self.paths:
            try:
                value = path.follow(start(path))
            except MissingError as error:
                missing = error
                continue
            if value is not None:
                return value
            leads_somewhere = True
        if missing is not None and not leads_somewhere:
            raise missing
        return None


class FunctionReference(NamedTuple):
    """``module:function`` in place of an expression: a function of the user's, found when it is first needed."""

    text: str


def parse(text: str, *, emitted: bool, lenient: bool = False) -> Expression | FunctionReference:
    """Parse an expression, or a reference to a function.

    Args:
        text: The expression as written.
        emitted: Its value is written out, so a path that ends at a secret is refused.
        lenient: It is a default, whose members may be absent.

    Raises:
        ConfigurationError: What is wrong with it, and where.
    """
    if _FUNCTION.fullmatch(text.strip()):
        return FunctionReference(text.strip())
    paths, position = [], 0
    while True:
        path, position = _parse_path(text, position)
        paths.append(_protected(text, path) if emitted else path)
        if otherwise := _OTHERWISE.match(text, position):
            position = otherwise.end()
            continue
        if text[position:].strip():
            raise ConfigurationError(
                f"expression {text!r} cannot be read from {text[position:]!r} on; "
                "allowed are .name, .name(), [0], ['item'], [] after a root or name, then |filter:argument, then ??"
            )
        return Expression(text, tuple(paths), lenient)


def _parse_path(text: str, position: int) -> tuple[Path, int]:
    root, parameter, steps = None, None, []
    if match := _ROOT.match(text, position):
        parameter = match["parameter"]
        root = "args" if parameter else match["root"] or match["scope"]
        position = match.end()
    elif match := _FIRST.match(text, position):
        steps.append(Step("call" if match["call"] else "name", match["name"]))
        position = match.end()
    elif not _STEP.match(text, position):
        raise ConfigurationError(f"expression {text!r} has no path at {text[position:]!r}; a path starts with a name")
    while match := _STEP.match(text, position):
        steps.append(_step(match))
        position = match.end()
    found = []
    while match := _FILTER.match(text, position):
        found.append(compile_filter(text, match["filter"], match["argument"]))
        position = match.end()
    return Path(root, parameter, tuple(steps), tuple(found)), position


def _step(match: re.Match[str]) -> Step:
    if match["name"]:
        return Step("call" if match["call"] else "name", match["name"])
    if match["index"]:
        return Step("index", int(match["index"]))
    if match["each"]:
        return Step("each")
    return Step("item", match["item"] if match["item"] is not None else match["item2"])


def _protected(text: str, path: Path) -> Path:
    """Refuse a path that ends at a secret, unless a filter makes it harmless at once (docs/reference.md, section 3)."""
    secret = next((name for name in path.last_names if name.lstrip("_").lower() in SECRET_NAMES), None)
    if secret is None:
        return path
    hidden = path.filters and path.filters[0].for_secret()
    if not hidden or (hidden.name == "tail" and any(step.kind == "each" for step in path.steps)):
        raise ConfigurationError(
            f"expression {text!r} would write out {secret!r}, which holds a secret; "
            "allowed is only its hash (|sha256:16) or the last four characters of a text (|tail:4) at once"
        )
    return path._replace(filters=(hidden, *path.filters[1:]))


def _follow(value: Any, steps: tuple[Step, ...]) -> Any:
    for position, step in enumerate(steps):
        if value is None:
            return None
        if step.kind == "each":
            is_fresh = position > 0 and steps[position - 1].kind == "call"
            return _map(value, steps[position + 1 :], is_fresh=is_fresh)
        value = _READ[step.kind](value, step.operand)
    return value


def _map(values: Any, steps: tuple[Step, ...], *, is_fresh: bool) -> list[Any]:
    """Follow the rest of the path from every element; where the rest maps again, the lists become one.

    An iterator is only read when a method has just made it: any other is the application's to read.
    """
    is_taken = isinstance(values, Iterator) and not is_fresh
    if is_taken or isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise UnreadableError(f"[] maps over a list, not over {type(values).__name__}")
    results = [result for value in values if (result := _follow(value, steps)) is not None]
    if any(step.kind == "each" for step in steps):
        results = [element for result in results for element in result]
    return _sorted(results) if isinstance(values, Set) else results


def _sorted(values: list[Any]) -> list[Any]:
    """Sort what came from a set, so that one key has one snapshot; what has no order keeps none."""
    try:
        return sorted(values)
    except TypeError:
        return values


def member(value: Any, name: str) -> Any:
    """Return an item of a mapping, else an attribute, else an item of anything with ``keys()``.

    Raises:
        MissingError: There is none. An attribute that exists and raises is an error of another kind.
    """
    if isinstance(value, Mapping) and name in value:
        return value[name]
    try:
        return attribute(value, name)
    except MissingError:
        if isinstance(value, Mapping) or not hasattr(type(value), "keys"):
            raise
    return item(value, name)


def attribute(value: Any, name: str) -> Any:
    """Return an attribute.

    Raises:
        MissingError: There is none. An attribute that exists and raises is an error of another kind.
    """
    try:
        return getattr(value, name)
    except AttributeError:
        if hasattr(type(value), name):
            raise
        raise MissingError(name, value) from None


def item(value: Any, name: str | int) -> Any:
    """Return an item of a mapping by name, or of a sequence by position.

    Raises:
        MissingError: There is none.
    """
    if isinstance(value, Mapping) and name not in value:
        raise MissingError(str(name), value)
    try:
        return value[name]
    except (LookupError, TypeError):
        raise MissingError(str(name), value) from None


_READ: dict[str, Callable[[Any, Any], Any]] = {
    "name": member,
    "call": lambda value, name: attribute(value, name)(),
    "index": item,
    "item": item,
}
