"""The environment variables, one per option; ``opentelemetry-instrument`` makes a flag of each.

Their meaning is that of the options of the same name, see :mod:`otel_keyaudit.settings`.
"""

OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS = "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS

Functions that authenticate, comma separated: ``module:name?field=expression&field=expression``.
"""

OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS = "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS

Functions that write an audit row, comma separated, in the same form.
"""

OTEL_PYTHON_KEYAUDIT_PRESETS = "OTEL_PYTHON_KEYAUDIT_PRESETS"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_PRESETS

Names of ready-made targets, comma separated.
"""

OTEL_PYTHON_KEYAUDIT_SAMPLER = "OTEL_PYTHON_KEYAUDIT_SAMPLER"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SAMPLER

``always_full`` (default), ``always_minimal``, ``actions``, ``on_change`` or ``module:name``.
"""

OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG = "OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG

Glob patterns for ``actions`` and ``on_change``, comma separated.
"""

OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD = "OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD

Member of the additional fields that names the request's key. Default: ``request_api_key``.
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

Longest list that is written out, in elements. Default: ``128``.
"""

OTEL_PYTHON_KEYAUDIT_STRICT = "OTEL_PYTHON_KEYAUDIT_STRICT"
"""
.. envvar:: OTEL_PYTHON_KEYAUDIT_STRICT

``true``: a target that cannot be found is an error, not a warning. Default: ``false``.
"""
