"""Write into the places of a target: the additional fields, and places for single values such as ``id_to``.

A place is compiled once per target. ``put`` and ``set`` change the arguments of a call, never the caller's objects:
mappings, lists and frozen objects along the path are copied. An attribute is set on the object that is being written.

Items that the function adds to such a copy, or removes from it, must reach the caller. So ``put`` and ``set`` return a
function that copies these changes back. It is called after the application's function has ended, also when that raised.
With several places, these functions are called in reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.row.copies.copy_back import copy_back
from otel_keyaudit.row.copies.mapping_copy import contents
from otel_keyaudit.row.merge import Merge
from otel_keyaudit.row.path_edit import Attempt, PathEdit, quiet_attempt
from otel_keyaudit.row.types.annotated_paths import kind_at_path, kind_of_further_keyword
from otel_keyaudit.row.types.annotations import kind_of_parameter
from otel_keyaudit.row.types.checked_values import CheckedValues
from otel_keyaudit.row.types.column_types import key_of_column
from otel_keyaudit.row.types.empty_fields import EmptyFields
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.expression import Path
from otel_keyaudit.targets.expressions.steps import Step

After = Callable[[], None]
"""Copies the function's changes back to the caller's objects."""


class Place:
    """A value of a call that can be replaced.

    Args:
        path: ``args.<parameter>``, ``self`` or ``return``, with steps.
        binding: The parameters of the function.
        later: Returns the attempt for the elements that an iterator yields after the call.

    Attributes:
        position: The position of the value in the positional arguments of every call; ``None`` if it is not fixed.
    """

    def __init__(self, path: Path, binding: Binding, later: Callable[[], Attempt] = quiet_attempt) -> None:
        self._steps = path.steps
        self._later = later
        self._parameter = path.parameter
        name = path.parameter or ""
        self._read = binding.reader(name)
        self._write = binding.writer(name)
        self._default = binding.default(name)
        self.position = None if path.steps else binding.position(name)
        self._annotated = quietly(kind_of_parameter, binding.function, path.parameter or "return")

    def _argument(self, call: Call) -> Any:
        """Return the argument. A default that cannot be additional fields, such as a sentinel, counts as ``None``."""
        value = self._read(call)
        if value is self._default and not self._steps and not isinstance(value, (str, bytes, Mapping)):
            return None
        return value

    def _change(self, call: Call, edit: PathEdit) -> After | None:
        if self._parameter is None:
            if edit.changed(call.self, self._steps) is not call.self:
                raise UnchangeableError(f"cannot replace the {type(call.self).__name__} whose method is called")
        else:
            value = self._argument(call)
            changed = edit.changed(value, self._steps, in_mapping=self._annotated == "dict")
            if changed is not value:
                self._write(call, changed)
        edit.release()
        return edit.restore if edit.has_copies else None

    def _change_result(self, call: Call, edit: PathEdit) -> Any:
        edit.is_in_result = True
        return edit.changed(call.result, self._steps, in_mapping=self._annotated == "dict")


class FieldPlace(Place):
    """The place of the additional fields.

    Args:
        path: ``args.<parameter>``, ``self`` or ``return``, with steps.
        binding: The parameters of the function.
        fields_as: The kind that ``None`` becomes: ``text``, ``bytes`` or ``dict``; ``None`` if the target has no such
            field.
        later: See :class:`Place`.
    """

    _last_kind: type | None = None

    def __init__(
        self,
        path: Path,
        binding: Binding,
        fields_as: str | None = None,
        later: Callable[[], Attempt] = quiet_attempt,
    ) -> None:
        super().__init__(path, binding, later)
        is_bare = not path.steps
        self._empty = EmptyFields(
            fields_as or quietly(_annotated_kind, path, binding), path.parameter if is_bare else None
        )
        self._is_further_keyword = not binding.declares(path.parameter or "")
        self._checked_values = CheckedValues()

    def put(self, call: Call, merge: Merge, attempt: Attempt) -> After | None:
        """Merge the members into the additional fields of a call, before the function runs.

        Args:
            call: The call.
            merge: The members.
            attempt: Runs the merge into one element of a list, so that a failure affects only that element.

        Returns:
            The function that copies changes back after the application's function has ended; ``None`` if there is
            nothing to copy back.

        Raises:
            UnchangeableError: The fields cannot be read or changed.
        """
        if self._parameter is None or self._steps:
            return self._change(call, self._edit(call, merge, attempt))
        fields = self._read(call)
        if fields is self._default:
            fields = self._argument(call)
        if fields is None and self._is_further_keyword and (row := self._row_of_columns(call)) is not None:
            return self._put_into_row(call, *row, self._edit(call, merge, attempt))
        merged = self._merged(merge, None, fields, call.self if fields is None else None, None)
        if merged is fields:
            return None
        self._write(call, merged)
        if type(fields) is not dict and (type(fields) is str or not isinstance(fields, MutableMapping)):
            return None
        return partial(copy_back, fields, merged, contents(merged), merge.reserved, masked=merge.masked)

    def put_result(self, call: Call, merge: Merge, attempt: Attempt) -> Any:
        """Return a copy of the result of a call, with the members merged into its additional fields."""
        return self._change_result(call, self._edit(call, merge, attempt))

    def _edit(self, call: Call, merge: Merge, attempt: Attempt) -> PathEdit:
        return PathEdit(partial(self._merged, merge, call.self), bool(merge.members), attempt, merge, self._later)

    def _row_of_columns(self, call: Call) -> tuple[str, Any] | None:
        """Return the parameter and the row if a mapper's method got the column in a mapping, not as a keyword."""
        name, receiver = self._parameter or "", call.self
        if receiver is None or name in call.keywords or not self._empty.is_column(receiver):
            return None
        arguments = call.binding.by_name(call).items()
        rows = ((parameter, row) for parameter, row in arguments if isinstance(row, Mapping))
        return next((found for found in rows if key_of_column(found[1], name) in found[1]), None)

    def _put_into_row(self, call: Call, parameter: str, row: Any, edit: PathEdit) -> After | None:
        changed = edit.changed(row, (Step("name", self._parameter),))
        if changed is not row:
            call.binding.write(call, parameter, changed)
        edit.release()
        return edit.restore if edit.has_copies else None

    def _merged(self, merge: Merge, receiver: Any, fields: Any, owner: Any, name: str | None) -> Any:
        if name is not None and owner is not None and type(fields) is not str and merge.members:
            self._checked_values.check(owner, name, next(iter(merge.reserved)))
        if fields is None:
            return merge.into(None, partial(self._empty.kind, owner, name, receiver))
        merged = merge.into(fields)
        if type(fields) is not self._last_kind:
            self._note(fields)
        return merged

    def _note(self, fields: Any) -> None:
        """Note the kind of the fields, without keeping a class of the application alive."""
        self._empty.note(fields)
        self._last_kind = type(fields) if type(fields) in (dict, str, bytes) else None  # pragma: no mutate: saves time


def _annotated_kind(path: Path, binding: Binding) -> str | None:
    """Return the kind of the value at the end of a path, according to the function's annotations."""
    function, name, steps = binding.function, path.parameter or "return", path.steps
    if path.root == "self":
        return None
    if name == binding.variadic:  # the annotation describes each element
        return kind_at_path(function, name, steps[1:])
    if binding.keywords is not None and path.parameter is not None and not binding.declares(name) and not steps:
        return kind_of_further_keyword(function, binding.keywords, name)
    return kind_at_path(function, name, steps)


class ValuePlace(Place):
    """A place that belongs to the library: ``id_to``, ``name_to``, ``digest_to`` or ``trace_id_to``.

    Args:
        path: ``args.<parameter>``, ``self`` or ``return``, with steps.
        binding: The parameters of the function.
    """

    def set(self, call: Call, value: str | None, attempt: Attempt) -> After | None:
        """Overwrite the place in the arguments of a call, also with ``None``.

        Returns:
            The function that copies changes back; see :meth:`FieldPlace.put`.

        Raises:
            UnchangeableError: The place cannot be read or changed.
        """
        return self._change(call, self._edit(value, attempt))

    def set_result(self, call: Call, value: str | None, attempt: Attempt) -> Any:
        """Return a copy of the result of a call, with the place overwritten."""
        return self._change_result(call, self._edit(value, attempt))

    def _edit(self, value: str | None, attempt: Attempt) -> PathEdit:
        return PathEdit(lambda *_: value, value is not None, attempt, later=self._later)

    def _argument(self, call: Call) -> Any:
        return self._read(call)
