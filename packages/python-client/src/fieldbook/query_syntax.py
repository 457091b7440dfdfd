"""Reads a query of docs/query.md into a tree; the grammar and what is refused are those of the agent.

``tests/golden/query`` holds queries, runs and what matches, made by the agent's engine; the tests of both languages read it.
"""

from __future__ import annotations

import re

from .query_literal import SPACE, Literal
from .query_pattern import Pattern, PatternFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


#: UTF-16 code units of a query, and its levels of parentheses and ``not``.
LENGTH = 8 * 1024
DEPTH = 64

FIELDS = {
    "name": "text",
    "id": "text",
    "project": "text",
    "status": "status",
    "created": "time",
    "updated": "time",
    "ended": "time",
    "duration": "duration",
    "group": "text",
    "user": "text",
    "host": "text",
    "tags": "list",
    "notes": "text",
    "star": "flag",
    "archived": "flag",
    "trashed": "flag",
    "unnamed": "flag",
    "conflicted": "flag",
    "writers": "number",
}
_ALIASES = {"starred": "star", "tag": "tags"}
_STATUSES = ("running", "finished", "failed", "crashed", "lost", "preempted")

_ORDERING = ("<", "<=", ">", ">=")
_PRESENCE = ("exists", "missing")
_OPERATORS = {
    "text": ("=", "!=", ":", "has", "in", "~", "!~", *_ORDERING, *_PRESENCE),
    "status": ("=", "!=", ":", "in", "~", "!~"),
    "list": ("=", "!=", ":", "has", "in", "~", "!~", *_PRESENCE),
    "flag": ("=", "!=", ":"),
    "time": ("=", "!=", ":", "in", *_ORDERING, *_PRESENCE),
    "duration": ("=", "!=", ":", "in", *_ORDERING, *_PRESENCE),
    "number": ("=", "!=", ":", "in", *_ORDERING, *_PRESENCE),
}
_COMPARE = ("<=", ">=", "!=", "<", ">", "=")

_AFTER_PATH = re.compile(f'[{SPACE}()"<>=:~]|![=~]')
_AFTER_VALUE = re.compile(f'[{SPACE}()"]')
_AFTER_ELEMENT = re.compile(f'[{SPACE}()",]')
_SPACES = re.compile(f"[{SPACE}]*")
_IN = re.compile(f"(not[{SPACE}]+)?in[{SPACE}]*(?=\\()", re.IGNORECASE | re.ASCII)


class QueryError(ValueError):
    """A text that is no query. ``code`` is ``query_syntax`` or ``query_type``; ``position`` and ``length`` say where, in characters."""

    def __init__(self, code: str, message: str, query: str, start: int, end: int) -> None:
        super().__init__(f"query: {message} (at position {start})\n  {query}\n  {' ' * start}^")
        self.code = code
        self.message = message
        self.position = start
        self.length = end - start


class Path:
    """What stands left of a test. ``scope`` is ``any``, ``attribute`` or ``metric``."""

    __slots__ = ("end", "quoted", "scope", "start", "text")

    def __init__(self, text: str, quoted: bool, scope: str, start: int, end: int) -> None:
        self.text = text
        self.quoted = quoted
        self.scope = scope
        self.start = start
        self.end = end

    @property
    def field(self) -> str | None:
        """The field that it means: never one when it is quoted or scoped."""
        return None if self.quoted or self.scope != "any" else field_named(self.text)


def field_named(text: str) -> str | None:
    """The field of a name or an alias of it."""
    return text if text in FIELDS else _ALIASES.get(text)


def parse(text: str) -> Any:
    """The tree of a query: None for one that says nothing, else tuples whose first element is their kind.

    ``("and" | "or", terms)``, ``("not", term)``, ``("compare", path, operator, literal)``, ``("match", path, negated, pattern)``,
    ``("in", path, negated, literals)``, ``("presence", path, present)``, ``("flag", path)``, ``("word", text)``.
    Raises :class:`QueryError`.
    """
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units > LENGTH:
        message = f"A query has at most {LENGTH} characters, this one has {units}."
        raise QueryError("query_syntax", message, text[:40] + " …", LENGTH, units)
    root = _Parser(text).query()
    if root is not None:
        _check(root, text)
    return root


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def query(self) -> Any:
        self._space()
        if self._ended():
            return None
        root = self._or()
        if not self._ended():
            self._fail(self._at, self._at, 'There is a ")" that closes nothing.')
        return root

    def _or(self) -> Any:
        terms = [self._and()]
        while self._keyword("or"):
            terms.append(self._and())
        return _join("or", terms)

    def _and(self) -> Any:
        terms = [self._unary()]
        while True:
            self._space()
            if self._ended() or self._text[self._at] == ")" or self._peek() == "or":
                return _join("and", terms)
            self._keyword("and")
            terms.append(self._unary())

    def _unary(self) -> Any:
        self._space()
        start = self._at
        if self._text[start : start + 1] == "(":
            return self._group()
        if self._peek() == "not":
            self._keyword("not")
            self._enter(start)
            term = self._unary()
            self._depth -= 1
            return ("not", term)
        return self._term()

    def _group(self) -> Any:
        start = self._at
        self._enter(start)
        self._at += 1
        node = self._or()
        self._space()
        if self._text[self._at : self._at + 1] != ")":
            self._fail(start, start + 1, 'This "(" is never closed.')
        self._at += 1
        self._depth -= 1
        return node

    def _term(self) -> Any:
        if self._ended():
            self._fail(self._at, self._at, "The query ends where a term should stand.")
        path = self._path()
        test = self._test(path)
        if test is not None:
            return test
        if path.scope != "any":
            self._fail(self._at, self._at, f"Say what {self._text[path.start : path.end]} should be.")
        field = path.field
        if field is not None and FIELDS[field] == "flag":
            return ("flag", path)
        return ("word", path.text)

    def _path(self) -> Path:
        start = self._at
        if self._text[start] == '"':
            text = self._string()
            return Path(text + self._suffix(), True, "any", start, self._at)
        word = self._bare(_AFTER_PATH)
        if word == "":
            self._fail(start, start + 1, f'A term cannot begin with "{self._text[start]}".')
        if word.lower() in ("and", "or"):
            self._at = start
            self._fail(start, start + len(word), f'There is nothing before "{word}".')
        scope = {"a": "attribute", "m": "metric"}.get(word, "any")
        following = self._text[self._at + 1 : self._at + 2]
        if scope != "any" and self._text[self._at : self._at + 1] == ":" and following and not _is_space(following):
            self._at += 1
            if following == '"':
                text = self._string() + self._suffix()
            else:
                text = self._bare(_AFTER_PATH)
                if text == "":
                    self._fail(self._at, self._at + 1, f'Expected a path after "{word}:".')
            return Path(text, following == '"', scope, start, self._at)
        return Path(word, False, "any", start, self._at)

    def _suffix(self) -> str:
        """The aggregate behind a quoted path: `"weird path".min`."""
        return self._bare(_AFTER_PATH) if self._text[self._at : self._at + 1] == "." else ""

    def _test(self, path: Path) -> Any:
        if self._text[self._at : self._at + 1] == ":":
            self._at += 1
            return self._compare(path, ":", ":")
        behind = self._at
        self._space()
        if self._ended():
            return None
        for symbol in _COMPARE:
            if self._text.startswith(symbol, self._at):
                written = "==" if self._text.startswith("==", self._at) else symbol
                self._at += len(written)
                return self._compare(path, symbol, written)
        negated = self._text.startswith("!~", self._at)
        if negated or self._text[self._at] == "~":
            self._at += 2 if negated else 1
            return self._match(path, negated)
        word = self._peek()
        # `it has:x` is a word and a test of `has`.
        if self._text[self._at + len(word) : self._at + len(word) + 1] == ":":
            word = ""
        if word == "has":
            written = self._text[self._at : self._at + 3]
            self._at += 3
            return self._compare(path, "has", written)
        if word in _PRESENCE:
            self._at += len(word)
            return ("presence", path, word == "exists")
        listed = _IN.match(self._text, self._at)
        if listed is not None:
            written = listed[0].rstrip()
            self._at += len(written)
            return self._in(path, listed[1] is not None, written)
        self._at = behind
        return None

    def _compare(self, path: Path, operator: str, written: str) -> Any:
        return ("compare", path, operator, self._value(written, _AFTER_VALUE))

    def _value(self, written: str, ends: re.Pattern[str]) -> Literal:
        self._space()
        start = self._at
        if self._ended():
            self._fail(start, start, f'Expected a value after "{written}".')
        if self._text[start] == '"':
            text = self._string()
            return Literal(text, True, start, self._at)
        text = "" if self._text[start] in "<>=~!" else self._bare(ends)
        if text == "":
            self._fail(start, start + 1, f'Expected a value, found "{self._text[start]}".')
        return Literal(text, False, start, self._at)

    def _in(self, path: Path, negated: bool, written: str) -> Any:
        self._space()
        opened = self._at
        self._at += 1
        values: list[Literal] = []
        written_before = "("
        while True:
            values.append(self._value(written_before, _AFTER_ELEMENT))
            self._space()
            char = self._text[self._at : self._at + 1]
            if char == ")":
                self._at += 1
                return ("in", path, negated, values)
            if char != ",":
                start, end = (opened, opened + 1) if self._ended() else (self._at, self._at + 1)
                self._fail(start, end, 'Expected "," or ")" in the list.')
            written_before = ","
            self._at += 1

    def _match(self, path: Path, negated: bool) -> Any:
        self._space()
        start = self._at
        if self._ended():
            self._fail(start, start, 'Expected a pattern after "~".')
        source = ""
        ignore_case = False
        places: list[int] = []
        if self._text[start] == '"':
            # A slash needs no backslash in either form; without it both forms are one pattern.
            source = re.sub(r"\\(.)", lambda pair: "/" if pair[1] == "/" else pair[0], self._string(), flags=re.DOTALL)
            places = [min(start + 1 + index, self._at - 1) for index in range(len(source))]
        elif self._text[start] == "/":
            index = start + 1
            while index < len(self._text) and self._text[index] != "/":
                escaped = self._text[index] == "\\" and index + 1 < len(self._text)
                piece = self._text[index : index + 2] if escaped else self._text[index]
                if piece == "\\/":
                    piece = "/"
                places.extend(range(index, index + len(piece)))
                source += piece
                index += 2 if escaped else 1
            if index >= len(self._text):
                self._fail(start, start + 1, 'This pattern has no "/" at its end.')
            index += 1
            ignore_case = self._text[index : index + 1] == "i"
            self._at = index + 1 if ignore_case else index
        else:
            self._fail(start, start + 1, 'A pattern stands between two "/".')
        if source == "":
            self._fail(start, self._at, "This pattern is empty.")
        try:
            return ("match", path, negated, Pattern(source, ignore_case))
        except PatternFault as fault:
            position = places[fault.position] if fault.position < len(places) else self._at - 1
            self._fail(position, position + 1, f"{fault}.")

    def _string(self) -> str:
        """A quoted text; `\\"` and `\\\\` stand for `"` and `\\`, and no other backslash means anything."""
        start = self._at
        parts = []
        index = start + 1
        while index < len(self._text) and self._text[index] != '"':
            if self._text[index] == "\\" and self._text[index + 1 : index + 2] in ('"', "\\"):
                index += 1
            parts.append(self._text[index])
            index += 1
        if index >= len(self._text):
            self._fail(start, start + 1, "This text has no '\"' at its end.")
        self._at = index + 1
        return "".join(parts)

    def _ended(self) -> bool:
        return self._at >= len(self._text)

    def _space(self) -> None:
        found = _SPACES.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _bare(self, ends: re.Pattern[str]) -> str:
        start = self._at
        found = ends.search(self._text, start)
        self._at = found.start() if found else len(self._text)
        return self._text[start : self._at]

    def _peek(self) -> str:
        """The bare word that stands here, in lower case."""
        start = self._at
        word = self._bare(_AFTER_PATH).lower()
        self._at = start
        return word

    def _keyword(self, word: str) -> bool:
        self._space()
        if self._peek() != word:
            return False
        self._at += len(word)
        return True

    def _enter(self, start: int) -> None:
        self._depth += 1
        if self._depth > DEPTH:
            self._fail(start, start + 1, f"A query is at most {DEPTH} levels deep.")

    def _fail(self, start: int, end: int, message: str) -> NoReturn:
        raise QueryError("query_syntax", message, self._text, start, min(end, len(self._text)))


def _is_space(char: str) -> bool:
    found = _SPACES.match(char)
    return found is not None and found.end() > 0


def _join(kind: str, terms: list[Any]) -> Any:
    """Terms as one node: a single one as it is, joins of the same kind opened up."""
    if len(terms) == 1:
        return terms[0]
    flat: list[Any] = []
    for term in terms:
        flat.extend(term[1] if term[0] == kind else [term])
    return (kind, flat)


def _check(node: Any, text: str) -> None:
    """Refuses what a field can never answer; attributes and metrics refuse nothing."""
    kind = node[0]
    if kind in ("and", "or"):
        for term in node[1]:
            _check(term, text)
    elif kind == "not":
        _check(node[1], text)
    elif kind == "compare":
        _check_test(node[1], node[2], [node[3]], text)
    elif kind == "in":
        _check_test(node[1], "in", node[3], text)
    elif kind == "match":
        path: Path = node[1]
        if path.field is not None and FIELDS[path.field] not in ("text", "status", "list"):
            message = f"{path.text} is not a text, so no pattern fits it."
            raise QueryError("query_type", message, text, path.start, path.end)


def _check_test(path: Path, operator: str, values: list[Literal], text: str) -> None:
    if path.field is None:
        return
    kind = FIELDS[path.field]
    if operator not in _OPERATORS[kind]:
        message = f'{path.text} cannot be tested with "{operator}".'
        raise QueryError("query_type", message, text, path.start, path.end)
    for value in values:
        problem = None if value.is_null() else _problem(kind, value, operator)
        if problem is not None:
            raise QueryError("query_type", f"{path.text} {problem}", text, value.start, value.end)


def _problem(kind: str, value: Literal, operator: str) -> str | None:
    if kind == "status":
        word = value.text.lower() if operator == ":" else value.text
        return None if word in _STATUSES else f'is never "{value.text}"; it is one of {", ".join(_STATUSES)}.'
    if kind == "flag":
        return None if value.boolean() is not None else "is true or false."
    if kind == "time":
        fits = value.period(0, 0) is not None
        return None if fits else "is a time: write -7d, today, 2026-11-01 or 2026-11-01T12:30."
    if kind == "duration":
        fits = value.duration() is not None or value.number() is not None
        return None if fits else "is a duration: write 90s, 15m or 1h30m."
    if kind == "number":
        return None if value.number() is not None else "is a number."
    return None
