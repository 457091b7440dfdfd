"""What has no counterpart here: told once each, and never in a training's way."""

from __future__ import annotations

from collections.abc import Iterator

from ..console import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def unsupported(name: str, instead: str = "") -> None:
    """Says once per process that ``name`` does nothing here."""
    warn_once(f"wandb {name}", f"wandb.{name} does nothing here{f'; {instead}' if instead else ''}.")


class Nothing:
    """Stands for an object of wandb that nothing here is: takes every call and attribute, is empty and false."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(f"{self._name}.{name}")

    def __call__(self, *arguments: Any, **named: Any) -> Nothing:
        unsupported(self._name)
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __repr__(self) -> str:
        return f"<wandb.{self._name}, which does nothing here>"


class Namespace(Nothing):
    """A module of wandb of which only a few names are here."""

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known)


class Error(Exception):
    """What this façade raises where wandb does: a call before ``init``, an argument of a wrong kind."""
