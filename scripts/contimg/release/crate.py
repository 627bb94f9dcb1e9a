"""A release as a Workflow Run RO-Crate: who made what with which tool, from what.

The workflow is the main entity; each job is an action of the rule's tool, with what it read and
what it wrote. Every id is made of names, so that the same release gives the same text.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.model.dataset import Dataset
from rocrate.model.entity import Entity
from rocrate.model.file import File
from rocrate.model.softwareapplication import SoftwareApplication
from rocrate.rocrate import ROCrate

from contimg.release.members import Made, Product, RawFile, files_below
from contimg.status import written_whole

WORKFLOW = "workflow/Snakefile"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    f"https://w3id.org/ro/wfrun/{name}/0.5": f"{name.title()} Run Crate"
    for name in ("process", "workflow", "provenance")
} | {"https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate"}
SCRIPT = re.compile(r"workflow/scripts/\w+\.py")
CREATOR = re.compile(r"(?P<name>[^<>]+?)\s*<(?P<url>https://[^\s<>]+)>")
MEDIA_TYPES = {
    ".fits": "application/fits",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".html": "text/html",
    ".sqlite3": "application/vnd.sqlite3",
}


@dataclass(frozen=True)
class Contents:
    """What a crate tells of.

    Attributes
    ----------
    name, dates, date_published : of the release.
    products, raw : entries of products.json and raw.json.
    made : the records of all jobs, of temporary outputs too.
    software : versions, as release.json has them.
    creators : `NAME` or `NAME <https://orcid.org/…>`.
    license : text or URL; empty when none was given.
    """

    name: str
    dates: Sequence[str]
    date_published: str
    products: Sequence[Product]
    raw: Sequence[RawFile]
    made: Sequence[Made]
    software: dict[str, Any]
    creators: Sequence[str] = ()
    license: str = ""


@dataclass
class Builder:
    """The crate on its way: entities by the path in the working directory that they stand for."""

    contents: Contents
    folder: Path
    crate: ROCrate = field(default_factory=lambda: ROCrate(version="1.1"))
    entities: dict[str, Entity] = field(default_factory=dict)

    def context(self, identifier: str, **properties: Any) -> Entity:
        """Add (once) an entity that is not a file of the release."""
        if identifier in self.crate:
            return self.crate.dereference(identifier)
        properties = {name.replace("type_", "@type"): value for name, value in properties.items()}
        return self.crate.add(ContextEntity(self.crate, identifier, properties=properties))

    def file(self, path: str, **properties: Any) -> Entity:
        """Add a file of the release."""
        media = MEDIA_TYPES.get(Path(path).suffix)
        properties = {**({"encodingFormat": media} if media else {}), **properties}
        return self.crate.add(File(self.crate, dest_path=path, properties=properties))

    def thing(self, path: str) -> Entity:
        """Return what stands for a path that a job read or wrote."""
        if path not in self.entities:
            raw = f"#raw/{quote(Path(path).name)}"
            if raw in self.crate:  # asking for what is not there is slow
                self.entities[path] = self.crate.dereference(raw)
            else:
                self.entities[path] = self.intermediate(path)
        return self.entities[path]

    def intermediate(self, path: str) -> Entity:
        """Add what a job read or wrote and the release does not hold; a user's file by its name."""
        name = Path(path).name
        return self.context(
            f"#intermediate/{quote(name if Path(path).is_absolute() else path)}",
            type_="CreativeWork",
            name=name,
            description="read or written by a job, not in the release",
        )


def write_crate(folder: Path, contents: Contents) -> None:
    """Write ro-crate-metadata.json into a release's folder."""
    builder = Builder(contents, folder)
    crate = builder.crate
    crate.metadata.extra_contexts.append(TERMS)
    agents = add_about(builder)
    add_data(builder)
    workflow, tools = add_workflow(builder)
    add_run(builder, workflow, tools, agents)
    with written_whole(folder / "ro-crate-metadata.json") as temporary:
        text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
        temporary.write_text(text + "\n")


def add_about(builder: Builder) -> list[Entity]:
    """Say what the release is and whose; return its creators."""
    contents, root = builder.contents, builder.crate.root_dataset
    root["name"] = f"DSA-110 continuum, release {contents.name}"
    root["description"] = (
        f"Calibrated images, photometry and mosaics of {', '.join(contents.dates)}, with the "
        "record of how each was made. Raw files are named by digest and not included."
    )
    root["datePublished"] = contents.date_published
    root["conformsTo"] = [
        builder.context(url, type_=["CreativeWork", "Profile"], name=name, version=url[-3:])
        for url, name in PROFILES.items()
    ]
    if contents.license:
        root["license"] = contents.license
    agents = [creator(builder, text) for text in contents.creators]
    if agents:
        root["author"] = agents
    return agents


def creator(builder: Builder, text: str) -> Entity:
    """Add a person: `NAME`, or `NAME <https://orcid.org/…>`."""
    parts = CREATOR.fullmatch(text.strip())
    name, url = (parts["name"], parts["url"]) if parts else (text.strip(), "")
    return builder.context(url or f"#person/{quote(name)}", type_="Person", name=name)


def add_data(builder: Builder) -> None:
    """Add products, raw files by digest, and the release's own files."""
    for one in builder.contents.raw:
        builder.context(
            f"#raw/{quote(one.name)}",
            type_="File",
            name=one.name,
            contentSize=str(one.bytes),
            sha256=one.sha256,
            description="raw file of the telescope, named by its digest and not included",
        )
    for product in builder.contents.products:
        about = {"name": Path(product.path).name, "identifier": f"values:{product.digest}"}
        if product.sha256 is None:
            table = Dataset(builder.crate, dest_path=product.path, properties=about)
            builder.entities[product.path] = builder.crate.add(table)
        else:
            sums = {"contentSize": str(product.bytes), "sha256": product.sha256}
            builder.entities[product.path] = builder.file(product.path, **about, **sums)
    listed = {product.path for product in builder.contents.products}
    tables = tuple(f"{one.path}/" for one in builder.contents.products if one.sha256 is None)
    for name in files_below(builder.folder):
        if SCRIPT.fullmatch(name):
            tool = ["File", "SoftwareSourceCode", "SoftwareApplication"]
            builder.file(name, **{"@type": tool, "name": Path(name).stem})
        elif name != WORKFLOW and name not in listed and not name.startswith(tables):
            builder.file(name)


def add_workflow(builder: Builder) -> tuple[Entity, dict[str, Entity]]:
    """Add the workflow and the tool of each rule; return both."""
    crate, made = builder.crate, builder.contents.made
    snakemake = {
        "url": "https://snakemake.github.io",
        "version": builder.contents.software["packages"].get("snakemake", ""),
    }
    language = builder.context(
        "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
        type_="ComputerLanguage",
        name="Snakemake",
        **snakemake,
    )
    workflow = crate.add(
        File(
            crate,
            dest_path=WORKFLOW,
            properties={
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                "name": "DSA-110 continuum workflow",
                "version": builder.contents.software["workflow"],
                "programmingLanguage": language,
            },
        )
    )
    crate.mainEntity = workflow
    tools: dict[str, Entity] = {}
    steps = []
    for position, rule in enumerate(dict.fromkeys(one.rule for one in reversed(made))):
        tools[rule] = tool_of(builder, rule)
        steps.append(
            builder.context(
                f"{WORKFLOW}#{rule}",
                type_="HowToStep",
                name=rule,
                position=str(position),
                workExample=tools[rule],
            )
        )
    workflow["hasPart"], workflow["step"] = list(tools.values()), steps
    return workflow, tools


def tool_of(builder: Builder, rule: str) -> Entity:
    """Return the script of a rule, or the rule itself when it is a shell command."""
    script = f"workflow/scripts/{rule}.py"
    if script in builder.crate:
        return builder.crate.dereference(script)
    return builder.context(f"#rule/{rule}", type_="SoftwareApplication", name=rule)


def add_run(
    builder: Builder, workflow: Entity, tools: dict[str, Entity], agents: list[Entity]
) -> None:
    """Add the run of the workflow, the engine's part in it, and an action a job."""
    crate, contents = builder.crate, builder.contents
    by = {"agent": agents} if agents else {}
    controls = []
    for job, outputs in jobs_of(contents.made):
        rule, read = outputs[0].rule, sorted({path for one in outputs for path in one.inputs})
        action = crate.add_action(
            tools[rule],
            f"#job/{quote(job)}",
            object=[builder.thing(path) for path in read],
            result=[builder.thing(one.path) for one in outputs],
            properties={"name": job, "actionStatus": "http://schema.org/CompletedActionStatus"},
        )
        step = crate.dereference(f"{WORKFLOW}#{rule}")
        control = {"@type": "ControlAction", "name": f"step {job}", "object": action}
        controls.append(crate.add_action(step, f"#control/{quote(job)}", properties=control))
    inputs = [crate.dereference(f"#raw/{quote(one.name)}") for one in contents.raw]
    own = {one.path for one in contents.made}
    inputs += [builder.entities[one.path] for one in contents.products if one.path not in own]
    run = crate.add_action(
        workflow,
        "#run",
        object=[crate.dereference("config.yaml"), *inputs],
        result=[builder.entities[one.path] for one in contents.products if one.path in own],
        properties={"name": f"Run of the workflow for {', '.join(contents.dates)}", **by},
    )
    version = contents.software["packages"].get("snakemake", "")
    engine = crate.add(SoftwareApplication(crate, "#snakemake"))
    engine["name"], engine["softwareVersion"] = "Snakemake", version
    about = {"@type": "OrganizeAction", "name": "Run of Snakemake", "object": controls, **by}
    crate.add_action(engine, "#engine", result=run, properties=about)
    crate.root_dataset["mentions"] = [run]


def jobs_of(made: Sequence[Made]) -> list[tuple[str, list[Made]]]:
    """Return the outputs of each job, by the job's name."""
    ordered = sorted(made, key=lambda one: (one.job, one.path))
    return [(job, list(outputs)) for job, outputs in groupby(ordered, key=lambda one: one.job)]
