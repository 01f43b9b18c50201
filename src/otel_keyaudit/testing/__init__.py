"""The testing kit for services that use this package.

With pytest, import the fixture in ``conftest.py``: ``from otel_keyaudit.testing import keyaudit_recorder``. Without
pytest, use ``with Recorder() as recorder:``. ``examples/testing`` has a service and its tests.
"""

from otel_keyaudit.testing.recorder import Recorder, assert_names, assert_names_no_key, keyaudit_attributes

__all__ = ["Recorder", "assert_names", "assert_names_no_key", "keyaudit_attributes"]

try:
    from otel_keyaudit.testing.recorder import keyaudit_recorder as keyaudit_recorder
except ImportError:
    pass  # pytest is not installed
else:
    __all__ += ["keyaudit_recorder"]
