"""Compile a target for the function that it names, after checking that the function has everything the target reads."""

from __future__ import annotations

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.observers.audit.write import Audit
from otel_keyaudit.observers.authentication.call import Authentication
from otel_keyaudit.observers.authorization.check import Authorization
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.observed_call import CompiledTarget
from otel_keyaudit.observers.subject import StoredKey
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.resolved_callable import ResolvedCallable
from otel_keyaudit.row.types.annotated_paths import refuses_dict_in_parameter
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.signature_check import explain_mismatch
from otel_keyaudit.targets.target import AuditTarget

_COMPILED: dict[str, type[CompiledTarget]] = {
    "auth": Authentication,
    "audit": Audit,
    "authz": Authorization,
    "subject": StoredKey,
}


def compile_target(components: Components, target: Target, binding: Binding) -> CompiledTarget:
    """Compile a target for a function with a given binding."""
    return _COMPILED[target.kind](components, target, binding)


def check(target: Target, found: ResolvedCallable, member: str) -> None:
    """Check that a function has every parameter and free variable that the target reads, and can receive the row.

    Args:
        target: The target.
        found: The function.
        member: The name of the member that the row receives.

    Raises:
        WrongTargetError: A parameter or variable is missing; the reason gives the nearest existing name.
    """
    if found.is_memoized and isinstance(target, AuditTarget) and target.changes_arguments:
        raise WrongTargetError(
            "it caches results by its arguments, so a changed row would miss the cache; name the function inside the "
            "cache"
        )
    if isinstance(target, AuditTarget) and found.checks_arguments and _refuses_dict(target, found, member):
        raise WrongTargetError(
            "it checks that its argument has no other values, so a changed row would be refused; name the function "
            f"inside the decorator: {target.module}:{target.qualified_name}.__wrapped__"
        )
    reason = explain_mismatch(target, found.binding(), found.free_variables)
    if reason is not None:
        raise WrongTargetError(reason)


def _refuses_dict(target: AuditTarget, found: ResolvedCallable, member: str) -> bool:
    place = target.fields_place
    if place is None or place.root != "args":
        return False
    return bool(quietly(refuses_dict_in_parameter, found.function, place.parameter, place.steps, member))
