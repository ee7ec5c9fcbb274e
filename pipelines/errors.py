"""Errors that a person can act on, and the exit codes of every command of ours."""

EXIT_DONE = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: run the same command again


class PipelineError(Exception):
    """Something outside the program is wrong. The message says what, and what to do. Exit code 1."""

    exit_code = EXIT_ERROR


class UsageError(PipelineError, ValueError):
    """The command or the configuration makes no sense. Exit code 2."""

    exit_code = EXIT_USAGE


class Interrupted(PipelineError):
    """Stopped by a signal with everything saved; the same command resumes from there. Exit code 75."""

    exit_code = EXIT_INTERRUPTED
