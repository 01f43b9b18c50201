"""Runs a small application in a process of its own, under ``opentelemetry-instrument``, with variables or a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECURITY = """
class Key:
    def __init__(self, id):
        self.id = id
    scopes = ["a:read"]

def verify(key_id):
    return Key(key_id)
"""
AUDIT = """
ROWS = []

def record(action, additional_fields=None):
    ROWS.append(additional_fields)
"""
MAIN = """
import asyncio, json

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from shop import security, audit

async def write(request):
    security.verify("k_1")
    audit.record(request.path_params["action"], {"a": 1})
    return Response()

app = Starlette(routes=[Route("/{action}", write, methods=["POST"])])

async def request(action):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        pass
    await app({
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": f"/{action}", "raw_path": b"", "query_string": b"", "headers": [],
    }, receive, send)

for action in ("create", "delete"):
    asyncio.run(request(action))
print(json.dumps(audit.ROWS))
"""
NEIGHBOUR = """
import sys
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

class Neighbour(BaseInstrumentor):
    def instrumentation_dependencies(self):
        return []

    def _instrument(self, **kwargs):
        print("neighbour is on", file=sys.stderr)

    def _uninstrument(self, **kwargs):
        pass
"""
DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
    "entry_points.txt": "[opentelemetry_instrumentor]\n{name} = neighbour:Neighbour\n",
}


@dataclass(frozen=True)
class Ended:
    """The result of a program.

    Attributes:
        rows: The audit rows that it wrote.
        log: The lines that were logged, those of this library alone.
        others: All other lines that were logged.
    """

    rows: list[dict[str, Any]]
    log: list[str]
    others: list[str]

    @property
    def key_ids(self) -> list[str | None]:
        """The id of the key in each row."""
        return [row.get("request_api_key", {}).get("id") for row in self.rows]


class Program:
    """An application in a folder of its own, with another instrumentor installed beside this library's.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.write("app/shop/__init__.py", "")
        self.write("app/shop/security.py", SECURITY)
        self.write("app/shop/audit.py", AUDIT)
        self.write("app/main.py", MAIN)
        self.write("site/neighbour.py", NEIGHBOUR)
        for name, content in DISTRIBUTION.items():
            self.write(f"site/neighbour-1.0.dist-info/{name}", content.format(name="neighbour"))

    def write(self, path: str, content: str) -> Path:
        """Write a file of the program."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(content), encoding="utf-8")
        return file

    def instrument_itself(self) -> None:
        """Have the program call ``instrument(request_field="by_code")`` before everything else."""
        main = self.folder / "app" / "main.py"
        self.write(
            "app/main.py",
            "from otel_keyaudit import KeyAuditInstrumentor\n"
            "KeyAuditInstrumentor().instrument(request_field='by_code')\n" + main.read_text(encoding="utf-8"),
        )

    def run(self, variables: Mapping[str, str] | None = None, *flags: str) -> Ended:
        """Run the program to its end under ``opentelemetry-instrument``.

        Args:
            variables: Option name to value.
            *flags: Further arguments of ``opentelemetry-instrument``.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MUTANT_"))}
        environment |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
        environment["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "django,fastapi,flask"  # they import all of these
        environment |= {
            name if name.startswith("OTEL_") else f"OTEL_PYTHON_KEYAUDIT_{name.upper()}": value
            for name, value in (variables or {}).items()
        }
        path = [str(self.site), *(str(Path(entry).absolute()) for entry in _python_path(environment))]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        instrument = Path(sys.executable).with_name("opentelemetry-instrument")
        done = subprocess.run(
            [instrument, *flags, sys.executable, "app/main.py"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stderr.splitlines()
        return Ended(
            json.loads(done.stdout),
            [line for line in lines if "keyaudit" in line],
            [line for line in lines if "keyaudit" not in line],
        )


def _python_path(environment: Mapping[str, str]) -> list[str]:
    return [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
