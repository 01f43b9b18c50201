"""postgresql-audit with Flask, whose manager gathers the values of a transaction in a method of its own."""

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets.postgresql_audit import NEVER, RECORDS, target

PRESET = Preset(
    library="postgresql-audit",
    oldest="0.17.1",
    records=f"{RECORDS}; for the manager of `postgresql_audit.flask`",
    never=NEVER,
    targets=(target("postgresql_audit.flask:VersioningManager"),),
)
