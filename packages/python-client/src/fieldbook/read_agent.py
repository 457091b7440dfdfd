"""Reads runs through the agent of a home, over its HTTP API on this machine.

Only loopback addresses are spoken to, and no proxy: the token of the home's owner goes nowhere else.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator

from .query_syntax import QueryError
from .read_writer import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from typing import Any


#: An agent that hangs must not hang every script that reads.
_HELLO_S = 3.0
_TIMEOUT_S = 120.0
_CATCH_UP_S = 60.0
_PAGE = 1_000
#: Points of one answer; the API's largest.
_POINTS = 100_000
_PIECE = 1024 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class AgentError(RuntimeError):
    """The agent answered with an error that is no mistake of the caller; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


def connect(home: str) -> AgentSource | None:
    """The running agent of a home; None when none runs, whatever ``agent.json`` says."""
    try:
        with open(os.path.join(home, "agent.json"), encoding="utf-8") as file:
            presence = json.load(file)
        with open(os.path.join(home, "agent.token"), encoding="utf-8") as file:
            token = file.read().strip()
        place = _place(presence["url"])
        os.kill(int(presence["pid"]), 0)
    except PermissionError:
        pass  # somebody else's process: it exists
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    source = AgentSource(home, place, token)
    try:
        source.call("GET", "/device", timeout=_HELLO_S)
    except (OSError, ValueError, AgentError):
        # Another program has that pid or port by now, or an agent of another home.
        return None
    return source


def _place(url: str) -> tuple[str, int]:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.port is None:
        raise ValueError(f"{url} is not on this machine")
    return parts.hostname, parts.port


class AgentSource:
    """The API of a running agent."""

    kind = "agent"

    def __init__(self, home: str, place: tuple[str, int], token: str) -> None:
        self.home = home
        self._place = place
        self._token = token
        self._fresh = False

    def projects(self) -> list[str]:
        """Ids of the projects that the agent knows."""
        self._catch_up()
        return sorted(project["id"] for project in self.call("GET", "/projects")["projects"])

    def select(self, project: str, query: str, now: float, zone: int) -> list[dict[str, Any]]:
        """States of the runs that a query finds, page by page."""
        self._catch_up()
        states: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"q": query, "zone": zone, "limit": _PAGE}
        while True:
            page = self.call("POST", f"/projects/{_segment(project)}/runs/query", body=asked)
            states.extend(_state(run) for run in page["runs"])
            if page["next"] is None:
                return states
            asked["cursor"] = page["next"]

    def find(self, wanted: str, project: str | None) -> list[dict[str, Any]]:
        """States of the runs that an id, the beginning of one, or a name may mean."""
        self._catch_up()
        query = {} if project is None else {"project": project}
        try:
            return [_state(self.call("GET", f"/runs/{_segment(wanted)}", query))]
        except AgentError as error:
            if error.code == "not_found":
                return []
            if error.code != "ambiguous":
                raise
            raise ValueError(str(error)) from None

    def points(self, state: dict[str, Any], path: str) -> list[Point]:
        """All points of a metric by step, then writer, then in the order logged."""
        asked = {"metric": path, "points": _POINTS, "project": state["project"]}
        found: list[Point] = []
        for piece in self._pieces(state, asked, None, None):
            self._refuse_holes(state, path, piece)
            rows = zip(
                _numbers(piece["points"]["steps"]), piece["points"]["times"], _numbers(piece["points"]["values"])
            )
            found.extend((step, float(time), value, 0) for step, time, value in rows)
        return found

    def highest_step(self, state: dict[str, Any], path: str) -> float:
        """The highest step of a metric."""
        asked = {"metric": path, "points": 2, "project": state["project"]}
        answer = self.call("GET", f"/runs/{_segment(state['id'])}/series", asked)
        if answer["points"] is None:
            return _number(answer["buckets"]["to"])
        return max(_numbers(answer["points"]["steps"]), default=float(state["metrics"][path]["lastStep"]))

    def _pieces(
        self, state: dict[str, Any], asked: dict[str, Any], start: float | None, end: float | None
    ) -> Iterator[Any]:
        """Answers that hold points, in order; a range with more than one answer's worth is halved."""
        query = {
            **asked,
            **({} if start is None else {"from": repr(start)}),
            **({} if end is None else {"to": repr(end)}),
        }
        answer = self.call("GET", f"/runs/{_segment(state['id'])}/series", query)
        if answer["points"] is not None:
            yield answer
            return
        low, high = _number(answer["buckets"]["from"]), _number(answer["buckets"]["to"])
        middle = low / 2 + high / 2
        if not low <= middle < high:
            raise AgentError("too_large", f"{answer['total']} points of {asked['metric']} have the one step {low}")
        yield from self._pieces(state, asked, low, middle)
        yield from self._pieces(state, asked, math.nextafter(middle, math.inf), high)

    def _refuse_holes(self, state: dict[str, Any], path: str, answer: dict[str, Any]) -> None:
        if answer["missing"] or answer["corrupt"]:
            count = sum(piece.get("points", piece.get("rows", 0)) for piece in (*answer["missing"], *answer["corrupt"]))
            raise FileNotFoundError(
                f"up to {count} values of run {state['id']} are recorded, but their bytes are not on this machine; "
                f"'fieldbook sync' brings them where a relay has them"
            )

    def rows(self, state: dict[str, Any], path: str) -> list[dict[str, Any]]:
        """All rows of a series of objects, in the same order."""
        found: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"path": path, "project": state["project"], "limit": _PAGE}
        while True:
            page = self.call("GET", f"/runs/{_segment(state['id'])}/object", asked)
            self._refuse_holes(state, path, page)
            found.extend(_row(row) for row in page["rows"])
            if page["next"] is None:
                return found
            asked["cursor"] = page["next"]

    def files(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Versions of files, the newest first."""
        listed: list[dict[str, Any]] = self.call(
            "GET", f"/runs/{_segment(state['id'])}/files", {"project": state["project"]}
        )["files"]
        return listed

    def copy_file(self, state: dict[str, Any], version: dict[str, Any], target: str) -> None:
        """Writes the bytes of a version to a path. Raises ``FileNotFoundError`` where the agent has none."""
        query = {"path": version["path"], "version": version["version"], "project": state["project"]}
        self._save(f"/runs/{_segment(state['id'])}/file", query, target)

    def read_blob(self, state: dict[str, Any], writer: str, file: dict[str, Any]) -> bytes:
        """The file of a row. Raises ``FileNotFoundError``."""
        with self._open("GET", f"/blobs/{_segment(file['sha256'])}") as answer:
            return answer.read()

    def edit(self, state: dict[str, Any], changes: list[dict[str, Any]]) -> None:
        """Makes edits in the name of the home's owner; durable when it returns."""
        edits: list[dict[str, Any]] = []
        for change in changes:
            for path in change.get("del", []):
                edits.append({"field": "attribute", "op": "remove", "path": path})
            for path, value in change.get("set", {}).items():
                edits.append({"field": "attribute", "op": "set", "path": path, "value": _edited(value)})
            for op in ("add", "remove"):
                edits.extend({"field": "tags", "op": op, "value": tag} for tag in change.get(op, []))
        for start in range(0, len(edits), 256):
            path = f"/runs/{_segment(state['id'])}/edits"
            self.call("POST", path, {"project": state["project"]}, edits[start : start + 256])

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        *,
        timeout: float = _TIMEOUT_S,
    ) -> Any:
        """The JSON answer. Raises :class:`AgentError`, ``FileNotFoundError``, :class:`QueryError` or ``OSError``."""
        with self._open(method, path, query, body, timeout) as answer:
            return json.loads(answer.read())

    def _catch_up(self) -> None:
        """What this process wrote just now may not be taken in yet. An agent at a large backlog is not waited for to the end."""
        if self._fresh:
            return
        self._fresh = True
        try:
            self.call("POST", "/drain", body={}, timeout=_CATCH_UP_S)
        except TimeoutError:
            pass
        except OSError as error:
            # Python 3.9 has a class of its own for it.
            if "timed out" not in str(error):
                raise

    def _save(self, path: str, query: dict[str, Any], target: str) -> None:
        part = f"{target}.{os.getpid()}.part"
        with self._open("GET", path, query) as answer:
            try:
                with open(part, "wb") as file:
                    size = 0
                    while True:
                        piece = answer.read(_PIECE)
                        if not piece:
                            break
                        size += file.write(piece)
                wanted = answer.getheader("content-length")
                if wanted is not None and size != int(wanted):
                    raise OSError(f"the agent's answer ended after {size} of {wanted} bytes; ask again")
                os.replace(part, target)
            finally:
                if os.path.exists(part):
                    os.unlink(part)

    def _open(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, timeout: float = _TIMEOUT_S
    ) -> _Answer:
        from http.client import HTTPConnection, HTTPException
        from urllib.parse import urlencode

        asked = f"?{urlencode(query)}" if query else ""
        headers = {"authorization": f"Bearer {self._token}"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        connection = HTTPConnection(*self._place, timeout=timeout)
        try:
            connection.request(method, f"/api/v1{path}{asked}", data, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise _error_of(answer.status, answer.read(_PIECE))
        except HTTPException as error:
            connection.close()
            raise OSError(f"the agent's answer was cut off: {error!r}") from error
        except BaseException:
            connection.close()
            raise
        return _Answer(connection, answer)


class _Answer:
    def __init__(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        self._connection = connection
        self._answer = answer

    def __enter__(self) -> HTTPResponse:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._connection.close()


def _error_of(status: int, body: bytes) -> Exception:
    try:
        error = json.loads(body)["error"]
        code, message, details = str(error["code"]), str(error["message"]), error.get("details") or {}
    except (ValueError, KeyError, TypeError):
        return AgentError("internal", f"the answer (HTTP {status}) is no Fieldbook's")
    if code == "blob_missing":
        return FileNotFoundError(message)
    if code in ("query_syntax", "query_type"):
        start = int(details.get("position", 0))
        return QueryError(code, message, "", start, start + int(details.get("length", 0)))
    if code in ("invalid_argument", "invalid_path", "invalid_value"):
        return ValueError(message)
    if code == "ambiguous":
        candidates = ", ".join(
            f"{one['id']} ({one['name']}, in {one['project']})" for one in details.get("candidates", [])
        )
        return AgentError(code, f"{message} {candidates}".strip())
    return AgentError(code, message)


def _segment(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _number(value: Any) -> float:
    return _FLOATS[value] if isinstance(value, str) else float(value)


def _numbers(values: list[Any]) -> list[float]:
    return [_number(value) for value in values]


def _state(run: dict[str, Any]) -> dict[str, Any]:
    """A run as the disk has it too. A text that is exactly ``NaN`` or an infinity's name cannot be told from the number."""
    attributes = {
        path: _FLOATS[value] if isinstance(value, str) and value in _FLOATS else value
        for path, value in run["attributes"].items()
    }
    metrics = {path: _metric(summary) for path, summary in run["metrics"].items()}
    fields = {name: run[name] for name in _FIELDS}
    return {**fields, "attributes": attributes, "metrics": metrics, "conflicts": run["conflicts"]}


_FIELDS = (
    *("id", "project", "name", "unnamed", "group", "notes", "tags", "star", "archived", "trashed", "status"),
    *("created", "updated", "ended", "user", "host"),
)


def _metric(summary: dict[str, Any]) -> dict[str, float]:
    return {key: int(value) if key in ("count", "nonFinite") else _number(value) for key, value in summary.items()}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    file = row["file"]
    if file is not None:
        file = {"name": file["name"], "size": file["size"], "mime": file["mime"], "sha256": file["digest"]}
    return {**row, "step": _number(row["step"]), "time": float(row["time"]), "file": file}


def _edited(value: Any) -> Any:
    """An attribute's JSON of a journal as the API takes it."""
    if isinstance(value, dict):
        if "t" in value:
            return {"time": value["t"]}
        if "i" in value:
            return value["i"]
        return {"number": {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[value["f"]]}
    return value
