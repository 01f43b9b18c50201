"""Check the options of the environment without importing the application."""

from __future__ import annotations

import os
from collections.abc import Iterator

from otel_keyaudit.cli.doctor.findings import WRONG, Finding
from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.observers.sampling.samplers import build_sampler
from otel_keyaudit.presets import _registry
from otel_keyaudit.settings import Settings, resolve, unknown_variables

NOTHING_CONFIGURED = Finding(
    WRONG,
    None,
    "no targets and no presets are configured, so the library does nothing",
    "name your functions in OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS and OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS (find them with "
    "`otel-keyaudit discover -- COMMAND`), or a preset in OTEL_PYTHON_KEYAUDIT_PRESETS (`otel-keyaudit presets`)",
)


def check_options() -> tuple[Settings | None, list[Finding]]:
    """Return the settings and the findings; the settings are ``None`` if an option is wrong."""
    unknown = unknown_variables(os.environ)
    findings = [] if unknown is None else [Finding(WRONG, None, unknown, "correct the name of the variable")]
    try:
        settings = resolve({}, os.environ, deferred=True)
        build_sampler(settings.sampler, settings.sampler_arg, deferred=True)
        findings += _missing_libraries(settings)
    except ConfigurationError as error:
        return None, [*findings, Finding(WRONG, None, str(error), "correct the option as the message says")]
    if not (settings.targets or settings.presets):
        findings.append(NOTHING_CONFIGURED)
    return settings, findings


def _missing_libraries(settings: Settings) -> Iterator[Finding]:
    for name in settings.presets:
        problem = _registry.preset(name).missing_requirement()
        if problem is not None:
            yield Finding(WRONG, None, f"preset {name}: {problem}", "install the library, or remove the preset")
