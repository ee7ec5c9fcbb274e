"""A stand-in of torchrun: starts the ranks of a node, each in a session of its own; 1 if one of them fails.

As torchrun does, it ends at a signal that it does not know, and takes every exit code but 0 for a failure.
"""

import os
import subprocess
import sys


def main(arguments: list[str]) -> int:
    command = arguments[arguments.index("--no-python") + 1 :]
    count = int(arguments[arguments.index("--nproc-per-node") + 1])
    first = count * int(os.environ["NODE"])
    ranks = [
        subprocess.Popen(command, env={**os.environ, "RANK": str(first + each)}, start_new_session=True)
        for each in range(count)
    ]
    codes = [rank.wait() for rank in ranks]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
