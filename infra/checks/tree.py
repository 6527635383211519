"""The Bicep files as trees, and how to walk them."""

import re
from functools import cache
from pathlib import Path

import tree_sitter_bicep
from pycep import BicepParser
from tree_sitter import Language, Parser


class Infra:
    """All Bicep files below infra/, parsed; and the repository around them."""

    def __init__(self, root):
        self.root = Path(root)
        self.files, self.broken = {}, []
        for file in sorted((self.root / "infra").glob("**/*.bicep")):
            name, text = str(file.relative_to(self.root)), file.read_text()
            try:
                self.files[name] = (text, tree_of(text))
            except Exception as error:  # the parser has no one class for its errors
                self.broken.append(f"{name}: {' '.join(str(error).split())[:160]}")
        for file in sorted((self.root / "infra").glob("**/*.bicep*")):
            text = file.read_text()
            if file.suffix == ".bicepparam":
                # The grammar knows no parameter files; their values are those of variables.
                text = re.sub(r"^param (?=\w+ =)", "var   ", text, flags=re.M)
            self.broken += [f"{file.relative_to(self.root)}:{fault}" for fault in faults(text)]

    def read(self, path):
        """A file of the repository."""
        return (self.root / path).read_text()

    def resources(self, kind=None):
        """(file, symbol, resource) of each resource that is deployed, not only referred to."""
        for name, (_, tree) in self.files.items():
            for symbol, resource in (tree.get("resources") or {}).items():
                if resource.get("existing"):
                    continue
                if kind is None or resource["type"].lower() == kind.lower():
                    yield name, symbol, resource


@cache
def tree_of(text):
    """The tree of a text. Kept, since a seeded fault changes one file of all; so nobody may change a tree."""
    return BicepParser().parse(text=text)


@cache
def faults(text):
    """Where another grammar, of another project, does not understand a text: line and column."""

    def broken(node):
        if node.type == "ERROR" or node.is_missing:
            line, column = node.start_point
            yield f"{line + 1}:{column + 1}: {'missing' if node.is_missing else 'not understood'}"
        for child in node.children:
            if child.has_error or child.is_missing:
                yield from broken(child)

    return list(broken(Parser(Language(tree_sitter_bicep.language())).parse(text.encode()).root_node))


def body(value):
    """What a loop or a condition is around."""
    while isinstance(value, dict) and "config" in value:
        value = value["config"]
    return value


def objects(value):
    """The objects that an expression may come to: both sides of `? :`, the arguments of union, a loop's body."""
    value = body(value)
    if not isinstance(value, dict):
        return []
    if set(value) == {"operator"}:
        if value["operator"]["type"].endswith("_accessor"):
            return []
        # `a == b ? x : y` comes as a comparison whose right side is the choice: all operands are looked at.
        return [found for side in value["operator"]["operands"].values() for found in objects(side)]
    if set(value) == {"function"}:
        function = value["function"]
        if function["type"] != "union":
            return []
        return [found for argument in function["parameters"].values() for found in objects(argument)]
    return [value]


def items(value):
    """The elements of an array, of both sides of a condition, or of a loop."""
    inner = body(value)
    if isinstance(inner, list):
        return inner
    if isinstance(value, dict) and "loop_type" in value:
        return [inner]
    if isinstance(inner, dict) and set(inner) == {"operator"}:
        if inner["operator"]["type"].endswith("_accessor"):
            return []
        return [found for side in inner["operator"]["operands"].values() for found in items(side)]
    return []


def bare(key):
    """A key without its quotes."""
    return key.strip("'")


def at(value, *path):
    """The value at a path of keys; None where there is none."""
    value = body(value)
    for key in path:
        if not isinstance(value, dict):
            return None
        value = body({bare(k): v for k, v in value.items()}.get(key))
    return value


def block(text, opening):
    """The lines of text from the one that matches to its closing brace at the same indentation."""
    start = re.search(opening, text, re.M)
    if not start:
        return ""
    line_start = text.rfind("\n", 0, start.start()) + 1
    indent = re.match(r" *", text[line_start:]).group()
    end = re.search(rf"^{indent}[}}\]]", text[start.end():], re.M)
    return text[start.start(): start.end() + (end.end() if end else 0)]
