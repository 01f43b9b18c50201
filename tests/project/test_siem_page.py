"""The page about SIEMs names every event and attribute, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from otel_keyaudit import names

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "siem.md").read_text()


def attributes_on_the_page() -> set[str]:
    """Return the names in the second column of the last table; a name that begins with a dot repeats the prefix."""
    found: set[str] = set()
    for row in re.findall(r"^\| .* \|$", PAGE.split("## Fields")[1], re.MULTILINE):
        prefix = ""
        for name in re.findall(r"`([^`]+)`", row.split("|")[2]):
            full = prefix + name if name.startswith(".") else name
            prefix = full.rsplit(".", 1)[0]
            found.add(full)
    return found


def test_every_attribute_is_on_the_page() -> None:
    """Each attribute of an event has a row, and each row names an attribute that exists."""
    constants = {
        name: value for name, value in vars(names).items() if name.isupper() and str(value).startswith("keyaudit.")
    }
    of_metrics = {value for name, value in constants.items() if name.startswith("METRIC_")}
    of_metrics |= {names.ATTRIBUTION, names.STAGE}
    events = {value for name, value in constants.items() if name.startswith("EVENT_")}

    assert attributes_on_the_page() == set(constants.values()) - of_metrics - events | {"error.type"}


def test_every_event_is_on_the_page() -> None:
    """Each event has a row in the table of events."""
    table = PAGE.split("## Kinds of events")[1]
    assert {name for name in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE) if name.startswith("keyaudit.")} == {
        names.EVENT_DENIAL,
        names.EVENT_AUDIT,
        names.EVENT_USAGE,
    }
