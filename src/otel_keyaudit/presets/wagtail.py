from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget


def _type(call: Call) -> str:
    return _django.type_of(call.args["instance"])


def _id(call: Call) -> str | None:
    instance = call.args["instance"]
    return _django.id_of(type(instance), instance.pk)


PRESET = Preset(
    library="wagtail",
    oldest="7.0",
    records="`data` of the log entry; action, such as `wagtail.publish`, type and id of the object, the subject",
    never="the content of the object; the id of an object whose primary key is a secret",
    targets=(
        AuditTarget(
            "wagtail.log_actions:LogActionRegistry.log",
            fields="args.data",
            resource_type=_type,
            resource_id=_id,
            subject="args.instance",
        ),
    ),
)
