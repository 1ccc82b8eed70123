# SPDX-License-Identifier: BSD-3-Clause
"""Count how often a byte occurs in the files of an image.

plan    one Unit for each file
count   counts in one file
finish  adds up
"""

import json
import os
import sys


def plan(request):
    """List the files; the names of Units are plain words, so a list says which file each of them means."""
    image = request["inputs"]["image"]
    found = [os.path.join(folder, name) for folder, _, names in os.walk(image) for name in names]
    names = sorted(os.path.relpath(path, image) for path in found)
    files = {"f{:05d}".format(number): name for number, name in enumerate(names)}
    write(request, "files.json", files)
    return {"ok": True, "units": sorted(files)}


def count(request):
    """Count in the file of one Unit."""
    files = read(request["results"]["plan"][0], "files.json")
    name = files[request["unit"]]
    byte = bytes([request["parameters"]["byte"]])
    with open(os.path.join(request["inputs"]["image"], name), "rb") as file:
        data = file.read()
    write(request, "part.json", {"name": name, "bytes": len(data), "found": data.count(byte)})
    return {"ok": True, "result": {"found": data.count(byte)}}


def finish(request):
    """Add up; what this step writes beside the shared files is the workflow's output."""
    parts = [read(folder, "part.json") for folder in request["results"]["count"]]
    summary = {key: sum(part[key] for part in parts) for key in ("bytes", "found")}
    write(request, "summary.json", dict(summary, files=len(parts)))
    return {"ok": True, "result": summary}


def read(folder, name):
    """Return what an earlier Unit wrote."""
    with open(os.path.join(folder, name)) as file:
        return json.load(file)


def write(request, name, value):
    """Write a file into the folder of this try."""
    with open(os.path.join(request["out"], name), "w") as file:
        json.dump(value, file, sort_keys=True)


STEPS = {"plan": plan, "count": count, "finish": finish}

if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(STEPS[request["step"]](request)), flush=True)
