"""The version. The build and the tracer read it from here."""

__version__ = "0.1.0"
