"""Errors that a person can act on, and the exit codes of every command."""

EXIT_DONE = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_TOO_MANY_FAILURES = 3
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: run the same command again


class SceneGenError(Exception):
    """An error outside the program. The message says what is wrong and what to do. Exit code 1."""

    exit_code = EXIT_ERROR


class UsageError(SceneGenError, ValueError):
    """The command or the configuration is invalid. Exit code 2."""

    exit_code = EXIT_USAGE


class AssetError(SceneGenError):
    """One asset cannot be used; the caller quarantines it and continues with the others."""

    def __init__(self, uid: str, reason: str) -> None:
        super().__init__(f"asset {uid}: {reason}")
        self.uid = uid
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.uid, self.reason)


class SceneError(SceneGenError):
    """One scene cannot be made; it is recorded as failed with this reason, and the others continue."""


class CannotStoreError(SceneGenError):
    """The folder or bucket of the dataset cannot be written to: it is full, read-only or unreachable."""

    def __init__(self, location: str, reason: object) -> None:
        super().__init__(
            f"cannot write to {location}: {reason}. What is finished is safe; make room or mend the access, "
            "then run the same command again"
        )
        self.location = location
        self.reason = str(reason)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.location, self.reason)
