"""Functions of every binding, kind and signature, as source."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

KINDS = ("sync", "coroutine", "generator", "async_generator")

_BODIES = {
    "sync": "LOG.append(seen)\nif ERROR: raise ERROR[0]\nreturn RESULT",
    "coroutine": "LOG.append(seen)\nawait pause()\nif ERROR: raise ERROR[0]\nreturn RESULT",
    "generator": """
        LOG.append(seen)
        got = RESULT
        try:
            while True:
                try:
                    got = yield got
                    LOG.append(got)
                except KeyError as error:
                    LOG.append(("caught", error.args))
                except GeneratorExit:
                    if got == "stubborn":
                        yield "not yet"
                    raise
                if got == "return":
                    return "returned"
                if got == "raise" and ERROR:
                    raise ERROR[0]
        finally:
            LOG.append("end")
    """,
}
_BODIES["async_generator"] = (
    _BODIES["generator"]
    .replace('return "returned"', "return")
    .replace("got = RESULT", "got = RESULT; await pause()")
    .replace('yield "not yet"', "pass")  # leaves an async generator that nobody can close
    .replace('LOG.append("end")', 'await pause(); LOG.append("end")')
)

_HEAD = """
import asyncio, functools
import wrapt

async def pause():
    await asyncio.sleep(0)

def decorated(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def well_decorated(function):
    return functools.wraps(function)(decorated(function))

@wrapt.decorator
def foreign(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)

class Base:
    def name(self):
        return "Base"
"""

_COMMON: dict[str, Any] = {"__name__": "shape"}
exec(_HEAD, _COMMON)  # noqa: S102 - the text above

# How a function is bound: its source, the name of the target, and how it is reached.
FORMS = {
    "function": ("{function}", "f", "f"),
    "closure": ("def make():\n    cell = LOG\n{inner}\n    return f\nf = make()", "f", "f"),
    "method": ("class C(Base):\n{method}", "C.f", "C().f"),
    "inherited": ("class B(Base):\n{method}\nclass C(B): ...", "C.f", "C().f"),
    "static": ("class C(Base):\n    @staticmethod\n{inner}", "C.f", "C().f"),
    "class": ("class C(Base):\n    @classmethod\n{method}", "C.f", "C.f"),
    "bound": ("class C(Base):\n{method}\nf = C().f", "f", "f"),
    "callable": ("class C(Base):\n{method}\n    __call__ = f\nf = C()", "f", "f"),
    "wraps": ("@well_decorated\n{function}", "f", "f"),
    "decorated": ("@decorated\n{function}", "f", "f"),
    "foreign": ("@foreign\n{function}", "f", "f"),
    "foreign_method": ("class C(Base):\n    @foreign\n{method}", "C.f", "C().f"),
    "partial": ("{function}\nf = functools.partial(f)", "f", "f"),
    "lru_cache": ("@functools.lru_cache\n{function}", "f", "f"),
    "lru_cache_method": ("class C(Base):\n    @functools.lru_cache\n{method}", "C.f", "C().f"),
}


@dataclass(frozen=True)
class Parameters:
    """A parameter list; ``mangled`` begins with two underscores, which a class mangles."""

    positional_only: int
    positional: int
    defaults: int
    variadic: bool
    keyword_only: tuple[bool, ...]
    keywords: bool

    NAMES = ("action", "größe", "_keyaudit_0", "__hidden", "print", "cell_")

    @property
    def names(self) -> tuple[str, ...]:
        return self.NAMES[: self.positional_only + self.positional]

    def source(self, *first: str) -> str:
        """Return the list as source."""
        names = [*first, *self.names]
        with_default = len(names) - min(self.defaults, len(self.names))
        parts = [f"{name}={position}" if position >= with_default else name for position, name in enumerate(names)]
        if self.positional_only:
            parts.insert(len(first) + self.positional_only, "/")
        if self.variadic or self.keyword_only:
            parts.append("*args" if self.variadic else "*")
        parts += [f"only_{number}" + ("=None" if free else "") for number, free in enumerate(self.keyword_only)]
        return ", ".join([*parts, *(["**kwargs"] if self.keywords else [])])

    def seen(self) -> str:
        """Return an expression for all arguments of a function."""
        names = [*self.names, *(f"only_{number}" for number in range(len(self.keyword_only)))]
        names += ["args"] * self.variadic + ["sorted(kwargs.items())"] * self.keywords
        return f"[{', '.join(names)}]"


parameters = st.builds(
    Parameters,
    positional_only=st.integers(0, 2),
    positional=st.integers(0, 4),
    defaults=st.integers(0, 6),
    variadic=st.booleans(),
    keyword_only=st.lists(st.booleans(), max_size=2).map(tuple),
    keywords=st.booleans(),
)

arguments = st.tuples(
    st.lists(st.integers(), max_size=7).map(tuple),
    st.dictionaries(st.sampled_from([*Parameters.NAMES, "only_0", "only_1", "other"]), st.integers(), max_size=3),
)


class Shape:
    """A module with one function of a shape.

    Args:
        form: How it is bound, one of ``FORMS``.
        kind: One of ``KINDS``.
        of: Its parameters.
    """

    def __init__(self, form: str, kind: str, of: Parameters) -> None:
        template, self.name, self._reach = FORMS[form]
        method = ("cls" if form == "class" else "self",)
        own_class = "__class__, super().name, " if "{method}" in template and form != "class" else ""
        source = template.format(
            function=_function(kind, of),
            inner=textwrap.indent(_function(kind, of, cell="cell, " if form == "closure" else ""), "    "),
            method=textwrap.indent(_function(kind, of, *method, cell=own_class), "    "),
        )
        self.module: Any = ModuleType("shape")
        self.module.__dict__.update(_COMMON, LOG=[], ERROR=[], RESULT=object())
        exec(source, self.module.__dict__)  # noqa: S102 - a function of a drawn shape

    def reach(self) -> Any:
        """Return the callable as the application reaches it."""
        return eval(self._reach, self.module.__dict__)  # noqa: S307 - one of the forms above


def _function(kind: str, of: Parameters, *first: str, cell: str = "") -> str:
    prefix = "async " if kind in ("coroutine", "async_generator") else ""
    body = f"seen = {of.seen()}\n{cell or 'None'}\n" + textwrap.dedent(_BODIES[kind])
    return f"{prefix}def f({of.source(*first)}):\n" + textwrap.indent(body, "    ")
