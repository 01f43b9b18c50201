"""Replace all references to a callable without Python code by its replacement, and restore them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.kinds.references import IgnoredHolder, Reference, references_to
from otel_keyaudit.patching.kinds.replacement import Replacement


class _Pair(tuple[Any, Any], IgnoredHolder):
    """An object and its replacement. By its class, a search also ignores pairs that wait for collection."""

    __slots__ = ()


def _reference_count(pair: _Pair) -> int:
    return sys.getrefcount(pair[1])


_PAIR_REFERENCES = _reference_count(_Pair((None, object())))
"""Reference count of a replacement that only its pair holds."""


class Replaced(IgnoredHolder):
    """A callable and its replacement.

    Args:
        original: The callable.

    Attributes:
        pairs: Objects and their replacements: the callable, then the method objects around it.
        references: The references through which targets found one of these objects. They are always changed.
        function: The function through which the calls of the replacement pass.
        unreached: The number of references that cannot be changed.
    """

    __slots__ = ("__weakref__", "function", "pairs", "references", "unreached")

    def __init__(self, original: Any) -> None:
        replacement = Replacement(original)
        replacement._self_replaced = self
        self.function = replacement._self_function
        self.pairs = [_Pair((original, replacement))]
        self.references: list[Reference] = []
        self.unreached = 0

    def add(self, value: Any, reference: Reference | None) -> None:
        """Change a reference through which a target found the callable, or a static or class method around it."""
        if all(value is not old for old, _ in self.pairs):
            self.pairs.append(_Pair((value, type(value)(self.pairs[0][1]))))
        if reference is not None:
            self.references.append(reference)
        self.change_references(back=False)

    def change_references(self, *, back: bool) -> None:
        """Put the replacements, or the originals, into these references."""
        for reference in self.references:
            for old, new in _pairs(self, back=back):
                quietly(partial(reference.put, new, expected=old))

    @property
    def is_restored(self) -> bool:
        """Whether nobody else holds a replacement any longer, so that no search is needed."""
        return all(_reference_count(pair) <= _PAIR_REFERENCES for pair in self.pairs)

    def own_holders(self) -> list[object]:
        """Return the library's own holders of the callable."""
        held: list[object] = [self.pairs, *self.pairs]
        for original, replacement in self.pairs:
            held += [original, replacement]
            if type(replacement) is Replacement:
                held += [replacement._self_function, *(replacement._self_function.__closure__ or ())]
        return held


class ReferenceSweep:
    """Replaces or restores all references to callables. All callables of one block share one search."""

    _pending: list[tuple[Replaced, bool]] | None = None

    @classmethod
    def run(cls, replaced: Replaced, *, back: bool) -> None:
        """Change the references of targets to a callable at once, and all other references at the end of the block.

        Without a block, all references are changed at once.

        Args:
            replaced: The callable.
            back: Restore the original instead of replacing it.
        """
        replaced.change_references(back=back)
        if cls._pending is None:
            _change_all([(replaced, back)])
        else:
            cls._pending.append((replaced, back))

    @classmethod
    def pending(cls, original: Any) -> Replaced | None:
        """Return the callable if it waits for the search of the block, so that other targets may still find it."""
        waiting = (replaced for replaced, back in cls._pending or () if not back)
        return next((one for one in waiting if one.pairs[0][0] is original), None)

    @classmethod
    @contextmanager
    def block(cls) -> Iterator[None]:
        """Return a context manager in which all callables share one search."""
        before, cls._pending = cls._pending, []
        try:
            yield
        finally:
            pending, cls._pending = cls._pending, before
            _change_all(pending)


def _pairs(replaced: Replaced, *, back: bool) -> Sequence[tuple[Any, Any]]:
    return [pair[::-1] for pair in replaced.pairs] if back else replaced.pairs


def _change_all(pending: list[tuple[Replaced, bool]]) -> None:
    searched = [(replaced, back) for replaced, back in pending if not (back and replaced.is_restored)]
    _change([(replaced, old, new) for replaced, back in searched for old, new in _pairs(replaced, back=back)])


def _change(jobs: list[tuple[Replaced, Any, Any]]) -> None:
    """Replace the references to objects, and then the static and class methods that hold these."""
    if not jobs:
        return
    own: list[object] = [jobs, *jobs]
    for replaced in {id(job[0]): job[0] for job in jobs}.values():
        own += replaced.own_holders()
    methods = []
    for (replaced, old, new), found in zip(jobs, references_to([job[1] for job in jobs], besides=own), strict=True):
        put = [quietly(partial(reference.put, new, expected=old)) for reference in found.changeable]
        replaced.unreached += found.fixed + put.count(None)
        methods += [(replaced, *_around(method, replaced, new)) for method in found.methods]
    _change(methods)


def _around(method: Any, replaced: Replaced, new: Any) -> _Pair:
    """Return a static or class method that holds a replaced or restored object, and the method that takes its place."""
    pair = _Pair((method, type(method)(new)))
    if type(new) is Replacement:
        replaced.pairs.append(pair)
    return pair
