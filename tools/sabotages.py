"""The data of `make sabotage`: edits that break the library, and the tests of which one must fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    r"""One edit of the source.

    Attributes:
        name: A short description of the edit.
        breaks: The consequence for users.
        folder: The folder in src/otel_keyaudit with the edited line.
        found: A regular expression that matches once in the folder; `^` is the start of a line.
        replaced: The replacement, in which `\1` is the first group of the match.
        tests: The files or folders in tests/ of which at least one test must fail.
    """

    name: str
    breaks: str
    folder: str
    found: str
    replaced: str
    tests: tuple[str, ...]


SABOTAGES = (
    Sabotage(
        name="remove the reset of context variables",
        breaks="A key, a request or an authentication stays the current one after its block.",
        folder="guard",
        found=r"^( +)self\._variable\.reset\(token\)$",
        replaced=r"\1pass",
        tests=("unit/request",),
    ),
    Sabotage(
        name="swallow BaseException",
        breaks="A cancellation or an exit inside the library's own code does not reach the application.",
        folder="guard",
        found=r"(    def run\(.*\n(?:.*\n)*? +except )Exception",
        replaced=r"\1BaseException",
        tests=("promises/test_base_exceptions.py",),
    ),
    Sabotage(
        name="log the text of any exception",
        breaks="The message of a foreign exception, which may contain the credential, is in the logs.",
        folder="guard",
        found=r'f": \{error\}" if isinstance\(error, UnreadableError\) else ""',
        replaced=r'f": {error}"',
        tests=("promises/test_faults.py",),
    ),
    Sabotage(
        name="skip the copy of the dict",
        breaks="The caller's own additional fields are changed in place.",
        folder="row",
        found=r"^( +)return \{\*\*fields, \*\*self\._objects\(\)\} if self\.members else fields",
        replaced=r"\1fields.update(self._objects())\n\1return fields",
        tests=("unit/row",),
    ),
    Sabotage(
        name="share a list between rows",
        breaks="An application that changes the list of one row also changes the lists of other rows.",
        folder="key",
        found=r"copied\[name\] = copy\(copied\[name\]\)",
        replaced=r"pass",
        tests=("unit/key",),
    ),
    Sabotage(
        name="cache snapshots by id alone",
        breaks="A key whose scopes were changed is recorded with its first scopes.",
        folder="key",
        found=r"self\.of = snapshots\.__getitem__",
        replaced=r"known = {}\n        self.of = lambda key: known.setdefault(key.id, snapshots[key])",
        tests=("unit/key/test_snapshot.py", "unit/request/test_state.py"),
    ),
    Sabotage(
        name="take a key that is not valid for accepted",
        breaks="A row names a key that the application refused.",
        folder="observers",
        found=r'return None if self\.holds\("valid", target\.valid, key\) else "valid"',
        replaced=r"return None",
        tests=("unit/observers/authentication/test_call.py",),
    ),
    Sabotage(
        name="drop the withdrawal",
        breaks="A key that was found inside a check that then denies remains the request's key.",
        folder="request",
        found=r"withdrawn = self\._keys\.withdraw\(authentication\)",
        replaced=r"withdrawn = None",
        tests=("unit/request/test_state.py",),
    ),
    Sabotage(
        name="count nothing when something fails",
        breaks="The metrics do not show that the instrumentation is degraded.",
        folder="guard",
        found=r"^( +)self\._metrics\.degraded\.add\(stage, kind\)",
        replaced=r"\1pass",
        tests=("promises/test_faults.py",),
    ),
    Sabotage(
        name="call the original twice",
        breaks="The application authenticates and writes twice.",
        folder="patching",
        found=r"^    return \{k\}\.called\(",
        replaced=r"    {o}(*{k}.positional, **{k}.keywords)\n\g<0>",
        tests=("unit/observers/audit/test_write.py",),
    ),
    Sabotage(
        name="forget to end the request",
        breaks="Work that outlives its request writes rows with the key of the request.",
        folder="request",
        found=r"^( +)self\.is_open = False",
        replaced=r"\1pass",
        tests=("promises/test_outlived.py",),
    ),
    Sabotage(
        name="keep the key after the request's end",
        breaks="A task that outlives its request keeps the key alive.",
        folder="request",
        found=r"^( +)self\.attribution = ENDED",
        replaced=r"\1pass",
        tests=("promises/test_outlived.py",),
    ),
    Sabotage(
        name="accept forged members as ours",
        breaks="A client's member with a reserved name is treated as the library's own, and dropped.",
        folder="row",
        found=r"return None if entry is None else entry\[1\]",
        replaced=r"return 1 if entry is None else entry[1]",
        tests=("unit/row",),
    ),
    Sabotage(
        name="put the lists on the wrong span",
        breaks="Scopes are on the audit span if the server span has them, and on no span if it does not.",
        folder="observers",
        found=r"self\._request\.shows_lists_of == snapshot\.digest",
        replaced=r"self._request.shows_lists_of != snapshot.digest",
        tests=("unit/observers/audit/test_span.py",),
    ),
    Sabotage(
        name="write out values of unknown kinds",
        breaks="The string of any object, which may contain a secret, gets into rows and spans.",
        folder="key",
        found=r'^( +)raise RefusedValueError\("a string, an integer or a UUID", type\(value\)\.__name__\)',
        replaced=r"\1return str(value)",
        tests=("unit/key",),
    ),
    Sabotage(
        name="refuse no secrets",
        breaks="A target may record the credential itself.",
        folder="targets",
        found=r"^    if secret is None:$",
        replaced=r"    if True:",
        tests=("unit/targets",),
    ),
    Sabotage(
        name="splice before the wrong brace",
        breaks="In a JSON string with nested objects, the member is inserted into the first of them.",
        folder="row",
        found=r'text\.rindex\("\}"\)',
        replaced=r'text.index("}")',
        tests=("unit/row",),
    ),
    Sabotage(
        name="let the first of two keys win",
        breaks="A request that presented two keys is attributed to one of them, which is a guess.",
        folder="request",
        found=r"^( +)if self\._count > 1 or self\._unnamed:\n.*\n +\(\(accepted,\),\) =",
        replaced=r"\1(accepted, *_), *_ =",
        tests=("unit/request/test_state.py",),
    ),
    Sabotage(
        name="leave our code in functions",
        breaks="After uninstrument(), the application's functions differ from the originals.",
        folder="patching",
        found=r"^( +)self\._site\.change\(lambda code: without_observer\(code, self\._observer\)\)",
        replaced=r"\1pass",
        tests=("unit/test_instrumentor.py",),
    ),
    Sabotage(
        name="take a failing sampler for minimal",
        breaks="The digest of a row that is written while the sampler fails leads to no full row.",
        folder="observers",
        found=r"^( +)_detail = _FULL",
        replaced=r"\1_detail = Detail.MINIMAL",
        tests=("promises/test_detail.py", "unit/observers/audit/test_target.py"),
    ),
)
