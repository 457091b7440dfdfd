"""``python -m fieldbook dump FILE…``: a journal as JSON lines, one record each."""

from __future__ import annotations

import json
import sys
from typing import Any

from . import journal_reader

USAGE = "usage: python -m fieldbook dump FILE...\n\nPrints each record of journals as one line of JSON.\n"


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
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
