"""The members of values are read without running code of the application."""

from __future__ import annotations

from pydantic import BaseModel

from otel_keyaudit.cli.discover.watching.values import members


class _Key(BaseModel):
    id: str
    name: str | None = None

    @property
    def label(self) -> str:
        """Fail, because no property runs."""
        raise AssertionError


class _ScopedKey(_Key):
    scopes: list[str]


def test_members_of_a_library_base_are_left_out() -> None:
    """Each pydantic model has them, so they say nothing about the key."""
    key = _ScopedKey(id="k_1", scopes=["a:read"])
    assert members(key) == {"id": "str", "name": "NoneType", "scopes": "list[str]", "label": ""}
