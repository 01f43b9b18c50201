"""A real server puts out no canary because of this library."""

import signal
import subprocess
import sys
from pathlib import Path

from support import services
from support.clients import canaries

SERVICE = Path(services.__file__).with_name("canary_service.py")


def served(folder: Path, mode: str) -> canaries.Found:
    """Serve all requests in a separate process; return the places of canaries in its output."""
    folder.mkdir()
    command = [sys.executable, "-W", "default", str(SERVICE), str(folder), mode]
    with (folder / "stderr").open("wb") as stderr, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            statuses = canaries.send(int(process.stdout.readline()))
            process.send_signal(signal.SIGINT)
            (folder / "stdout").write_bytes(process.communicate(timeout=60)[0])
        finally:
            process.kill()
    assert {200, 401, 500} == set(statuses), (folder / "stderr").read_text(encoding="utf-8")
    return canaries.hits(folder)


def test_library_adds_no_canary_to_any_output(tmp_path: Path) -> None:
    """Each canary occurs as often as without the library, and a forged member is renamed."""
    on, off = (served(tmp_path / mode, mode) for mode in ("on", "off"))
    assert on["rows"].pop("request_api_key_unverified") == off["rows"].pop("request_api_key")
    assert on == off
    _check_what_others_put_out(off)
    _check_that_the_search_is_worth_something(tmp_path / "on")


def _check_what_others_put_out(off: canaries.Found) -> None:
    """Check that other output has only canaries that the README lists: the query string and the application's own."""
    assert off["spans"].keys() <= {"SpanKind.SERVER http.url", "SpanKind.SERVER url.query"}
    assert not off["metrics"]
    assert not off["texts"]
    assert off["printed"].keys() == {"uvicorn.access", "PermissionError:"}
    assert {place.split()[0] for place in off["logs"]} == {"uvicorn.access", "uvicorn.error", "shop"}


def _check_that_the_search_is_worth_something(folder: Path) -> None:
    """Check that there were rows with keys, audit spans, and warnings of every stage."""
    logged = (folder / "stderr").read_text(encoding="utf-8")
    for stage in ("authentication", "audit", "sampling", "merge", "collision"):
        assert f": {stage} failed with" in logged
    assert '"request_api_key": {"id": "k_1"' in (folder / "rows").read_text(encoding="utf-8")
    assert "keyaudit.key.id" in (folder / "spans").read_text(encoding="utf-8")
