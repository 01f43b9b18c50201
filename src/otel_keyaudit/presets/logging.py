"""Python's ``logging``: the ``extra`` of records of audit loggers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from otel_keyaudit.presets._audit_logs import MARKS, RECORDS, event_fields, is_audit_event, is_audit_log
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget


def _is_audit(call: Call) -> bool:
    extra = _extra(call)
    members = extra if isinstance(extra, Mapping) else {}
    level = logging.getLevelName(call.argument("level"))
    return is_audit_log(call.argument("name")) or is_audit_event(level, members)


def _extra(call: Call) -> Any:
    return call.argument("extra")


PRESET = Preset(
    library="Python",
    oldest="3.10",
    records="a member of `extra`, which becomes an attribute of the log record. It is written for loggers with a "
    f"part `audit` in their name, such as `audit_log` or `shop.audit`, and {MARKS} in `extra`; {RECORDS}",
    never="the message and its arguments",
    targets=(
        # Not `_log`, because it determines the calling line from the frames above it.
        AuditTarget("logging:Logger.makeRecord", fields="args.extra", when=_is_audit, **event_fields(_extra)),
    ),
)
