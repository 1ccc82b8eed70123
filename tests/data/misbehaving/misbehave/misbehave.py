# SPDX-License-Identifier: BSD-3-Clause
"""A step that sleeps for ever, takes all memory, dies, or writes what would control a terminal."""

import json
import sys
import time

CONTROL = "\x1b[2J\x1b]0;owned\x07\x9b31m"


def work(request):
    """Do what the parameter says."""
    how = request["parameters"]["how"]
    sys.stderr.write(f"{CONTROL}working: {how}\r\n")
    sys.stderr.flush()
    if how == "sleep":
        time.sleep(3600)
    if how == "memory":
        taken = [bytearray(50 << 20) for _ in range(100)]
        sys.stderr.write(str(len(taken)))
    if how == "crash":
        sys.exit(3)
    if how == "hostile":
        return {"ok": False, "code": CONTROL, "message": CONTROL + "no nuclei"}
    with open(request["out"] + "/summary.json", "w") as file:  # noqa: PTH123
        json.dump({}, file)
    return {"ok": True}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line))), flush=True)
