"""What a command line says about a run: its parameters, its script, where it will write logs.

A command is anything, so this reads what people write and guesses nothing else:

    train --lr 0.1 --layers 64 32 --amp -Dseed=3 optimizer.name=adam

gives ``params/lr`` 0.1, ``params/layers`` ["64", "32"], ``params/amp`` true, ``params/seed`` 3, ``params/optimizer/name``
"adam". A dash within a name is written ``_``, as argparse and click do, so that a script that
records its own arguments writes the same paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from .values import LIST_LIMIT, check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    Value = Union[bool, int, float, str, "list[str]"]

#: More arguments than that are a list of files.
PARAMS_LIMIT = 500

_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z|[+-]?(?:inf|nan|infinity)\Z", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,400}\Z")
_NAME = re.compile(r"[A-Za-z_][\w./@-]*\Z")
_LONG = re.compile(r"--?[A-Za-z_][\w.:/-]*\Z")
_SCRIPT = re.compile(r".\.(?:py|pyw|sh|bash|zsh|r|jl|lua|pl|rb|js|mjs|cjs|ts|m|ipynb|php|awk)\Z", re.IGNORECASE)
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*(?:\.exe)?\Z")
#: Options of Python that take the next argument.
_PYTHON_VALUES = ("-W", "-X", "--check-hash-based-pycs")
#: Interpreters whose ``-c`` or ``-e`` takes the program's text.
_INTERPRETERS = frozenset(
    ["sh", "bash", "dash", "zsh", "ksh", "fish", "perl", "ruby", "node", "Rscript", "julia", "lua", "php"]
)
#: Programs whose arguments are another program.
_STARTERS = re.compile(
    r"torchrun|accelerate|deepspeed|horovodrun|mpirun|mpiexec|srun|env|nice|ionice|taskset|time|timeout|stdbuf|nohup|exec|sudo"
    r"|xvfb-run|uv|pipenv|poetry|conda|docker|podman|singularity|apptainer"
)
_STARTER = re.compile(
    r"torch\.distributed\.(?:run|launch)\Z|accelerate\.commands\.launch\Z|deepspeed(?:\.launcher)?|pdb\Z|cProfile\Z"
)
_LOG_FOLDER = re.compile(
    r"(?:tb|tensorboard|log(?:ging|s)?|summar(?:y|ies)|output|out|save|model|work|run|default_root)_?(?:log|root)?_?(?:dir|path)?\Z"
)


def params_of(command: Sequence[str]) -> dict[str, Value]:
    """``{path below params: value}`` of a command's arguments, in their order; at most ``PARAMS_LIMIT``."""
    found: dict[str, Value] = {}
    for name, value in _pairs(_own_arguments(command)):
        path = name.strip("/.")
        try:
            check_path(f"params/{path}", "argument")
        except ValueError:
            continue
        if path in found:
            found[path] = _both(found[path], value)
        elif len(found) < PARAMS_LIMIT:
            found[path] = value
    return found


def entry_of(command: Sequence[str], folder: str | None) -> str | None:
    """The script that is run, as an absolute path: the first word that is a source file, or the program itself when it is one."""
    for word in command[:50]:
        if _SCRIPT.search(word):
            path = os.path.abspath(os.path.join(folder or "/", os.path.expanduser(word)))
            if os.path.isfile(path):
                return path
    return None


def log_folders(command: Sequence[str], folder: str) -> list[str]:
    """Where the arguments say that logs go (``--logdir runs/7``), as absolute paths; they may not exist yet."""
    found: dict[str, None] = {}
    for name, value in _pairs(list(command[1:])):
        if isinstance(value, str) and value and _LOG_FOLDER.match(re.split(r"[/.]", name)[-1].lower()):
            path = os.path.abspath(os.path.join(folder, os.path.expanduser(value)))
            if not os.path.isfile(path) and path != "/":
                found.setdefault(path)
    return list(found)


def python_of(command: Sequence[str]) -> str | None:
    """The command's Python interpreter, when it is one: the first word, or that of ``env``, ``nice`` and the like."""
    for word in command[:4]:
        if _PYTHON.match(os.path.basename(word)):
            return word
        if os.path.basename(word) not in ("env", "nice", "time", "stdbuf", "nohup", "exec"):
            return None
    return None


def _own_arguments(command: Sequence[str]) -> list[str]:
    """The arguments of the program itself: behind the script, where an interpreter or launcher comes first."""
    words = list(command)
    python = python_of(words)
    index = words.index(python) + 1 if python is not None else 1
    if python is not None:
        while index < len(words) and words[index].startswith("-"):
            if words[index] in ("-m", "-c"):
                # The module may itself be a launcher: python -m torch.distributed.run train.py --lr 1
                starter = words[index] == "-m" and words[index + 1 : index + 2] and _STARTER.match(words[index + 1])
                return _behind_script(words[index + 2 :]) if starter else words[index + 2 :]
            index += 2 if words[index] in _PYTHON_VALUES else 1
        return words[index + 1 :]
    if words and os.path.basename(words[0]) in _INTERPRETERS:
        while index < len(words) and words[index].startswith("-"):
            if re.match(r"-[A-Za-z]*[ce]\Z", words[index]):
                return words[index + 2 :]
            index += 1
        return words[index + 1 :]
    if words and _STARTERS.fullmatch(os.path.basename(words[0])):
        return _behind_script(words[index:])
    return words[index:]


def _behind_script(words: list[str]) -> list[str]:
    """For programs that start another: behind the first script, or all words when there is none."""
    for index, word in enumerate(words):
        if word == "--":
            break
        if _SCRIPT.search(word) and "=" not in word:
            return words[index + 1 :]
    return words


def _pairs(words: list[str]) -> Iterator[tuple[str, Value]]:
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--":
            return
        name, equals, text = word.partition("=")
        if name.startswith("-D") and equals and _NAME.match(name[2:]):
            yield _plain(name[2:]), typed(text)
        elif equals and _LONG.match(name):
            yield _plain(name.lstrip("-")), typed(text)
        elif equals and _NAME.match(name.lstrip("+~")):
            # Hydra's way: a dot is a level.
            yield name.lstrip("+~").replace(".", "/"), typed(text)
        elif not equals and _LONG.match(word) and not _NUMBER.match(word):
            values: list[str] = []
            while index < len(words) and _is_value(words[index]) and (not values or _numbers([*values, words[index]])):
                values.append(words[index])
                index += 1
            name = _plain(word.lstrip("-"))
            if not values:
                yield name, True
            elif len(values) == 1:
                yield name, typed(values[0])
            else:
                yield name, values[:LIST_LIMIT]


def _is_value(word: str) -> bool:
    return not word.startswith("-") or _NUMBER.match(word) is not None or word == "-"


def _numbers(words: list[str]) -> bool:
    return all(_NUMBER.match(word) for word in words)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def typed(text: str) -> Value:
    """A value as it would be written in YAML: ``1`` an integer, ``1e-3`` a float, ``true`` a truth value, else the text."""
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        try:
            return float(text)
        except ValueError:
            return text
    lower = text.lower()
    return lower == "true" if lower in ("true", "false") else text


def _both(first: Value, second: Value) -> Value:
    """An option given again is a list."""
    merged = [*(first if isinstance(first, list) else [_text(first)])]
    merged += second if isinstance(second, list) else [_text(second)]
    return merged[:LIST_LIMIT]


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
