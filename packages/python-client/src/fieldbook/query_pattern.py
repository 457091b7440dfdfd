"""Regular expressions of queries, as ``packages/core/src/query/pattern.ts`` has them: any of them takes time linear in the text.

Python's ``re`` backtracks and knows more than a query may ask; the same query would find other runs here than in the
agent. A pattern compiles to a small program (Thompson's construction) whose places are followed all at once.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Characters of a pattern (UTF-16 code units), and instructions that it compiles to.
LENGTH = 512
SIZE = 1_000
_LAST = 0x10FFFF
#: Followed sets of places that are remembered; a pattern with more starts over.
_KEPT = 2_000

_Ranges = list["tuple[int, int]"]

_DIGIT: _Ranges = [(0x30, 0x39)]
_WORD: _Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: _Ranges = [
    (9, 13),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
]
_LINE_END: _Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CLASSES: dict[str, tuple[_Ranges, bool]] = {
    "d": (_DIGIT, False),
    "D": (_DIGIT, True),
    "w": (_WORD, False),
    "W": (_WORD, True),
    "s": (_SPACE, False),
    "S": (_SPACE, True),
}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_REPEAT = re.compile(r"\{([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}")
_INFINITE = -1

_EDGE, _WORDY, _OTHER = 0, 1, 2


class PatternFault(ValueError):
    """A fault of a pattern; ``position`` counts from its first character."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class Pattern:
    """A compiled pattern. Raises :class:`PatternFault` for what is none."""

    def __init__(self, source: str, ignore_case: bool) -> None:
        if len(source.encode("utf-16-le", "surrogatepass")) > LENGTH * 2:
            raise PatternFault(LENGTH, f"A pattern has at most {LENGTH} characters")
        self._program = _compile(_Reader(source).read())
        self._ignore_case = ignore_case
        self._steps: dict[tuple[tuple[int, ...], int, int], tuple[int, ...] | None] = {}

    def test(self, text: str) -> bool:
        """Whether it is found anywhere in the text."""
        places: tuple[int, ...] = ()
        before = _EDGE
        for char in text:
            code = ord(char)
            key = (places, before, code)
            if key in self._steps:
                found = self._steps[key]
            else:
                found = self._step(places, before, code)
                if len(self._steps) >= _KEPT:
                    self._steps.clear()
                self._steps[key] = found
            if found is None:
                return True
            places = found
            before = _beside(code)
        return self._close(places, before, _EDGE) is None

    def _step(self, places: tuple[int, ...], before: int, code: int) -> tuple[int, ...] | None:
        """The places after one more character; None once the pattern is found."""
        reached = self._close(places, before, _beside(code))
        if reached is None:
            return None
        return tuple(sorted(place + 1 for place in reached if self._holds(self._program[place][1], code)))

    def _close(self, places: tuple[int, ...], before: int, after: int) -> list[int] | None:
        """Places that stand before a character, from these and from the start; None if the pattern is found."""
        seen: set[int] = set()
        reached = []
        waiting = [*places, 0]
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            kind, what = self._program[place]
            if kind == "found":
                return None
            if kind == "set":
                reached.append(place)
            elif kind == "split":
                waiting.extend(what)
            elif _asserted(what, before, after):
                waiting.append(place + 1)
        return reached

    def _holds(self, wanted: tuple[_Ranges, bool], code: int) -> bool:
        ranges, negated = wanted
        if not self._ignore_case:
            return _within(ranges, code) != negated
        char = chr(code)
        # `[^a]` leaves out both cases.
        ranged = any(_within(ranges, each) for each in (code, _one_of(char.lower(), code), _one_of(char.upper(), code)))
        return ranged != negated


def _one_of(text: str, code: int) -> int:
    """The other case of a character, unless that is several: `ß` is no `S`."""
    return ord(text) if len(text) == 1 else code


def _within(ranges: _Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _beside(code: int) -> int:
    return _WORDY if _within(_WORD, code) else _OTHER


def _asserted(what: str, before: int, after: int) -> bool:
    if what == "start":
        return before == _EDGE
    if what == "end":
        return after == _EDGE
    return ((before == _WORDY) != (after == _WORDY)) == (what == "boundary")


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def read(self) -> Any:
        node = self._choice()
        if self._at < len(self._source):
            raise PatternFault(self._at, 'There is a ")" that closes nothing')
        return node

    def _peek(self, ahead: int = 0) -> str:
        return self._source[self._at + ahead : self._at + ahead + 1]

    def _next(self) -> str:
        char = self._source[self._at]
        self._at += 1
        return char

    def _choice(self) -> Any:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else ("choice", parts)

    def _sequence(self) -> Any:
        parts = []
        while self._at < len(self._source) and self._peek() not in "|)":
            parts.append(self._repeated())
        return ("sequence", parts)

    def _repeated(self) -> Any:
        part = self._single()
        bounds = self._bounds()
        if bounds is None:
            return part
        if part[0] == "assert":
            raise PatternFault(self._at - 1, "There is nothing to repeat")
        # Lazy or greedy finds the same texts.
        if self._peek() == "?":
            self._at += 1
        again = self._at
        if self._bounds() is not None:
            raise PatternFault(again, "There is nothing to repeat")
        return ("repeat", part, *bounds)

    def _bounds(self) -> tuple[int, int] | None:
        char = self._peek()
        if char and char in "*+?":
            self._at += 1
            return (1 if char == "+" else 0, 1 if char == "?" else _INFINITE)
        match = _REPEAT.match(self._source, self._at) if char == "{" else None
        if match is None:
            return None
        least = int(match[1])
        most = int(match[3]) if match[3] is not None else _INFINITE if match[2] is not None else least
        if most != _INFINITE and most < least:
            raise PatternFault(self._at, "The repetition ends before it begins")
        self._at = match.end()
        return (least, most)

    def _single(self) -> Any:
        start = self._at
        char = self._next()
        if char == "^":
            return ("assert", "start")
        if char == "$":
            return ("assert", "end")
        if char == ".":
            return ("set", (_LINE_END, True))
        if char == "[":
            return ("set", self._class(start))
        if char == "(":
            return self._group(start)
        if char in "*+?":
            raise PatternFault(start, "There is nothing to repeat")
        if char == "\\":
            following = self._peek()
            if following and following in "bB":
                self._at += 1
                return ("assert", "boundary" if following == "b" else "inside")
            return ("set", self._escape(start))
        return ("set", _one(ord(char)))

    def _group(self, start: int) -> Any:
        if self._peek() == "?":
            if self._peek(1) != ":":
                raise PatternFault(start, "Look-around and named groups are not supported; use ( ) or (?: )")
            self._at += 2
        node = self._choice()
        if self._peek() != ")":
            raise PatternFault(start, 'This "(" is never closed')
        self._at += 1
        return node

    def _class(self, start: int) -> tuple[_Ranges, bool]:
        negated = self._peek() == "^"
        if negated:
            self._at += 1
        ranges: _Ranges = []
        while True:
            begin = self._at
            if begin >= len(self._source):
                raise PatternFault(start, 'This "[" is never closed')
            char = self._next()
            if char == "]":
                return ranges, negated
            low = self._member(char, begin)
            if self._peek() == "-" and self._peek(1) not in ("", "]"):
                self._at += 1
                end = self._at
                high = self._member(self._next(), end)
                first, last = _single_of(low), _single_of(high)
                if first is None or last is None:
                    raise PatternFault(begin, "A range has a single character at each end")
                if last < first:
                    raise PatternFault(begin, "The range ends before it begins")
                ranges.append((first, last))
            else:
                ranges.extend(_complement(low[0]) if low[1] else low[0])

    def _member(self, char: str, start: int) -> tuple[_Ranges, bool]:
        if char != "\\":
            return _one(ord(char))
        if self._peek() == "b":
            self._at += 1
            return _one(8)
        return self._escape(start)

    def _escape(self, start: int) -> tuple[_Ranges, bool]:
        """What a backslash means; it has been read."""
        if self._at >= len(self._source):
            raise PatternFault(start, 'There is nothing after "\\"')
        char = self._next()
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _CONTROLS and not (char == "0" and re.match("[0-9]", self._peek())):
            return _one(_CONTROLS[char])
        if char == "x":
            return _one(self._hex(r"[0-9a-fA-F]{2}", start))
        if char == "u":
            return _one(self._hex(r"[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\}", start))
        if re.match("[1-9]", char):
            raise PatternFault(start, "References to groups are not supported")
        if re.match("[0-9A-Za-z]", char):
            raise PatternFault(start, f'"\\{char}" has no meaning')
        return _one(ord(char))

    def _hex(self, form: str, start: int) -> int:
        match = re.compile(form).match(self._source, self._at)
        code = int(match[0].strip("{}"), 16) if match else _LAST + 1
        if match is None or code > _LAST:
            raise PatternFault(start, "This escape needs the code of a character")
        self._at = match.end()
        return code


def _one(code: int) -> tuple[_Ranges, bool]:
    return [(code, code)], False


def _single_of(wanted: tuple[_Ranges, bool]) -> int | None:
    ranges, negated = wanted
    return ranges[0][0] if not negated and len(ranges) == 1 and ranges[0][0] == ranges[0][1] else None


def _complement(ranges: _Ranges) -> _Ranges:
    """Of ranges in rising order."""
    others = []
    start = 0
    for low, high in ranges:
        if low > start:
            others.append((start, low - 1))
        start = high + 1
    if start <= _LAST:
        others.append((start, _LAST))
    return others


def _compile(root: Any) -> list[tuple[str, Any]]:
    program: list[tuple[str, Any]] = []
    work = 0

    def add(kind: str, what: Any) -> None:
        if len(program) >= SIZE:
            raise PatternFault(0, "The pattern repeats too much")
        program.append((kind, what))

    def emit(node: Any) -> None:
        nonlocal work
        # What makes no instruction costs nothing to match but may still be asked for a billion times: `((){999}){999}`.
        work += 1
        if work > 8 * SIZE:
            raise PatternFault(0, "The pattern repeats too much")
        kind = node[0]
        if kind in ("set", "assert"):
            add(kind, node[1])
        elif kind == "sequence":
            for part in node[1]:
                emit(part)
        elif kind == "choice":
            to: list[int] = []
            add("split", to)
            exits: list[list[int]] = []
            for part in node[1]:
                to.append(len(program))
                emit(part)
                exits.append([])
                add("split", exits[-1])
            for each in exits:
                each.append(len(program))
        else:
            repeat(*node[1:])

    def repeat(part: Any, least: int, most: int) -> None:
        for _ in range(least):
            emit(part)
        if most == _INFINITE:
            at = len(program)
            loop: list[int] = []
            add("split", loop)
            loop.append(len(program))
            emit(part)
            add("split", [at])
            loop.append(len(program))
            return
        skips = []
        for _ in range(least, most):
            skip: list[int] = []
            add("split", skip)
            skip.append(len(program))
            skips.append(skip)
            emit(part)
        for skip in skips:
            skip.append(len(program))

    emit(root)
    program.append(("found", None))
    return program
