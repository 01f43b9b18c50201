"""Ways to break the library on purpose, each of which the named tests must notice: the data of `make sabotage`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    r"""One edit of the source.

    Attributes:
        name: The edit in a few words.
        breaks: The promise that no longer holds.
        folder: The folder in src/otel_keyaudit that holds the line.
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
        breaks="A cancellation or an exit inside of our own work does not reach the application.",
        folder="guard",
        found=r"(    def run\(.*(?:\n.*)*?except )Exception",
        replaced=r"\1BaseException",
        tests=("promises/test_base_exceptions.py",),
    ),
    Sabotage(
        name="log the text of any exception",
        breaks="The text of a foreign exception, which may hold the credential, gets into the logs.",
        folder="guard",
        found=r'f": \{error\}" if isinstance\(error, UnreadableError\) else ""',
        replaced=r'f": {error}"',
        tests=("promises/test_faults.py",),
    ),
    Sabotage(
        name="skip the copy of the dict",
        breaks="The caller's own additional fields are changed in place.",
        folder="row",
        found=r"^( +)return \{\*\*fields, \*\*self\._objects\(\)\} if self\.has_members else fields",
        replaced=r"\1fields.update(self._objects())\n\1return fields",
        tests=("unit/row",),
    ),
    Sabotage(
        name="share a list between rows",
        breaks="An application that changes the list of one row changes those of other rows.",
        folder="key",
        found=r"copied\[name\] = copy\(copied\[name\]\)",
        replaced=r"pass",
        tests=("unit/key",),
    ),
    Sabotage(
        name="cache snapshots by id alone",
        breaks="A key whose scopes were changed is written as it was when it was first seen.",
        folder="key",
        found=r"self\.of = snapshots\.__getitem__",
        replaced=r"known = {}\n        self.of = lambda key: known.setdefault(key.id, snapshots[key])",
        tests=("unit/key/test_snapshot.py", "unit/request/test_state.py"),
    ),
    Sabotage(
        name="take a key that is not valid for accepted",
        breaks="A row names a key that the application refused.",
        folder="observers",
        found=r'return None if self\.holds\(STAGE_AUTHENTICATION, target\.valid, key\) else "valid"',
        replaced=r"return None",
        tests=("unit/observers/test_authentication.py",),
    ),
    Sabotage(
        name="drop the withdrawal",
        breaks="A key that was looked up inside a check that then denies stays the request's key.",
        folder="request",
        found=r"withdrawn = self\._withdraw\(authentication\)",
        replaced=r"withdrawn = None",
        tests=("unit/request/test_state.py",),
    ),
    Sabotage(
        name="count nothing when something fails",
        breaks="Nobody can see in the metrics that the instrumentation is degraded.",
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
        breaks="What outlives its request goes on writing in the name of its key.",
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
        breaks="A member that a client sends under a reserved name is taken for one of this library, and dropped.",
        folder="row",
        found=r"return None if entry is None else entry\[1\]",
        replaced=r"return 1 if entry is None else entry[1]",
        tests=("unit/row",),
    ),
    Sabotage(
        name="put the lists on the wrong span",
        breaks="Scopes are on the audit span when the server span has them, and nowhere when it has not.",
        folder="observers",
        found=r"self\._request\.shows_lists_of == snapshot\.digest",
        replaced=r"self._request.shows_lists_of != snapshot.digest",
        tests=("unit/observers/audit/test_span.py",),
    ),
    Sabotage(
        name="write out values of unknown kinds",
        breaks="The text of any object, with whatever it shows of itself, gets into rows and spans.",
        folder="key",
        found=r'^( +)raise RefusedValueError\("a string, an integer or a UUID", value\)',
        replaced=r"\1return str(value)",
        tests=("unit/key",),
    ),
    Sabotage(
        name="refuse no secrets",
        breaks="A target may name the credential itself as what is written.",
        folder="targets",
        found=r"^    if secret is None:$",
        replaced=r"    if True:",
        tests=("unit/targets",),
    ),
    Sabotage(
        name="splice before the wrong brace",
        breaks="In a text with objects inside, the member is put into the first of them.",
        folder="row",
        found=r'text\.rindex\("\}"\)',
        replaced=r'text.index("}")',
        tests=("unit/row",),
    ),
    Sabotage(
        name="let the first of two keys win",
        breaks="A request that showed two keys is attributed to one of them, which is a guess.",
        folder="request",
        found=r"^( +)if self\._count > 1 or self\._unnamed:\n.*\n +\(\(accepted,\),\) =",
        replaced=r"\1(accepted, *_), *_ =",
        tests=("unit/request/test_state.py",),
    ),
    Sabotage(
        name="leave our code in functions",
        breaks="After uninstrument() the application's functions are not what they were.",
        folder="patching",
        found=r"^( +)self\._site\.change\(lambda code: without_observer\(code, self\._observer\)\)",
        replaced=r"\1pass",
        tests=("unit/test_instrumentor.py",),
    ),
    Sabotage(
        name="take a failing sampler for minimal",
        breaks="Rows written while the sampler fails lead nowhere, since no full row was written.",
        folder="observers",
        found=r"^( +)_detail = _FULL",
        replaced=r"\1_detail = Detail.MINIMAL",
        tests=("promises/test_detail.py", "unit/observers/audit/test_target.py"),
    ),
)
