"""Full or minimal, by each sampler."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey, AuditEvent, ConfigurationError, Detail
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.observers.sampling import Sampler, build_sampler
from support.keyaudit import LoadModule, Modules

KEY = ApiKey("k_1", scopes=["a"])
FULL, MINIMAL = Detail.FULL, Detail.MINIMAL


def event(action: str | None = None, **members: object) -> AuditEvent:
    """Return an event of a request with a key."""
    return AuditEvent(**{"action": action, "request_key": KEY, **members})  # type: ignore[arg-type]


def built(sampler: str, *patterns: str) -> Sampler:
    """Return a sampler by its name."""
    return build_sampler(sampler, patterns or None, deferred=False)


def write(sampler: Sampler, one: AuditEvent) -> Detail:
    """Choose for a write that succeeds."""
    detail = sampler.choose(one)
    if detail is FULL:
        sampler.written(one)
    return detail


def test_constant_samplers() -> None:
    """The two constant samplers do not look at the event, and only full is known from the start."""
    assert built("always_full").choose(event()) is FULL
    assert built("always_minimal").choose(event(outcome=False, subject_key=KEY)) is MINIMAL
    assert built("always_full").is_constant_full
    assert not any(
        built(name, *patterns).is_constant_full for name, *patterns in [["always_minimal"], ["actions", "*"]]
    )


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (event("create"), FULL),
        (event("delete", resource_type="workspace"), FULL),
        (event("update"), MINIMAL),
        (event("created"), MINIMAL),
        (event("recreate"), MINIMAL),
        (event("Create"), MINIMAL),
        (event("rotate", resource_type="api_key"), FULL),
        (event("api_key.rotate"), FULL),
        (event("rotate", resource_type="my_api_key"), MINIMAL),
        (event("read", resource_type="x\ny"), FULL),
        (event(None), MINIMAL),
        (event(None, resource_type="api_key"), MINIMAL),
        (event("read", subject_key=ApiKey("k_2")), FULL),
    ],
)
def test_actions(one: AuditEvent, expected: Detail) -> None:
    """Patterns match the whole action, alone or behind its resource type; a row about a key is always full."""
    assert built("actions", "create", "delete", "api_key.*", "x*.read").choose(one) is expected


@pytest.mark.parametrize(
    ("outcome", "has_failed"),
    [
        (None, False), (True, False), (False, True), (200, False), (399, False), (400, True), (503.0, True), (0, False),
        (float("nan"), False), ("denied", True), ("Failed", True), ("FAILURE", True), ("error", True), ("ok", False),
        ("errors", False), ("", False), ("404", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sampler", ["actions", "on_change"])
def test_failed_outcomes_are_full(sampler: str, outcome: object, has_failed: bool) -> None:
    """``False``, a number of 400 or more, and four words in any case count as failed, and are always full."""
    chosen = built(sampler, "never")
    chosen.written(event())
    assert event(outcome=outcome).has_failed is has_failed
    assert chosen.choose(event("read", outcome=outcome)) is (FULL if has_failed else MINIMAL)


def test_on_change() -> None:
    """A snapshot is full once, and again when it has changed; a row about a key and some actions are always full."""
    sampler = built("on_change", "delete*")
    assert [write(sampler, event("read")) for _ in range(3)] == [FULL, MINIMAL, MINIMAL]
    changed = ApiKey("k_1", scopes=["a", "b"])
    assert [write(sampler, event("read", request_key=changed)) for _ in range(2)] == [FULL, MINIMAL]
    assert write(sampler, event("read")) is MINIMAL
    assert write(sampler, event("delete_all")) is FULL
    assert write(sampler, event("read", subject_key=changed)) is FULL


def test_on_change_counts_what_was_written() -> None:
    """A choice alone is no row: until one was written, every choice is full."""
    sampler = built("on_change")
    assert [sampler.choose(event()) for _ in range(2)] == [FULL, FULL]
    sampler.written(event())
    assert sampler.choose(event()) is MINIMAL


def test_on_change_knows_subjects() -> None:
    """A snapshot that was written as the subject of a row has been written."""
    sampler = built("on_change")
    created = ApiKey("k_new")
    assert write(sampler, event("create", subject_key=created)) is FULL
    assert write(sampler, event("read", request_key=created)) is MINIMAL


def test_on_change_is_bounded() -> None:
    """The ten thousand snapshots used last are known, those used long ago are not, and the memory has a limit."""
    sampler = built("on_change")
    write(sampler, event(request_key=ApiKey("forgotten")))
    write(sampler, event(request_key=ApiKey("in_use")))
    for number in range(40_000):
        sampler.written(event(request_key=ApiKey(f"k_{number}")))
        if number % 9_000 == 0:
            assert write(sampler, event(request_key=ApiKey("in_use"))) is MINIMAL
    last = [ApiKey(f"k_{number}") for number in range(30_001, 40_000)]
    assert all(sampler.choose(event(request_key=key)) is MINIMAL for key in last)
    assert sampler.choose(event(request_key=ApiKey("forgotten"))) is FULL
    known = vars(sampler)["_known"]
    assert 10_000 <= len(known) <= 20_000


def test_on_change_in_threads() -> None:
    """Threads that write at once lose nothing of what was used last."""
    sampler = built("on_change")

    def work(thread: int) -> None:
        for number in range(6_000):
            sampler.written(event(request_key=ApiKey(f"{thread}_{number}")))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert 10_000 <= len(vars(sampler)["_known"]) <= 20_000


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40))
def test_on_change_against_a_model(writes: list[tuple[int, bool]]) -> None:
    """A minimal row always has a full row of the same snapshot before it."""
    sampler = built("on_change")
    written: set[int] = set()
    for number, succeeds in writes:
        one = event("read", request_key=ApiKey(f"k_{number}"))
        assert (sampler.choose(one) is MINIMAL) == (number in written)
        if succeeds:
            sampler.written(one)
            written.add(number)


def test_function_by_name(load_module: LoadModule) -> None:
    """A sampler of the user's gets the event and chooses."""
    app = load_module(
        """
        from otel_keyaudit import Detail
        class Rules:
            @staticmethod
            def choose(event):
                return Detail.FULL if event.action == "create" else Detail.MINIMAL
        """
    )
    sampler = built(f"{app.__name__}:Rules.choose")
    assert [sampler.choose(event(action)) for action in ("create", "read")] == [FULL, MINIMAL]
    assert not sampler.is_constant_full


def test_function_is_imported_at_first_use(modules: Modules) -> None:
    """Naming a function imports nothing; what cannot be loaded then fails as an error of the call."""
    name = modules.write("raise RuntimeError('broken')")
    sampler = built(f"{name}:choose")
    with pytest.raises(RuntimeError, match="broken"):
        sampler.choose(event())


@pytest.mark.parametrize("detail", ["full", None, True, 1])
def test_other_results_are_refused(detail: object) -> None:
    """Only the two details are an answer."""
    with pytest.raises(UnreadableError, match="the sampler returned"):
        build_sampler(lambda one: detail, None, deferred=False).choose(event())


@pytest.mark.parametrize(
    ("sampler", "patterns", "parts"),
    [
        (
            "sometimes",
            None,
            ["'sampler'", "'sometimes'", "always_full, always_minimal, actions, on_change, module:name"],
        ),
        ("Always_full", None, ["'Always_full'"]),
        ("m:f:g", None, ["'m:f:g'"]),
        ("m:", None, ["'m:'"]),
        ("no_such_package.x:f", None, ["'sampler'", "'no_such_package.x:f'", "no package 'no_such_package'"]),
        ("os.path:no_such", None, ["'sampler'", "'os.path:no_such'", "no function 'no_such'"]),
        ("os.path:sep", None, ["'os.path:sep'", "no function"]),
        ("actions", None, ["'sampler_arg'", "None", "'actions'", "glob patterns"]),
        ("always_full", ("a", "b"), ["'sampler_arg'", "'a,b'", "'always_full'", "'on_change'"]),
        ("always_minimal", ("a",), ["'sampler_arg'", "'a'", "'always_minimal'"]),
        ("os.path:join", ("a",), ["'sampler_arg'", "'a'", "'os.path:join'"]),
        (len, ("a",), ["'sampler_arg'", "'a'", "'len'"]),
    ],
)
def test_wrong_samplers(sampler: str, patterns: tuple[str, ...] | None, parts: list[str]) -> None:
    """A sampler that does not exist, and an argument too many or too few, is one error that says what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        build_sampler(sampler, patterns, deferred=False)
    assert [part for part in parts if part not in str(wrong.value)] == []


def test_package_of_a_function_may_come_later() -> None:
    """Under ``opentelemetry-instrument`` the application's folder need not be importable yet."""
    sampler = build_sampler("no_such_package.x:f", None, deferred=True)
    with pytest.raises(ModuleNotFoundError):
        sampler.choose(event())
