"""For the tests of a service that uses this package: records what comes out, and asserts things about it.

With pytest, ``from otel_keyaudit.testing import keyaudit_recorder`` in a ``conftest.py`` makes the fixture; without it,
``with Recorder() as recorder:`` is the same. ``examples/testing`` is a service tested in this way.
"""

from otel_keyaudit.testing.recorder import Recorder, assert_names, assert_names_no_key

__all__ = ["Recorder", "assert_names", "assert_names_no_key"]

try:
    from otel_keyaudit.testing.recorder import keyaudit_recorder as keyaudit_recorder
except ImportError:
    pass  # pytest is not installed
else:
    __all__ += ["keyaudit_recorder"]
