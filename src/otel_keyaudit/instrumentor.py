"""The entry point of the library: read the options, instrument the targets, restore them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from logging import ERROR, WARNING
from threading import RLock
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.guard.guard import Guard, log
from otel_keyaudit.installation.session import Session
from otel_keyaudit.installation.status import TargetStatus
from otel_keyaudit.observers.sampling.samplers import build_sampler
from otel_keyaudit.settings import PROVIDERS, FileOptions, check_provider, resolve, unknown_variables

_LOCK = RLock()


class KeyAuditInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments the authentication and audit functions of an application.

    The API key of each request then appears on its server span and in the audit rows that the request writes.

    Example:
        ``KeyAuditInstrumentor().instrument(auth_targets=["shop.keys:verify"], audit_targets=["shop.audit:record"])``
    """

    configuration = FileOptions
    """The class with which the SDK's declarative configuration passes the options."""

    # BaseInstrumentor is a singleton whose __init__ runs on every call, so state starts out in class attributes.
    _session: Session | None = None
    _declared: Mapping[str, Any] | None = None
    _is_from_code = False

    def instrument(self, **options: Any) -> None:
        """Instrument the targets.

        Args:
            **options: The options by name (``auth_targets``, ``audit_targets``, ``presets``, ``sampler``, ...), and
                ``tracer_provider``, ``meter_provider``, ``logger_provider``. An absent option is read from its
                environment variable.

        Raises:
            ConfigurationError: An option is wrong. Under ``opentelemetry-instrument`` it is logged instead.
        """
        with _LOCK:
            is_automatic = bool(options.pop("skip_dep_check", False))
            options.pop("raise_exception_on_conflict", None)  # some distributions pass it
            declared = options.pop("declared", None)
            if is_automatic or declared is not None:
                self._instrument_unattended(declared, options)
            elif self._session is not None and (self._is_from_code or not options):
                log(WARNING, "it is instrumented already; call uninstrument() first to change its options")
            else:
                self._start({**(self._declared or {}), **options}, deferred=False)
                self._is_from_code = True

    def uninstrument(self, **_: Any) -> None:
        """Restore everything that was instrumented."""
        with _LOCK:
            self._declared = None
            if self._session is None:
                log(WARNING, "it is not instrumented, so there is nothing to restore")
                return
            super().uninstrument()

    def status(self) -> list[TargetStatus]:
        """Return the status of each target, targets of presets last."""
        session = self._session
        return [] if session is None else session.status

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no dependencies: the instrumented functions are the application's own."""
        return ()

    def _instrument_unattended(self, declared: Mapping[str, Any] | None, options: Mapping[str, Any]) -> None:
        """Start under ``opentelemetry-instrument`` or from a configuration file, where nobody catches an error.

        The configuration file is applied first and already includes the environment, so a later automatic start does
        nothing.
        """
        if self._session is not None or (declared is None and self._declared is not None):
            return
        self._declared = declared
        self._is_from_code = False
        _LoggedError().guarded("", self._start, {**(declared or {}), **options}, True)

    def _start(self, options: dict[str, Any], deferred: bool) -> None:
        providers = {name: check_provider(name, options.pop(name, None)) for name in PROVIDERS}
        settings = resolve(options, os.environ, deferred=deferred)
        unknown = unknown_variables(os.environ)
        if unknown is not None:
            log(WARNING, "%s", unknown)
        sampler = build_sampler(settings.sampler, settings.sampler_arg, deferred=deferred)
        if not (settings.targets or settings.presets):
            log(
                WARNING,
                "nothing is instrumented, because no targets are configured; name your functions in "
                "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS and OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS, "
                "or libraries in OTEL_PYTHON_KEYAUDIT_PRESETS",
            )
            return
        session = Session(settings, sampler, deferred=deferred, **providers)
        if self._session is not None:
            super().uninstrument()  # keywords override the file and the environment, which were applied first
        super().instrument(skip_dep_check=True, session=session)

    def _instrument(self, **kwargs: Any) -> None:
        session: Session = kwargs["session"]
        with ExitStack() as undo:
            undo.callback(session.stop)
            session.start()
            undo.pop_all()
        self._session = session

    def _uninstrument(self, **_: Any) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.stop()


class _LoggedError(Guard):
    """Logs a wrong option, because an exception would stop all other instrumentors."""

    def report(self, _: str, error: BaseException) -> None:
        """Log the message of a wrong option, and only the class of any other error."""
        reason = str(error) if isinstance(error, ConfigurationError) else type(error).__name__
        log(ERROR, "nothing is instrumented: %s", reason)
