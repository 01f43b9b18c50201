"""The configurations in docs/presets.md work with the real libraries."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries

PAGE = Path(__file__).parents[2] / "docs" / "presets.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
SHOP = {
    "shop.audit": "def record(additional_fields=None): ...",
    "shop.security": "def verify_api_key(x_api_key): ...",
    "shop.models": """
        class AuditLog:
            def __init__(self):
                self.details = {}

            def _save_table(self): ...
    """,
    "shop.tables": """
        from sqlalchemy import JSON, Column, Integer
        from sqlalchemy.orm import declarative_base

        class AuditLog(declarative_base()):
            __tablename__ = "audit_log"
            id = Column(Integer, primary_key=True)
            details = Column(JSON)
    """,
}


@pytest.mark.parametrize("block", BLOCKS)
def test_targets_of_each_configuration_are_found(
    recorder: Recorder, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    """Under the variables of the page, no target is wrong, and the application's own targets are active."""
    for name, source in SHOP.items():
        load_module(source, name)
    for word in shlex.split(block):
        if word.startswith("OTEL_"):
            monkeypatch.setenv(*word.split("=", 1))

    recorder.instrument()

    states = {target: status.state for target, status in recorder.status().items()}
    assert "wrong" not in states.values()
    assert {state for target, state in states.items() if target.startswith("shop.")} <= {"active"}
    assert len(states) > 1
