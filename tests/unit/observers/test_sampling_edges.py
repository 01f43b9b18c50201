"""What samplers refuse, word by word, and what their patterns do not match."""

import functools
from typing import Any

import pytest

from otel_keyaudit import AuditEvent, ConfigurationError, Detail
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.observers.sampling import build_sampler

NEEDS_PATTERNS = (
    "option 'sampler_arg' has the value None; allowed with sampler 'actions' are glob patterns with commas between"
)
TAKES_NONE = "takes none; allowed is an argument with sampler 'actions' or 'on_change'"
SAMPLERS = "allowed are always_full, always_minimal, actions, on_change, module:name"


class Rules:
    """A sampler that has no name of its own."""

    def __call__(self, event: AuditEvent) -> Detail:
        return Detail.FULL


@pytest.mark.parametrize(
    ("sampler", "patterns", "message"),
    [
        ("actions", None, NEEDS_PATTERNS),
        (
            "always_full",
            ("a", "b"),
            f"option 'sampler_arg' has the value 'a,b', but sampler 'always_full' {TAKES_NONE}",
        ),
        (
            Rules(),
            ("a",),
            f"option 'sampler_arg' has the value 'a', but sampler 'Rules' {TAKES_NONE}",
        ),
        (
            functools.partial(divmod, 1),
            ("a",),
            f"option 'sampler_arg' has the value 'a', but sampler 'partial' {TAKES_NONE}",
        ),
        ("sometimes", None, f"option 'sampler' has the value 'sometimes'; {SAMPLERS}"),
        ("m:", None, f"option 'sampler' has the value 'm:'; {SAMPLERS}"),
        (":f", None, f"option 'sampler' has the value ':f'; {SAMPLERS}"),
        ("a-b:f", None, f"option 'sampler' has the value 'a-b:f'; {SAMPLERS}"),
        ("m:f:g", None, f"option 'sampler' has the value 'm:f:g'; {SAMPLERS}"),
        (
            "os.path:no_such",
            None,
            "option 'sampler' has the value 'os.path:no_such': module 'os.path' has no function 'no_such'; " + SAMPLERS,
        ),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_wrong_sampler_is_explained(sampler: Any, patterns: tuple[str, ...] | None, message: str) -> None:
    """The option, the value as given, and what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        build_sampler(sampler, patterns, deferred=False)
    assert str(wrong.value) == message


def test_another_result_is_named_by_its_kind() -> None:
    """The log says what the function returned in place of a detail, and not its value."""
    with pytest.raises(UnreadableError) as refused:
        build_sampler(lambda event: "full", None, deferred=False).choose(AuditEvent())
    assert str(refused.value) == "the sampler returned str, not Detail.FULL or Detail.MINIMAL"


@pytest.mark.parametrize("action", ["", "XX", "read", "None"])
def test_without_patterns_no_action_is_always_full(action: str) -> None:
    """``on_change`` has no argument by default, and then nothing is selected by its name."""
    sampler = build_sampler("on_change", None, deferred=False)
    sampler.written(AuditEvent())
    assert sampler.choose(AuditEvent(action=action, resource_type=action)) is Detail.MINIMAL
