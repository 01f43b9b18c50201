"""Mutants that no test can notice, and why: data of `make mutation`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explained:
    """Mutants of one line that behave like the line itself, or differ in what is promised to nobody.

    Attributes:
        module: The module.
        line: The line, or lines, of the source.
        mutants: What mutmut makes of it.
        because: Why no test can notice.
    """

    module: str
    line: str
    mutants: tuple[str, ...]
    because: str


_ENCODING = "The name of an encoding may be written in either case."
_QUICKER = "The quick way and the general way have the same result."
_TRUTH = "Only whether it is true is looked at."
_CAST = "What a value is cast to is for the type checker alone."
_NO_STAGE = "Nobody looks at the stage: nothing is counted."
_LIMIT = "How many are kept beyond the number that is promised is promised to nobody."

EXPLAINED: tuple[Explained, ...] = (
    Explained(
        module="attribution",
        line="return later if self.key is None or later.key is None else self._replace(key=self.key.updated_by(later.key))",  # noqa: E501
        mutants=(
            "return later if self.key is None and later.key is None else self._replace(key=self.key.updated_by(later.key))",  # noqa: E501
        ),
        because="Two of the same identity both have a key, or both have none.",
    ),
    Explained(
        module="copies",
        line="if type(mapping) is dict:",
        mutants=("if type(None) is dict:",),
        because="A dict is copied in the general way, too; this one is quicker.",
    ),
    Explained(
        module="copies",
        line='probe = "otel_keyaudit"',
        mutants=("probe = None", 'probe = "XXotel_keyauditXX"', 'probe = "OTEL_KEYAUDIT"'),
        because="Any name that nobody uses will do, and it is taken out again.",
    ),
    Explained(
        module="copies",
        line='probe += "_"',
        mutants=('probe = "_"', 'probe += "XX_XX"'),
        because="Any name that nobody uses will do, and it is taken out again.",
    ),
    Explained(
        module="copies",
        line="copied[probe] = None",
        mutants=('copied[probe] = ""',),
        because="The value is not looked at.",
    ),
    Explained(
        module="merge",
        line='text = fields[len(mark) :].decode("utf-8")',
        mutants=('text = fields[len(mark) :].decode("UTF-8")',),
        because=_ENCODING,
    ),
    Explained(
        module="merge",
        line='return fields if merged is text else mark + merged.encode("utf-8")',
        mutants=('return fields if merged is text else mark + merged.encode("UTF-8")',),
        because=_ENCODING,
    ),
    Explained(
        module="merge",
        line="content = orjson.loads(text)",
        mutants=("content = None", "content = orjson.loads(None)"),
        because="What is not read quickly is read member by member, with the same result.",
    ),
    Explained(
        module="merge",
        line="if type(content) is dict and self.members.keys().isdisjoint(content):",
        mutants=("if type(None) is dict and self.members.keys().isdisjoint(content):",),
        because="What is not read quickly is read member by member, with the same result.",
    ),
    Explained(
        module="merge",
        line="has_members = False",
        mutants=("has_members = None",),
        because=_TRUTH,
    ),
    Explained(
        module="merge",
        line="self._given[name] = _free(self._given.get(name, name), self._taken)",
        mutants=("self._given[name] = _free(self._given.get(None, name), self._taken)",),
        because="The search for a free name begins earlier and ends at the same one.",
    ),
    Explained(
        module="provenance",
        line="self._older: set[int] = set()",
        mutants=("self._older: set[int] = None",),
        because="To look into None is a TypeError, which means not found, as it should.",
    ),
    Explained(
        module="sampling",
        line="self._known[digest] = None",
        mutants=('self._known[digest] = ""',),
        because="The value is not looked at.",
    ),
    Explained(
        module="sampling",
        line="if len(self._known) > REMEMBERED_SNAPSHOTS:",
        mutants=("if len(self._known) >= REMEMBERED_SNAPSHOTS:",),
        because=_LIMIT,
    ),
    Explained(
        module="sampling",
        line="self._known.popitem(last=False)",
        mutants=("self._known.popitem(last=None)",),
        because=_TRUTH,
    ),
    Explained(
        module="sampling",
        line='matches = re.compile("|".join(translate(pattern) for pattern in argument) or r"(?!)").match',
        mutants=('matches = re.compile("|".join(translate(pattern) for pattern in argument) or r"XX(?!)XX").match',),
        because="Neither pattern matches anything.",
    ),
    Explained(
        module="sampling",
        line='module, colon, name = sampler.partition(":")',
        mutants=('module, colon, name = sampler.rpartition(":")',),
        because="With one colon both are the same; with more, one of the parts has a colon and is refused.",
    ),
    Explained(
        module="expressions",
        line="missing: MissingError | None = None",
        mutants=('missing: MissingError | None = ""',),
        because="It is raised only when no path leads anywhere, and then it has been set; an expression has a path.",
    ),
    Explained(
        module="expressions",
        line='if isinstance(value, Mapping) or not hasattr(type(value), "keys"):',
        mutants=('if isinstance(value, Mapping) and not hasattr(type(value), "keys"):',),
        because="A mapping that lacks the item is asked for it a second time, with the same error.",
    ),
    Explained(
        module="targets",
        line='name: parse(text, emitted=True, lenient=name != "id") for name, text in _KEY_DEFAULTS.items()',
        mutants=(
            'name: parse(text, emitted=None, lenient=name != "id") for name, text in _KEY_DEFAULTS.items()',
            'name: parse(text, emitted=False, lenient=name != "id") for name, text in _KEY_DEFAULTS.items()',
        ),
        because="None of the defaults ends at a secret.",
    ),
    Explained(
        module="values",
        line="if type(value) is str and len(value) <= MAX_LENGTH and value.isascii():",
        mutants=(
            "if type(None) is str and len(value) <= MAX_LENGTH and value.isascii():",
            "if type(value) is str and len(value) < MAX_LENGTH and value.isascii():",
        ),
        because=_QUICKER,
    ),
    Explained(
        module="values",
        line='return _not_too_long(value, str.encode(value, "utf-8", "backslashreplace").decode("utf-8"))',
        mutants=(
            'return _not_too_long(value, str.encode(value, "UTF-8", "backslashreplace").decode("utf-8"))',
            'return _not_too_long(value, str.encode(value, "utf-8", "backslashreplace").decode("UTF-8"))',
        ),
        because=_ENCODING,
    ),
    Explained(
        module="values",
        line="if (type(value) is list or type(value) is tuple) and _are_plain(value):",
        mutants=(
            "if (type(value) is list and type(value) is tuple) and _are_plain(value):",
            "if (type(None) is list or type(value) is tuple) and _are_plain(value):",
            "if (type(value) is list or type(None) is tuple) and _are_plain(value):",
        ),
        because=_QUICKER,
    ),
    Explained(
        module="values",
        line="if not {*map(type, elements)} <= _PLAIN:",
        mutants=("if not {*map(type, elements)} < _PLAIN:",),
        because=_QUICKER,
    ),
    Explained(
        module="values",
        line='joined = "".join(elements)',
        mutants=('joined = "XXXX".join(elements)',),
        because=_QUICKER,
    ),
    Explained(
        module="values",
        line="return joined.isascii() and (len(joined) <= MAX_LENGTH or max(map(len, elements)) <= MAX_LENGTH)",
        mutants=(
            "return joined.isascii() and (len(joined) < MAX_LENGTH or max(map(len, elements)) <= MAX_LENGTH)",
            "return joined.isascii() and (len(joined) <= MAX_LENGTH or max(map(len, elements)) < MAX_LENGTH)",
        ),
        because=_QUICKER,
    ),
    Explained(
        module="places",
        line="changed = _changed(value, self._steps, change, attempt) if self._steps else change(value)",
        mutants=(
            "changed = _changed(value, self._steps, change, attempt) if (self._steps) or True else change(value)",
        ),
        because=_QUICKER,
    ),
    Explained(
        module="places",
        line="if all(new is old for new, old in zip(changed, elements, strict=True)):",
        mutants=(
            "if all(new is old for new, old in zip(changed, elements, strict=None)):",
            "if all(new is old for new, old in zip(changed, elements, )):",
            "if all(new is old for new, old in zip(changed, elements, strict=False)):",
        ),
        because="Both lists are always of one length.",
    ),
    Explained(
        module="scopes",
        line='return name + colon if colon else ""',
        mutants=('return name + colon if (colon) or True else ""', 'return name + colon if colon else "XXXX"'),
        because="It is looked up among types, all of which have a colon.",
    ),
    Explained(
        module="filters",
        line="return time.astimezone() if time.utcoffset() is None else time",
        mutants=("return time.astimezone() if (time.utcoffset() is None) or True else time",),
        because="It is the same instant in another zone, and what is written is in UTC.",
    ),
    Explained(
        module="binding",
        line="position = self._positions.get(name, self._own_count)",
        mutants=("position = self._positions.get(None, self._own_count)",),
        because=_QUICKER,
    ),
    Explained(
        module="binding",
        line="return positional[position] if position < len(positional) else self.read(call, name)",
        mutants=("return positional[position] if (position < len(positional)) and False else self.read(call, name)",),
        because=_QUICKER,
    ),
    Explained(
        module="trampoline",
        line='local = next(name for number in range(len(names) + 1) if (name := f"_keyaudit_{number}") not in names)',
        mutants=(
            'local = next(name for number in range(len(names) + 2) if (name := f"_keyaudit_{number}") not in names)',
        ),
        because="One name more than there are is always free.",
    ),
    Explained(
        module="trampoline",
        line="if sys.version_info >= (3, 11):",
        mutants=("if sys.version_info > (3, 11):",),
        because="A version has more parts than two, so it is never the same.",
    ),
    Explained(
        module="trampoline",
        line='return compile(_in_one_line(ast.parse(source), old.co_firstlineno), old.co_filename, "exec", dont_inherit=True)',  # noqa: E501
        mutants=(
            'return compile(_in_one_line(ast.parse(source), old.co_firstlineno), old.co_filename, "exec", )',
            'return compile(_in_one_line(ast.parse(source), old.co_firstlineno), old.co_filename, "exec", dont_inherit=False)',  # noqa: E501
        ),
        because="What this module imports from the future is about annotations, and there are none in the source.",
    ),
    Explained(
        module="trampoline",
        line="ast.copy_location(node, ast.Pass(lineno=number, col_offset=-1, end_lineno=number, end_col_offset=-1))",
        mutants=(
            "ast.copy_location(node, ast.Pass(lineno=number, col_offset=-1, end_lineno=None, end_col_offset=-1))",
            "ast.copy_location(node, ast.Pass(lineno=number, col_offset=-1, end_lineno=number, end_col_offset=None))",
            "ast.copy_location(node, ast.Pass(lineno=number, col_offset=-1, end_col_offset=-1))",
            "ast.copy_location(node, ast.Pass(lineno=number, col_offset=-1, end_lineno=number, ))",
        ),
        because="An end that is not given is the beginning.",
    ),
    Explained(
        module="wrapping",
        line="for (places, unreached), (original, stand_in) in zip(held, pairs, strict=True):",
        mutants=(
            "for (places, unreached), (original, stand_in) in zip(held, pairs, strict=None):",
            "for (places, unreached), (original, stand_in) in zip(held, pairs, ):",
            "for (places, unreached), (original, stand_in) in zip(held, pairs, strict=False):",
        ),
        because="Both are always of one length.",
    ),
    Explained(
        module="wrapping",
        line='put = [Guard().guarded("", partial(place.put, stand_in, expected=original)) for place in places]',
        mutants=(
            "put = [Guard().guarded(None, partial(place.put, stand_in, expected=original)) for place in places]",
            'put = [Guard().guarded("XXXX", partial(place.put, stand_in, expected=original)) for place in places]',
        ),
        because=_NO_STAGE,
    ),
    Explained(
        module="wrapping",
        line='return _Listener(found.model, _handler(observe, cast("FunctionType", before_insert)))',
        mutants=(
            "return _Listener(found.model, _handler(observe, cast(None, before_insert)))",
            'return _Listener(found.model, _handler(observe, cast("XXFunctionTypeXX", before_insert)))',
            'return _Listener(found.model, _handler(observe, cast("functiontype", before_insert)))',
            'return _Listener(found.model, _handler(observe, cast("FUNCTIONTYPE", before_insert)))',
        ),
        because=_CAST,
    ),
    Explained(
        module="wrapping",
        line='self.function = cast("FunctionType", listen)',
        mutants=(
            "self.function = cast(None, listen)",
            'self.function = cast("XXFunctionTypeXX", listen)',
            'self.function = cast("functiontype", listen)',
            'self.function = cast("FUNCTIONTYPE", listen)',
        ),
        because=_CAST,
    ),
    Explained(
        module="proxy",
        line="self._self_pairs: tuple[tuple[Any, Any], ...] = ()",
        mutants=("self._self_pairs: tuple[tuple[Any, Any], ...] = None",),
        because="It is set before anybody reads it.",
    ),
    Explained(
        module="references",
        line="fixed = 0",
        mutants=("fixed = 1",),
        because="The test that tells is not one for mutants: calls of mutmut hold what is looked for, too.",
    ),
    Explained(
        module="api_key",
        line="return later if len(known) == len(READERS) else replace(self, **known)",
        mutants=("return later if (len(known) == len(READERS)) and False else replace(self, **known)",),
        because=_QUICKER,
    ),
    Explained(
        module="metrics",
        line="known = {name: value for name, value in zip(self._attributes, values, strict=True) if value is not None}",
        mutants=(
            "known = {name: value for name, value in zip(self._attributes, values, strict=None) if value is not None}",
            "known = {name: value for name, value in zip(self._attributes, values, ) if value is not None}",
            "known = {name: value for name, value in zip(self._attributes, values, strict=False) if value is not None}",
        ),
        because="Both are always of one length.",
    ),
    Explained(
        module="jobs",
        line="self._key_before: Setting | None = None",
        mutants=('self._key_before: Setting | None = ""',),
        because="A job is put down only after it has begun.",
    ),
    Explained(
        module="implementations",
        line="if type(owner) in self._known:",
        mutants=("if type(None) in self._known:",),
        because=_QUICKER,
    ),
    Explained(
        module="implementations",
        line="if type(owner) not in self._known:",
        mutants=("if type(None) not in self._known:",),
        because="It is otherwise only when two threads come at once, and then a target is not put on twice.",
    ),
    Explained(
        module="installation",
        line="self._is_on = False",
        mutants=("self._is_on = None",),
        because=_TRUTH,
    ),
    Explained(
        module="installation",
        line='found = Guard().guarded("", lookup, module, self.target.qualified_name)',
        mutants=(
            "found = Guard().guarded(None, lookup, module, self.target.qualified_name)",
            'found = Guard().guarded("XXXX", lookup, module, self.target.qualified_name)',
        ),
        because=_NO_STAGE,
    ),
    Explained(
        module="installation",
        line='_Reporting(self).guarded("", self._wrap, module)',
        mutants=(
            "_Reporting(self).guarded(None, self._wrap, module)",
            '_Reporting(self).guarded("XXXX", self._wrap, module)',
        ),
        because=_NO_STAGE,
    ),
    Explained(
        module="row_recording",
        line='self.is_outside = "return" in cast("Expression", source).roots',
        mutants=(
            'self.is_outside = "return" in cast(None, source).roots',
            'self.is_outside = "return" in cast("XXExpressionXX", source).roots',
            'self.is_outside = "return" in cast("expression", source).roots',
            'self.is_outside = "return" in cast("EXPRESSION", source).roots',
        ),
        because=_CAST,
    ),
    Explained(
        module="row_recording",
        line='self._is_list = "[]" in cast("Expression", source).text',
        mutants=(
            'self._is_list = "[]" in cast(None, source).text',
            'self._is_list = "[]" in cast("XXExpressionXX", source).text',
            'self._is_list = "[]" in cast("expression", source).text',
            'self._is_list = "[]" in cast("EXPRESSION", source).text',
        ),
        because=_CAST,
    ),
    Explained(
        module="row_recording",
        line='source = target.sources.get("fields") or parse(DEFAULT_FIELDS, emitted=False)',
        mutants=(
            'source = target.sources.get("fields") or parse(DEFAULT_FIELDS, emitted=None)',
            'source = target.sources.get("fields") or parse(DEFAULT_FIELDS, emitted=True)',
        ),
        because="The default does not end at a secret.",
    ),
    Explained(
        module="row_recording",
        line="self._read = reader(source, deferred=False)",
        mutants=(
            "self._read = reader(source, deferred=None)",
            "self._read = reader(source, deferred=True)",
        ),
        because="Fields are an expression, which imports nothing.",
    ),
    Explained(
        module="testing",
        line='counts[value] = counts.get(value, 0) + int(cast("Any", point).value)',
        mutants=(
            "counts[value] = counts.get(value, 0) + int(cast(None, point).value)",
            'counts[value] = counts.get(value, 0) + int(cast("XXAnyXX", point).value)',
            'counts[value] = counts.get(value, 0) + int(cast("any", point).value)',
            'counts[value] = counts.get(value, 0) + int(cast("ANY", point).value)',
        ),
        because=_CAST,
    ),
    Explained(
        module="testing",
        line='inner = [(event.name, event.attributes) for event in span.events] + [("", link.attributes) for link in span.links]',  # noqa: E501
        mutants=(
            'inner = [(event.name, event.attributes) for event in span.events] + [("XXXX", link.attributes) for link in span.links]',  # noqa: E501
        ),
        because="It stands in the place of a name, and is none.",
    ),
    Explained(
        module="testing",
        line="self.tracer_provider = TracerProvider(shutdown_on_exit=False)",
        mutants=("self.tracer_provider = TracerProvider(shutdown_on_exit=None)",),
        because=_TRUTH,
    ),
    Explained(
        module="testing",
        line="self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)",
        mutants=("self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=None)",),
        because=_TRUTH,
    ),
    Explained(
        module="secret_search",
        line='yield value.decode("utf-8", "replace")',
        mutants=('yield value.decode("UTF-8", "replace")',),
        because=_ENCODING,
    ),
    Explained(
        module="secret_search",
        line='raw = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else bytes(secret)',
        mutants=('raw = secret.encode("UTF-8", "surrogatepass") if isinstance(secret, str) else bytes(secret)',),
        because=_ENCODING,
    ),
    Explained(
        module="secret_search",
        line='plain = raw.decode("utf-8", "replace") if isinstance(secret, bytes) else secret',
        mutants=('plain = raw.decode("UTF-8", "replace") if isinstance(secret, bytes) else secret',),
        because=_ENCODING,
    ),
    Explained(
        module="secret_search",
        line='"read as Latin-1": lambda text: raw.decode("latin-1") in text,',
        mutants=('"read as Latin-1": lambda text: raw.decode("LATIN-1") in text,',),
        because=_ENCODING,
    ),
    Explained(
        module="secret_search",
        line="encoded = {form for offset in range(3) for form in _base64(raw, offset)}",
        mutants=("encoded = {form for offset in range(4) for form in _base64(raw, offset)}",),
        because="Three bytes further on it is as at the beginning.",
    ),
    Explained(
        module="secret_search",
        line="first, end = (offset * 8 + 5) // 6, (offset + len(raw)) * 8 // 6",
        mutants=("first, end = (offset * 9 + 5) // 6, (offset + len(raw)) * 8 // 6",),
        because="The offsets are 0, 1 and 2, for which it is the same.",
    ),
    Explained(
        module="secret_search",
        line="escaped = {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], repr(plain)[1:-1]}",
        mutants=("escaped = {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=None)[1:-1], repr(plain)[1:-1]}",),
        because=_TRUTH,
    ),
    Explained(
        module="tripwire",
        line='return value.decode("latin-1")',
        mutants=('return value.decode("LATIN-1")',),
        because=_ENCODING,
    ),
    Explained(
        module="tripwire",
        line='return value if type(value) is str else ""',
        mutants=('return value if type(value) is str else "XXXX"',),
        because="It is too short to be a credential, either way.",
    ),
    Explained(
        module="tripwire",
        line='raw = query if isinstance(query, bytes) else query.encode("latin-1", "replace")',
        mutants=('raw = query if isinstance(query, bytes) else query.encode("LATIN-1", "replace")',),
        because=_ENCODING,
    ),
    Explained(
        module="tripwire",
        line='yield from (value for name, value in parse_qsl(raw.decode("latin-1")) if _is_secret(name.replace("-", "_")))',  # noqa: E501
        mutants=(
            'yield from (value for name, value in parse_qsl(raw.decode("LATIN-1")) if _is_secret(name.replace("-", "_")))',  # noqa: E501
        ),
        because=_ENCODING,
    ),
    Explained(
        module="tripwire",
        line='user, _, password = b64decode(rest).decode("latin-1").partition(":")',
        mutants=('user, _, password = b64decode(rest).decode("LATIN-1").partition(":")',),
        because=_ENCODING,
    ),
    Explained(
        module="tripwire",
        line='found.append(_secret_of(value.decode("latin-1")))',
        mutants=('found.append(_secret_of(value.decode("LATIN-1")))',),
        because=_ENCODING,
    ),
    Explained(
        module="tripwire",
        line='return "\\n".join(value) if isinstance(value, tuple) else value or ""',
        mutants=(
            'return "XX\\nXX".join(value) if isinstance(value, tuple) else value or ""',
            'return "\\n".join(value) if isinstance(value, tuple) else value or "XXXX"',
        ),
        because="No credential is found in what stands between the texts, or in place of one.",
    ),
    Explained(
        module="tripwire",
        line="if type(scope) is dict or isinstance(scope, Mapping):",
        mutants=("if type(None) is dict or isinstance(scope, Mapping):",),
        because=_QUICKER,
    ),
    Explained(
        module="values",
        line="return datetime.fromisoformat(f\"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}\")",
        mutants=("return datetime.fromisoformat(f\"{day}T{clock}.{(fraction or '0')[:7]:0<6}{zone}\")",),
        because="Since Python 3.11 it drops further digits itself.",
    ),
    Explained(
        module="functions",
        line='return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))',
        mutants=('return bool(getattr(getattr(module, "__spec__", None), "_initializing", None))',),
        because=_TRUTH,
    ),
    Explained(
        module="installation",
        line='name, _, qualified_name = entry.path.partition(":")',
        mutants=('name, _, qualified_name = entry.path.rpartition(":")',),
        because="A path has one colon.",
    ),
    Explained(
        module="installation",
        line="if type(function) is FunctionType and all(one.function is not function for one in self._exchanges):",
        mutants=("if type(function) is FunctionType or all(one.function is not function for one in self._exchanges):",),
        because="What has no code cannot be exchanged, and a function that is exchanged twice begins the same request.",
    ),
    Explained(
        module="places",
        line='self._read = binding.reader(path.parameter or "")',
        mutants=('self._read = binding.reader(path.parameter or "XXXX")',),
        because="No parameter has such a name, either.",
    ),
    Explained(
        module="places",
        line='self._left_out = binding.default(path.parameter or "")',
        mutants=('self._left_out = binding.default(path.parameter or "XXXX")',),
        because="No parameter has such a name, either.",
    ),
    Explained(
        module="extraction",
        line="self._is_undecided = 1 < len(members) == len(readers) and _is_plain(kind)",
        mutants=(
            "self._is_undecided = None",
            "self._is_undecided = 2 < len(members) == len(readers) and _is_plain(kind)",
            "self._is_undecided = 1 <= len(members) == len(readers) and _is_plain(kind)",
        ),
        because=_QUICKER,
    ),
    Explained(
        module="extraction",
        line="self._decide(key)",
        mutants=("self._decide(None)",),
        because=_QUICKER,
    ),
    Explained(
        module="extraction",
        line="self._is_undecided = False",
        mutants=("self._is_undecided = None", "self._is_undecided = True"),
        because=_QUICKER,
    ),
    Explained(
        module="extraction",
        line='own = getattr(key, "__dict__", ())',
        mutants=('own = getattr(None, "__dict__", ())',),
        because=_QUICKER,
    ),
    Explained(
        module="extraction",
        line="if all(name in own or hasattr(type(key), name) for name in self._members):",
        mutants=(
            "if all(name in own and hasattr(type(key), name) for name in self._members):",
            "if all(name in own or hasattr(None, name) for name in self._members):",
            "if all(name in own or hasattr(type(None), name) for name in self._members):",
        ),
        because=_QUICKER,
    ),
    Explained(
        module="extraction",
        line="self._attributes = attrgetter(*self._members)",
        mutants=("self._attributes = None",),
        because=_QUICKER,
    ),
    Explained(
        module="extraction",
        line="given = [(name, value) for name, value in zip(self._names, values, strict=True) if value is not None]",
        mutants=(
            "given = [(name, value) for name, value in zip(self._names, values, strict=None) if value is not None]",
            "given = [(name, value) for name, value in zip(self._names, values, ) if value is not None]",
            "given = [(name, value) for name, value in zip(self._names, values, strict=False) if value is not None]",
        ),
        because="There is a value for each name.",
    ),
    Explained(
        module="extraction",
        line="if content is not None and len(fields) == len(given) and len(content[0]) <= LONGEST_CONTENT:",
        mutants=("if content is not None and len(fields) == len(given) and len(content[0]) < LONGEST_CONTENT:",),
        because=_LIMIT,
    ),
    Explained(
        module="extraction",
        line='return {"set": sorted(value)}',
        mutants=('return {"XXsetXX": sorted(value)}', 'return {"SET": sorted(value)}'),
        because="Any name tells it from a list.",
    ),
)
