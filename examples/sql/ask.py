"""Run the queries of `queries.sql` on a day of audit rows in SQLite."""

import re
from collections.abc import Sequence
from pathlib import Path

from warehouse import a_day

HERE = Path(__file__).parent
PARAMETERS = {"key": "k_bot", "row": 3}


def main() -> None:
    connection = a_day()
    connection.executescript((HERE / "sqlite.sql").read_text())
    for question, query in questions().items():
        cursor = connection.execute(query, PARAMETERS)
        names = [column[0] for column in cursor.description]
        print(f"\n{question}\n")
        print_table([names, *cursor])


def questions() -> dict[str, str]:
    """Return the queries by the question in the comment above each."""
    text = (HERE / "queries.sql").read_text()
    return dict(re.findall(r"^-- (.*\?)\n([^;]*;)", text, re.MULTILINE))


def print_table(rows: Sequence[Sequence[object]]) -> None:
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
