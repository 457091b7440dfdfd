"""What a script calls its run by: tags, and sets of texts under a path."""

from __future__ import annotations

from collections.abc import Iterable

from . import journal, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .run import Run


def check_tags(tags: Any, argument: str) -> list[str]:
    """Tags without repetitions, or a mistake of the user."""
    if isinstance(tags, str):
        raise TypeError(f"{argument} must be a list of strings, not one string: write [{tags!r}]")
    try:
        listed = list(tags)
    except TypeError:
        raise TypeError(f"{argument} must be a list of strings, not {type(tags).__name__}") from None
    if len(listed) > values.TAGS_LIMIT:
        raise ValueError(f"{argument} has {len(listed)} tags; a run has at most {values.TAGS_LIMIT}")
    return list(dict.fromkeys(values.check_tag(tag, f"{argument}[{index}]") for index, tag in enumerate(listed)))


class Tags:
    """The tags that this script gives its run. People add and remove theirs elsewhere; the two meet in the run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        #: What this script gave and has not taken back; the others in force are not known here.
        self._given: set[str] = set()

    def add(self, *tags: str) -> None:
        """``run.tags.add("baseline", "fp16")``"""
        self._change("add", tags)

    def remove(self, *tags: str) -> None:
        """Takes tags away again, whoever gave them."""
        self._change("remove", tags)

    def _change(self, verb: str, tags: tuple[Any, ...]) -> None:
        flat = [item for tag in tags for item in (tag if isinstance(tag, (list, tuple, set, frozenset)) else [tag])]
        checked = check_tags(flat, "tags")
        given = self._given.union(checked) if verb == "add" else self._given.difference(checked)
        if len(given) > values.TAGS_LIMIT:
            raise ValueError(f"tags: this would be tag {len(given)}; a run has at most {values.TAGS_LIMIT}")
        self._given = given
        if checked:
            self._run._put(journal.TAGS, {"add": [], "remove": [], verb: checked})


def check_members(texts: Iterable[Any], argument: str) -> list[str]:
    """Members of a set of texts, each as the last part of an attribute path."""
    flat = [item for text in texts for item in (text if isinstance(text, (list, tuple, set, frozenset)) else [text])]
    found = []
    for index, text in enumerate(flat):
        member = values.check_text(text, f"{argument}[{index}]", values.TAG_LIMIT)
        if not member:
            raise ValueError(f"{argument}[{index}] must not be empty")
        found.append(member.replace("%", "%25").replace("/", "%2F"))
    return list(dict.fromkeys(found))


def member_of(part: str) -> str:
    """The text that a part of an attribute path stands for."""
    return part.replace("%2F", "/").replace("%25", "%")
