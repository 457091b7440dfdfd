"""Points of series: numbers go to the writer's fast path, objects into the spool and then into OBJECT records.

A call is checked whole before anything of it is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import media, media_source, spool, values
from .media_recognition import recognise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .run import Run


#: Objects of one series in one call: pictures of a batch.
BATCH_LIMIT = 1000


def log(run: Run, given: Mapping[str, Any], step: Any) -> dict[str, Any]:
    """Records the objects of a call and returns its numbers, which are still to be logged.

    Objects without a step get the next one of their own series. A list of objects is several at one step.
    """
    numbers: dict[str, Any] = {}
    objects: list[tuple[str, list[media.Media]]] = []
    for path, value in given.items():
        found = _objects(path, value)
        if found is None:
            numbers[path] = value
        else:
            objects.append((values.check_path(path, "a series' name"), found))
    if not objects:
        return numbers
    if step is not None:
        step = values.step_of(step)
    for path, value in numbers.items():
        values.check_path(path, "a metric's name")
        if not values.on_device(value):
            values.number_of(path, value)
    if run._muted or not run._live():
        return numbers
    _record(run, objects, step)
    return numbers


def _objects(path: Any, value: Any) -> list[media.Media] | None:
    """What a value holds besides numbers, or None."""
    if values.is_number(value):
        return None
    if isinstance(value, (list, tuple)) and value:
        found = [recognise(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if all(item is not None for item in found):
            if len(found) > BATCH_LIMIT:
                raise ValueError(f"{path} has {len(found)} objects; a call takes at most {BATCH_LIMIT} of a series")
            return [item for item in found if item is not None]
        raise TypeError(
            f"metric {path!r} must be one number, not a list; write run[{path!r}].extend(…) for several points, or "
            "fieldbook.Histogram(values)"
        )
    one = recognise(value, f"{path!r}")
    return None if one is None else [one]


def extend(run: Run, path: str, given: Any, steps: Any) -> None:
    """Several points of one series in order. Checked whole before the first is recorded."""
    listed = _listed(given, "values")
    at = [None] * len(listed) if steps is None else [values.step_of(step) for step in _listed(steps, "steps")]
    if len(at) != len(listed):
        raise ValueError(f"steps must be as many as the {len(listed)} values, not {len(at)}")
    found = [_objects(path, value) for value in listed]
    if not any(found):
        numbers = [values.number_of(path, value) for value in listed]
        for number, step in zip(numbers, at):
            run.log({path: number}, step)
        return
    for index, objects in enumerate(found):
        if objects is None:
            raise TypeError(f"values[{index}] must be an object as the others are, not {type(listed[index]).__name__}")
    if run._muted or not run._live():
        run._ignore()
        return
    for objects, step in zip(found, at):
        _record(run, [(path, objects or [])], step)


def _listed(given: Any, argument: str) -> list[Any]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise TypeError(f"{argument} must be a list, not {type(given).__name__}")
    if hasattr(given, "tolist") and len(getattr(given, "shape", ())) == 1:
        return list(given.tolist())
    return list(given)


def _record(run: Run, objects: list[tuple[str, list[media.Media]]], step: float | None) -> None:
    """Encodes everything, then records it: what cannot be encoded leaves nothing behind."""
    ready: list[tuple[str, float | None, media.Content]] = []
    libraries: list[tuple[str, str] | None] = []
    for path, several in objects:
        run._writer.check_objects(path)
        at = step
        for one in several:
            ready.append((path, at, _checked(path, one.content())))
            page = one.page() if isinstance(one, media.Figure) else None
            if page is not None:
                run._writer.check_objects(f"{path}/html")
                ready.append((f"{path}/html", at, _checked(path, page.content())))
                libraries.append(one.library if isinstance(one, media.Figure) else None)
    if run._writer.busy():  # a signal handler inside one of our own calls: that call records it when it is done
        run._writer.later(lambda: _put_all(run, ready, libraries))
    else:
        _put_all(run, ready, libraries)


def _put_all(
    run: Run, ready: list[tuple[str, float | None, media.Content]], libraries: list[tuple[str, str] | None]
) -> None:
    if libraries:
        from .media_figure import keep_library

        for library in libraries:
            keep_library(run, library)
    shared: dict[str, float] = {}
    for path, at, content in ready:
        # Several objects of one call lie at one step, also when nobody said at which.
        place = _put(run, path, shared.get(path) if at is None else at, content)
        if place is not None:
            shared[path] = place


def _checked(path: str, content: media.Content) -> media.Content:
    if isinstance(content.file, bytes):
        size = len(content.file)
    else:
        try:
            size = os.path.getsize(content.file) if content.file is not None else 0
        except OSError:
            size = 0  # gone since: the spool says so
    if size > media_source.FILE_LIMIT:
        raise ValueError(
            f"{path!r}: {content.name} has {size} bytes; a series holds files of at most {media_source.FILE_LIMIT}. Larger ones are "
            f"files: run[{path!r}].upload(…)"
        )
    return content


def _put(run: Run, path: str, step: float | None, content: media.Content) -> float | None:
    """One OBJECT; returns its step, or None when its file could not be kept."""
    body: dict[str, Any] = {"kind": content.kind}
    if content.text is not None:
        body["text"] = content.text
    elif content.data is not None:
        body["data"] = content.data
    elif content.file is not None:
        kept = spool.keep(run._spool(), content.file, content.name, digest=True)
        if kept["spool"] is None:
            run._writer.miss(kept["lost"])
            return None
        body["file"] = {key: kept[key] for key in ("spool", "name", "size", "sha256")}
        body["file"]["mime"] = content.mime
    if content.meta:
        body["meta"] = media.check_meta(content.meta)
    return run._writer.put_object(path, step, body)
