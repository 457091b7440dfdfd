"""Values of a query: what one that was typed can be read as. Quoted ones are text and nothing else."""

from __future__ import annotations

import math
import re

#: White space as JavaScript's ``\s`` has it: the same text must fall into the same words in the agent and here.
SPACE = "\\t\\n\\v\\f\\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([+-]?)inf(?:inity)?\Z", re.IGNORECASE)
_DURATION = re.compile(r"([+-]?)((?:[0-9]+(?:\.[0-9]+)?(?:ms|s|min|mo|m|h|d|w|y))+)\Z")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|mo|m|h|d|w|y)")
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:[Tt ]([0-9]{2}):([0-9]{2})"
    r"(?::([0-9]{2})(?:\.([0-9]{1,3}))?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?)?)?\Z"
)

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
#: Months and years of a duration are 30 and 365 days: `-1y` is a distance, not a date.
_UNITS = {
    "ms": 1,
    "s": _SECOND,
    "m": _MINUTE,
    "min": _MINUTE,
    "h": _HOUR,
    "d": _DAY,
    "w": 7 * _DAY,
    "mo": 30 * _DAY,
    "y": 365 * _DAY,
}


class Literal:
    """A value as it was typed, and where."""

    __slots__ = ("end", "quoted", "start", "text")

    def __init__(self, text: str, quoted: bool, start: int, end: int) -> None:
        self.text = text
        self.quoted = quoted
        self.start = start
        self.end = end

    def number(self) -> float | None:
        """A number, an infinity or NaN."""
        if self.quoted:
            return None
        if _NUMBER.match(self.text):
            return float(self.text)
        infinite = _INFINITE.match(self.text)
        if infinite:
            return -math.inf if infinite[1] == "-" else math.inf
        return math.nan if self.text.lower() == "nan" else None

    def boolean(self) -> bool | None:
        return None if self.quoted else {"true": True, "false": False}.get(self.text.lower())

    def is_null(self) -> bool:
        return not self.quoted and self.text in ("null", "None")

    def duration(self) -> float | None:
        """Milliseconds of `90s`, `1h30m`, `-7d`."""
        match = None if self.quoted else _DURATION.match(self.text)
        if match is None:
            return None
        total = 0.0
        for count, unit in _PART.findall(match[2]):
            total += float(count) * _UNITS[unit]
        return -total if match[1] == "-" else total

    def period(self, now: float, zone: int) -> tuple[float, float] | None:
        """From and until in ms since the epoch, equal for a moment. ``zone`` is minutes east of UTC."""
        if self.quoted:
            return None
        shift = zone * _MINUTE
        word = self.text.lower()
        if word == "now":
            return now, now
        if word in ("today", "yesterday"):
            midnight = math.floor((now + shift) / _DAY) * _DAY - shift - (0 if word == "today" else _DAY)
            return midnight, midnight + _DAY
        distance = self.duration()
        if distance is not None:
            # Only with its sign: `created > 7d` could mean either direction.
            return (now + distance, now + distance) if self.text[0] in "+-" else None
        return _date(self.text, shift)


def _date(text: str, zone_ms: float) -> tuple[float, float] | None:
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    y, mo, d = int(year), int(month or 1), int(day or 1)
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if not (1 <= mo <= 12 and 1 <= d <= _days_in(y, mo) and h <= 23 and m <= 59 and s <= 59):
        return None
    offset = zone_ms if zone is None else _zone(zone)
    start = _days(y, mo, d) * _DAY - offset
    if month is None:
        return start, _days(y + 1, 1, 1) * _DAY - offset
    if day is None:
        return start, _days(y + 1 if mo == 12 else y, mo % 12 + 1, 1) * _DAY - offset
    if hour is None:
        return start, start + _DAY
    start += h * _HOUR + m * _MINUTE + s * _SECOND + (int(fraction.ljust(3, "0")) if fraction else 0)
    return start, start + (_MINUTE if second is None else _SECOND if fraction is None else 1)


def _zone(text: str) -> int:
    if text in "Zz":
        return 0
    digits = text.replace(":", "")
    return (-1 if text[0] == "-" else 1) * (int(digits[1:3]) * _HOUR + int(digits[3:5]) * _MINUTE)


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; Python's dates know no year 0 and none after 9999."""
    y = year - 1 if month <= 2 else year
    era, of_era = divmod(y, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + day_of_year - 719_468
