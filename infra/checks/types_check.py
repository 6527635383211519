"""Each resource against Microsoft's type definitions (types.json): unknown, read-only and missing properties. Values that
are expressions are not followed, except both sides of `? :`, union() and loops."""

import json
import re

from tree import bare, items, objects

# What Bicep itself adds to a resource.
PLAIN = {"string", "int", "bool", "any"}
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
        book_here = {**entry["types"], "$names": names_in(infra.files[file][1])}
        for found in objects(resource["config"]):
            yield from fit(found, "$resource", book_here, where, OF_BICEP)


def names_in(tree):
    """What a file declares, loop variables included."""
    declared = {name for kind in ("parameters", "variables", "resources", "modules") for name in tree.get(kind) or {}}
    loops = json.dumps(tree)
    return declared | set(re.findall(r'"(?:item|index)_name": "(\w+)"', loops))


def fit(value, name, book, where, also=frozenset()):
    """One object against one named type."""
    have = {bare(key): inner for key, inner in value.items()}
    entry = variant(book.get(name), have)
    if isinstance(entry, str):
        yield f"{where}: {entry}"
        return
    if not entry or not entry["properties"]:
        return
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


def variant(entry, have):
    """The variant that the tag names; a sentence where it names none."""
    if not entry or "variants" not in entry:
        return entry
    tag = have.get(entry["tag"])
    if tag not in entry["variants"]:
        return f"{entry['tag']} is {tag}, which is none of {', '.join(sorted(entry['variants']))}"
    return {"properties": entry["variants"][tag]}


def inside(value, kind, book, where):
    """A value against the type of its property."""
    if kind.endswith("[]"):
        for index, item in enumerate(items(value)):
            for found in objects(item):
                yield from fit(found, kind.removesuffix("[]"), book, f"{where}[{index}]")
        return
    choices = [part.strip() for part in kind.split(" | ")]
    # The parser does not tell 'text' from a name; a name that the file declares is not looked at.
    if len(choices) > 1 and isinstance(value, str) and "${" not in value and value not in book["$names"]:
        if not {c for c in choices if c in book or c in PLAIN - {"string"}} and value not in choices:
            yield f"{where}: {value} is none of {', '.join(c for c in choices if c != 'string')}"
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
