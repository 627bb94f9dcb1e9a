# Look-ups that rules share: the checkout's files, code digests, and what the raw files' names and
# headers say. Nothing is read before a target asks for it, and nothing is written.

from contimg.codedigest import code_digest as digest_of_code
from contimg.configuration import validated
from contimg.groups import shift_date
from contimg.inventory import Inventory

config = validated(config, BASE / "config" / "schema.yaml")
inventory = Inventory(config, base=BASE)


def checkout(path):
    """A file of the checkout (config/..., envs/...), or the path itself when it is elsewhere."""
    return str(BASE / path) if (BASE / path).exists() else path


def code(rule, *libraries):
    """A params function: digest of the rule's script and of the library it imports.

    A shell rule names the library modules that build its command instead.
    """
    sources = [BASE / "scripts" / name for name in libraries or (f"{rule}.py",)]
    return lambda wildcards: [digest_of_code(source, BASE / "scripts") for source in sources]


def threads_of(rule):
    if rule == "image_group" and config["reproducible"]:
        return 1
    return config["threads"].get(rule, 1)


def of_groups(pattern, groups):
    """A path for each group, in its own date's folder."""
    return [pattern.format(date=group[:10], group=group) for group in groups]


def reports_of_all_dates(wildcards):
    return [f"report/{date}/index.html" for date in config["dates"] or inventory.dates()]
