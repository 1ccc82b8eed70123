# SPDX-License-Identifier: AGPL-3.0-or-later
"""An OMERO.script: hands images over to slidegate, which has a cluster analyse them, and returns at once.

``python -m omero_slidegate script`` makes it for one workflow, which stands between the two marks below. It
runs in the Python of OMERO.server and needs nothing that is not there: omero-py, and requests.

Who presses *Run Script* is known to slidegate by the session of the script: slidegate joins it, asks OMERO
whose it is, and lets it go. No password is asked for, and the session is used for nothing else.
"""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

import omero
import omero.scripts as scripts
import requests
from omero.rtypes import rbool, rdouble, rlong, rstring, unwrap, wrap

# made: begin
MADE: dict[str, Any] | None = None
# made: end

KINDS = ("Image", "Dataset", "Project")
IMAGES = {
    "Image": "select i.id from Image i where i.id in (:ids)",
    "Dataset": "select distinct l.child.id from DatasetImageLink l where l.parent.id in (:ids)",
    "Project": "select distinct l.child.id from DatasetImageLink l where l.parent.id in "
    "(select p.child.id from ProjectDatasetLink p where p.parent.id in (:ids))",
}
DRAWN = {"A sample of them": "sample", "All of them, on a copy of the image": "all-on-duplicate"}
LABELS = {"No": "none", "As an attachment": "attachment", "As an image": "image"}
OUTCOMES = {
    "created": "%s on %s has begun: run %s. It goes on by itself; the results come to the images.",
    "finished": "%s on %s was done before, with these settings: run %s. Nothing is computed again.",
}
GOES_ON = "%s on %s was asked for before, with these settings: run %s. It goes on by itself."
ANSWER_S = 30.0
PATIENCE_S = 8.0
PAUSES_S = (0.5, 2.0)

Made = Mapping[str, Any]
Rules = Mapping[str, Any]


class Trouble(Exception):  # noqa: N818  (a situation is named as what it is)
    """What is told to the person instead of a link; ``code`` is that of slidegate, where it said one."""

    def __init__(self, words: str, code: str = "") -> None:
        super().__init__(words)
        self.code = code


def name_of(title: str, taken: Collection[str] = ()) -> str:
    """Return what a parameter is called in OMERO: words joined by ``_``, which OMERO shows as spaces."""
    plain = re.sub("[^0-9A-Za-z]+", "_", title).strip("_") or "Setting"
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}_{number}"
    return name


def settings(made: Made) -> dict[str, tuple[str, Rules]]:
    """Return the parameters of the workflow: name in OMERO to (name in the schema, its rules), in order."""
    found: dict[str, tuple[str, Rules]] = {}
    rules_of = made["schema"].get("properties", {})
    order = sorted(rules_of, key=lambda name: (bool(rules_of[name].get("x-advanced")), place(rules_of[name])))
    reserved = ("Data_Type", "IDs", "Where", "Use_Drawn_Regions", "Draw_Objects", "Label_Image", "Tags")
    for name in order:
        if "const" not in rules_of[name]:
            title = name_of(rules_of[name].get("title") or name, (*reserved, *found))
            found[title] = (name, rules_of[name])
    return found


def place(rules: Rules) -> int:
    """Return where a parameter stands in the form."""
    return int(rules.get("x-order", sys.maxsize))


def inputs(made: Made) -> list[Any]:
    """Return what the script asks for, as OMERO's forms are made of."""
    kinds = [rstring(kind) for kind in KINDS]
    what = "Images, or all images of datasets or of projects; of whatever groups."
    found = [
        scripts.String(
            "Data_Type", optional=False, grouping="01", description=what, values=kinds, default="Image"
        ),
        scripts.List(
            "IDs", optional=False, grouping="02", description="Their numbers. What you selected stands here."
        ).ofType(rlong(0)),
    ]
    if len(made["sites"]) > 1:
        where = {"values": [rstring(site) for site in made["sites"]], "default": made["sites"][0]}
        found.append(scripts.String("Where", grouping="03", description="Which cluster computes.", **where))
    required = made["schema"].get("required", [])
    for number, (title, (name, rules)) in enumerate(settings(made).items(), 10):
        needed = name in required and "default" not in rules
        found.append(typed(title, rules, str(number), optional=not needed))
    if "regions" in made["each"]:
        words = "Count and measure by the regions that people drew on the images."
        found.append(scripts.Bool("Use_Drawn_Regions", grouping="80", description=words, default=True))
    return found + results(made)


def typed(title: str, rules: Rules, grouping: str, optional: bool) -> Any:
    """Return one parameter of the workflow as OMERO knows parameters."""
    kind, change, typed_as = {
        "number": (scripts.Double, float, rdouble),
        "integer": (scripts.Long, int, rlong),
        "boolean": (scripts.Bool, bool, rbool),
    }.get(rules["type"], (scripts.String, str, rstring))
    said: dict[str, Any] = {"optional": optional, "grouping": grouping, "description": described(rules)}
    limits = {"minimum": "min", "maximum": "max", "default": "default"}
    said.update({ours: change(rules[theirs]) for theirs, ours in limits.items() if theirs in rules})
    if "enum" in rules:
        said["values"] = [typed_as(value) for value in rules["enum"]]
    return kind(title, **said)


def described(rules: Rules) -> str:
    """Return what is said of a parameter, with its unit."""
    unit = f" In {rules['x-unit']}." if rules.get("x-unit") else ""
    return f"{rules.get('description', '')}{unit}".strip()


def results(made: Made) -> list[Any]:
    """Return what is asked about results: only of those that the workflow has."""
    kinds = [output.get("type") for output in made["outputs"].values()]
    found = []
    if "table/objects" in kinds:
        words = "Which objects are drawn as ROIs. The table has all of them."
        found.append(choice("Draw_Objects", "90", DRAWN, words))
    if "labels" in kinds:
        words = "Whether the label image comes back, too. It can be large."
        found.append(choice("Label_Image", "91", LABELS, words))
    tags = "Tags that the images get with their result, with commas between them."
    return [*found, scripts.String("Tags", optional=True, grouping="92", description=tags)]


def choice(title: str, grouping: str, values: Collection[str], words: str) -> Any:
    """Return a parameter with a list to choose from; the first is chosen."""
    options = [rstring(value) for value in values]
    return scripts.String(
        title, grouping=grouping, description=words, values=options, default=next(iter(values))
    )


def selected(client: Any, kind: str, ids: list[int]) -> list[int]:
    """Return the ids of the images that are meant, each once.

    Raises
    ------
    Trouble
        Something of it is not there, or holds no image: nothing is begun then.
    """
    ids = list(dict.fromkeys(ids))
    if not ids or kind not in KINDS:
        raise Trouble("Nothing is selected. Select images or datasets, or enter their numbers under IDs.")
    query = client.sf.getQueryService()

    def ask(statement: str) -> list[int]:
        asked = omero.sys.ParametersI().addIds(ids)
        return [row[0] for row in unwrap(query.projection(statement, asked, {"omero.group": "-1"}))]

    there = set(ask(f"select o.id from {kind} o where o.id in (:ids)"))  # noqa: S608  (one of KINDS)
    gone = [number for number in ids if number not in there]
    if gone:
        some = ", ".join(map(str, gone[:10])) + (", ..." if len(gone) > 10 else "")
        raise Trouble(f"Nothing was started: {kind} {some} is not there, or you may not see it.")
    if kind == "Image":
        return ids
    images = sorted(set(ask(IMAGES[kind])))
    if not images:
        raise Trouble("Nothing was started: there is no image in what you selected.")
    return images


def asked_for(made: Made, given: Mapping[str, Any], images: list[int]) -> dict[str, Any]:
    """Return what slidegate is asked for."""
    parameters = {name: given[title] for title, (name, _) in settings(made).items() if title in given}
    publish = {
        "objects": DRAWN.get(given.get("Draw_Objects", ""), "sample"),
        "labels": LABELS.get(given.get("Label_Image", ""), "none"),
        "tags": [tag.strip() for tag in given.get("Tags", "").split(",") if tag.strip()],
    }
    drawn = {} if given.get("Use_Drawn_Regions", True) else {"regions": False}
    return {
        **drawn,
        "workflow": made["workflow"],
        "site": given.get("Where", made["sites"][0]),
        "images": [f"omero:{image}" for image in images],
        "parameters": parameters,
        "publish": publish,
    }


class Slidegate:
    """Asks slidegate, over verified TLS.

    Parameters
    ----------
    made
        Where it is, and whose certificates it has.
    """

    def __init__(self, made: Made) -> None:
        self.url = made["url"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = made["ca"] or True

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the answer; a request that may pass later is repeated: the same request has one effect.

        Raises
        ------
        Trouble
        """
        for pause in PAUSES_S:
            try:
                return self._once(method, path, body, headers)
            except Trouble as trouble:
                if trouble.code not in ("away", "busy"):
                    raise
            time.sleep(pause)
        return self._once(method, path, body, headers)

    def _once(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> dict[str, Any]:
        try:
            found = self.http.request(
                method, self.url + path, json=body, headers=headers, timeout=ANSWER_S, allow_redirects=False
            )
        except requests.exceptions.SSLError as error:
            raise Trouble(
                f"The certificate of {self.url} is not trusted by this OMERO.server, so nothing was sent. "
                f"Tell its administrator, who can name the authority: --ca. ({reason(error)})"
            ) from error
        except requests.exceptions.RequestException as error:
            raise Trouble(
                f"slidegate does not answer at {self.url}. Try again later; if that does not help, tell your "
                f"administrator. ({reason(error)})",
                "away",
            ) from error
        if found.status_code == 204:
            return {}
        try:
            said = found.json()
        except ValueError:
            said = None
        if not isinstance(said, dict) or 300 <= found.status_code < 400:
            passing = found.status_code in (502, 503, 504)
            words = f"What answers at {self.url} is not slidegate, or is just being started"
            raise Trouble(f"{words} (HTTP {found.status_code}).", "away" if passing else "")
        if found.status_code >= 400:
            passing = found.status_code in (429, 503)
            raise Trouble(str(said.get("detail")), "busy" if passing else str(said.get("code", "")))
        return said

    def launch(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Sign in with a session of OMERO, ask for a Run, and return what slidegate says within seconds.

        Raises
        ------
        Trouble
        """
        signed_in = self.ask("POST", "/v1/session/omero", {"session": key})
        csrf = {"X-CSRF-Token": signed_in["csrf"]}
        try:
            once = {**csrf, "Idempotency-Key": uuid.uuid4().hex}
            wish = self.ask("POST", "/v1/launches", body, once)
            until = time.monotonic() + PATIENCE_S
            while wish["state"] == "open" and time.monotonic() < until:
                time.sleep(0.25)
                wish = self.ask("GET", "/v1/wishes/" + wish["id"])
            return wish
        finally:
            self.leave(csrf)

    def leave(self, csrf: Mapping[str, str]) -> None:
        """Sign out. Where that fails, the session ends by itself."""
        try:
            self._once("DELETE", "/v1/session", None, csrf)
        except Trouble:
            return


def reason(error: Exception) -> str:
    """Return what an error is, in few words."""
    verified = re.search("certificate verify failed: ([^(]+)", str(error))
    return verified.group(1).strip() if verified else type(error).__name__


def told(trouble: Trouble, made: Made) -> str:
    """Return what a person is told of a trouble; names of parameters are those of the form."""
    words = str(trouble)
    for title, (name, _) in settings(made).items():
        words = words.replace(f"'{name}'", f"'{title.replace('_', ' ')}'")
    if trouble.code in ("unknown-workflow", "unknown-site", "bad-parameter"):
        words += (
            " If that surprises you: the script is older than the workflow. An administrator can renew it."
        )
    return words


def answer(made: Made, wish: Mapping[str, Any], count: int) -> tuple[str, str]:
    """Return what a person is told, and where the Run is shown.

    Raises
    ------
    Trouble
        slidegate refused.
    """
    title, images = made["title"], f"{count} image{'' if count == 1 else 's'}"
    if wish["state"] == "refused":
        problem = wish.get("problem") or {}
        raise Trouble(f"Nothing was started. {problem.get('message', '')}", str(problem.get("code", "")))
    pages = f"{made['web']}/slidegate/"
    if wish["state"] == "open":
        words = f"{title} on {images} was handed over, and begins as soon as slidegate has looked at them."
        return words, pages
    run = wish["answer"]["run"]
    words = OUTCOMES.get(wish["answer"].get("outcome"), GOES_ON)
    return words % (title, images, run), f"{pages}#/runs/{run}"


def run(client: Any, made: Made) -> int:
    """Do what the form asks for, and say how it went; returns the exit code."""
    try:
        given = client.getInputs(unwrap=True)
        images = selected(client, given["Data_Type"], given["IDs"])
        wish = Slidegate(made).launch(client.getSessionId(), asked_for(made, given, images))
        words, link = answer(made, wish, len(images))
    except Trouble as trouble:
        client.setOutput("Message", rstring(told(trouble, made)))
        return 1
    client.setOutput("Message", rstring(words))
    client.setOutput("URL", wrap({"type": "URL", "href": link, "title": "Show it in OMERO.web"}))
    return 0


def main() -> int:
    """Be a script of OMERO."""
    if MADE is None:
        sys.exit("This file is not complete: python -m omero_slidegate script makes one that is.")
    client = scripts.client(
        f"Run_on_Cluster: {MADE['title']}",
        f"{MADE['description']}\nThe images are handed over to slidegate; the results come to the images.",
        *inputs(MADE),
        version=MADE["version"],
        authors=["slidegate"],
    )
    try:
        return run(client, MADE)
    finally:
        client.closeSession()


if __name__ == "__main__":
    sys.exit(main())
