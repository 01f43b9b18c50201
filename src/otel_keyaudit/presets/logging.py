"""Python's ``logging``: the ``extra`` of records of audit loggers."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._audit_logs import RECORDS, event_fields, is_audit_log
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget


def _is_audit(call: Call) -> bool:
    return is_audit_log(call.argument("name"))


def _extra(call: Call) -> Any:
    return call.argument("extra")


PRESET = Preset(
    library="Python",
    oldest="3.10",
    records="a member of `extra`, which becomes an attribute of the log record. It is written for loggers with a "
    f"part `audit` in their name, such as `audit` or `shop.audit`; {RECORDS}",
    never="the message and its arguments",
    targets=(
        # Not `_log`, because it determines the calling line from the frames above it.
        AuditTarget("logging:Logger.makeRecord", fields="args.extra", when=_is_audit, **event_fields(_extra)),
    ),
)
