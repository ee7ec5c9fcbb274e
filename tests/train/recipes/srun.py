"""A stand-in of srun: starts a command once a node, on this machine.

Like srun, it hands SIGUSR1 on to these tasks alone and not to what they start, ends with the largest of their exit
codes, and with --kill-on-bad-exit=1 ends the others when one fails.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType


def main(arguments: list[str]) -> int:
    kill_on_bad_exit, *command = arguments
    assert kill_on_bad_exit == "--kill-on-bad-exit=1"
    tasks = [
        subprocess.Popen(command, env={**os.environ, "NODE": str(node), "SLURMD_NODENAME": "localhost"})
        for node in range(int(os.environ["SLURM_JOB_NUM_NODES"]))
    ]

    def hand_on(number: int, frame: FrameType | None) -> None:
        for task in tasks:
            task.send_signal(number)

    signal.signal(signal.SIGUSR1, hand_on)
    while any(task.poll() is None for task in tasks):
        if any(task.poll() for task in tasks):
            hand_on(signal.SIGTERM, None)
        time.sleep(0.02)
    return max(task.returncode if task.returncode >= 0 else 128 - task.returncode for task in tasks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
