"""Calls a function when a module has been imported: at once when it is there already, else right after its import.

Costs one dictionary lookup per import of another module, and nothing once all that is waited for has come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_waiting: dict[str, Callable[[Any], None]] = {}


def after(name: str, hook: Callable[[Any], None]) -> None:
    """Calls ``hook(module)`` once ``name`` is imported. What it raises is dropped: it must not break somebody's import."""
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        _call(hook, module)
        return
    _waiting[name] = hook
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _call(hook: Callable[[Any], None], module: Any) -> None:
    try:
        hook(module)
    except Exception:
        pass


class _Finder:
    """Finds nothing itself: it asks the finders behind it and has their loader call back."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _waiting:
            return None
        hook = _waiting.pop(name)
        if not _waiting and self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is not self and find is not None:
                spec = find(name, path, target)
                if spec is not None:
                    break
        if spec is None:
            after(name, hook)  # not installed so far; a later sys.path may have it
            return None
        loader = spec.loader
        run = getattr(loader, "exec_module", None)
        if run is None:
            return spec

        def exec_module(module: Any) -> None:
            try:
                del loader.exec_module
            except AttributeError:
                pass
            run(module)
            _call(hook, module)

        try:
            # On this one loader object, so that the module's loader and spec are what they are without us.
            loader.exec_module = exec_module
        except AttributeError:
            pass
        return spec


_FINDER = _Finder()


def install() -> None:
    """Waits for the modules that parse command lines. Called by ``import fieldbook``, hence so little here."""
    for name, hook in (
        ("argparse", "argparse_came"),
        ("click.core", "click_came"),
        ("absl.flags._flagvalues", "absl_came"),
        ("hydra.core.hydra_config", "hydra_came"),
    ):
        after(name, _deferred(hook))


def _deferred(hook: str) -> Callable[[Any], None]:
    def call(module: Any) -> None:
        from . import parsers

        getattr(parsers, hook)(module)

    return call
