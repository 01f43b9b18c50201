"""Print the components of an SBOM with their licenses; each must declare one, and the package must be among them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def licenses(component: dict[str, Any]) -> str:
    """Return the declared licenses of a component, or an empty string."""
    declared = component.get("licenses", [])
    return ", ".join(one.get("expression") or one["license"].get("id") or one["license"]["name"] for one in declared)


def main(path: str) -> str | None:
    """Return an error message, or None."""
    components = {one["name"]: one for one in json.loads(Path(path).read_text(encoding="utf-8"))["components"]}
    for name, component in components.items():
        print(name, component["version"], licenses(component))
    if "otel-keyaudit" not in components:
        return f"{path} does not name otel-keyaudit"
    missing = [name for name, component in components.items() if not licenses(component)]
    return f"no license is declared by {', '.join(missing)}" if missing else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
