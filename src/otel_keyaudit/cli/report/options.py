"""Read the options of the command. A wrong option ends the command with a one-line message."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from otel_keyaudit.cli.options import from_environment, read_catalog, read_names
from otel_keyaudit.cli.report.model import FINDINGS
from otel_keyaudit.cli.report.reading.entries import SourceError
from otel_keyaudit.cli.report.reading.sources import is_database
from otel_keyaudit.cli.report.reading.times import EARLIEST, LATEST, UTC, read_time
from otel_keyaudit.cli.usage import WrongUseError
from otel_keyaudit.errors import hint, shown
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION: Final = re.compile(r"([0-9]{1,6})([mhdw])")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY: Final = timedelta(days=1)
_FORMATS: Final = ("table", "json", "html")


@dataclass(frozen=True)
class Options:
    """The options of the command.

    Attributes:
        sources: The sources.
        since: Start of the period.
        until: End of the period.
        min_age: Age from which a key can be unused.
        key: Glob pattern for key ids.
        catalog: The scope catalog.
        query: Query that selects the columns of a database.
        format: ``table``, ``json`` or ``html``.
        output: Path of the file for the report.
        jaeger: Base URL of Jaeger.
        fail_on: Findings that cause exit status 1.
        request_field: Member that names the key of the request.
        subject_field: Member for a key that the row is about.
    """

    sources: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    min_age: timedelta = 30 * _DAY
    key: str | None = None
    catalog: ScopeCatalog | None = None
    query: str | None = None
    format: str = "table"
    output: str | None = None
    jaeger: str | None = None
    fail_on: tuple[str, ...] = ()
    request_field: str = "request_api_key"
    subject_field: str = "api_key"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """Read the options as typed. The catalog and the names of the members come from the environment.

        Raises:
            WrongUseError: An option has a wrong value.
        """
        until = given["until"]
        if until is not None:
            until = read_moment("--until", until, datetime.now(UTC), whole_day=True)
        options = cls(
            sources=given["sources"],
            since=_since(given["since"], until),
            until=until,
            min_age=read_duration("--min-age", given["min_age"]),
            key=given["key"],
            catalog=read_catalog(given["catalog"]),
            query=given["query"],
            format=_format(given["format"]),
            output=given["output"],
            jaeger=None if given["jaeger"] is None else read_address("--jaeger", given["jaeger"]),
            fail_on=read_names("--fail-on", given["fail_on"], FINDINGS),
            request_field=from_environment("request_field") or cls.request_field,
            subject_field=from_environment("subject_field") or cls.subject_field,
        )
        if options.query is not None:
            _check_query(options.sources)
        if options.output is not None:
            _check_output(options.output, options.sources)
        return options

    def selects(self, key_id: str | None) -> bool:
        """Check whether the report includes a key. ``None`` stands for findings that do not concern a key."""
        return self.key is None or (key_id is not None and fnmatchcase(key_id, self.key))


def _format(text: str) -> str:
    if text not in _FORMATS:
        raise WrongUseError(f"--format is {shown(text)}; allowed are {', '.join(_FORMATS)}{hint(text, _FORMATS)}")
    return text


def _since(text: str | None, until: datetime | None) -> datetime | None:
    if text is None:
        return None
    since = read_moment("--since", text, datetime.now(UTC) if until is None else until)
    if until is not None and since >= until:
        raise WrongUseError(f"--since {shown(text)} is not before --until")
    return since


def _check_query(sources: Collection[str]) -> None:
    for source in sources:
        try:
            takes_query = is_database(source)
        except SourceError as error:
            raise WrongUseError(str(error)) from None
        if not takes_query:
            raise WrongUseError(f"--query is for SQLite and PostgreSQL; {shown(source)} has no columns to select")


def _check_output(output: str, sources: Collection[str]) -> None:
    """Refuse to overwrite a source, because it can be the only copy of the audit log."""
    for source in sources:
        with suppress(OSError, ValueError):  # another kind of source, or a file that does not exist
            if Path(source).samefile(output):
                raise WrongUseError(f"--output is {shown(output)}, which is a source and would be overwritten")


def read_duration(option: str, text: str) -> timedelta:
    """Read a duration such as ``30d``."""
    if match := _DURATION.fullmatch(text.strip()):
        return _duration(match)
    raise WrongUseError(f"{option} is {shown(text)}; allowed is a number with m, h, d or w, such as 30d")


def _duration(match: re.Match[str]) -> timedelta:
    return int(match[1]) * _UNITS[match[2]]


def read_moment(option: str, text: str, end: datetime, *, whole_day: bool = False) -> datetime:
    """Read a point in time.

    Args:
        option: The option, for the message.
        text: A date, a time, or a duration before the end.
        end: The end.
        whole_day: Whether a date means the end of that day, not its start.
    """
    text = text.strip()
    if match := _DURATION.fullmatch(text):
        return end - min(_duration(match), end - EARLIEST)
    found = read_time(text) if _DATE.match(text) else None
    if found is None:
        allowed = "a date such as 2026-11-23, a time such as 2026-11-23T16:00:00Z, or a duration such as 90d"
        raise WrongUseError(f"{option} is {shown(text)}; allowed is {allowed}")
    return found + min(_DAY, LATEST - found) if whole_day and _DATE.fullmatch(text) else found


def read_address(option: str, text: str) -> str:
    """Read the URL of a web page, which must be ``http`` or ``https``."""
    try:
        is_page = urlsplit(text).scheme in ("http", "https") and bool(urlsplit(text).netloc)
    except ValueError:
        is_page = False
    if not is_page:
        raise WrongUseError(f"{option} is {shown(text)}; allowed is an address such as http://localhost:16686")
    return text
