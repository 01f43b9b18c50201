"""What errors say: in one line, of classes and names, and never a value."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.errors import CredentialError, MissingError, class_name


class RefusedError(Exception):
    class InnerError(Exception):
        """An exception in a class."""


def test_the_text_of_a_wrong_option_is_one_line() -> None:
    """A value that is given may have several."""
    assert str(ConfigurationError("option 'sampler':\n'a\nb'")) == "option 'sampler': 'a b'"


@pytest.mark.parametrize(
    ("owner", "text"),
    [(SimpleNamespace(secret="s"), "SimpleNamespace has no 'id'"), ({"secret": "s"}, "dict has no 'id'")],
)
def test_what_is_missing_is_told_by_its_name_and_the_class_of_its_owner(owner: object, text: str) -> None:
    """The owner itself may hold a secret."""
    assert str(MissingError("id", owner)) == text


def test_a_credential_is_not_repeated() -> None:
    """The text says that there is one."""
    assert str(CredentialError()) == "a value holds the credential that was presented"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (KeyError("secret"), "KeyError"),
        (RefusedError("secret"), f"{__name__}.RefusedError"),
        (RefusedError.InnerError(), f"{__name__}.RefusedError.InnerError"),
    ],
)
def test_the_class_of_an_exception(error: BaseException, name: str) -> None:
    """With its module, unless it is builtin."""
    assert class_name(error) == name
