"""An exception of a signal handler is distinguished from the library's errors, whatever the handler is."""

import functools
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from types import FrameType
from typing import Any

import pytest

from otel_keyaudit.guard.guard import Guard
from otel_keyaudit.guard.signals import expected, is_raised_by_signal_handler
from otel_keyaudit.key.canonical import as_utc
from otel_keyaudit.key.permissions import allow_list

Handler = Callable[[int, FrameType | None], Any]


class SoftLimitError(Exception):
    """The limit of a job."""


class Job:
    """Its methods, or itself, are handlers."""

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        """Raise."""
        raise SoftLimitError

    @staticmethod
    def static(number: int, frame: FrameType | None) -> None:
        """Raise."""
        raise SoftLimitError

    @classmethod
    def of_class(cls, number: int, frame: FrameType | None) -> None:
        """Raise."""
        raise SoftLimitError

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise."""
        raise SoftLimitError


def function(number: int, frame: FrameType | None) -> None:
    """Raise."""
    raise SoftLimitError


def variadic(*_: object) -> None:
    """Raise."""
    raise SoftLimitError


def half_variadic(number: int, *_: object) -> None:
    """Raise."""
    raise SoftLimitError


def half_variadic_with_a_keyword(number: int, *_: object, hard: bool = False) -> None:
    """Raise."""
    raise SoftLimitError


def with_defaults(number: int, frame: FrameType | None, job: str = "job", *, hard: bool = False) -> None:
    """Raise."""
    raise SoftLimitError


def closing(number: int, frame: FrameType | None) -> None:
    """Raise from a function inside, which uses the frame."""

    def inside() -> FrameType | None:
        if frame is not None:
            raise SoftLimitError
        return frame

    inside()


def chained(number: int, frame: FrameType | None) -> None:
    """Raise from another exception."""
    try:
        int("job")
    except ValueError as error:
        raise SoftLimitError from error


def bare(job: str, number: int, frame: FrameType | None) -> None:
    """Raise; the job is bound by ``functools.partial``."""
    raise SoftLimitError


@functools.wraps(function)
def decorated(*args: Any, **kwargs: Any) -> None:
    """Call a handler."""
    function(*args, **kwargs)


HANDLERS: dict[str, Handler] = {
    "function": function,
    "method": Job().on_alarm,
    "static method": Job.static,
    "class method": Job.of_class,
    "callable object": Job(),
    "variadic": variadic,
    "half variadic": half_variadic,
    "half variadic with a keyword": half_variadic_with_a_keyword,
    "with defaults": with_defaults,
    "with a function inside": closing,
    "chained": chained,
    "partial": functools.partial(bare, "job"),
    "decorated": decorated,
}


@pytest.fixture
def handle() -> Iterator[Callable[[Handler], None]]:
    """Set the handler of SIGUSR1 for one test."""
    before = signal.getsignal(signal.SIGUSR1)

    def handle(handler: Handler) -> None:
        signal.signal(signal.SIGUSR1, handler)

    yield handle
    signal.signal(signal.SIGUSR1, before)


class Reporting(Guard):
    """Counts its reports."""

    count = 0

    def report(self, _: str, error: BaseException) -> None:
        """Count."""
        self.count += 1


def slow_scopes(depth: int = 0) -> list[str]:
    """Return scopes; the signal arrives meanwhile."""
    if depth:
        return slow_scopes(depth - 1)
    signal.raise_signal(signal.SIGUSR1)
    return ["a:read"]


@pytest.mark.parametrize("depth", [0, 5])
@pytest.mark.parametrize("name", HANDLERS)
def test_the_exception_of_a_handler_reaches_the_application(name: str, depth: int, handle: Any) -> None:
    """The exception passes through every kind of handler and any depth of code, and is not reported."""
    handle(HANDLERS[name])
    guard = Reporting()
    with pytest.raises(SoftLimitError):
        guard.guarded("authentication", slow_scopes, depth)
    with pytest.raises(SoftLimitError):
        guard.run((("authentication", lambda _: slow_scopes(depth)),))
    assert guard.count == 0


def test_a_handler_interrupts_the_guard_itself(handle: Any) -> None:
    """The handler's caller is the guard's frame, because the signal arrives in a C function that the guard calls."""
    handle(function)
    guard = Reporting()
    with pytest.raises(SoftLimitError):
        guard.guarded("authentication", signal.raise_signal, signal.SIGUSR1)
    assert guard.count == 0


def _raises() -> None:
    raise ValueError


def _takes_a_number(number: int) -> None:
    raise ValueError


def _takes_its_own_frame(number: int, frame: object) -> None:
    raise ValueError


def _is_handed_the_frame_of_nobody(number: int, frame: None) -> None:
    raise ValueError


def _generator(number: int, frame: None) -> Iterator[None]:
    yield
    raise ValueError


def _ends_a_generator_whose_frame_has_no_caller() -> None:
    list(_generator(14, None))


@pytest.mark.parametrize(
    "work",
    [
        _raises,
        functools.partial(_takes_a_number, 14),
        functools.partial(_takes_its_own_frame, 14, "frame"),
        functools.partial(_is_handed_the_frame_of_nobody, 14, None),
        _ends_a_generator_whose_frame_has_no_caller,
        functools.partial(int, "no number"),
        functools.partial(exec, "raise ValueError"),
    ],
)
def test_an_error_of_ours_is_reported(work: Callable[[], None]) -> None:
    """An exception that no handler raised is reported, also if it comes from a function that looks like one."""
    guard = Reporting()
    assert guard.guarded("merge", work) is None
    assert guard.count == 1


def test_a_handler_that_handles_its_exception_changes_nothing(handle: Any) -> None:
    """An error after the handled exception is the library's own."""

    def quiet(number: int, frame: FrameType | None) -> None:
        with suppress(SoftLimitError):
            function(number, frame)

    def work() -> None:
        signal.raise_signal(signal.SIGUSR1)
        raise ValueError

    handle(quiet)
    guard = Reporting()
    assert guard.guarded("merge", work) is None
    assert guard.count == 1


def test_no_handler_runs_in_another_thread() -> None:
    """Python runs handlers in the main thread only, so frames of other threads are not searched."""
    answers: list[bool] = []

    def work() -> None:
        try:
            function(14, None)
        except SoftLimitError as error:
            answers.append(is_raised_by_signal_handler(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]


def test_an_error_without_a_traceback_is_no_handlers() -> None:
    """An error without a traceback was never raised."""
    assert is_raised_by_signal_handler(ValueError()) is False


def test_a_failure_keeps_no_argument_alive() -> None:
    """With the collector off, no argument is left in a cycle, however deep the work failed."""

    class Credential:
        pass

    def work(raw: Credential, depth: int) -> None:
        if depth:
            work(raw, depth - 1)
        raise ValueError

    credential = Credential()
    reference = weakref.ref(credential)
    gc.collect()
    gc.disable()
    try:
        Reporting().guarded("authentication", work, credential, 3)
        del credential
        is_alive = reference() is not None
    finally:
        gc.enable()
    assert not is_alive


class ValueLimitError(ValueError):
    """A limit that looks like an error of a conversion."""


class OverflowLimitError(OverflowError):
    """A limit that looks like an error of arithmetic."""


def raising(kind: type[Exception]) -> Handler:
    """Return a handler that raises an exception of a class."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise kind

    return handler


def test_an_expected_exception_is_suppressed() -> None:
    """Only the expected exception is suppressed."""
    with expected(ValueError, KeyError):
        int("no number")
    with pytest.raises(TypeError), expected(ValueError, KeyError):
        int([])  # type: ignore[call-overload]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
def test_a_group_of_expected_exceptions_is_suppressed() -> None:
    """As ``contextlib.suppress`` does."""
    with expected(ValueError, KeyError):
        raise ExceptionGroup("several", [ValueError(), KeyError()])  # noqa: F821
    with pytest.raises(ExceptionGroup), expected(ValueError):  # noqa: F821
        raise ExceptionGroup("several", [ValueError(), KeyError()])  # noqa: F821


def test_an_exception_of_a_handler_is_not_expected(handle: Any) -> None:
    """An exception of a handler passes through, whatever its class and however deep the code is."""
    handle(raising(ValueLimitError))
    for work in (functools.partial(signal.raise_signal, signal.SIGUSR1), slow_scopes):
        with pytest.raises(ValueLimitError), expected(ValueError):
            work()


class Zone(tzinfo):
    """A time zone; the signal arrives when it is asked for its offset."""

    def utcoffset(self, time: datetime | None) -> timedelta:
        """Return the offset."""
        signal.raise_signal(signal.SIGUSR1)
        return timedelta(0)

    def dst(self, time: datetime | None) -> None:
        """Have none."""

    def tzname(self, time: datetime | None) -> None:
        """Have none."""


def test_a_conversion_does_not_take_the_exception_of_a_handler_for_its_own(
    handle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exception passes through the conversion of a time and of an entry of an allow list."""
    handle(raising(OverflowLimitError))
    with pytest.raises(OverflowLimitError):
        as_utc(datetime(2026, 1, 1, tzinfo=Zone()))
    handle(raising(ValueLimitError))
    monkeypatch.setattr(allow_list, "ip_network", lambda *_, **__: signal.raise_signal(signal.SIGUSR1))
    with pytest.raises(ValueLimitError):
        allow_list.is_resource("workspace:1")
