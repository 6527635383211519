"""Each resource against Microsoft's type definitions (types.json): unknown, read-only and missing properties. Values that
are expressions are not followed, except both sides of `? :`, union() and loops."""

import json

from tree import bare, items, objects

# What Bicep itself adds to a resource.
OF_BICEP = {"parent", "scope", "dependsOn"}


def types(infra):
    """Findings of all resources, and those whose type is not at hand and not excused as such."""
    book = json.loads(infra.read("infra/checks/types.json"))
    known = {name.lower(): value for name, value in book["types"].items()}
    absent = {name.lower() for name in book["not_at_hand"]}
    for file, symbol, resource in infra.resources():
        where, kind = f"{file}: {symbol}", resource["type"]
        if kind.lower() in absent:
            continue
        entry = known.get(kind.lower())
        if entry is None:
            yield f"{where}: {kind} is in neither list of types.json: misspelt, or run renew.py types"
            continue
        if entry["version"] != resource["api_version"]:
            yield f"{where}: {kind}@{resource['api_version']}, the definitions at hand are of {entry['version']}"
        for found in objects(resource["config"]):
            yield from fit(found, "$resource", entry["types"], where, OF_BICEP)


def fit(value, name, book, where, also=frozenset()):
    """One object against one named type."""
    entry = book.get(name)
    if entry is None or not entry["properties"]:
        return
    have = {bare(key): inner for key, inner in value.items()}
    have.pop("loop_type", None)
    have.pop("condition", None)
    for key, inner in have.items():
        if key in also:
            continue
        if key not in entry["properties"]:
            if not entry.get("open") and "__" not in key:
                yield f"{where}.{key}: {shown(name)} has no such property"
            continue
        kind, flags = entry["properties"][key]
        if "ReadOnly" in flags:
            yield f"{where}.{key}: read-only"
        yield from inside(inner, kind, book, f"{where}.{key}")
    for key, (_, flags) in entry["properties"].items():
        if "Required" in flags and key not in have:
            yield f"{where}: {key} is required"


def inside(value, kind, book, where):
    """A value against the type of its property."""
    if kind.endswith("[]"):
        for index, item in enumerate(items(value)):
            for found in objects(item):
                yield from fit(found, kind.removesuffix("[]"), book, f"{where}[{index}]")
        return
    if kind in book:
        for found in objects(value):
            yield from fit(found, kind, book, where)


def shown(name):
    """A type's name for people."""
    return "the resource" if name == "$resource" else name


def coverage(infra):
    """How many deployed resources were checked, and the types that could not be."""
    book = json.loads(infra.read("infra/checks/types.json"))
    absent = {name.lower() for name in book["not_at_hand"]}
    all_of = [resource["type"] for _, _, resource in infra.resources()]
    return sum(kind.lower() not in absent for kind in all_of), len(all_of), book["not_at_hand"]
