"""A driver in a process of its own: python -m tests.box_runs.driver FOLDER NUM_SCENES RAY_ADDRESS TROUBLES."""

import json
import sys

from scenegen.config import JobConfig
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from tests.box_runs.harness import render, stored_config, worker_command

folder, num_scenes, address, troubles = sys.argv[1:]
try:
    result = render(
        Root.open(folder),
        stored_config(int(num_scenes)),
        JobConfig(ray_address=address or None, workers=2, start_pause_s=0.05),
        command=worker_command(**json.loads(troubles)),
    )
except SceneGenError as error:
    sys.stderr.write(f"scenegen: {error}\n")
    sys.exit(error.exit_code)
sys.exit(result.exit_code)
