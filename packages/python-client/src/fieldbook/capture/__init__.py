"""What a run records without being asked. ``docs/capture.md`` says what that is and how each part is switched off."""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..run import Run


def install() -> None:
    """Called by ``import fieldbook``: waits for the parsers of command lines, unless nothing is to be captured."""
    from .. import environment

    off = os.environ.get(environment.CAPTURE, "").strip().lower() in ("0", "off", "false", "no", "none")
    if not (off or environment.disabled() or environment.COMPANION in os.environ):
        from . import imports

        imports.install()


def check(options: Any) -> None:
    """Raises ``TypeError`` or ``ValueError`` for a ``capture=`` that cannot be meant."""
    from .switches import resolve

    resolve(options, None, {})


def hide(run: Run, options: Any = None) -> None:
    """Before a run's journal is opened: what its first record does not say, because it is switched off."""
    from . import session

    session.hide(run, options)


def begin(run: Run, options: Any = None) -> None:
    """A run of this process has begun."""
    from . import session

    session.begin(run, options)


def end(run: Run, status: str) -> None:
    """A run of this process is about to close its journal."""
    if "fieldbook.capture.session" in sys.modules:
        from . import session

        session.end(run, status)


def forked(run: Run) -> None:
    """This forked child goes on with its parent's run."""
    if "fieldbook.capture.session" in sys.modules:
        from . import session

        session.forked(run)


def redaction_of(secrets: Iterable[str]) -> None:
    """Another process of ours learns the secrets of this one."""
    from .. import redaction

    redaction.learn_environment(os.environ)
    for secret in secrets:
        redaction.learn(secret)


def _at_exit() -> None:
    link = sys.modules.get("fieldbook.capture.link")
    if link is not None:
        link.wait()


# Registered with the first import, hence called after the runs have ended.
atexit.register(_at_exit)
