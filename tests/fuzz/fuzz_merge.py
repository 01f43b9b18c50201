"""Fuzzes the merge into JSON strings: ``python tests/fuzz/fuzz_merge.py -runs=1000000``.

It needs atheris, which has no wheels for every Python: ``pip install atheris``. Every argument is one of libFuzzer.
Half of the inputs are arbitrary bytes; the others are sequences of JSON tokens, which get further into the merge.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parents[1]))

MODULES = ["otel_keyaudit.row.merge", "otel_keyaudit.row.json_object", "otel_keyaudit.row.text_encoding"]

with atheris.instrument_imports(include=MODULES):
    from support.merges.members import ambiguous_member, key_member, merge_of
    from support.merges.properties import TOKENS, check

DEEP = 300
"""Maximum depth of brackets. Deeper JSON is left to the tests, because Python's recursion limit decides its fate."""

REPORT_EVERY = 100_000

MERGES = [
    merge_of(),
    merge_of(key_member()),
    merge_of(subject=key_member("k_2", span=None)),
    merge_of(key_member(), key_member("k_2", span=None)),
    merge_of(ambiguous_member("k_1", "k_2")),
]
SEEN = {"object": 0, "nothing": 0, "other": 0}


def fields_of(kind: int, rest: bytes) -> str | bytes:
    """Return additional fields: bytes, a string, or tokens as a string or bytes."""
    if kind % 2 == 0:
        return rest if kind % 4 else rest.decode("utf-8", "surrogateescape")
    text = "".join(TOKENS[byte % len(TOKENS)] for byte in rest)
    return text if kind % 4 == 1 else text.encode("utf-8", "surrogatepass")


def fuzz(data: bytes) -> None:
    """Check one input; its first byte selects the kind of the rest."""
    if not data:
        return
    fields = fields_of(data[0], data[1:])
    brackets = "[{" if isinstance(fields, str) else b"[{"
    if sum(character in brackets for character in fields) <= DEEP:
        SEEN[check(fields, MERGES[data[0] // 4 % len(MERGES)])] += 1
        if sum(SEEN.values()) % REPORT_EVERY == 0:
            print(f"compared with what json reads, no difference: {SEEN}", flush=True)


def main() -> None:
    """Run the fuzzer; it ends the process itself."""
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
