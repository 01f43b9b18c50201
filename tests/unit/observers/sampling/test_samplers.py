"""The detail of a row, full or minimal, by each sampler."""

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey, AuditEvent, ConfigurationError, Detail
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.observers.sampling.samplers import SAMPLERS, Sampler, build_sampler
from support.environment.concurrency import at_once
from support.environment.modules import LoadModule, Modules

KEY = ApiKey("k_1", scopes=["a"])
GRANTED, DENIED = Decision(("a",), "granted", "scope", ("a",)), Decision(("b",), "denied", "scope", (), ("b",))
FULL, MINIMAL = Detail.FULL, Detail.MINIMAL


def event(action: str | None = None, **members: object) -> AuditEvent:
    """Return an event of a request with a key."""
    return AuditEvent(**{"action": action, "request_key": KEY, **members})  # type: ignore[arg-type]


def built(sampler: str, *patterns: str) -> Sampler:
    """Build a sampler by its name."""
    return build_sampler(sampler, patterns or None, deferred=False)


def write(sampler: Sampler, one: AuditEvent) -> Detail:
    """Choose for a write that succeeds."""
    detail = sampler.choose(one)
    if detail is FULL:
        sampler.written(one)
    return detail


def test_constant_samplers() -> None:
    """The two constant samplers ignore the event, and only ``always_full`` is full from the start."""
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
        (event(None), FULL),
        (event(None, resource_type="workspace"), FULL),
        (event("read", decisions=(GRANTED, DENIED, GRANTED)), FULL),
        (event("read", decisions=(Decision(outcome="error"),)), FULL),
        (event("read", decisions=(GRANTED, Decision())), MINIMAL),
        (event("read", subject_key=ApiKey("k_2")), FULL),
    ],
)
def test_actions(one: AuditEvent, expected: Detail) -> None:
    """Patterns match the whole action; an unknown action, rows about a key and rows after a refusal are full."""
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
    """``False``, a number of 400 or more, and four words in any case count as failed and are always full."""
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


def test_on_change_counts_written_rows() -> None:
    """A choice alone is no row: until a row was written, every choice is full."""
    sampler = built("on_change")
    assert [sampler.choose(event()) for _ in range(2)] == [FULL, FULL]
    sampler.written(event())
    assert sampler.choose(event()) is MINIMAL


def test_on_change_counts_subjects() -> None:
    """A snapshot that was written as the subject of a row counts as written."""
    sampler = built("on_change")
    created = ApiKey("k_new")
    assert write(sampler, event("create", subject_key=created)) is FULL
    assert write(sampler, event("read", request_key=created)) is MINIMAL


def test_on_change_without_a_row() -> None:
    """A write that is only on spans makes later ones like it minimal, but no row: its digest must lead to a row."""
    sampler = built("on_change")
    assert sampler.choose(event(), has_row=False) is FULL
    sampler.written(event(), has_row=False)
    assert sampler.choose(event(), has_row=False) is MINIMAL
    assert write(sampler, event()) is FULL
    assert sampler.choose(event(), has_row=False) is MINIMAL
    sampler.written(event(), has_row=False)
    assert write(sampler, event()) is MINIMAL


def test_on_change_is_bounded() -> None:
    """The 10,000 snapshots used last are remembered, snapshots used long ago are not, and the memory has a limit."""
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
    """Threads that write at the same time do not lose the snapshots used last."""
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
    """A custom sampler gets the event and chooses."""
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
    """Naming a function imports nothing; a module that cannot be imported fails at the first write."""
    name = modules.write("raise RuntimeError('broken')")
    sampler = built(f"{name}:choose")
    with pytest.raises(RuntimeError, match="broken"):
        sampler.choose(event())


@pytest.mark.parametrize("detail", ["full", None, True, 1])
def test_other_results_are_refused(detail: object) -> None:
    """A custom sampler must return one of the two details."""
    with pytest.raises(UnreadableError, match="the sampler returned"):
        build_sampler(lambda one: detail, None, deferred=False).choose(event())


NAMES = "allowed are always_full, always_minimal, actions, on_change, rules, module:name"
ALLOWED_PATTERNS = "allowed with sampler 'actions' are comma-separated glob patterns"
ALLOWED_ON_CHANGE = "allowed with sampler 'on_change' are comma-separated glob patterns, or no argument"
ALLOWED_PATH = "allowed with sampler 'rules' is the path of a JSON file"
TAKES_NONE = "takes none; allowed is an argument with sampler 'actions', 'on_change' or 'rules'"


class Unnamed:
    """A sampler without a name of its own."""

    def __call__(self, event: AuditEvent) -> Detail:
        return Detail.FULL


@pytest.mark.parametrize(
    ("sampler", "argument", "message"),
    [
        ("sometimes", None, f"option 'sampler' has the value 'sometimes'; {NAMES}"),
        ("", None, f"option 'sampler' has the value ''; {NAMES}"),
        (5, None, f"option 'sampler' has the value 5; {NAMES}"),
        (["always_full"], None, f"option 'sampler' has the value ['always_full']; {NAMES}"),
        ("action", "create,,delete", f"option 'sampler' has the value 'action'; {NAMES}; did you mean 'actions'?"),
        (5, 5, f"option 'sampler' has the value 5; {NAMES}"),
        ("action", "create", f"option 'sampler' has the value 'action'; {NAMES}; did you mean 'actions'?"),
        ("Always_full", None, f"option 'sampler' has the value 'Always_full'; {NAMES}; did you mean 'always_full'?"),
        ("x" * 300, None, f"option 'sampler' has the value '{'x' * 200}'…; {NAMES}"),
        ("m:", None, f"option 'sampler' has the value 'm:'; {NAMES}"),
        (":f", None, f"option 'sampler' has the value ':f'; {NAMES}"),
        ("a-b:f", None, f"option 'sampler' has the value 'a-b:f'; {NAMES}"),
        ("m:f:g", None, f"option 'sampler' has the value 'm:f:g'; {NAMES}"),
        ("actions", None, f"option 'sampler_arg' has the value None; {ALLOWED_PATTERNS}"),
        ("actions", 5, f"option 'sampler_arg' has the value 5; {ALLOWED_PATTERNS}"),
        ("actions", ["a", 1], f"option 'sampler_arg' has the value ['a', 1]; {ALLOWED_PATTERNS}"),
        ("actions", [], f"option 'sampler_arg' has the value []; {ALLOWED_PATTERNS}, without empty elements"),
        ("actions", "a,,b", f"option 'sampler_arg' has the value 'a,,b'; {ALLOWED_PATTERNS}, without empty elements"),
        (
            "on_change",
            " ",
            f"option 'sampler_arg' has the value ' '; {ALLOWED_ON_CHANGE}, without empty elements",
        ),
        ("rules", None, f"option 'sampler_arg' has the value None; {ALLOWED_PATH}"),
        ("rules", " ", f"option 'sampler_arg' has the value ' '; {ALLOWED_PATH}"),
        ("rules", ["a", "b"], f"option 'sampler_arg' has the value ['a', 'b']; {ALLOWED_PATH}"),
        (
            "rules",
            "no/file.json",
            "option 'sampler_arg' has the value 'no/file.json': cannot be read: No such file or directory",
        ),
        ("always_full", "", f"option 'sampler_arg' has the value '', but sampler 'always_full' {TAKES_NONE}"),
        ("always_full", 5, f"option 'sampler_arg' has the value 5, but sampler 'always_full' {TAKES_NONE}"),
        ("always_full", "a", f"option 'sampler_arg' has the value 'a', but sampler 'always_full' {TAKES_NONE}"),
        (
            "always_minimal",
            ("a", "b"),
            f"option 'sampler_arg' has the value ('a', 'b'), but sampler 'always_minimal' {TAKES_NONE}",
        ),
        ("os.path:join", "a", f"option 'sampler_arg' has the value 'a', but sampler 'os.path:join' {TAKES_NONE}"),
        (divmod, "a", f"option 'sampler_arg' has the value 'a', but sampler 'divmod' {TAKES_NONE}"),
        pytest.param(
            *(Unnamed(), "a", f"option 'sampler_arg' has the value 'a', but sampler 'Unnamed' {TAKES_NONE}"),
            id="unnamed",  # its own repr has an address, and differs between processes
        ),
        (
            functools.partial(divmod, 1),
            "a",
            f"option 'sampler_arg' has the value 'a', but sampler 'partial' {TAKES_NONE}",
        ),
    ],
    ids=str,
)
def test_wrong_samplers_are_explained(sampler: Any, argument: Any, message: str) -> None:
    """The error blames the wrong option, and names its value, the allowed values and the nearest name."""
    with pytest.raises(ConfigurationError) as wrong:
        build_sampler(sampler, argument, deferred=False)
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("sampler", "parts"),
    [
        ("no_such_package.x:f", ["'sampler'", "'no_such_package.x:f'", "no package 'no_such_package'", NAMES]),
        ("os.path:no_such", ["'sampler'", "'os.path:no_such'", "'no_such'", NAMES]),
        ("os.path:sep", ["'sampler'", "'os.path:sep'", "no function", NAMES]),
    ],
)
def test_functions_that_do_not_exist(sampler: str, parts: list[str]) -> None:
    """A custom sampler is checked when the options are read, as far as that is possible without an import."""
    with pytest.raises(ConfigurationError) as wrong:
        build_sampler(sampler, None, deferred=False)
    assert [part for part in parts if part not in str(wrong.value)] == []


@pytest.mark.parametrize("argument", ["create, delete*", ["create", "delete*"], ("create", " delete* ")])
def test_patterns_come_as_a_list_or_a_string(argument: Any) -> None:
    """White space around a pattern is ignored."""
    sampler = build_sampler("actions", argument, deferred=False)
    assert [sampler.choose(event(action)) for action in ("create", "delete_all", "read")] == [FULL, FULL, MINIMAL]


@pytest.mark.parametrize("action", ["", "XX", "read", "None", None])
def test_on_change_without_patterns(action: str | None) -> None:
    """``on_change`` needs no argument, and then selects no action by its name."""
    sampler = build_sampler("on_change", None, deferred=False)
    sampler.written(AuditEvent())
    assert sampler.choose(AuditEvent(action=action, resource_type=action)) is Detail.MINIMAL


def test_on_change_keeps_refused_requests_full() -> None:
    """A row after a decision that was denied or an error is full, although its snapshot is known."""
    sampler = built("on_change")
    sampler.written(event())
    assert sampler.choose(event("read", decisions=(DENIED, GRANTED))) is FULL
    assert sampler.choose(event("read", decisions=(GRANTED,))) is MINIMAL


def rules_sampler(folder: Path, *rules: dict[str, Any]) -> Sampler:
    """Build a sampler from rules."""
    path = folder / "rules,1.json"
    path.write_text(json.dumps({"rules": rules}), encoding="utf-8")
    return build_sampler("rules", str(path), deferred=False)


def test_rules_choose_the_detail(tmp_path: Path) -> None:
    """The path may hold commas; failed rows follow the rules, too, and rows about a key are full."""
    sampler = rules_sampler(tmp_path, {"actions": ["create"], "detail": "full"}, {"detail": "minimal"})
    assert [sampler.choose(event(action)) for action in ("create", "read", None)] == [FULL, MINIMAL, MINIMAL]
    assert sampler.choose(event("read", outcome="failed", decisions=(DENIED,))) is MINIMAL
    assert sampler.choose(event("read", subject_key=ApiKey("k_2"))) is FULL


def test_rules_share_one_memory(tmp_path: Path) -> None:
    """A row that any rule made full counts for the snapshots that ``on_change`` remembers."""
    sampler = rules_sampler(
        tmp_path,
        {"actions": ["create"], "detail": "full"},
        {"actions": ["read"], "detail": "on_change"},
        {"detail": "on_change"},
    )
    assert write(sampler, event("create")) is FULL
    assert write(sampler, event("read")) is MINIMAL
    assert write(sampler, event("update", request_key=ApiKey("k_2"))) is FULL
    assert write(sampler, event("read", request_key=ApiKey("k_2"))) is MINIMAL


@pytest.mark.parametrize("as_argument", [lambda path: path, lambda path: [str(path)], lambda path: (path,)])
def test_path_of_rules_may_be_the_only_element_of_a_list(tmp_path: Path, as_argument: Any) -> None:
    """The patterns of other samplers may come as a list, too."""
    rules_sampler(tmp_path, {"detail": "minimal"})
    sampler = build_sampler("rules", as_argument(tmp_path / "rules,1.json"), deferred=False)
    assert sampler.choose(event("read")) is MINIMAL


def test_rules_are_read_once(tmp_path: Path) -> None:
    """A change of the file does not change the rules of a process."""
    sampler = rules_sampler(tmp_path, {"detail": "minimal"})
    (tmp_path / "rules,1.json").unlink()
    assert sampler.choose(event("read")) is MINIMAL


def test_wrong_rules_name_the_place(tmp_path: Path) -> None:
    """The option, the file and the place in it are one line."""
    with pytest.raises(ConfigurationError) as wrong:
        rules_sampler(tmp_path, {"detail": "minimal", "keys": ["k"]}, {"detail": "ful"})
    assert str(wrong.value).startswith(
        f"option 'sampler_arg' has the value '{tmp_path}/rules,1.json': rules[1].detail "
    )
    assert str(wrong.value).endswith("; did you mean 'full'?")


def test_all_samplers_are_listed() -> None:
    """Each listed name but the last is a sampler; error messages list them."""
    for name in SAMPLERS[:-1]:
        argument = "create" if name == "actions" else None
        if name == "rules":
            with pytest.raises(ConfigurationError, match="path of a JSON file"):
                build_sampler(name, argument, deferred=False)
        else:
            assert isinstance(build_sampler(name, argument, deferred=False), Sampler)


def test_package_of_a_function_may_come_later() -> None:
    """Under ``opentelemetry-instrument`` the application's folder may become importable later."""
    sampler = build_sampler("no_such_package.x:f", None, deferred=True)
    with pytest.raises(ModuleNotFoundError):
        sampler.choose(event())


def test_another_result_is_named_by_its_type() -> None:
    """The log names the type of the returned value and not the value."""
    with pytest.raises(UnreadableError) as refused:
        build_sampler(lambda event: "full", None, deferred=False).choose(AuditEvent())
    assert str(refused.value) == "the sampler returned str, not Detail.FULL or Detail.MINIMAL"


def test_a_coroutine_is_no_choice() -> None:
    """It is closed, so Python does not warn that nobody awaits it."""

    async def choose(event: AuditEvent) -> Detail:
        return Detail.MINIMAL

    with pytest.raises(UnreadableError, match="would have to be awaited"):
        build_sampler(choose, None, deferred=False).choose(AuditEvent())


def test_on_change_knows_a_snapshot_in_every_thread() -> None:
    """Threads that write with the same key at once get minimal rows after the first full row."""
    sampler = built("on_change")
    one = event("read")
    sampler.written(one)
    details: list[set[Detail]] = []

    def work() -> None:
        details.append({sampler.choose(one) for _ in range(5_000)})

    at_once(*[work] * 4)
    assert details == [{MINIMAL}] * 4


def test_snapshot_of_a_span_leads_to_no_row() -> None:
    """A write without a row makes the rows after it no reference, and does not undo a row."""
    sampler = built("on_change")
    one = event("read")
    sampler.written(one, has_row=False)
    assert (sampler.choose(one), sampler.choose(one, has_row=False)) == (FULL, MINIMAL)
    sampler.written(one)
    sampler.written(one, has_row=False)
    assert sampler.choose(one) is MINIMAL
