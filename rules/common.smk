# Look-ups that rules share: the checkout's files, code digests, and what the raw files' names and
# headers say. Nothing is read before a target asks for it, and nothing is written.

import functools

from snakemake.settings.types import DeploymentMethod

from contimg.checkout import identity_of_container, located
from contimg.codedigest import code_digest as digest_of_code
from contimg.configuration import ConfigurationError, validated
from contimg.digests import digest_of_file, digest_of_value
from contimg.inventory import Inventory

try:
    config = validated(config, BASE / "config" / "schema.yaml")
except ConfigurationError as error:
    sys.exit(str(error))
inventory = Inventory(config, base=BASE)


# Snakemake records the paths of inputs, and a checkout lies here today and there tomorrow. So the
# checkout's own small tables are no inputs: their contents are digested like code, and their paths
# are parameters that are not recorded. Files from elsewhere are inputs like any other.


def is_ours(path):
    return (BASE / path).is_file()


def elsewhere(*paths):
    """Those of the files that the configuration names that are not in the checkout."""
    return [path for path in paths if path and not is_ours(path)]


def path_of(path):
    """A params function: where a file lies; not recorded, because it asks for the output."""
    return lambda wildcards, output: str(located(path, BASE))


def paths_of(paths):
    return lambda wildcards, output: [str(located(path, BASE)) for path in paths]


def text_of(path):
    """A params function: what a file says, for a rule whose container does not see the checkout."""
    return lambda wildcards: located(path, BASE).read_text()


def code(rule, *libraries, files=()):
    """A params function: digests of the rule's script and the library it imports, or of its shell
    command and the libraries that help to build it, and of those `files` that the checkout has.
    """

    def digests(wildcards):
        command = workflow.get_rule(rule).shellcmd
        sources = libraries if command else (f"{rule}.py",)
        return [
            *([digest_of_value([command, functions_of_shell_rules()])] if command else []),
            *[digest_of_code(BASE / "scripts" / name, BASE / "scripts") for name in sources],
            *[digest_of_file(BASE / path) for path in files if path and is_ours(path)],
        ]

    return digests


@functools.cache
def functions_of_shell_rules():
    """The functions that shell rules begin with, without comments."""
    lines = (BASE / "rules" / "functions.sh").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def shell_functions(wildcards, output):
    """A params function: those; not recorded, because it asks for the output. `code` has them."""
    return functions_of_shell_rules()


BEAM_TABLE = config["beam"]["table"]
CALIBRATOR_LIST = config["calibration"]["calibrator_list"]


def threads_of(name):
    if config["reproducible"] and name == "image_group":
        return 1
    return config["threads"].get(name, 1)


def growing(fixed, per_raw_gb=0, per_megapixel=0):
    """A resources function: grows with the group's raw files, the image, and with each attempt."""

    def amount(wildcards, attempt):
        raw_gb = inventory.raw_gb(wildcards.group) if per_raw_gb else 0
        megapixels = config["imaging"]["size"] ** 2 / 1e6
        return attempt * round(fixed + per_raw_gb * raw_gb + per_megapixel * megapixels)

    return amount


# On a cluster all rules of one science group are one job; a calibrator's group has a job of its own
# for what comes before the date's calibration.


def science_job(wildcards):
    return f"science_{wildcards.group}"


def solving_job(wildcards):
    calibrators = inventory.calibrator_groups(wildcards.group[:10])
    return f"solve_{wildcards.group}" if wildcards.group in calibrators else science_job(wildcards)


CONTAINER = config["software"]["container"]
if is_ours(CONTAINER):
    CONTAINER = str(BASE / CONTAINER)


def container_of(wildcards):
    """A params function: which WSClean and AOFlagger; the image's digest, when one is used."""
    if DeploymentMethod.APPTAINER not in workflow.deployment_settings.deployment_method:
        return ""
    return identity_of_container(CONTAINER)


# Self-calibration. The set that is imaged is the calibrated one, or the best round's of the strategy
# of config. Round 0 images the calibrated set, and is the same for all strategies.
SELFCAL = config["selfcal"]
OF_ROUND = "selfcal/{strategy}/{date}/{group}.r{round}"
CALIBRATED_SET = "ms/calibrated/{date}/{group}.ms"
CHOSEN_SET = "selfcal/{strategy}/{date}/{group}.ms"
IMAGED_SET = CALIBRATED_SET
if SELFCAL["strategy"] != "none":
    IMAGED_SET = CHOSEN_SET.replace("{strategy}", SELFCAL["strategy"])


def strategy_of(name):
    """A strategy of config, with the rounds that it has."""
    return {"rounds": SELFCAL["rounds"], **SELFCAL["strategies"][name]}


def of_rounds(ending, first=0):
    """An input function: a path of each round of a strategy, or of those before a round."""

    def paths(wildcards):
        n_rounds = len(strategy_of(wildcards.strategy)["rounds"])
        end = int(wildcards.get("round", n_rounds + 1))
        return [
            f"{OF_ROUND}{ending}".format(
                strategy=wildcards.strategy if number else "none",
                date=wildcards.date,
                group=wildcards.group,
                round=number,
            )
            for number in range(first, end)
        ]

    return paths


def calibrator_in(group):
    """The calibrator that passes through a group, or None."""
    passes = group in inventory.calibrator_groups(group[:10])
    return inventory.calibrator_of(group) if passes else None


def set_of_round(ending):
    """An input function: the set that a round images, or a path beside it."""

    def path(wildcards):
        pattern = CALIBRATED_SET if wildcards.round == "0" else f"{OF_ROUND}.ms"
        return f"{pattern}{ending}".format(**wildcards)

    return path


def compared_sets(wildcards):
    """The sets that strategies choose for the groups that config compares."""
    wanted = SELFCAL["compare"]
    groups = wanted["groups"]
    dates = wanted["dates"] or ([] if groups else config["dates"] or inventory.dates())
    groups = sorted({*groups, *(name for date in dates for name in inventory.groups(date))})
    return [
        f"{CHOSEN_SET}.json".format(strategy=strategy, date=group[:10], group=group)
        for strategy in wanted["strategies"] or SELFCAL["strategies"]
        for group in groups
    ]


def of_groups(pattern, groups):
    """A path for each group, in its own date's folder."""
    return [pattern.format(date=group[:10], group=group) for group in groups]


def for_date(pattern, groups):
    """An input function: the pattern for each of the date's groups that `groups` gives."""
    return lambda wildcards: of_groups(pattern, groups(wildcards.date))


def for_mosaic(pattern):
    """An input function: the pattern for each image of the mosaic."""
    return lambda wildcards: of_groups(
        pattern, inventory.mosaics(wildcards.date).get(wildcards.name, [])
    )


def of_mosaics(wildcards):
    return [
        f"mosaics/{wildcards.date}/{name}.mosaic.fits" for name in inventory.mosaics(wildcards.date)
    ]


def photometry_of_mosaics(wildcards):
    if not config["photometry"]["mosaics"]:
        return []
    return [
        f"photometry/{wildcards.date}/{name}.mosaic.parquet"
        for name in inventory.mosaics(wildcards.date)
    ]


def reports_of_all_dates(wildcards):
    return [f"report/{date}/index.html" for date in config["dates"] or inventory.dates()]


def verdicts(wildcards):
    """What people say of candidates: an input where there is such a file; no rule makes one."""
    return [path for path in ["annotations/candidates.csv"] if Path(path).is_file()]


def matches_elsewhere(wildcards):
    """What other catalogues know of candidates: an input where config asks some."""
    return ["variability/external.parquet"] if config["catalog"]["external"]["services"] else []


def pages_of_shown_sources(wildcards):
    """The pages of the sources that the archive's page shows, once its tables are there."""
    from contimg.report.shown import shown_sources

    tables = ["variability/variability.parquet", "variability/ese_candidates.parquet"]
    missing = [path for path in tables if not Path(path).is_file()]
    if missing:
        sys.exit(f"report_sources: no {missing[0]} yet; make report/index.html first")
    photometry = [path.stat().st_mtime for path in Path().glob("photometry/*/photometry.parquet")]
    if max(photometry, default=0) > Path(tables[1]).stat().st_mtime:
        sys.exit(
            f"report_sources: {tables[1]} is older than photometry; make report/index.html first"
        )
    shown = shown_sources(*map(Path, tables), config["report"]["n_lightcurves"])
    return [f"source/{name}/index.html" for name in shown]
