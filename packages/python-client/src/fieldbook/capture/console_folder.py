"""Text as it is written to a terminal, in; the lines that a terminal would have kept, out."""

from __future__ import annotations

import re

#: A line without an end is cut here.
LINE = 64 * 1024
#: Lines above the last that a cursor can still go back to, as bars of several lines do.
ROWS = 32

_CONTROL = re.compile(r"[\r\b\x1b\x07\x00]")
_TOKENS = re.compile(
    r"\x1b\[(?P<params>[0-9;?<=>]*)(?P<final>[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[^\[\]]|[\r\b\x07\x00\n]|[^\r\b\x1b\x07\x00\n]+"
)
#: The beginning of an escape sequence whose end has not come yet.
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?<=>]{0,32}|\][^\x07\x1b]{0,256}\x1b?)?\Z")


class ConsoleFolder:
    """Text as a terminal would have left it: what a carriage return, a backspace or a cursor that went up overwrote is gone.

    Colours are kept, other control sequences are not. ``feed`` returns lines as they become final; a line that a cursor goes
    back to afterwards is returned once more when it is left for good.
    """

    def __init__(self) -> None:
        self._rows: list[str] = [""]
        #: What has been returned for each row, None for none.
        self._said: list[str | None] = [None]
        self._row = 0
        self._column = 0
        self._rest = ""
        #: Whether rows above the last were written to since they were returned.
        self._over = False

    @property
    def open_line(self) -> str:
        """The unfinished last line."""
        return self._rows[-1]

    def feed(self, text: str) -> list[str]:
        """Takes text in any pieces; returns the lines that are finished by it."""
        if self._rest:
            text, self._rest = self._rest + text, ""
        lines: list[str] = []
        if self._row == len(self._rows) - 1 and self._column == len(self._rows[-1]) and _CONTROL.search(text) is None:
            self._plain(text, lines)
        else:
            unfinished = _UNFINISHED.search(text, max(0, len(text) - 300))
            if unfinished is not None:
                text, self._rest = text[: unfinished.start()], text[unfinished.start() :]
            for token in _TOKENS.finditer(text):
                self._take(token, lines)
        if len(self._rows[-1]) > LINE:
            lines += [self._rows[-1][at : at + LINE] for at in range(0, len(self._rows[-1]), LINE)]
            self._rows[-1], self._column, self._said[-1] = "", 0, None
        return lines

    def close(self) -> list[str]:
        """The lines that were still open or written over."""
        lines = [row for row, said in zip(self._rows[:-1], self._said) if row != said]
        if self._rows[-1]:
            lines.append(self._rows[-1])
        self.__init__()  # type: ignore[misc]
        return lines

    def _plain(self, text: str, lines: list[str]) -> None:
        """Nothing to overwrite: what almost every write is."""
        first, *others = text.split("\n")
        line = self._rows[-1] + first
        if others:
            self._leave(lines)
            finished = [line, *others[:-1]]
            lines += finished
            self._rows[-1:] = finished[-ROWS:]
            self._said[-1:] = finished[-ROWS:]
            line = others[-1]
            self._rows.append("")
            self._said.append(None)
            self._trim(lines)
        self._rows[-1] = line
        self._column = len(line)

    def _leave(self, lines: list[str]) -> None:
        """The cursor goes where it never was: what it wrote over on the way is final."""
        if self._over:
            self._over = False
            lines += [row for row, said in zip(self._rows[:-1], self._said) if row != said]
            self._said[:-1] = self._rows[:-1]

    def _trim(self, lines: list[str]) -> None:
        """Lets go of rows that no cursor can go back to; those that were written over are said again."""
        surplus = len(self._rows) - ROWS
        if surplus > 0:
            lines += [row for row, said in zip(self._rows[:surplus], self._said) if row != said]
            del self._rows[:surplus], self._said[:surplus]
        self._row = len(self._rows) - 1

    def _take(self, token: re.Match[str], lines: list[str]) -> None:
        text = token.group()
        first = text[0]
        if first == "\n":
            self._newline(lines)
        elif first == "\r":
            self._column = 0
        elif first == "\b":
            self._column = max(0, self._column - 1)
        elif first == "\x1b":
            self._escape(token, text)
        elif first not in "\x07\x00":
            self._write(text)

    def _write(self, text: str) -> None:
        row = self._rows[self._row]
        column = self._column
        self._over = self._over or self._row < len(self._rows) - 1
        if column == 0 and ("\x1b" in row or "\x1b" in text):
            row = text  # colours have no width, so columns say nothing here
        else:
            row = row[:column] + text + row[column + len(text) :]
        self._rows[self._row] = row
        self._column = column + len(text)

    def _newline(self, lines: list[str]) -> None:
        self._column = 0
        if self._row < len(self._rows) - 1:
            self._row += 1
            return
        self._leave(lines)
        lines.append(self._rows[-1])
        self._said[-1] = self._rows[-1]
        self._rows.append("")
        self._said.append(None)
        self._trim(lines)

    def _escape(self, token: re.Match[str], text: str) -> None:
        final = token["final"]
        params = token["params"] or ""
        count = int(params) if params.isdigit() else 1
        if final == "m":
            self._write(text)
        elif final in ("A", "F"):
            self._row = max(0, self._row - count)
            self._column = 0 if final == "F" else self._column
        elif final in ("B", "E"):
            self._row = min(len(self._rows) - 1, self._row + count)
            self._column = 0 if final == "E" else self._column
        elif final == "K" and params in ("", "0"):
            self._over = self._over or self._row < len(self._rows) - 1
            self._rows[self._row] = self._rows[self._row][: self._column]
        elif final == "K":
            self._over = self._over or self._row < len(self._rows) - 1
            self._rows[self._row] = ""
        elif final == "D":
            self._column = max(0, self._column - count)
        elif final == "C":
            self._column = min(len(self._rows[self._row]), self._column + count)
        elif final == "G":
            self._column = min(len(self._rows[self._row]), max(0, count - 1))
