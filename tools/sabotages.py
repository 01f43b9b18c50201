"""Ways to break the library on purpose, each of which the named tests must notice: what `make sabotage` tries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    """One edit.

    Attributes:
        name: What is done, in a few words.
        breaks: What does not hold any more.
        module: The file in src/otel_keyaudit.
        found: A text that is in it exactly once.
        replaced: What takes its place.
        tests: The files in tests of which at least one test must fail.
    """

    name: str
    breaks: str
    module: str
    found: str
    replaced: str
    tests: tuple[str, ...]


SABOTAGES = (
    Sabotage(
        name="remove the reset of context variables",
        breaks="A key, a request or an authentication stays the current one after its block.",
        module="finalizers.py",
        found="            self._reset(setting)\n",
        replaced="            pass\n",
        tests=("test_use_key.py",),
    ),
    Sabotage(
        name="swallow BaseException",
        breaks="A cancellation or an exit inside of our own work does not reach the application.",
        module="guard.py",
        found="        except Exception as error:",
        replaced="        except BaseException as error:",
        tests=("test_base_exceptions.py",),
    ),
    Sabotage(
        name="log the text of any exception",
        breaks="The text of a foreign exception, which may hold the credential, gets into the logs.",
        module="guard.py",
        found='f" ({error})" if isinstance(error, UnreadableError) else ""',
        replaced='f" ({error})"',
        tests=("test_faults.py",),
    ),
    Sabotage(
        name="skip the copy of the dict",
        breaks="The caller's own additional fields are changed in place.",
        module="merge.py",
        found="            return {**fields, **added} if added else fields",
        replaced="            fields.update(added)\n            return fields",
        tests=("test_merge.py",),
    ),
    Sabotage(
        name="share a list between rows",
        breaks="An application that changes the list of one row changes those of other rows.",
        module="form.py",
        found="copied[name] = copied[name].copy()",
        replaced="pass",
        tests=("test_snapshot.py",),
    ),
    Sabotage(
        name="cache snapshots by id alone",
        breaks="A key whose scopes were changed is written as it was when it was first seen.",
        module="snapshot.py",
        found="self.of = snapshots.__getitem__",
        replaced=(
            "known: dict[str, Snapshot] = {}\n        self.of = lambda key: known.setdefault(key.id, snapshots[key])"
        ),
        tests=("test_snapshot.py", "test_request_state.py"),
    ),
    Sabotage(
        name="take a key that is not valid for accepted",
        breaks="A row names a key that the application refused.",
        module="authentication.py",
        found='return None if self.holds(STAGE_AUTHENTICATION, authentication.valid, key) else "valid"',
        replaced="return None",
        tests=("test_authentication.py",),
    ),
    Sabotage(
        name="drop the withdrawal",
        breaks="A key that was looked up inside a check that then denies stays the request's key.",
        module="authentication.py",
        found="withdrawn = state.withdraw(self)",
        replaced="withdrawn = None",
        tests=("test_request_state.py",),
    ),
    Sabotage(
        name="count nothing when something fails",
        breaks="Nobody can see in the metrics that the instrumentation is degraded.",
        module="guard.py",
        found="        self._metrics.degraded.add(stage, kind)\n",
        replaced="",
        tests=("test_faults.py",),
    ),
    Sabotage(
        name="call the original twice",
        breaks="The application authenticates and writes twice.",
        module="handlers.py",
        found="            result = original(*moment.positional, **moment.keywords)\n",
        replaced=(
            "            original(*moment.positional, **moment.keywords)\n"
            "            result = original(*moment.positional, **moment.keywords)\n"
        ),
        tests=("test_audit.py",),
    ),
    Sabotage(
        name="forget to end the request",
        breaks="What outlives its request goes on writing in the name of its key.",
        module="request_state.py",
        found="            self.is_open = False\n",
        replaced="",
        tests=("test_outlived.py",),
    ),
    Sabotage(
        name="keep the key after the request's end",
        breaks="A task that outlives its request keeps the key alive.",
        module="request_state.py",
        found="                self.attribution = ENDED\n",
        replaced="                pass\n",
        tests=("test_outlived.py",),
    ),
    Sabotage(
        name="accept forged members as ours",
        breaks="What a client sends under a reserved name is taken for a member of this library, and dropped.",
        module="provenance.py",
        found="return reference in self._younger or reference in self._older",
        replaced="return bool(reference)",
        tests=("test_provenance.py",),
    ),
    Sabotage(
        name="put the lists on the wrong span",
        breaks="Scopes are on the audit span when the server span has them, and nowhere when it has not.",
        module="spans.py",
        found="return snapshot.shown_without_lists if has_lists else snapshot.shown_full",
        replaced="return snapshot.shown_full if has_lists else snapshot.shown_without_lists",
        tests=("test_audit_spans.py",),
    ),
    Sabotage(
        name="write out values of unknown kinds",
        breaks="The text of any object, with whatever it shows of itself, gets into rows and spans.",
        module="values.py",
        found='    raise RefusedValueError("text, an integer or a UUID", value)',
        replaced="    return str(value)",
        tests=("test_values.py", "test_extraction.py"),
    ),
    Sabotage(
        name="refuse no secrets",
        breaks="A target may name the credential itself as what is written.",
        module="expressions.py",
        found="    if secret is None:\n",
        replaced="    if True:\n",
        tests=("test_secrets_refused.py",),
    ),
    Sabotage(
        name="splice before the wrong brace",
        breaks="In a text with objects inside, the member is put into the first of them.",
        module="merge.py",
        found='text.rindex("}")',
        replaced='text.index("}")',
        tests=("test_merge_text.py",),
    ),
    Sabotage(
        name="let the first of two keys win",
        breaks="A request that showed two keys is attributed to one of them, which is a guess.",
        module="attribution.py",
        found="    if len(ids) > 1 or any(acceptance.key is None for acceptance in acceptances):\n",
        replaced="    if False:\n",
        tests=("test_request_state.py",),
    ),
    Sabotage(
        name="leave our code in functions",
        breaks="After uninstrument() the application's functions are not what they were.",
        module="wrapping.py",
        found="            outer.__code__ = self._original.__code__\n",
        replaced="            pass\n",
        tests=("test_instrumentor.py",),
    ),
    Sabotage(
        name="take a failing sampler for minimal",
        breaks="Rows written while the sampler fails lead nowhere, since no full row was written.",
        module="audit.py",
        found="    _detail = Detail.FULL\n",
        replaced="    _detail = Detail.MINIMAL\n",
        tests=("test_detail.py", "test_audit_late.py"),
    ),
)
