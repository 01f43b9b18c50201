"""The environment variables, one per option. ``opentelemetry-instrument`` turns each into a flag.

Each has the meaning of the option of the same name in :mod:`otel_keyaudit.settings`.
"""

OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS = "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS

Functions that authenticate, comma separated: ``module:name?field=expression&field=expression``.
"""

OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS = "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS

Functions that write an audit row, comma separated: ``module:name?field=expression&field=expression``.
"""

OTEL_PYTHON_KEYAUDIT_AUTHZ_TARGETS = "OTEL_PYTHON_KEYAUDIT_AUTHZ_TARGETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_AUTHZ_TARGETS

Functions that refuse an action for lack of permission, comma separated: ``module:name?field=expression``.
"""

OTEL_PYTHON_KEYAUDIT_SUBJECT_TARGETS = "OTEL_PYTHON_KEYAUDIT_SUBJECT_TARGETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SUBJECT_TARGETS

Functions that return a stored API key, comma separated: ``module:name?field=expression``.
"""

OTEL_PYTHON_KEYAUDIT_PRESETS = "OTEL_PYTHON_KEYAUDIT_PRESETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_PRESETS

Names of ready-made targets, comma separated.
"""

OTEL_PYTHON_KEYAUDIT_SAMPLER = "OTEL_PYTHON_KEYAUDIT_SAMPLER"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SAMPLER

``always_full`` (default), ``always_minimal``, ``actions``, ``on_change``, ``rules`` or ``module:name``.
"""

OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG = "OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG

Glob patterns for ``actions`` and ``on_change``, comma separated; the path of a JSON file for ``rules``.
"""

OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD = "OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD

Member of the additional fields for the request's key. Default: ``request_api_key``.
"""

OTEL_PYTHON_KEYAUDIT_SUBJECT_FIELD = "OTEL_PYTHON_KEYAUDIT_SUBJECT_FIELD"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SUBJECT_FIELD

Member for a key that the row is about. Default: ``api_key``.
"""

OTEL_PYTHON_KEYAUDIT_SCOPE_CATALOG = "OTEL_PYTHON_KEYAUDIT_SCOPE_CATALOG"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SCOPE_CATALOG

Path of a scope catalog (JSON), from which the effective scope is computed.
"""

OTEL_PYTHON_KEYAUDIT_AUDIT_SPANS = "OTEL_PYTHON_KEYAUDIT_AUDIT_SPANS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_AUDIT_SPANS

``true`` (default) for one span per audit write, ``false`` for none.
"""

OTEL_PYTHON_KEYAUDIT_MAX_ITEMS = "OTEL_PYTHON_KEYAUDIT_MAX_ITEMS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_MAX_ITEMS

Maximum number of list elements that are written. Default: ``128``.
"""

OTEL_PYTHON_KEYAUDIT_EVENTS = "OTEL_PYTHON_KEYAUDIT_EVENTS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_EVENTS

Log events to send, comma separated: ``denials``, ``audits``, ``usage``. Default: none.
"""

OTEL_PYTHON_KEYAUDIT_STRICT = "OTEL_PYTHON_KEYAUDIT_STRICT"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_STRICT

``true``: a missing target is an error, not a warning. Default: ``false``.
"""
