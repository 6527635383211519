"""Renews the two derived files beside it. Neither needs a subscription.

    python renew.py types AZMCP           types.json, from Microsoft's type definitions (`azmcp bicepschema get`,
                                          npm package @azure/mcp-linux-x64)
    python renew.py operations LEVER DIRECTORY
                                          arm-operations.json, of one lever, from the exchanges that `cordon drill
                                          --record DIRECTORY` writes; README.md, "Checks", has the commands
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
INFRA = HERE.parent


def used_types():
    """Every resource type with its version, as the Bicep files write them; existing ones as well."""
    found = set()
    for file in INFRA.glob("**/*.bicep"):
        found |= set(re.findall(r"^resource \w+ '([\w./]+)@([\w-]+)'", file.read_text(), re.M))
    return sorted(found, key=lambda pair: pair[0].lower())


def compact(properties):
    """Name to type and flags; descriptions are Microsoft's to keep."""
    return {p["name"]: [p["type"], p.get("flags") or ""] for p in properties}


def objects(rows):
    """The named object types of an answer, and the type of the resource itself."""
    result, resource = {}, None
    for row in rows:
        kind, name = row["$type"], row.get("name")
        if kind == "Resource":
            resource = row
        elif kind == "Object":
            result[name] = {"properties": compact(row.get("properties", []))}
            if row.get("additionalPropertiesType"):
                result[name]["open"] = True
        elif kind == "DiscriminatedObject":
            result[name] = discriminated(row)
    body = resource["bodyType"]
    if body["$type"] == "DiscriminatedObject":
        result["$resource"] = discriminated(body)
    else:
        result["$resource"] = {"properties": compact(body["properties"])}
    return resource["name"].split("@")[1], result


def discriminated(row):
    """The variants by their tag, each with what all of them have."""
    base, tag = compact(row.get("baseProperties", [])), row["discriminator"]
    variants = {}
    for element in row["elements"]:
        properties = base | compact(element.get("properties", []))
        variants[properties[tag][0]] = properties
    return {"tag": tag, "variants": variants}


def kinds(entry):
    """The types of all properties of an entry."""
    for properties in entry.get("variants", {"": entry.get("properties")}).values():
        yield from (kind for kind, _ in properties.values())


def reachable(types):
    """Drops what the resource does not lead to."""
    wanted, seen = ["$resource"], set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in types:
            continue
        seen.add(name)
        for kind in kinds(types[name]):
            wanted += [part.strip().removesuffix("[]") for part in kind.split("|")]
    return {name: types[name] for name in sorted(seen)}


def renew_types(azmcp):
    """One call per type; a type that the tool does not know is named, never invented."""
    result, missing = {}, []
    for name, version in used_types():
        command = [azmcp, "bicepschema", "get", "--resource-type", name]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
        answer = json.loads(answer[answer.index("{\n"):]) if "{\n" in answer else {"status": 0}
        if answer.get("status") != 200:
            missing.append(name)
            continue
        known, types = objects(answer["results"]["BicepSchemaResult"])
        if known != version:
            print(f"{name}: Bicep says {version}, the definitions at hand are of {known}")
        result[name] = {"version": known, "types": reachable(types)}
    write("types.json", {"types": result, "not_at_hand": sorted(missing, key=str.lower)})


def renew_operations(lever, directory):
    """Method and provider path of every exchange, without names: what a role must cover. Other levers' stay."""
    before = json.loads((HERE / "arm-operations.json").read_text())
    found = {(o["lever"], o["method"], o["type"]) for o in before if o["lever"] != lever}
    for file in Path(directory).glob("*.json"):
        request = json.loads(file.read_text())["liveRequest"]
        path = request["url"].split("?")[0].split("management.azure.com", 1)[1]
        # The last provider is the one whose access is checked: metrics lie below another resource.
        provider, *rest = path.split("/providers/")[-1].split("/")
        found.add((lever, request["method"], "/".join([provider, *rest[0::2]])))
    write("arm-operations.json", [{"lever": l, "method": m, "type": t} for l, m, t in sorted(found)])


def write(name, value):
    text = json.dumps(value, sort_keys=True)
    # One line per type or operation: a diff shows which has changed.
    (HERE / name).write_text(re.sub(r', (?="Microsoft\.[\w./]+": |\{"lever")', ",\n ", text) + "\n")
    print(f"{name} written")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["types", azmcp]:
            renew_types(azmcp)
        case ["operations", lever, directory]:
            renew_operations(lever, directory)
        case _:
            sys.exit(__doc__)
