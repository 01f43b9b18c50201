"""Open a source: an SQLite file, a PostgreSQL URL, or JSON lines in a file or on standard input."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final

from otel_keyaudit.cli.report.reading.databases import read_postgresql, read_sqlite
from otel_keyaudit.cli.report.reading.entries import Entry, SourceError
from otel_keyaudit.cli.report.reading.json_lines import read_lines
from otel_keyaudit.errors import hint, shown

STDIN: Final = "-"
_POSTGRESQL: Final = ("postgresql", "postgres")
_SQLITE_HEADER: Final = b"SQLite format 3\0"
_GZIP_HEADER: Final = b"\x1f\x8b"
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_CONNECTION: Final = re.compile(r"password|:.*@", re.IGNORECASE | re.DOTALL)
"""A source that is no URL of a database, but looks like the settings of one, hence may contain a password."""


def read_source(source: str, query: str | None, request_field: str) -> Iterator[Entry]:
    """Read the entries of one source.

    Args:
        source: A path, a ``postgresql://`` URL, or ``-`` for standard input.
        query: Selects the columns of a database.
        request_field: Name of the member that names the key of the request.

    Raises:
        SourceError: The source cannot be read.
    """
    if url := _URL.match(source):
        scheme = url.group(1).lower()
        if scheme not in _POSTGRESQL:
            allowed = "allowed are files, - and postgresql://"
            raise SourceError(f"{shown(f'{scheme}://')} is not a source; {allowed}{hint(scheme, _POSTGRESQL)}")
        return read_postgresql(source, query)
    if source == STDIN:
        return _read_file(sys.stdin.buffer, "standard input", request_field)
    if is_sqlite(source):
        return read_sqlite(Path(source), query)
    return _read_path(Path(source), request_field)


def is_database(source: str) -> bool:
    """Check whether a source is a database, which takes a query."""
    return bool(_URL.match(source)) or (source != STDIN and is_sqlite(source))


def is_sqlite(source: str) -> bool:
    """Check whether a file is an SQLite database."""
    with _open(Path(source)) as file:
        return file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        if _CONNECTION.search(str(path)):
            allowed = "postgresql://user:password@host/database"
            raise SourceError(
                f"cannot read a source that looks like a connection string; write it as {allowed}"
            ) from None
        try:
            beside = [other.name for other in path.parent.iterdir()]
        except OSError:
            beside = []
        likely = hint(path.name, beside) if isinstance(error, FileNotFoundError) else ""
        raise SourceError(f"cannot read {shown(str(path))}: {error.strerror}{likely}") from None
    except ValueError:
        raise SourceError(f"cannot read {shown(str(path))}: the path is not valid") from None


def _read_path(path: Path, request_field: str) -> Iterator[Entry]:
    with _open(path) as file:
        yield from _read_file(file, str(path), request_field)


def _read_file(file: BinaryIO, name: str, request_field: str) -> Iterator[Entry]:
    buffered = io.BufferedReader(file) if not hasattr(file, "peek") else file  # type: ignore[type-var]
    try:
        is_compressed = buffered.peek(2)[:2] == _GZIP_HEADER
        with gzip.open(buffered) if is_compressed else nullcontext(buffered) as lines:
            yield from read_lines(_in_utf_8(lines), request_field)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {shown(name)}: {error}") from None


def _in_utf_8(lines: Any) -> Iterable[bytes]:
    """Return the lines of a file in UTF-8. Redirected output on Windows may be in UTF-16 with a byte order mark."""
    is_utf_16 = lines.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return _from_utf_16(lines) if is_utf_16 else lines


def _from_utf_16(lines: Any) -> Iterator[bytes]:
    text = io.TextIOWrapper(lines, "utf-16", newline="\n")
    try:
        for line in text:
            yield line.encode("utf-8", "surrogatepass")
    finally:
        text.detach()  # the file is closed by its own ``with`` block
