"""Find problems in the observations of the doctor, each with a remedy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from otel_keyaudit.cli.doctor.observations import TargetReport
from otel_keyaudit.cli.output import counted
from otel_keyaudit.installation.status import OBSERVED

PENDING: Final = "pending"
WRONG: Final = "wrong"
SILENT: Final = "silent"
OUTSIDE: Final = "outside"
AMBIGUOUS: Final = "ambiguous"
FAILED: Final = "failed"
DEGRADED: Final = "degraded"
FINDINGS: Final = (PENDING, WRONG, SILENT, OUTSIDE, AMBIGUOUS, FAILED, DEGRADED)

NO_REQUEST: Final = "NoRequestError"
"""Name in ``unreadable`` of keys that were accepted outside of every request."""

REMEDIES: Final = {
    PENDING: "import the module in the process that serves requests, or correct its name in the target",
    WRONG: "correct the target as the reason says",
    SILENT: "send a request that calls the function; if you did, the service uses another function: "
    "find it with `otel-keyaudit discover -- COMMAND`",
    OUTSIDE: "install the OpenTelemetry instrumentation of the framework, or put `with use_key(key):` around the work",
    AMBIGUOUS: "add role=actor to the target of the second key, or name only the function that authenticates "
    "the caller",
    FAILED: "read the first warning of this target in the log: if the place cannot take the fields, name another with "
    "fields=; put `with use_key(current_key()):` around work that outlives its request",
    DEGRADED: "read the first warning of this target in the log: name the place of the value, as in id=key_id, or omit "
    "the field; load a value of a database before the target returns (eager loading, or expire_on_commit=False)",
}

NO_KEY: Final = "if the function returned a refusal without a key, add valid=…, so that it counts as denied; else "
WHEN_EXCLUDES: Final = "send a request for which its 'when' holds, or correct the 'when'"
PRESET_EXCLUDES: Final = (
    "`otel-keyaudit presets {}` tells which calls it observes; name a target of your own for others"
)
BULK_INSERTS: Final = (
    "send a request that writes a row; rows that are inserted in bulk bypass this method: name the function that "
    "inserts them, or the constructor of the model, as in shop.models:AuditLog.__init__"
)
_MODEL_METHODS: Final = (".before_insert", "._save_table")
COMES_SECOND: Final = "name the function once, or put this target first and add a 'when' to it"

OLD_INSTRUMENTATION: Final = "0.62b"
"""Start of the versions of ``opentelemetry-instrument`` that instrument only the process that they start."""

NEW_PROCESSES: Final = (
    "; opentelemetry-instrumentation {} does not instrument the new processes that a command starts (uvicorn "
    "--workers, --reload): upgrade it to 0.63b1, or call KeyAuditInstrumentor().instrument() in the application"
)

NO_SETTINGS: Final = (
    "; for a Django project, export DJANGO_SETTINGS_MODULE, because its instrumentation reads the settings before the "
    "application starts"
)


class Finding(NamedTuple):
    """One finding.

    Attributes:
        finding: One of :data:`FINDINGS`.
        target: The target as written; ``None`` for the options as a whole.
        detail: A description of the problem.
        remedy: The remedy, as an instruction.
    """

    finding: str
    target: str | None
    detail: str
    remedy: str


def find(
    targets: Iterable[TargetReport], *, has_run: bool, version: str = "", needs_settings: bool = False
) -> Iterator[Finding]:
    """Yield the findings of all targets.

    Args:
        targets: The targets.
        has_run: Whether a command has run, so that targets can have been called.
        version: Version of the ``opentelemetry-instrumentation`` under which the command ran.
        needs_settings: Whether Django is instrumented without ``DJANGO_SETTINGS_MODULE`` in the environment.
    """
    targets = list(targets)
    called = {target.target for target in targets if target.calls}
    remedies = dict(REMEDIES)
    if version.startswith(OLD_INSTRUMENTATION):
        remedies[PENDING] += NEW_PROCESSES.format(version)
    if needs_settings:
        remedies[PENDING] += NO_SETTINGS
    for target in targets:
        for name, detail in _of(target):
            has_no_key = name == DEGRADED and target.kind == "auth" and "key" in target.unreadable
            yield Finding(name, target.target, detail, (NO_KEY if has_no_key else "") + remedies[name])
        # a preset names many functions of a library, of which an application uses some
        if has_run and target.state == "active" and not target.calls and target.preset is None:
            yield Finding(SILENT, target.target, *_silence(target, called))
    if has_run:
        yield from _silent_presets(targets)


def _silent_presets(targets: Collection[TargetReport]) -> Iterator[Finding]:
    """Yield a finding for each preset of which no target has observed a call."""
    for preset in dict.fromkeys(target.preset for target in targets if target.preset is not None):
        own = [target for target in targets if target.preset == preset]
        if any(target.calls for target in own):
            continue
        excluded = sum(target.excluded for target in own)
        detail, remedy = f"no function of preset {preset} was called", REMEDIES[SILENT]
        if excluded:
            detail = f"the targets of preset {preset} excluded {counted(excluded, 'call')} and observed none"
            remedy = PRESET_EXCLUDES.format(preset)
        yield Finding(SILENT, own[0].target, detail, remedy)


def _silence(target: TargetReport, called: Collection[str]) -> tuple[str, str]:
    """Return why a target has observed no call, and the remedy."""
    if target.excluded:
        return f"its 'when' excluded {counted(target.excluded, 'call')}, and it observed none", WHEN_EXCLUDES
    if target.earlier in called:
        return f"{target.earlier}, which names the same function, comes first and observed all calls", COMES_SECOND
    limits = "" if target.reason == OBSERVED else f"; {target.reason}"
    is_of_model = target.target.partition("?")[0].endswith(_MODEL_METHODS)
    return f"it was never called{limits}", BULK_INSERTS if is_of_model else REMEDIES[SILENT]


def _of(target: TargetReport) -> Iterator[tuple[str, str]]:
    if target.state in (PENDING, WRONG):
        yield target.state, target.reason
    outside = target.unreadable.get(NO_REQUEST, 0)
    if outside:
        yield OUTSIDE, f"accepted outside of every request: {counted(outside, 'key')}, which no row and no span names"
    for outcome in (AMBIGUOUS, FAILED):
        if target.kind == "audit" and target.outcomes.get(outcome):
            yield outcome, f"{target.outcomes[outcome]} of {target.calls} writes"
    unreadable = {name: count for name, count in target.unreadable.items() if name != NO_REQUEST}
    if unreadable:
        yield (
            DEGRADED,
            "unreadable: " + ", ".join(f"{name} {counted(n, 'time')}" for name, n in sorted(unreadable.items())),
        )
