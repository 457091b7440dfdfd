"""``wandb.errors``: classes that scripts catch. Only :class:`Error` and :class:`UsageError` are ever raised here."""

from __future__ import annotations

from .missing import Error


class CommError(Error):
    """No server is talked to, so this is never raised."""


class AuthenticationError(CommError):
    """There are no accounts, so this is never raised."""


class UsageError(Error):
    """A wrong argument."""


class UnsupportedError(UsageError):
    """Never raised: what is not supported is told and does nothing."""


class WaitTimeoutError(Error):
    """Nothing is waited for, so this is never raised."""


__all__ = ["AuthenticationError", "CommError", "Error", "UnsupportedError", "UsageError", "WaitTimeoutError"]
