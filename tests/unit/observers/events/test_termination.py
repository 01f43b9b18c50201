"""SIGTERM in a process that has events to send."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit.observers.events.termination import Termination
from support.environment.installed import need_package
from support.environment.undisturbed import unmeasured_environment

BEGIN = """
import os, signal, sys, threading, time
from otel_keyaudit.observers.events import termination
from otel_keyaudit.observers.events.termination import Termination

def flush():
    print("flushed", os.getpid(), flush=True)

def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    print("alive", flush=True)

"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that begins with the definitions above."""
    return subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def flushes(done: subprocess.CompletedProcess[str]) -> int:
    """Return how often a program has sent its events."""
    return done.stdout.count("flushed")


def test_events_are_sent_and_the_process_ends_by_the_signal() -> None:
    """The events are sent once, and the exit status is the same as without the library."""
    done = run("Termination(flush); terminate()")

    assert (done.returncode, flushes(done), done.stderr) == (-signal.SIGTERM, 1, "")
    assert "alive" not in done.stdout


def test_signal_raised_again_after_a_graceful_shutdown_sends_events() -> None:
    """A server that restores the handler and raises the signal again, as uvicorn does, loses no event."""
    done = run("""
Termination(flush)
before = signal.signal(signal.SIGTERM, lambda *_: None)
terminate()
signal.signal(signal.SIGTERM, before)
signal.raise_signal(signal.SIGTERM)
""")

    assert (done.returncode, flushes(done)) == (-signal.SIGTERM, 1)
    assert "alive" in done.stdout


@pytest.mark.parametrize("order", ["handle(); Termination(flush)", "Termination(flush); handle()"])
def test_handler_of_the_application_is_used(order: str) -> None:
    """A handler of the application, earlier or later, is called as without the library."""
    done = run(f"""
def handle():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))

{order}
terminate()
""")

    assert (done.returncode, flushes(done)) == (7, 0)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.default_int_handler], ids=["ignored", "function"])
def test_close_leaves_another_handler(handler: Any) -> None:
    """After an earlier or later handler was installed, close changes nothing."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        termination = Termination(list)
        signal.signal(signal.SIGTERM, handler)
        termination.close()

        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_close_restores_the_default() -> None:
    """After close, SIGTERM has its default again."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        termination = Termination(list)
        installed = signal.getsignal(signal.SIGTERM)
        termination.close()

        assert installed not in {signal.SIG_DFL, signal.SIG_IGN}
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_receiver_that_does_not_answer_delays_the_end_only() -> None:
    """If sending takes too long, the process ends by the signal nevertheless."""
    done = run("termination.SECONDS = 0.2; Termination(lambda: time.sleep(60)); terminate()")

    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_lock_of_the_main_thread_does_not_prevent_the_end() -> None:
    """If the interrupted code holds a lock that sending needs, the process ends by the signal nevertheless."""
    done = run("""
termination.SECONDS = 0.2
lock = threading.Lock()
Termination(lock.acquire)
with lock:
    terminate()
""")

    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_failed_flush_is_silent_on_stderr() -> None:
    """If sending raises, the process ends by the signal without a traceback."""
    done = run("Termination(lambda: 1 / 0); terminate()")

    assert done.returncode == -signal.SIGTERM
    assert "Traceback" not in done.stderr


def test_forked_child_sends_its_events() -> None:
    """A child that was forked later sends its own events, and the parent lives on."""
    done = run("""
Termination(flush)
child = os.fork()
if child == 0:
    terminate()
_, status = os.waitpid(child, 0)
print("child", child, os.waitstatus_to_exitcode(status))
""")

    child = done.stdout.split()[1]
    assert done.stdout == f"flushed {child}\nchild {child} -15\n"
    assert done.returncode == 0


def test_other_threads_install_nothing() -> None:
    """Only the main thread can install a handler; elsewhere nothing happens."""
    before = signal.getsignal(signal.SIGTERM)
    created: list[Termination] = []
    thread = threading.Thread(target=lambda: created.append(Termination(list)))
    thread.start()
    thread.join()
    created[0].close()

    assert signal.getsignal(signal.SIGTERM) is before


def test_worker_whose_server_restored_the_default_handler_sends_events() -> None:
    """The handler is installed again when a forked worker begins to serve, as gunicorn's worker for uvicorn needs."""
    done = run("""
termination = Termination(flush)
child = os.fork()
if not child:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    termination.watch()
    terminate()
_, status = os.waitpid(child, 0)
print("child", os.WTERMSIG(status))
""")

    assert (done.returncode, flushes(done), done.stderr) == (0, 1, "")
    assert f"child {int(signal.SIGTERM)}" in done.stdout
    assert "alive" not in done.stdout


def test_handler_of_the_application_is_never_replaced() -> None:
    """Neither at first nor when the process begins to serve."""
    done = run("""
signal.signal(signal.SIGTERM, lambda *_: print("own", flush=True))
Termination(flush).watch()
terminate()
""")

    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["own", "alive"], "")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("place", ["parent", "worker"])
def test_worker_of_multiprocessing_sends_its_events_when_it_ends(tmp_path: Path, method: str, place: str) -> None:
    """A forked worker skips `atexit`, as granian's workers do, and sends its events all the same."""
    program = f"""
import multiprocessing
def work():
    if {place == "worker"}: globals()["termination"] = Termination(flush)
if __name__ == "__main__":
    if {place == "parent"}: termination = Termination(flush)
    worker = multiprocessing.get_context({method!r}).Process(target=work)
    worker.start()
    worker.join()
    print("worker", worker.pid, worker.exitcode)
"""
    file = tmp_path / "program.py"
    file.write_text(BEGIN + program, encoding="utf-8")
    command = [sys.executable, str(file)]
    done = subprocess.run(
        command, env=unmeasured_environment(), capture_output=True, text=True, check=False, timeout=60
    )

    *flushed, last = done.stdout.splitlines()
    pid = last.split()[1]
    is_watched = place == "worker" or method == "fork"
    assert (flushed, last, done.stderr) == ([f"flushed {pid}"] if is_watched else [], f"worker {pid} 0", "")


def test_worker_of_celery_sends_its_events_when_it_ends() -> None:
    """It ends with `os._exit`, after a signal of Celery."""
    need_package("celery")
    done = run("""
import multiprocessing
from celery import signals
termination = Termination(flush)
def work():
    signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
    os._exit(0)
worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
print("worker", worker.pid)
""")

    pid = done.stdout.split()[-1]
    assert (done.stdout, done.stderr) == (f"flushed {pid}\nworker {pid}\n", "")


@pytest.mark.parametrize("place", ["parent", "worker"])
def test_closed_termination_sends_nothing_at_the_end_of_a_worker(place: str) -> None:
    """After `uninstrument()` in the parent or in the worker, nothing is sent."""
    done = run(f"""
import multiprocessing
termination = Termination(flush)
def close():
    global termination
    termination.close()
    termination = None
if {place == "parent"}: close()
worker = multiprocessing.get_context("fork").Process(target=close if {place == "worker"} else print)
worker.start()
worker.join()
print("worker", worker.exitcode)
""")

    assert (done.stdout.split(), done.stderr) == (["worker", "0"], "")
