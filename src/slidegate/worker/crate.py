# SPDX-License-Identifier: BSD-3-Clause
"""Says in a standard form how a result came about: RO-Crate, profile Workflow Run Crate 0.5.

Any program that reads RO-Crates learns which workflow ran, in which version, on which image (by digest), with
which parameters, for whom and when, and can check the results by their SHA-256. Names of images stay out
unless asked for: they can name patients.

Specification: https://w3id.org/ro/wfrun/workflow/0.5, on RO-Crate 1.1, https://w3id.org/ro/crate/1.1.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.model.person import Person
from rocrate.rocrate import ROCrate

from slidegate.sites.trees import Entry, tree_digest
from slidegate.sources.base import Output

METADATA_NAME = "ro-crate-metadata.json"
WORKFLOW_NAME = "workflow.json"

PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
)

_BASE = "https://w3id.org/ro/crate/1.1"
_FORMAL_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_COMPUTATIONAL_WORKFLOW = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_SHA256_TERM = "https://w3id.org/ro/terms/workflow-run#sha256"
_KINDS = {"number": "Float", "integer": "Integer", "boolean": "Boolean", "string": "Text"}
_FORMATS = {
    ".json": "application/json",
    ".html": "text/html",
    ".parquet": "application/vnd.apache.parquet",
    ".log": "text/plain",
}


@dataclass(frozen=True, slots=True)
class Workflow:
    """The Release that ran: its digest, manifest and parameter schema, and the digest of its Runtime."""

    digest: str
    manifest: Mapping[str, Any]
    schema: Mapping[str, Any]
    runtime: str


@dataclass(frozen=True, slots=True)
class Account:
    """How one result came about.

    Attributes
    ----------
    run, task
        Whose result it is.
    person
        Who asked for it.
    site
        Where it was computed.
    workflow
        What ran.
    parameters
        Name to value, as they were asked for; defaults are in the schema.
    image_name
        What the image is called; written only where `write_crate` is told to.
    image_content
        SHA-256 of the image's contents.
    image_tree
        Digest of the image as it was staged.
    regions_tree
        Digest of the regions that were drawn on it; None where there were none.
    outputs
        Role to type and path.
    entries
        Every file of the result: (name, size, SHA-256).
    started, ended
        When the work began and ended, with their time zones.
    software
        Name to version of what computed it.
    """

    run: str
    task: str
    person: str
    site: str
    workflow: Workflow
    parameters: Mapping[str, Any]
    image_name: str
    image_content: str
    image_tree: str
    outputs: Mapping[str, Output]
    entries: Sequence[Entry]
    started: datetime
    ended: datetime
    software: Mapping[str, str] = field(default_factory=dict)
    regions_tree: str | None = None


def write_crate(folder: Path, account: Account, *, include_names: bool = False) -> tuple[str, ...]:
    """Write the metadata of a result's folder, and the workflow that it names, into that folder.

    A repeat writes the same bytes. Files that are in the folder without being in `account` (the log) are
    listed without a digest.

    Parameters
    ----------
    folder
        Where the result's files lie.
    account
        What is to be said.
    include_names
        Whether the image's name may be written down.

    Returns
    -------
    The names of the files written.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    (folder / WORKFLOW_NAME).write_text(_pretty(account.workflow.manifest), "utf-8")
    crate = _Crate(folder, account, include_names).build()
    (folder / METADATA_NAME).write_text(_pretty(crate.metadata.generate()), "utf-8")
    return (WORKFLOW_NAME, METADATA_NAME)


def _pretty(value: Any) -> str:
    """Return JSON for people: indented, with sorted keys."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _package(name: str, version: str) -> str:
    """Name a piece of software by its package URL (https://github.com/package-url/purl-spec)."""
    return f"pkg:generic/{name.lower()}@{version}"


class _Crate:
    """Builds the graph of one crate, from the things that are acted on to the action."""

    def __init__(self, folder: Path, account: Account, include_names: bool) -> None:
        self._folder = folder
        self._account = account
        self._include_names = include_names
        self._crate: Any = ROCrate(version="1.1")
        self._crate.metadata.extra_terms["sha256"] = _SHA256_TERM
        self._crate.metadata["conformsTo"] = [{"@id": _BASE}, {"@id": PROFILES[-1][0]}]

    def build(self) -> Any:
        """Return the crate, whole."""
        title = str(self._account.workflow.manifest.get("title", "Workflow"))
        root = self._crate.root_dataset
        root["name"] = f"{title}: {self._image_words()}"
        root["description"] = (
            f"Result of the workflow '{self._workflow_name()}' on one image, computed by slidegate at "
            f"the site '{self._account.site}' for {self._account.person}; run {self._account.run}."
        )
        root["datePublished"] = self._account.ended.isoformat()
        root["license"] = self._add("#terms", "CreativeWork", name="The terms of the image's owner apply")
        root["conformsTo"] = [
            self._add(address, "CreativeWork", name=name, version=version)
            for address, name, version in PROFILES
        ]
        workflow = self._workflow()
        parameters = self._parameters(workflow)
        inputs = [self._image(workflow), *self._regions(workflow)]
        results = self._results(workflow)
        root["mentions"] = self._action(workflow, [*inputs, *parameters], results)
        return self._crate

    def _add(self, identifier: str, kind: str, **properties: Any) -> Any:
        """Add something that is described but is not a file of the crate."""
        return self._crate.add(ContextEntity(self._crate, identifier, {"@type": kind, **properties}))

    def _workflow_name(self) -> str:
        return str(self._account.workflow.manifest.get("name", "workflow"))

    def _image_words(self) -> str:
        return (
            self._account.image_name if self._include_names else f"image {self._account.image_content[:12]}"
        )

    def _workflow(self) -> Any:
        """Describe the workflow: a file of the crate, the main one."""
        release = self._account.workflow
        language = self._add(
            "#slidegate-manifest",
            "ComputerLanguage",
            name="slidegate workflow manifest",
            alternateName="slidegate",
        )
        software = [
            self._add(_package(name, version), "SoftwareApplication", name=name, version=version)
            for name, version in sorted(self._account.software.items())
        ]
        workflow = ComputationalWorkflow(
            self._crate,
            dest_path=WORKFLOW_NAME,
            properties={
                "name": str(release.manifest.get("title", self._workflow_name())),
                "description": str(release.manifest.get("description", "")),
                "version": str(release.manifest.get("version", "")),
                "encodingFormat": "application/json",
                "identifier": [
                    self._digest("release", release.digest),
                    self._digest("runtime", release.runtime),
                ],
                "input": [],
                "output": [],
            },
        )
        self._crate.add(workflow)
        workflow["programmingLanguage"] = language
        if software:
            workflow["softwareRequirements"] = software if len(software) > 1 else software[0]
        workflow["conformsTo"] = self._add(
            _COMPUTATIONAL_WORKFLOW, "CreativeWork", name="ComputationalWorkflow", version="1.0-RELEASE"
        )
        self._crate.root_dataset["mainEntity"] = workflow
        return workflow

    def _digest(self, what: str, digest: str) -> Any:
        """Name something by its digest."""
        return self._add(
            f"#{what}-digest",
            "PropertyValue",
            name=f"SHA-256 that names the {what}",
            propertyID="sha256",
            value=digest,
        )

    def _slot(self, workflow: Any, side: str, name: str, kind: str, filler: Any, **more: Any) -> None:
        """State that `workflow` takes or gives something, and what it was this time."""
        slot = self._add(f"#{side}-{name}", "FormalParameter", name=name, additionalType=kind, **more)
        slot["conformsTo"] = self._add(
            _FORMAL_PARAMETER, "CreativeWork", name="FormalParameter", version="1.0-RELEASE"
        )
        slot["workExample"] = filler
        filler["exampleOfWork"] = slot
        workflow.append_to(side, slot)

    def _parameters(self, workflow: Any) -> list[Any]:
        """Describe every parameter with the value that it had, given or by default."""
        schema = self._account.workflow.schema
        values = []
        for name, stated in schema.get("properties", {}).items():
            value = self._account.parameters.get(name, stated.get("default"))
            if value is None:
                continue
            held = self._add(f"#value-{name}", "PropertyValue", name=name, value=str(value))
            if "x-unit" in stated:
                held["unitText"] = stated["x-unit"]
            more = {"valueRequired": str(name in schema.get("required", []))}
            if "default" in stated:
                more["defaultValue"] = str(stated["default"])
            told = [stated[key].rstrip(".") for key in ("title", "description") if key in stated]
            more["description"] = ". ".join(told)
            self._slot(workflow, "input", name, _KINDS.get(stated.get("type"), "Text"), held, **more)
            values.append(held)
        return values

    def _image(self, workflow: Any) -> Any:
        """Describe the image, which is not in the crate, by what it holds."""
        image = self._add(
            f"urn:sha256:{self._account.image_content}",
            "File",
            name=self._image_words(),
            description="The image that was analysed; named by the SHA-256 of its contents",
            sha256=self._account.image_content,
            sdDatePublished=self._account.started.isoformat(),
        )
        self._crate.root_dataset.append_to("hasPart", image)
        image["identifier"] = self._digest("staged-image", self._account.image_tree)
        self._slot(workflow, "input", "image", "File", image, valueRequired="True")
        return image

    def _regions(self, workflow: Any) -> list[Any]:
        """Describe the regions that were drawn on the image, where there were any, by their digest."""
        if self._account.regions_tree is None:
            return []
        held = self._add(
            "#value-regions",
            "PropertyValue",
            name="regions",
            propertyID="sha256",
            value=self._account.regions_tree,
        )
        words = (
            "The regions that people had drawn on the image, named by the SHA-256 of the Tree that they make"
        )
        self._slot(workflow, "input", "regions", "Text", held, valueRequired="False", description=words)
        return [held]

    def _results(self, workflow: Any) -> list[Any]:
        """Describe every file and folder of the result."""
        results = []
        roles = {output.path: (role, output.type) for role, output in self._account.outputs.items()}
        for path in sorted({self._top(name, roles) for name, _, _ in self._account.entries}):
            role, kind = roles.get(path, (path, "file"))
            entity = self._result(path, kind)
            self._slot(workflow, "output", role, "Dataset" if entity.id.endswith("/") else "File", entity)
            results.append(entity)
        listed = {name for name, _, _ in self._account.entries} | {WORKFLOW_NAME, METADATA_NAME}
        for other in sorted(self._folder.iterdir()):
            if other.is_file() and other.name not in listed:
                self._file(other.name, {"contentSize": str(other.stat().st_size)})
        return results

    @staticmethod
    def _top(name: str, roles: Mapping[str, Any]) -> str:
        """Return the output that a file belongs to, or the file itself."""
        return next((path for path in roles if name == path or name.startswith(path + "/")), name)

    def _result(self, path: str, kind: str) -> Any:
        """Describe one output, a file or a folder, so that it can be checked."""
        inside = [
            (n.removeprefix(path).lstrip("/"), s, d)
            for n, s, d in self._account.entries
            if self._is_in(n, path)
        ]
        if [name for name, _, _ in inside] == [""]:
            return self._file(
                path, {"contentSize": str(inside[0][1]), "sha256": inside[0][2], "additionalType": kind}
            )
        folder = self._crate.add_dataset(
            dest_path=path,
            properties={
                "name": path,
                "additionalType": kind,
                "description": f"{len(inside)} files",
                "contentSize": str(sum(size for _, size, _ in inside)),
            },
        )
        folder["identifier"] = self._digest(path.replace("/", "-"), tree_digest(inside))
        return folder

    @staticmethod
    def _is_in(name: str, path: str) -> bool:
        return name == path or name.startswith(path + "/")

    def _file(self, path: str, properties: dict[str, str]) -> Any:
        """Describe one file of the crate."""
        known = _FORMATS.get(Path(path).suffix)
        properties = {"name": path, **properties, **({"encodingFormat": known} if known else {})}
        return self._crate.add(File(self._crate, dest_path=path, properties=properties))

    def _action(self, workflow: Any, objects: list[Any], results: list[Any]) -> Any:
        """Describe what was done: by whom, when, with what, to what."""
        account = self._account
        person = self._crate.add(Person(self._crate, "#person", {"name": account.person}))
        self._crate.root_dataset["author"] = person
        action = self._add(
            f"#{account.task}",
            "CreateAction",
            name=f"{self._workflow_name()} on one image, run {account.run}",
            description=f"Computed at the site '{account.site}'",
            startTime=account.started.isoformat(),
            endTime=account.ended.isoformat(),
            actionStatus="http://schema.org/CompletedActionStatus",
        )
        action["instrument"] = workflow
        action["object"] = objects
        action["result"] = results
        action["agent"] = person
        return action
