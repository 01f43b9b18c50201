"""The number of examples of a property: few in the quick form, many in the full form."""

from hypothesis import settings

IS_FULL = settings().max_examples > 1_000
"""The full profile of hypothesis was chosen: ``--hypothesis-profile=full``."""


def examples(full: int, *, quick: int) -> int:
    """Return how many examples to draw."""
    return full if IS_FULL else quick
