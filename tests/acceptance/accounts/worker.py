# SPDX-License-Identifier: BSD-3-Clause
"""What a worker does for one Attempt: ``worker.py DOOR WORKFLOW STAGED OUT PARAMETERS``.

Prints what the gate says of the Attempt at its end.
"""

import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

from slidegate.domain.values import AttemptKey, canonical_json
from slidegate.sites import Gate, PipeLink
from slidegate.sites.transfer import fetch_tree, put_tree
from slidegate.sites.trees import describe_folder, tree_digest

SECONDS = 300


def main(door: str, workflow: str, staged: str, out: str, parameters: str) -> None:
    """Send the image, submit one Attempt, wait for its end, fetch what it made."""
    client = str(Path(__file__).with_name("door.py"))
    gate = Gate(lambda: PipeLink([sys.executable, "-IS", client, door]))
    release = next(one for one in gate.hello().releases if one.name == workflow)
    image = describe_folder(Path(staged))
    put_tree(gate, Path(staged), image)
    inputs = {"image": tree_digest(image)}
    work = {"release": release.digest, "inputs": inputs, "parameters": json.loads(parameters)}
    attempt = AttemptKey(hashlib.sha256(canonical_json(work)).hexdigest())
    entry = {"attempt": attempt, "inputs": inputs, "parameters": json.loads(parameters), "note": {}}
    with tempfile.TemporaryDirectory() as folder:
        plan = {"plan": 1, "release": release.digest, "note": {}, "attempts": [entry]}
        Path(folder, "plan.json").write_bytes(canonical_json(plan))
        entries = describe_folder(Path(folder))
        put_tree(gate, Path(folder), entries)
    gate.submit(tree_digest(entries))
    view = wait(gate, attempt)
    if view["state"] == "succeeded":
        fetch_tree(gate, view["tree"], Path(out))
    else:
        view["log"] = b"".join(gate.log(attempt)).decode(errors="replace")
    print(json.dumps(view))


def wait(gate: Gate, attempt: AttemptKey) -> dict:
    """Return the last view of an Attempt."""
    for _ in range(SECONDS * 2):
        view = {one["attempt"]: one for one in gate.status("").attempts}[attempt]
        if view["state"] in ("succeeded", "failed", "cancelled"):
            return dict(view)
        time.sleep(0.5)
    sys.exit(f"not at its end after {SECONDS} seconds: {view}")


if __name__ == "__main__":
    main(*sys.argv[1:])
