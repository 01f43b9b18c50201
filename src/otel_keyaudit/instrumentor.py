"""Settings in, wrappers on, wrappers off."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from threading import RLock
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.trace import get_tracer

from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.boundaries import Boundaries
from otel_keyaudit.entry_points import ENTRY_POINTS
from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.guard import Faults, Guard, GuardedCall, logger
from otel_keyaudit.installation import PENDING, WRONG, BoundaryInstallation, Installation, TargetStatus
from otel_keyaudit.metrics import metrics_for
from otel_keyaudit.names import STAGE_TELEMETRY
from otel_keyaudit.request_state import RequestState
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.sampling import build_sampler
from otel_keyaudit.settings import FileOptions, Settings, resolve
from otel_keyaudit.snapshot import Snapshots
from otel_keyaudit.spans import ServerSpans
from otel_keyaudit.version import __version__

_LOCK = RLock()


class KeyAuditInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Shows which API key did what: on the server span, and in the audit rows that a request writes.

    Example:
        ``KeyAuditInstrumentor().instrument(auth_targets=["shop.security:verify"], audit_targets=["shop.audit:record"])``
    """

    configuration = FileOptions
    """Tells the SDK's declarative configuration which options there are."""

    # A BaseInstrumentor is one object per class whose __init__ runs again and again: nothing is kept there.
    _session: _Session | None = None
    _file_options: dict[str, Any] = {}
    _is_from_code = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: what is wrapped is the application's own."""
        return ()

    def instrument(self, **options: Any) -> None:
        """Wrap the targets.

        Args:
            **options: The options of interface.md, section 2, and ``tracer_provider``, ``meter_provider``. What is not
                given comes from the environment.

        Raises:
            ConfigurationError: An option is wrong. Called by ``opentelemetry-instrument``, it is logged instead.
        """
        with _LOCK:
            is_automatic = bool(options.pop("skip_dep_check", False))
            is_declared = bool(options.pop("declared", False))
            if is_declared:
                self._file_options = dict(options)
            elif options and self._session is not None and not self._is_from_code:
                self.uninstrument()  # a keyword beats YAML and the environment, also where those came first
            if self._session is not None:
                if not is_automatic:
                    logger.warning("keyaudit is already instrumented; call uninstrument() first to change its options")
                return
            merged = {**self._file_options, **options}
            if is_automatic or is_declared:
                _Logged().guarded("", self._start, merged, True)
            else:
                self._start(merged, False)
            self._is_from_code = not (is_automatic or is_declared)

    def uninstrument(self, **_: Any) -> None:
        """Restore everything that was wrapped."""
        with _LOCK:
            if self._session is None:
                logger.warning("keyaudit is not instrumented, so there is nothing to undo")
                return
            super().uninstrument()
            self._file_options = {}

    def status(self) -> list[TargetStatus]:
        """Return for each target whether it fires."""
        session = self._session
        return [] if session is None else [installation.status for installation in session.installations]

    def _start(self, options: dict[str, Any], deferred: bool) -> None:
        providers = {name: options.pop(name, None) for name in ("tracer_provider", "meter_provider")}
        settings = resolve(options, os.environ)
        if not settings.targets and not settings.presets:
            logger.warning(
                "keyaudit does nothing: no targets are configured. Name your functions in "
                "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS and OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS"
            )
            return
        super().instrument(skip_dep_check=True, settings=settings, deferred=deferred, **providers)

    def _instrument(self, **kwargs: Any) -> None:
        type(self)._session = _Session(**kwargs)
        try:
            self._session.start()  # type: ignore[union-attr]
        except ConfigurationError:
            self._uninstrument()
            raise

    def _uninstrument(self, **_: Any) -> None:
        session, type(self)._session = self._session, None
        if session is not None:
            session.stop()


class _Logged(Guard):
    """Turns a wrong option into one logged error: an exception here would stop all other instrumentors."""

    def report(self, stage: str, error: BaseException) -> None:
        """Log the error; what is no wrong option is named by its class."""
        message = str(error) if isinstance(error, ConfigurationError) else type(error).__name__
        logger.error("keyaudit is off: %s", message)


class _Session:
    """All that is on between ``instrument()`` and ``uninstrument()``."""

    def __init__(self, settings: Settings, deferred: bool, tracer_provider: Any, meter_provider: Any) -> None:
        metrics = metrics_for(meter_provider)
        catalog = settings.scope_catalog
        self._settings = settings
        self._catalog_version = None if catalog is None else catalog.version
        self._runtime = Runtime(
            settings=settings,
            tracer=get_tracer("otel_keyaudit", __version__, tracer_provider),
            metrics=metrics,
            faults=Faults(metrics),
            snapshots=Snapshots(catalog, settings.max_items),
            sampler=build_sampler(settings.sampler, settings.sampler_arg, deferred=deferred),
            deferred=deferred,
        )
        self.installations = [Installation(self._runtime, target) for target in settings.targets]
        spans = ServerSpans(self._runtime.snapshots, always_full=self._runtime.sampler.is_constant_full)
        self._boundaries = BoundaryInstallation(
            Boundaries(_guarded_show(self._runtime.faults, spans), self._first_request), ENTRY_POINTS
        )

    def start(self) -> None:
        """Put everything on.

        Raises:
            ConfigurationError: With ``strict``, a target can never fire.
        """
        ApiKey.catalog_version = self._catalog_version
        self._boundaries.install()
        for installation in self.installations:
            installation.install()
            self._report(installation)

    def stop(self) -> None:
        """Take everything off, in reverse."""
        for installation in reversed(self.installations):
            installation.uninstall()
        self._boundaries.uninstall()
        ApiKey.catalog_version = None

    def _report(self, installation: Installation) -> None:
        status = installation.status
        if status.state == WRONG:
            if self._settings.strict:
                raise ConfigurationError(f"target {status.target!r} can never fire: {status.reason}")
            logger.warning("keyaudit target %s can never fire: %s", status.target, status.reason)

    def _first_request(self) -> None:
        for installation in self.installations:
            if installation.status.state == PENDING:
                installation.try_loaded_modules(final=True)
                if installation.status.state == PENDING:
                    logger.warning(
                        "keyaudit target %s does not fire yet: %s",
                        installation.target.written,
                        installation.status.reason,
                    )
                else:
                    self._report(installation)


def _guarded_show(faults: Faults, spans: ServerSpans) -> Callable[[RequestState], object]:
    return lambda state: GuardedCall(faults, "server span").guarded(STAGE_TELEMETRY, spans.show, state)
