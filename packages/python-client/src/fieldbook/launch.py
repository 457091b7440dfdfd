"""``fieldbook run [options] -- command …``: runs any command as if we were not there, and records it.

    python -m fieldbook run -p mnist -t baseline -- ./train --lr 0.1

The command gets the same terminal, streams, signals and working directory; the exit code is its own. docs/run.md says
what is recorded and what happens when things go wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from . import environment, values
from .console import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USAGE = """\
usage: fieldbook run [options] -- command [argument ...]

Runs any command and records it: console, code, environment, system metrics, "--key value" arguments as
parameters, exit code and signal, and TensorBoard event files that it writes. The exit code is the command's.

  -p, --project NAME   project of the run (default: name of the git repository, else of the folder)
  -t, --tag TAG        a tag; may be given again
      --name NAME      name of the run
      --group GROUP    group of the run
      --notes TEXT     notes (Markdown)
      --resume RUN_ID  go on with this run instead of starting one
      --set PATH=VALUE an attribute of the run; may be given again
      --watch DIR      look for TensorBoard event files here too; may be given again
      --grace SECONDS  after SIGTERM, SIGINT, SIGHUP or SIGQUIT wait so long before SIGKILL
                       (default: 30 after SIGTERM, for ever after the others; 0: for ever)
      --capture LIST   what to capture, as FIELDBOOK_CAPTURE says it ("code,console", "-packages")
      --no-capture     only start, end, arguments and what the command itself records
      --home DIR       where to record (default: $FIELDBOOK_HOME, else ~/.fieldbook)
  -h, --help           this text
"""

#: Byte pipe on which the Node program passes on its signals.
SIGNAL_FD = "FIELDBOOK_SIGNAL_FD"
#: The Node program was started where a SIGHUP is not meant for it (``nohup``), which Node cannot pass on to us itself.
IGNORE_HUP = "FIELDBOOK_IGNORE_HUP"
#: Seconds from SIGTERM to SIGKILL unless --grace says otherwise: as long as Slurm and Kubernetes wait.
TERM_GRACE_S = 30.0

_VALUED = {
    "-p": "project",
    "--project": "project",
    "-t": "tag",
    "--tag": "tag",
    "--name": "name",
    "--group": "group",
    "--notes": "notes",
    "--resume": "resume",
    "--set": "set",
    "--watch": "watch",
    "--grace": "grace",
    "--capture": "capture",
    "--home": "home",
}
_REPEATED = ("tag", "set", "watch")


class UsageError(Exception):
    """What was asked for cannot be understood."""


def parse(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options and command. Raises :class:`UsageError`."""
    options: dict[str, Any] = {"tag": [], "set": [], "watch": []}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        index += 1
        if word == "--":
            return options, arguments[index:]
        if not word.startswith("-") or word == "-":
            return options, arguments[index - 1 :]
        if word in ("-h", "--help"):
            options["help"] = True
            return options, []
        if word == "--no-capture":
            options["capture"] = "0"
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        key = _VALUED.get(name)
        if key is None:
            raise UsageError(f'unknown option {name!r}; put "--" before the command, and options of ours before that')
        if not equals:
            if index >= len(arguments):
                raise UsageError(f"{name} needs a value")
            value = arguments[index]
            index += 1
        if key in _REPEATED:
            options[key].append(value)
        else:
            options[key] = value
    return options, []


def default_project(folder: str) -> str:
    """The git repository's name, else the folder's."""
    place = folder
    while not os.path.exists(os.path.join(place, ".git")):
        above = os.path.dirname(place)
        if above == place:
            place = folder
            break
        place = above
    name = os.path.basename(place) or "default"
    try:
        environment.project_id(name)
    except ValueError:
        return "default"
    return name


def main(arguments: list[str]) -> int:
    """Runs the program; returns the exit code."""
    try:
        options, command = parse(arguments)
        if options.get("help"):
            sys.stdout.write(USAGE)
            return 0
        if not command:
            raise UsageError("there is no command to run")
        if options.get("home"):
            os.environ[environment.HOME] = os.path.abspath(os.path.expanduser(options["home"]))
        if options.get("capture"):
            os.environ[environment.CAPTURE] = options["capture"]
        grace = _grace(options.get("grace"))
        if environment.disabled():
            return _only_run(command)
        plan = _plan(options, command)
    except (UsageError, TypeError, ValueError) as error:
        sys.stderr.write(f"fieldbook run: {error}\n\n{USAGE.splitlines()[0]}\nSee: fieldbook run --help\n")
        return 2
    from .launch_session import run

    return run(plan, command, grace)


def entry() -> None:
    """The console script ``fieldbook-run``."""
    raise SystemExit(main(sys.argv[1:]))


def _plan(options: Mapping[str, Any], command: list[str]) -> Any:
    from .capture import switches
    from .launch_params import log_folders, params_of
    from .launch_record import Plan

    folder = _working_folder()
    here = folder or "/"
    home = environment.home()
    run_id = options.get("resume")
    if run_id is not None:
        environment.check_run_id(run_id, "--resume")
    project, parent = _project(options, run_id, home, here)
    project_id = environment.project_id(project)
    inherited = None
    if run_id is None and os.environ.get(environment.RUN_ID) and (parent is None or parent[2] == project_id):
        inherited = environment.check_run_id(os.environ[environment.RUN_ID], environment.RUN_ID)
    attributes: dict[str, Any] = {}
    if "command" in switches.resolve(home=home):
        attributes.update((f"params/{name}", value) for name, value in params_of(command).items())
    attributes.update(_sets(options["set"]))
    return Plan(
        project=project,
        run_id=run_id
        or inherited
        or environment.shared_run_id(project_id)
        or _slurm_run_id(project_id, command, home)
        or environment.mint_id(),
        command=command,
        folder=folder,
        home=home,
        about={
            "name": _text(options, "name", values.NAME_LIMIT),
            "group": _text(options, "group", values.NAME_LIMIT),
            "notes": _text(options, "notes", values.NOTES_LIMIT),
            "tags": list(dict.fromkeys(values.check_tag(tag, "--tag") for tag in options["tag"])),
        },
        attributes=attributes,
        parent={"writer": parent[1], "pid": parent[0]} if parent is not None and inherited else None,
        watch=[os.path.abspath(os.path.join(here, os.path.expanduser(path))) for path in options["watch"]],
        folders=[*log_folders(command, here), *([folder] if folder else [])],
    )


def _project(
    options: Mapping[str, Any], run_id: str | None, home: str, folder: str
) -> tuple[str, tuple[int, str, str] | None]:
    """The project, and the process that passed its run on to us, if one did."""
    parent = environment.parent() if os.environ.get(environment.RUN_ID) else None
    said = options.get("project")
    if said is None and run_id is not None:
        said = _project_of(home, run_id)
    if said is None and parent is not None:
        said = parent[2]
    return (said if said is not None else default_project(folder)), parent


def _project_of(home: str, run_id: str) -> str | None:
    """The project in which this home has journals of a run."""
    journals = os.path.join(home, "journals")
    try:
        found = [name for name in os.listdir(journals) if os.path.isdir(os.path.join(journals, name, run_id))]
    except OSError:
        return None
    if len(found) > 1:
        raise UsageError(f"run {run_id} is in the projects {', '.join(sorted(found))}; say which with --project")
    return found[0] if found else None


def _sets(said: list[str]) -> dict[str, Any]:
    from .launch_params import typed

    found: dict[str, Any] = {}
    for text in said:
        path, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set needs PATH=VALUE, not {text[:80]!r}")
        found[values.check_path(path, "--set")] = typed(value)
    return found


def _text(options: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = options.get(name)
    return None if value is None else values.check_text(value, f"--{name}", limit)


def _grace(text: str | None) -> dict[str, float]:
    """Seconds before SIGKILL, by the signal's name."""
    if text is None:
        return {"SIGTERM": TERM_GRACE_S}
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds < 1e9:
        raise UsageError(f"--grace must be a number of seconds, not {text!r}")
    return dict.fromkeys(("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"), seconds) if seconds else {}


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # somebody deleted it
        return None


def _slurm_run_id(project: str, command: list[str], home: str) -> str | None:
    """The id that a job of Slurm has before and after it was requeued: made of the job, the command, and how many
    times this start of the job has run the same command before. A requeued batch script runs from its top, so its
    n-th command is the n-th again."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    import hashlib

    words = [os.environ.get("SLURM_CLUSTER_NAME", ""), job, project, _working_folder() or "", *command]
    key = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:20]
    restart = os.environ.get("SLURM_RESTART_COUNT", "0")
    restart = restart if restart.isdigit() else "0"
    folder = os.path.join(home, "slurm")
    for number in range(10_000):
        try:
            os.makedirs(folder, exist_ok=True)
            os.close(os.open(os.path.join(folder, f"{key}.{restart}.{number}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            continue
        except OSError:
            pass  # the disk refuses: then the first one of its kind
        return f"slurm-{key}-{number}"
    return None


def _only_run(command: list[str]) -> int:
    """Recording is switched off: become the command."""
    os.environ.pop(IGNORE_HUP, None)
    wrapper = os.environ.pop(SIGNAL_FD, "")
    try:
        if wrapper.isdigit():
            os.close(int(wrapper))  # so that the wrapper knows that nobody listens
        os.execvp(command[0], command)
    except OSError as error:
        return refused(command[0], error)


def refused(program: str, error: OSError) -> int:
    """Says why a command cannot be started, and with which code a shell says it."""
    warn(f"cannot run {program!r}: {error.strerror or error}")
    return 127 if isinstance(error, FileNotFoundError) else 126
