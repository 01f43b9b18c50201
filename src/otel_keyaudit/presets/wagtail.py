"""wagtail: the manager of all log entries, which also receives the calls of the registry and of ``log``."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.target import AuditTarget


def _object(call: Call) -> Any:
    return behind(call.args["instance"])  # `request.user` is a lazy object


def _type(call: Call) -> str:
    return _django.type_of(_object(call))


def _id(call: Call) -> str | None:
    instance = _object(call)
    return _django.id_of(type(instance), instance.pk)


PRESET = Preset(
    library="wagtail",
    oldest="7.0",
    records="`data` of the log entry; action, such as `wagtail.publish`, type and id of the object, the subject",
    never="the content of the object; the id of an object whose primary key is a secret",
    targets=(
        AuditTarget(
            "wagtail.models.audit_log:BaseLogEntryManager.log_action",
            fields="args.data",
            resource_type=_type,
            resource_id=_id,
            subject=_object,
        ),
    ),
)
