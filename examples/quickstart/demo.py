"""Send the same requests to the same service, first without otel-keyaudit, then with it, and show the difference."""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

try:
    from rich.console import Console

    import report
    from otlp import SERVER, Receiver, Span, is_listening
    from service import DemoError, instrumented, last_lines, running, uvicorn_command
    from story import Story, Visitor, check_rows, check_secrets
except ModuleNotFoundError as missing:
    sys.exit(f"demo: {missing.name} is not installed in this Python: run `make demo`, which prepares everything")

LOCAL_JAEGER = "http://localhost:4318"
KEYAUDIT = {
    "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": "shop.security:verify_api_key?key=return ?? exc.key",
    "OTEL_PYTHON_KEYAUDIT_AUTHZ_TARGETS": "shop.main:authorize",
    "OTEL_PYTHON_KEYAUDIT_SUBJECT_TARGETS": "shop.main:known_key",
    "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "shop.audit:record?subject=args.subject",
    "OTEL_PYTHON_KEYAUDIT_SAMPLER": "rules",
    "OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG": "rules.json",
    "OTEL_PYTHON_KEYAUDIT_SCOPE_CATALOG": "scopes.json",
}
TRACING = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    options = _options(arguments)
    try:
        demonstrate(options)
    except DemoError as error:
        if error.log:
            print(error.log, file=sys.stderr)
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


def demonstrate(options: argparse.Namespace) -> None:
    """Run the service twice, check its rows and spans, and show them."""
    if importlib.util.find_spec("otel_keyaudit") is None:
        raise DemoError(
            "otel-keyaudit is not installed in this Python: run `make demo`, or `pip install otel-keyaudit`"
        )
    with tempfile.TemporaryDirectory(prefix="keyaudit-demo-") as folder, Receiver() as receiver:
        before = play(Path(folder) / "before", uvicorn_command(), {})
        settings = {**KEYAUDIT, **TRACING, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        after = play(Path(folder) / "after", instrumented(uvicorn_command()), settings, receiver, before)
        check_secrets(after, json.dumps(receiver.document()))
        _write(options.json, json.dumps(receiver.document(), indent=1) + "\n")
        console = report.new_console()
        _pass_on(console, receiver, after, options)
        show(console, before, after, receiver.spans())
        if options.svg is not None:
            deleted = after.number_of("release-bot", "DELETE")
            picture = report.picture(before, after, receiver.spans(), deleted, _trace_id(after, deleted))
            _write(options.svg, picture)
        console.print(f"\nAll traces are in {options.json}. To open it: Jaeger, Search, Upload.")


def play(
    folder: Path,
    command: list[str],
    settings: dict[str, str],
    receiver: Receiver | None = None,
    before: Story | None = None,
) -> Story:
    """Start the service on a new database, send the requests, wait for their spans, and stop it.

    Args:
        folder: Takes the database and the log.
        command: Starts the service.
        settings: Its environment variables.
        receiver: Receives the spans of the instrumented run.
        before: The run without instrumentation, with which the instrumented run is compared.
    """
    _say(f"starting the service {'under opentelemetry-instrument' if receiver else 'as it is'} …")
    folder.mkdir()
    visitor, log = Visitor(folder / "shop.db"), folder / "service.log"
    visitor.prepare()
    with running(command, {**settings, "SHOP_DATABASE": str(folder / "shop.db")}, log) as address:
        try:
            _say(f"sending requests to {address} …")
            visitor.play(address)
            if receiver and before:
                check_rows(before, visitor.story)
                _say("waiting for the spans …")
                receiver.wait_for(len(visitor.story.requests))
                check_spans(receiver.spans())
        except DemoError as error:
            raise DemoError(str(error), error.log or last_lines(log)) from error
    return visitor.story


def check_spans(spans: Sequence[Span]) -> None:
    """Make sure that the server spans name the two refused keys and the one refused permission."""
    servers = [span.attributes for span in spans if span.kind == SERVER]
    outcomes = [attributes.get("keyaudit.outcome") for attributes in servers]
    if outcomes.count("denied") != 2 or outcomes.count("accepted") != len(outcomes) - 2:
        raise DemoError(f"wrong outcomes on the server spans ({outcomes}): see the service's log above")
    missing = [attributes.get("keyaudit.decision.missing") for attributes in servers]
    if missing.count(["workspace:delete"]) != 1:
        raise DemoError(f"wrong missing permissions on the server spans ({missing}): see the service's log above")


def show(console: Console, before: Story, after: Story, spans: Sequence[Span]) -> None:
    """Print the report."""
    deleted, refused = after.number_of("release-bot", "DELETE"), after.number_of("acme-partner", "DELETE")
    report.print_settings(console, "opentelemetry-instrument uvicorn shop.main:app", KEYAUDIT)
    report.print_requests(console, before, after)
    report.print_audit_log(console, before, after)
    report.print_row(console, before, after, deleted)
    report.print_trace(console, f"The trace of request {deleted}", spans, _trace_id(after, deleted))
    report.print_row(console, before, after, refused, ("decisions",))
    report.print_trace(
        console, f"The trace of request {refused}: which scope was missing", spans, _trace_id(after, refused)
    )
    report.print_row(console, before, after, after.number_of("ops-admin", "PATCH"), ("changes",))
    revoked = next(span for span in spans if span.attributes.get("keyaudit.outcome") == "denied")
    report.print_trace(console, "A revoked key: no row, but the span names it", spans, revoked.trace_id)


def _trace_id(story: Story, number: int) -> str:
    trace_id: str = story.row_of(number)["additional_fields"]["request_api_key"]["trace_id"]
    return trace_id


def _pass_on(console: Console, receiver: Receiver, after: Story, options: argparse.Namespace) -> None:
    """Send the spans to Jaeger, if one listens, and print links of its search page."""
    target: str = options.otlp or LOCAL_JAEGER
    if not options.otlp and not is_listening(LOCAL_JAEGER):
        return
    _say(f"sending the spans to {target} …")
    try:
        receiver.pass_on(target)
    except OSError as error:
        if not options.otlp:
            _say(f"the server at {target} does not accept OTLP ({error}): nothing was sent")
            return
        reason = getattr(error, "reason", error)
        raise DemoError(f"{target} did not accept the spans ({reason}): give --otlp an OTLP/HTTP address") from error
    release_bot = {"keyaudit.key.id": after.key_ids["release-bot"]}
    searches = {
        "Requests of release-bot": release_bot,
        "Deletions by release-bot": {**release_bot, "keyaudit.action": "delete"},
        "Deletions": {"keyaudit.action": "delete"},
        "Refused requests": {"keyaudit.decision.outcome": "denied"},
    }
    ui = options.jaeger_ui or f"http://{urlsplit(target).hostname}:16686"
    deleted = _trace_id(after, after.number_of("release-bot", "DELETE"))
    report.print_links(console, ui, deleted, searches)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo.py",
        description=__doc__,
        epilog="The demo sets everything else itself and uses only loopback, unless an option names another address."
        " Exit status: 0 if the audit rows and spans are as expected, 1 if not.",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=Path("demo-trace.json"),
        help="file for the traces, as OTLP JSON that the Jaeger UI opens (default: %(default)s)",
    )
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="also draw the audit log and a trace as an SVG picture"
    )
    parser.add_argument(
        "--otlp",
        metavar="URL",
        type=_http_url,
        default=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
        help="also send the traces to this OTLP/HTTP address (default: OTEL_EXPORTER_OTLP_ENDPOINT,"
        f" else {LOCAL_JAEGER} if a server listens there)",
    )
    parser.add_argument(
        "--jaeger-ui",
        metavar="URL",
        type=_http_url,
        help="address of Jaeger's pages for the links (default: port 16686 of that host)",
    )
    return parser.parse_args(arguments)


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http:// or https:// address, such as {LOCAL_JAEGER}")
    return text


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DemoError(f"cannot write {path} ({error.strerror}): name another file") from error


def _say(progress: str) -> None:
    print(f"demo: {progress}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
