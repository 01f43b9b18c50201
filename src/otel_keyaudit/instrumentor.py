"""Settings in, wrappers on, wrappers off."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from logging import WARNING
from threading import RLock
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.trace import get_tracer

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.guard.collection import unwatch_collections, watch_collections
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.guard import Guard, log, logger, run_silently
from otel_keyaudit.guard.metrics import metrics_for
from otel_keyaudit.installation.target import WRONG, BoundaryInstallation, Installation, TargetStatus
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.snapshot import Snapshots
from otel_keyaudit.observers.components import Runtime
from otel_keyaudit.observers.sampling import Sampler, build_sampler
from otel_keyaudit.patching.import_hook import ModuleWatch
from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.request.boundaries import Boundaries
from otel_keyaudit.request.entry_points import ENTRY_POINTS
from otel_keyaudit.request.first_request import before_first_use, never_before_first_use
from otel_keyaudit.request.propagation import Jobs, JobsInstallation
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.settings import FileOptions, Settings, resolve, unknown_variables
from otel_keyaudit.version import __version__

_LOCK = RLock()


class KeyAuditInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Shows which API key did what: on the server span, and in the audit rows that a request writes.

    Example:
        ``KeyAuditInstrumentor().instrument(auth_targets=["shop.keys:verify"], audit_targets=["shop.audit:record"])``
    """

    configuration = FileOptions
    """Tells the SDK's declarative configuration how to pass options on."""

    # A BaseInstrumentor is one object per class whose __init__ runs again and again: nothing is set there.
    _session: _Session | None = None
    _declared: Mapping[str, Any] | None = None
    _is_from_code = False
    _has_said_nothing = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: what is wrapped is the application's own."""
        return ()

    def instrument(self, **options: Any) -> None:
        """Wrap the targets.

        Args:
            **options: The options of docs/reference.md, section 2, and ``tracer_provider``, ``meter_provider``. What is
                not given comes from the environment.

        Raises:
            ConfigurationError: An option is wrong. Called by ``opentelemetry-instrument``, it is logged instead.
        """
        with _LOCK:
            is_automatic = bool(options.pop("skip_dep_check", False))
            options.pop("raise_exception_on_conflict", None)  # some distributions ask for it
            declared = options.pop("declared", None)
            if is_automatic or declared is not None:
                self._instrument_unattended(declared, options)
            elif self._session is not None and (self._is_from_code or not options):
                _say("keyaudit is already instrumented; call uninstrument() first to change its options")
            else:
                self._start({**(self._declared or {}), **options}, deferred=False)
                self._is_from_code = True

    def uninstrument(self, **_: Any) -> None:
        """Restore everything that was wrapped."""
        with _LOCK:
            self._declared = None
            self._has_said_nothing = False
            if self._session is None:
                _say("keyaudit is not instrumented, so there is nothing to undo")
                return
            super().uninstrument()

    def status(self) -> list[TargetStatus]:
        """Return for each target whether it fires."""
        session = self._session
        return [] if session is None else [installation.status for installation in session.installations]

    def _instrument_unattended(self, declared: Mapping[str, Any] | None, options: Mapping[str, Any]) -> None:
        """Start on behalf of ``opentelemetry-instrument`` or a configuration file: nobody is there to catch an error.

        Where there is a file, it comes first and the environment is read with it.
        """
        if self._session is not None or (declared is None and self._declared is not None):
            return
        self._declared = declared
        self._is_from_code = False
        _Logged().guarded("", self._start, {**(declared or {}), **options}, True)

    def _start(self, options: dict[str, Any], deferred: bool) -> None:
        providers = {name: options.pop(name, None) for name in ("tracer_provider", "meter_provider")}
        settings = resolve(options, os.environ, deferred=deferred)
        if unknown := unknown_variables(os.environ):
            log(WARNING, unknown)
        sampler = build_sampler(settings.sampler, settings.sampler_arg, deferred=deferred)
        if not (settings.targets or settings.presets):
            self._say_nothing_is_configured()
            return
        session = _Session(settings, sampler, deferred, **providers)
        if self._session is not None:
            super().uninstrument()  # a keyword beats a file and the environment, also where those came first
        super().instrument(skip_dep_check=True, session=session)

    def _say_nothing_is_configured(self) -> None:
        if not self._has_said_nothing:
            self._has_said_nothing = True
            _say(
                "keyaudit does nothing: no targets are configured. Name your functions in "
                "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS and OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS"
            )

    def _instrument(self, **kwargs: Any) -> None:
        session: _Session = kwargs["session"]
        with ExitStack() as undo:
            undo.callback(session.stop)
            session.start()
            undo.pop_all()
        self._session = session

    def _uninstrument(self, **_: Any) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.stop()


class _Logged(Guard):
    """Turns a wrong option into one logged error: an exception here would stop all other instrumentors."""

    def report(self, _: str, error: BaseException) -> None:
        """Log the error; what is no wrong option is named by its class."""
        message = str(error) if isinstance(error, ConfigurationError) else type(error).__name__
        run_silently(logger.error, "keyaudit is off: %s", message)


class _Session:
    """All that is on between ``instrument()`` and ``uninstrument()``."""

    def __init__(
        self, settings: Settings, sampler: Sampler, deferred: bool, tracer_provider: Any, meter_provider: Any
    ) -> None:
        metrics = metrics_for(meter_provider)
        catalog = settings.scope_catalog
        chosen = presets.usable(settings.presets, strict=settings.strict)
        self._settings = settings
        self._catalog_version = None if catalog is None else catalog.version
        self._runtime = Runtime(
            settings=settings,
            tracer=get_tracer("otel_keyaudit", __version__, tracer_provider),
            metrics=metrics,
            faults=Faults(metrics),
            snapshots=Snapshots(catalog, settings.max_items),
            sampler=sampler,
            deferred=deferred,
            key_types=presets.key_types(chosen),
        )
        targets = (*settings.targets, *presets.targets(chosen))
        self._watch = ModuleWatch()
        self.installations = [Installation(self._runtime, target, self._watch) for target in targets]
        self._jobs = JobsInstallation(Jobs(self._runtime.faults), presets.carriers(chosen), self._watch)
        always_full = self._runtime.sampler.is_constant_full
        spans = ServerSpans(self._runtime.snapshots, always_full=always_full, faults=self._runtime.faults)
        self._boundaries = BoundaryInstallation(Boundaries(spans), ENTRY_POINTS, self._watch)

    def start(self) -> None:
        """Put everything on.

        Raises:
            ConfigurationError: With ``strict``, a target can never fire.
        """
        ApiKey.catalog_version = self._catalog_version
        watch_collections()
        self._watch.start()
        before_first_use(self._first_request)
        self._boundaries.install()
        self._jobs.install()
        for installation in self.installations:
            installation.install()
            status = installation.status
            if status.state == WRONG and self._settings.strict:
                raise ConfigurationError(f"target {status.target!r} can never fire: {status.reason}")
            installation.report()

    def stop(self) -> None:
        """Take everything off, in reverse."""
        never_before_first_use()
        self._watch.stop()
        for installation in reversed(self.installations):
            installation.uninstall()
        self._jobs.uninstall()
        self._boundaries.uninstall()
        unwatch_collections()
        ApiKey.catalog_version = None

    def _first_request(self) -> None:
        for installation in self.installations:
            installation.first_request()


def _say(message: str, *args: object) -> None:
    run_silently(logger.warning, message, *args)
