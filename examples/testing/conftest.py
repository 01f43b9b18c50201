from otel_keyaudit.testing import keyaudit_recorder

__all__ = ["keyaudit_recorder"]
