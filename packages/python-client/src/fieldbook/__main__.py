"""``python -m fieldbook``: ``run`` records a command, ``import-tensorboard`` takes in event files, ``dump`` prints journals."""

from __future__ import annotations

import json
import sys
from typing import Any

from . import journal_reader

USAGE = """\
usage: python -m fieldbook run [options] -- command...          records a command (see run --help)
       python -m fieldbook import-tensorboard DIR -p PROJECT    takes in TensorBoard logs, a run per folder
       python -m fieldbook dump FILE...                         prints journals as lines of JSON, one a record
"""


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if arguments and arguments[0] == "run":
        from .launch import main as run

        return run(arguments[1:])
    if arguments and arguments[0] == "import-tensorboard":
        from .tensorboard_import import main as take_in

        return take_in(arguments[1:])
    if len(arguments) < 2 or arguments[0] != "dump":
        sys.stderr.write(USAGE)
        return 2
    status = 0
    for path in arguments[1:]:
        try:
            with open(path, "rb") as file:
                found = journal_reader.read(file.read())
        except (OSError, journal_reader.JournalCorrupt) as error:
            sys.stderr.write(f"{path}: {error}\n")
            status = 1
            continue
        for record in found.records:
            line: dict[str, Any] = {"sequence": record.sequence, "type": record.name, **record.data}
            if record.malformed:
                line["malformed"] = True
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        if found.state != "clean":
            sys.stderr.write(f"{path}: {found.state} at byte {found.offset} of sequence {found.sequence}\n")
            status = 1 if found.state == "corrupt" else status
    return status


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except BrokenPipeError:
        raise SystemExit(0) from None
