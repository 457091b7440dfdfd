"""How argparse, click, absl and Hydra say what they parsed: one small hook in each, put there when it is imported.

A hook calls the original first and gives its result back untouched; whatever goes wrong afterwards is dropped. A parse of
something else than the process's command line (a library's own, a test's) counts only when the script itself asked for it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping

from .. import redaction
from . import parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_depth = 0
_LIBRARY = os.path.dirname(os.path.realpath(os.__file__))


def argparse_came(module: Any) -> None:
    """``parse_args`` and ``parse_intermixed_args`` come through ``parse_known_args``; so do subparsers, one level deeper."""
    _wrap(module.ArgumentParser, "parse_known_args", _argparse)


def click_came(module: Any) -> None:
    _wrap(module.Command, "parse_args", _click)


def absl_came(module: Any) -> None:
    _wrap(module.FlagValues, "__call__", _absl)


def hydra_came(module: Any) -> None:
    _wrap(module.HydraConfig, "set_config", _hydra)


def _wrap(owner: Any, name: str, tell: Callable[..., None]) -> None:
    original = getattr(owner, name)
    if getattr(original, "_fieldbook", False):
        return

    @functools.wraps(original)
    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        global _depth
        _depth += 1
        try:
            result = original(self, *arguments, **named)
        finally:
            _depth -= 1
        try:
            tell(self, result, _depth, *arguments, **named)
        except Exception:
            pass
        return result

    wrapped._fieldbook = True  # type: ignore[attr-defined]
    setattr(owner, name, wrapped)


def _argparse(parser: Any, result: Any, depth: int, args: Any = None, namespace: Any = None) -> None:
    if depth > 0 or not _meant(args):
        return
    found = result[0]
    words = list(sys.argv[1:] if args is None else args)
    parameters.note("argparse", vars(found), given(parser, words, vars(found)))


def given(parser: Any, words: list[str], values: Mapping[str, Any]) -> set[str]:
    """Names whose option stands among the words, and those whose value is not the default's."""
    found: set[str] = set()
    waiting = [parser]
    defaults: dict[str, Any] = dict(getattr(parser, "_defaults", {}))
    options: dict[str, str] = {}
    while waiting:
        one = waiting.pop()
        for action in getattr(one, "_actions", ()):
            defaults.setdefault(action.dest, action.default)
            options.update(dict.fromkeys(action.option_strings, action.dest))
            choices = getattr(action, "choices", None)
            if isinstance(choices, Mapping):  # subcommands
                inner = [choices[word] for word in words if word in choices]
                waiting += inner
                for sub in inner:
                    defaults.update(getattr(sub, "_defaults", {}))
    for word in words:
        if word == "--":
            break
        option = word.partition("=")[0]
        if option in options:
            found.add(options[option])
        elif option.startswith("--") and len(option) > 2:
            whole = [name for name in options if name.startswith(option)]
            found.update(options[name] for name in whole if len(whole) == 1)
    for name, value in values.items():
        if name not in found and name in defaults and _differs(value, defaults[name]):
            found.add(name)
    return found & set(values)


def _differs(value: Any, default: Any) -> bool:
    # A default that is a text is parsed by its option's type.
    return bool(value != default) and str(value) != str(default)


def _click(command: Any, result: Any, depth: int, ctx: Any, args: Any = None) -> None:
    if getattr(ctx, "resilient_parsing", False):
        return
    found: set[str] = set()
    source = getattr(ctx, "get_parameter_source", None)
    for name in ctx.params:
        said = source(name) if source is not None else None
        if said is not None and said.name not in ("DEFAULT", "DEFAULT_MAP"):
            found.add(name)
    parameters.note(
        "click", ctx.params, found if source is not None else None, {"command": str(ctx.command_path)[:1000]}
    )


def _absl(flags: Any, result: Any, depth: int, argv: Any = None, *_: Any, **__: Any) -> None:
    if depth > 0:
        return
    said: dict[str, Any] = {}
    found: set[str] = set()
    for owner, members in flags.flags_by_module_dict().items():
        if str(owner).startswith("absl.") or str(owner) == "absl":
            continue
        for flag in members:
            said[flag.name] = flag.value
            if not flag.using_default_value:
                found.add(flag.name)
    if said:
        parameters.note("absl", said, found)


def _hydra(instance: Any, result: Any, depth: int, cfg: Any = None) -> None:
    note_hydra(cfg)


def note_hydra(cfg: Any) -> None:
    """A job's configuration as Hydra composed it, interpolations resolved where they can be."""
    from omegaconf import OmegaConf  # type: ignore[import-not-found,unused-ignore]

    about: dict[str, Any] = {}
    hydra = cfg.get("hydra")
    for key, path in (
        ("job", "job.name"),
        ("config_name", "job.config_name"),
        ("overrides", "overrides.task"),
        ("hydra_overrides", "overrides.hydra"),
        ("choices", "runtime.choices"),
        ("output_dir", "runtime.output_dir"),
        ("version", "runtime.version"),
        ("mode", "mode"),
        ("job_number", "job.num"),
    ):
        about[key] = _plain(
            OmegaConf, OmegaConf.select(hydra, path, throw_on_missing=False) if hydra is not None else None
        )
    for key in ("overrides", "hydra_overrides"):
        if isinstance(about[key], list):
            about[key] = redaction.redact_argv([str(word) for word in about[key]])
    task = {str(key): _resolved(OmegaConf, cfg, key) for key in cfg if key != "hydra"}
    overrides = about["overrides"] if isinstance(about["overrides"], list) else []
    named = {str(word).lstrip("+~").partition("=")[0].partition("@")[0].replace(".", "/") for word in overrides}
    parameters.note("hydra", task, named, about)


def _resolved(omegaconf: Any, cfg: Any, key: Any) -> Any:
    """A value with its interpolations; the interpolation itself where it cannot be resolved, and None for what is missing."""
    node = cfg._get_node(key)
    try:
        value = cfg[key]
    except Exception:
        return None if node is None or node._is_missing() else str(node._value())
    if not omegaconf.is_config(value):
        return value
    try:
        return omegaconf.to_container(value, resolve=True)
    except Exception:
        return omegaconf.to_container(value, resolve=False)


def _plain(omegaconf: Any, value: Any) -> Any:
    if omegaconf.is_config(value):
        value = omegaconf.to_container(value, resolve=False)
    if isinstance(value, (list, dict, str, int, float, bool, type(None))):
        return value
    return getattr(value, "name", str(value))


#: Programs within which a script runs, and what they parse is theirs.
_RUNNERS = (
    "hydra",
    "IPython",
    "ipykernel",
    "ipykernel_launcher",
    "traitlets",
    "pytest",
    "_pytest",
    "torch",
    "accelerate",
    "pip",
)


def _meant(args: Any) -> bool:
    """Whether a parse is of the process's command line, or asked for by code that is neither installed nor Python's own."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in ("argparse", "functools") and not name.startswith("fieldbook."):
            if name.partition(".")[0] in _RUNNERS:
                return False
            if args is None or list(args) == sys.argv[1:]:
                return True
            return _is_own(frame.f_code.co_filename)
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _is_own(file: str) -> bool:
    path = os.path.realpath(file)
    return "site-packages" not in path and "dist-packages" not in path and not path.startswith(_LIBRARY + os.sep)


def find_namespaces(depth: int = 20) -> bool:
    """When argparse had parsed before fieldbook was imported: namespaces in the variables of the callers. True when one was found."""
    argparse = sys.modules.get("argparse")
    if argparse is None or "argparse" in parameters._parsed:
        return False
    frame = sys._getframe(1)
    for _ in range(depth):
        if frame is None:
            break
        if not frame.f_globals.get("__name__", "").startswith("fieldbook.") and _is_own(frame.f_code.co_filename):
            for value in list(frame.f_locals.values()):
                if type(value) is argparse.Namespace and vars(value):
                    parameters.note("argparse", vars(value))
                    return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
