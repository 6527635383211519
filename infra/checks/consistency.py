"""Does the code still agree with the infrastructure? Each check returns findings; none is a pass."""

import json
import math
import re
import tomllib
from pathlib import Path

from diagrams import mark, sources
from tree import at, bare, block, items

HERE = Path(__file__).resolve().parent
ROLES = "infra/modules/controller/roles.bicep"
VERBS = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


def expected(infra):
    """The one table of what both sides must say."""
    return json.loads(infra.read("infra/checks/expected.json"))


def declarations(infra):
    """Every parameter and output is described; no output is secret; no secret has a default."""
    for name, (text, tree) in infra.files.items():
        for kind in ("parameters", "outputs"):
            for symbol, value in (tree.get(kind) or {}).items():
                decorators = {d["type"] for d in value["decorators"]}
                if "description" not in decorators:
                    yield f"{name}: {kind[:-1]} {symbol} has no description"
                if kind == "parameters" and "secure" in decorators and value.get("default") is not None:
                    yield f"{name}: the secret {symbol} has a default"
        secrets = [s for s, v in (tree.get("parameters") or {}).items() if any(d["type"] == "secure" for d in v["decorators"])]
        for line in re.findall(r"^output .*$", text, re.M):
            if re.search(r"list\w*Keys|listKeys", line) or any(re.search(rf"\b{s}\b", line.split("=", 1)[1]) for s in secrets):
                yield f"{name}: a secret in `{line}`"


def modules(infra):
    """Every module gets each parameter it requires, and none that it does not have; every output asked for exists."""
    for name, (text, tree) in infra.files.items():
        for symbol, module in (tree.get("modules") or {}).items():
            path = str((Path(name).parent / module["detail"]["path"]))
            if path not in infra.files:
                yield f"{name}: {symbol} is {path}, which is not there or does not parse"
                continue
            other = infra.files[path][1]
            has = other.get("parameters") or {}
            given = {bare(key) for key in (at(module["config"], "params") or {})}
            for missing in {p for p, v in has.items() if v.get("default") is None and not optional(infra.files[path][0], p)} - given:
                yield f"{name}: {symbol} does not get {missing}"
            for unknown in given - set(has):
                yield f"{name}: {symbol} gets {unknown}, which {path} does not have"
            for output in re.findall(rf"\b{symbol}(?:\[\w+\])?\.outputs\.(\w+)", text):
                if output not in (other.get("outputs") or {}):
                    yield f"{name}: {symbol}.outputs.{output} does not exist"
    yield from parameter_files(infra)


def optional(text, parameter):
    """Whether the text gives a default; the tree cannot tell an empty one from none."""
    return re.search(rf"^param {parameter} \w+ = ", text, re.M) is not None


def parameter_files(infra):
    """A parameter file sets what main.bicep requires, and nothing else."""
    text, tree = infra.files["infra/main.bicep"]
    for file in sorted((infra.root / "infra/parameters").glob("*.bicepparam")):
        given = set(re.findall(r"^param (\w+) =", file.read_text(), re.M))
        has = set(tree["parameters"])
        for missing in sorted({p for p in has if not optional(text, p)} - given):
            yield f"{file.name}: {missing} is not set"
        for unknown in sorted(given - has):
            yield f"{file.name}: {unknown} is no parameter of main.bicep"


def setting_table(infra):
    """Variable to role, from the table at the head of settings.rs."""
    found = {}
    for names, role in re.findall(r"^//! \| (`[^|]+`) \| (both|controller|stamp) \|", infra.read("functions/cli/settings.rs"), re.M):
        for name in re.findall(r"`(\w+)`", names):
            found[name] = role
    return found


def application_table(infra):
    """The variables of the reference application, from the table at the head of its settings.rs."""
    return set(re.findall(r"^//! \| `(\w+)` \|", infra.read("infra/application/src/settings.rs"), re.M))


def settings_of(infra, path, opening):
    """Names set in one block of a file."""
    text = block(infra.files[path][0], opening)
    return set(re.findall(r"^\s+([A-Za-z]\w*): ", text, re.M)) - {"properties", "parent", "name"}


def settings(infra):
    """What the binary reads is set for its role, and nothing is set that nobody reads."""
    table, want = setting_table(infra), expected(infra)
    if len(table) < 10:
        yield "functions/cli/settings.rs: the table of variables was not found"
        return
    controller = settings_of(infra, "infra/modules/controller/function-app.bicep", r"^var cordonSettings = \{")
    controller |= settings_of(infra, "infra/modules/controller/function-app.bicep", r"^var hostSettings = ")
    stamp = settings_of(infra, "infra/modules/stamp/compute.bicep", r"^resource settings ")
    bindings = binding_settings(infra)
    application = application_table(infra)
    if len(application) < 5:
        yield "infra/application/src/settings.rs: the table of variables was not found"
    for role, have, also in (("controller", controller, "controller_also"), ("stamp", stamp, "stamp_also")):
        read = {name for name, of in table.items() if of in (role, "both")} | (application if role == "stamp" else set())
        for name in sorted(read - have - set(want["unset_settings"])):
            yield f"{role}: {name} is read by the binary and not set"
        for name in sorted(have - read - set(want[also])):
            prefix = name.split("__")[0]
            if role == "controller" and (prefix in bindings or name in bindings):
                continue
            yield f"{role}: {name} is set and nobody reads it"
    for name in sorted(set(want["unset_settings"]) - set(table) - application):
        yield f"expected.json: {name} is excused, but the binary does not read it"


def bindings(infra):
    """(folder, binding) of every function."""
    for file in sorted((infra.root / "functions").glob("*/function.json")):
        for binding in json.loads(file.read_text())["bindings"]:
            yield file.parent.name, binding


def binding_settings(infra):
    """Settings that the bindings name: connections, and %NAME%."""
    found = set()
    for _, binding in bindings(infra):
        found |= {binding["connection"]} if "connection" in binding else set()
        found |= {n for v in binding.values() if isinstance(v, str) for n in re.findall(r"%(\w+)%", v)}
    return found


def triggers(infra):
    """Each binding's resource is deployed, and its setting is set."""
    app = infra.files["infra/modules/controller/function-app.bicep"][0]
    identity = {"AzureWebJobsStorage": "accountName", "CORDON_EVENTHUB": "fullyQualifiedNamespace", "CORDON_COSMOS": "accountEndpoint"}
    queues = names(infra, "Microsoft.Storage/storageAccounts/queueServices/queues")
    groups = names(infra, "Microsoft.EventHub/namespaces/eventhubs/consumergroups")
    containers = names(infra, "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    everything = "".join(text for text, _ in infra.files.values())
    for folder, binding in bindings(infra):
        kind = binding["type"]
        connection = binding.get("connection")
        if connection and f"{connection}__{identity.get(connection)}:" not in app:
            yield f"{folder}: the connection {connection} is not set"
        for setting in {n for v in binding.values() if isinstance(v, str) for n in re.findall(r"%(\w+)%", v)}:
            if not re.search(rf"^\s+{setting}: ", app, re.M):
                yield f"{folder}: %{setting}% is not set"
        if kind in ("queue", "queueTrigger") and binding["queueName"] not in queues:
            yield f"{folder}: the queue {binding['queueName']} is not deployed"
        if kind == "eventHubTrigger" and len(groups.get(binding["consumerGroup"], [])) < 2:
            yield f"{folder}: not both hubs have the consumer group {binding['consumerGroup']}"
        if kind == "cosmosDBTrigger":
            for container in (binding["containerName"], binding["leaseContainerName"]):
                if container not in containers:
                    yield f"{folder}: the container {container} is not deployed"
        if kind == "eventGridTrigger" and f"'{folder}')" not in everything:
            yield f"{folder}: no event subscription has it as its destination"
    if "/api/azure_monitor_alert" not in everything or "probePath: '/healthz'" not in everything:
        yield "no action group calls azure_monitor_alert, or nothing probes /healthz"


def names(infra, kind):
    """Name to symbols of one type."""
    found = {}
    for _, symbol, resource in infra.resources(kind):
        found.setdefault(at(resource["config"], "name"), []).append(symbol)
    return found


def literals(text):
    """The single-quoted literals of a text, in lower case; comments are left out."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    return {literal.lower() for literal in re.findall(r"'([\w.]+/[^']+)'", code)}


def granted(infra):
    """Lever to the actions that the custom roles have when it is switched on; `None` to those they always have."""
    text = infra.files[ROLES][0]
    levers = block(text, r"^var leverActions = \{")
    found = {name: literals(block(levers, rf"^  {name}: \{{")) for name in re.findall(r"^  (\w+): \{", levers, re.M)}
    always = literals(block(text, r"^var observerActions = \["))
    for _, symbol, role in infra.resources("Microsoft.Authorization/roleDefinitions"):
        for permission in items(at(role["config"], "properties", "permissions")):
            always |= {bare(action).lower() for action in items(at(permission, "actions"))}
    return {None: always, **found}


def roles(infra):
    """For each lever: every recorded operation is covered by an action, and every action is used."""
    text, have = infra.files[ROLES][0], granted(infra)
    for part in ("union(observerActions, flatten(leverReads))", "union([], flatten(leverWrites))", "[for lever in levers: leverActions[lever].reads]", "[for lever in levers: leverActions[lever].writes]"):
        if part not in text:
            yield f"roles.bicep does not say {part}: an action would be granted that is not in the table, or one that is not"
    if re.search(r"notActions: \[\n\s+'", text):
        yield "notActions are no denial: leave the action out instead"
    needed = {}
    for operation in json.loads(infra.read("infra/checks/arm-operations.json")):
        # A query of Resource Graph is a POST and is authorised as a read.
        verb = "read" if operation["type"] == "Microsoft.ResourceGraph/resources" else VERBS[operation["method"]]
        needed.setdefault(operation["lever"], set()).add(f"{operation['type']}/{verb}".lower())
    excused = {action.lower() for action in expected(infra)["unrecorded_actions"]}
    for lever in sorted(set(needed) | {name for name in have if name}):
        if lever not in have or lever not in needed:
            yield f"the lever {lever} is in {'no drill' if lever in have else 'no role'}"
            continue
        # The databases have no stamp of their own: their drill is played with stamps of another lever.
        beside = have[expected(infra)["played_beside"][lever]] if lever in expected(infra)["played_beside"] else set()
        for action in sorted(needed[lever] - have[lever] - have[None] - beside):
            yield f"lever {lever}: no custom role allows {action}, which a drill used"
        for action in sorted(have[lever] - needed[lever] - excused):
            yield f"lever {lever}: {action} is granted and no drill used it"
    for action in sorted(have[None] - set().union(*needed.values()) - excused):
        yield f"{action} is granted and no drill used it"
    for action in sorted(set().union(*have.values())):
        if re.search(r"offlineregion|failoverprioritychange|/delete$|^\*", action):
            yield f"{action} must never be granted"
    main = infra.files["infra/main.bicep"][0]
    for name in (name for name in have if name):
        if f"  '{name}'\n" not in main[: main.index("param levers array")]:
            yield f"main.bicep does not allow the lever {name}"


def heartbeat(infra):
    """What the binary says each time it watches is what the alert outside Cordon asks for, in time."""
    said = re.search(r'HEARTBEAT: &str = "([^"]+)"', infra.read("functions/evaluate_timer/mod.rs"))
    alerts = infra.files["infra/modules/controller/alerts.bicep"][0]
    rule = block(alerts, r"^resource silence ")
    query = re.search(r"query: '([^']+)'", rule)
    if not said or not query:
        yield "the heartbeat of evaluate_timer or the query of cordon-silent was not found"
        return
    wanted = f'Message has "{said.group(1)} ${{workload}}"'
    for where, text in (("cordon-silent", query.group(1)), ("the workbook", infra.files["infra/modules/global/workbook.bicep"][0])):
        if wanted not in text or "AppTraces" not in text:
            yield f"{where} does not ask for {wanted} in AppTraces"
    if "toPeople.id" not in rule or "toCordon.id" in rule:
        yield "who is told that Cordon is silent must be people, not Cordon"
    if not re.search(r"windowSize: 'PT5M'", rule) or "operator: 'LessThan'" not in rule or "threshold: 1\n" not in rule:
        yield "cordon-silent must speak after five minutes without one heartbeat"
    for folder, binding in bindings(infra):
        if folder == "evaluate_timer" and not binding["schedule"].endswith("/10 * * * * *"):
            yield f"evaluate_timer runs at {binding['schedule']}; the window of cordon-silent was chosen for every 10 s"
    host = json.loads(infra.read("host.json"))
    excluded = host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";")
    if "Trace" not in excluded:
        yield "host.json samples traces: a heartbeat may be dropped"


def login(infra):
    """The platform's identity header is believed only where App Service authentication stands in front, and by one switch."""
    app = infra.files["infra/modules/controller/function-app.bicep"][0]
    if "CORDON_IDENTITY: empty(pageClientId) ? 'none' : 'platform'" not in app:
        yield "CORDON_IDENTITY must be platform exactly where pageClientId is set"
    front = block(app, r"^resource login ")
    for part in ("= if (!empty(pageClientId))", "name: 'authsettingsV2'", "requireAuthentication: true", "enabled: true"):
        if part not in front:
            yield f"the login in front of the page does not say {part}"
    for _, binding in bindings(infra):
        # People ask for the page, and the probe path is in the stamps; every other caller shows a key or a token.
        if binding["type"] == "httpTrigger" and not binding["route"].startswith(("operator", "healthz")):
            if f"'/api/{binding['route'].split('/')[0]}'" not in front:
                yield f"{binding['route']} takes a key or a token; the login would send its callers to a page"


def headroom(infra):
    """Without any stampsToLose of the stamps, instancesMin of the others carries the peak, with the 5 % of the safety rule S2."""
    rps = tomllib.loads(infra.read("policy.toml"))["capacity"]["instance_rps"]
    for file in sorted((infra.root / "infra/parameters").glob("*.bicepparam")):
        text = file.read_text()
        number = {name: int(value) for name, value in re.findall(r"^param (stampsToLose|peakRequestsPerSecond) = (\d+)", text, re.M)}
        least = sorted(int(n) for n in re.findall(r"^    instancesMin: (\d+)", text, re.M))
        if len(number) != 2:
            yield f"{file.name}: stampsToLose and peakRequestsPerSecond must be numbers"
            continue
        # The loss of the largest is the worst.
        left = sum(least[: len(least) - number["stampsToLose"]])
        needed = math.ceil(number["peakRequestsPerSecond"] * 1.05 / rps)
        if left < needed:
            yield f"{file.name}: without {number['stampsToLose']} stamps {left} instances are left, and the peak needs {needed}"


def diagrams(infra):
    """The pictures in docs/ are of the Mermaid text in infra/README.md."""
    for name, source in sources(infra.read("infra/README.md")).items():
        picture = infra.root / f"docs/{name}.svg"
        if not picture.is_file() or mark(source) not in picture.read_text():
            yield f"docs/{name}.svg is not of today's text: run infra/checks/diagrams.py"


def containers(infra):
    """Cordon's containers, their partition keys and TTLs are those of the one table."""
    want, seen = expected(infra)["containers"], {}
    for name, _, resource in infra.resources("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"):
        if not name.endswith("controller/ledger.bicep"):
            continue
        inner = at(resource["config"], "properties", "resource")
        paths, ttl = items(at(inner, "partitionKey", "paths")), at(inner, "defaultTtl")
        seen[at(inner, "id")] = {"partition_key": paths[0] if len(paths) == 1 else paths, "default_ttl": number(ttl)}
    for container in sorted(set(want) | set(seen)):
        if want.get(container) != seen.get(container):
            yield f"container {container}: expected {want.get(container)}, deployed {seen.get(container)}"
    account = infra.files["infra/modules/controller/ledger.bicep"][0]
    if "enableMultipleWriteLocations: false" not in account or "defaultConsistencyLevel: 'Session'" not in account:
        yield "Cordon's account must have one write region and session consistency"
    workload = infra.files["infra/modules/global/workload-data.bicep"][0]
    look = block(workload, r"^resource healthRole ")
    actions = set(re.findall(r"containers/([\w/*]+)'", look))
    if actions != {"items/read", "items/upsert"}:
        yield f"the role for a stamp's look at the workload's account must read and upsert, and nothing else: {sorted(actions)}"
    access = infra.files["infra/modules/global/data-access.bicep"][0]
    for kind in ("items", "health"):
        if "/colls/${" not in block(access, rf"^resource {kind} "):
            yield f"data-access.bicep: {kind} is granted on more than one container"
    append = block(account, r"^resource appendRole ")
    if re.search(r"items/(replace|upsert|delete)|items/\*", append) or "items/create" not in append:
        yield "the role for the audit must create and read, and nothing else"


def number(value):
    """A literal as a number; pycep gives a negative one as text or as an operator."""
    if isinstance(value, dict):
        text = json.dumps(value)
        digits = re.findall(r"-?\d+", text)
        return -abs(int(digits[0])) if digits else None
    return int(value) if value is not None else None


def probes(infra):
    """The probe settings are those that the simulator plays."""
    simulator = infra.read("shared/simulator/src/scenario.rs")
    default = block(simulator, r"^impl Default for FrontDoorSpec \{")
    documents = infra.read("shared/simulator/src/arm/frontdoor.rs")
    group = next(infra.resources("Microsoft.Cdn/profiles/originGroups"))[2]["config"]
    ours = {
        "sample_size": at(group, "properties", "loadBalancingSettings", "sampleSize"),
        "samples_required": at(group, "properties", "loadBalancingSettings", "successfulSamplesRequired"),
    }
    main = infra.files["infra/main.bicep"][0]
    ours["probe_interval_s"] = re.search(r"^param probeIntervalSeconds int = (\d+)", main, re.M).group(1)
    ours["additional_latency_ms"] = re.search(r"^param additionalLatencyMilliseconds int = (\d+)", main, re.M).group(1)
    for key, value in ours.items():
        theirs = re.search(rf"{key}: ([\d.]+)", default)
        if not theirs or float(theirs.group(1)) != float(value):
            yield f"{key}: the simulator plays {theirs and theirs.group(1)}, Bicep says {value}"
    for file in sorted((infra.root / "infra/parameters").glob("*.bicepparam")):
        set_here = re.search(r"^param probeIntervalSeconds = (\d+)", file.read_text(), re.M)
        if set_here and set_here.group(1) != ours["probe_interval_s"]:
            yield f"{file.name}: probes every {set_here.group(1)} s, the simulator every {ours['probe_interval_s']} s"
    for key in ("probePath", "probeRequestType", "probeProtocol"):
        theirs = re.search(rf'"{key}": "([^"]+)"', documents)
        ours_now = at(group, "properties", "healthProbeSettings", key)
        if not theirs or theirs.group(1) != ours_now:
            yield f"{key}: the simulator plays {theirs and theirs.group(1)}, Bicep says {ours_now}"
    if at(group, "properties", "sessionAffinityState") != "Disabled":
        yield "session affinity pins clients to a region"


def speakers(infra):
    """Alert rules carry names that the policy lets speak; Service Health is asked about the policy's services."""
    policy = tomllib.loads(infra.read("policy.toml"))
    text = infra.files["infra/modules/controller/alerts.bicep"][0]
    for speaker in policy["speakers"]:
        stem = speaker["source"].removesuffix("*")
        if f"name: '{stem}${{stamp.name}}'" not in text:
            yield f"no alert rule is called {speaker['source']}"
    rules = re.findall(r"^  name: '([\w-]+-)\$\{stamp\.name\}'", text, re.M)
    for rule in rules:
        if not any(s["source"] == f"{rule}*" for s in policy["speakers"]):
            yield f"the rule {rule}* is in no speaker of policy.toml"
    services = set(re.findall(r"'([^']+)'", block(text, r"^var services = \[")))
    if services != set(policy["workload"]["services"]):
        yield f"Service Health: policy.toml and Bicep name other services: {sorted(services ^ set(policy['workload']['services']))}"
    witness = policy["workload"]["witness_region"]
    for file in sorted((infra.root / "infra/parameters").glob("*.bicepparam")):
        parameters = file.read_text()
        regions = re.findall(r"^    region: '(\w+)'", parameters, re.M)
        if f"param witnessRegion = '{witness}'" not in parameters or witness in regions:
            yield f"{file.name}: the witness region must be {witness}, and no stamp may be there"
        if len(regions) != len(set(regions)) or f"param logsRegion = '{witness}'" in parameters:
            yield f"{file.name}: two stamps in one region, or the logs in the witness region"


def tags(infra):
    """What Cordon discovers a stamp by is on its plan and its autoscale setting."""
    needed = ("cordon:stamp", "cordon:state", "cordon:direct-url")
    text, tree = infra.files["infra/modules/stamp/compute.bicep"]
    for tag in needed:
        if f"'{tag}'" not in block(text, r"^var stampTags = "):
            yield f"stampTags has no {tag}"
    for symbol in ("plan", "autoscale", "site"):
        if at(tree["resources"][symbol]["config"], "tags") != "stampTags":
            yield f"{symbol} of a stamp does not carry stampTags"
    if "\n  name: stamp.name\n" not in block(infra.files["infra/modules/global/origins.bicep"][0], r"^resource origins "):
        yield "an origin must have its stamp's name"


def regions(infra):
    """A region is a parameter: no template names one, and what one stamp has the others can take over at their most."""
    known = set()
    for file in sorted((infra.root / "infra/parameters").glob("*.bicepparam")):
        text = file.read_text()
        known |= set(re.findall(r"^    region: '(\w+)'", text, re.M)) | set(re.findall(r"^param witnessRegion = '(\w+)'", text, re.M))
        least = [int(n) for n in re.findall(r"^    instancesMin: (\d+)", text, re.M)]
        most = [int(n) for n in re.findall(r"^    instancesMax: (\d+)", text, re.M)]
        for lost in range(len(least)):
            if sum(most) - most[lost] < sum(least):
                yield f"{file.name}: without stamp {lost + 1} the others may not grow to {sum(least)} instances"
    limit = tomllib.loads(infra.read("policy.toml"))["capacity"]["instances_max"]
    if f"@maxValue({limit})\nparam instancesMax" not in infra.files["infra/modules/stamp/compute.bicep"][0]:
        yield f"the most instances of a stamp are {limit} in policy.toml and something else in compute.bicep"
    for name, (text, _) in infra.files.items():
        for region in sorted(known):
            # Descriptions and comments may give an example.
            if any(f"'{region}'" in line for line in text.splitlines() if not line.lstrip().startswith(("@", "//"))):
                yield f"{name} names the region {region}"


def demands(infra):
    """Every demand on the topology names files that are there, and what they are said to hold is in them."""
    table = infra.read("infra/DECISIONS.md").split("| demand | file | state |", 1)[-1].split("\n\n", 1)[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    if len(rows) < 30:
        yield f"DECISIONS.md: {len(rows)} demands were found in the table"
    for demand, files in rows:
        named = re.findall(r"`([\w./-]+)`(?: \(`(\w+)`(?:, `(\w+)`)*\))?", files)
        if not named:
            yield f"DECISIONS.md: no file for {demand.strip()}"
        for path, *symbols in named:
            found = [at for at in (infra.root / "infra" / path, infra.root / path) if at.exists()]
            if not found:
                yield f"DECISIONS.md: {path}, for {demand.strip()}, is not there"
            for symbol in filter(None, symbols):
                if found and symbol not in found[0].read_text():
                    yield f"DECISIONS.md: {path} has no {symbol}, for {demand.strip()}"


CHECKS = [declarations, modules, settings, triggers, roles, heartbeat, login, containers, probes, speakers, tags, regions, headroom, diagrams, demands]
