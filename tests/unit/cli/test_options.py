"""Options that several commands share."""

import pytest

from otel_keyaudit.cli.options import from_environment


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around a value is ignored."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SAMPLER", "  ")
    assert from_environment("sampler") is None
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SAMPLER", " rules ")
    assert from_environment("sampler") == "rules"
