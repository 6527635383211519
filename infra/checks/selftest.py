"""Seeds one fault at a time into a copy of what the checks read. A fault that its check does not find is a failure."""

import shutil
import tempfile
from pathlib import Path

import check
import consistency
from tree import Infra
from types_check import types

READ = ["infra", "functions", "host.json", "docs/topology.svg", "docs/events.svg", "policy.toml", "shared/simulator/src/scenario.rs", "shared/simulator/src/arm/frontdoor.rs"]
# Named by the table of demands.
READ += ["infra/xtask/src/deploy.rs", "shared/simulator/scenarios", "tests/tests/application.rs"]

MAIN = "infra/main.bicep"
STAMP = "infra/modules/stamp/compute.bicep"
APP = "infra/modules/controller/function-app.bicep"
LEDGER = "infra/modules/controller/ledger.bicep"
ROLES = "infra/modules/controller/roles.bicep"
ORIGINS = "infra/modules/global/origins.bicep"
DOOR = "infra/modules/global/front-door.bicep"
STORE = "infra/modules/controller/store.bicep"
ALERTS = "infra/modules/controller/alerts.bicep"

# (check, what is wrong, file, text, text instead)
FAULTS = [
    ("parse", "a brace is missing", STORE, "  properties: {\n    publicAccess", "  properties: \n    publicAccess"),
    ("parse", "a parameter file with a value that is none", "infra/parameters/prod.bicepparam", "param stampsToLose = 0", "param stampsToLose = = 0"),
    ("types", "a misspelt property", ORIGINS, "    enabledState: contains", "    enabledSate: contains"),
    ("types", "a misspelt property below another", DOOR, "successfulSamplesRequired: 2", "succesfulSamplesRequired: 2"),
    ("types", "a read-only property is set", DOOR, "    originResponseTimeoutSeconds: 60", "    frontDoorId: 'x'"),
    ("types", "a misspelt property in one side of a choice", ORIGINS, "        id: originIds[i]", "        di: originIds[i]"),
    ("types", "a required property is missing at the top", LEDGER, "    databaseAccountOfferType: 'Standard'\n", ""),
    ("types", "a value that is none of the known ones", DOOR, "sessionAffinityState: 'Disabled'", "sessionAffinityState: 'Disbaled'"),
    ("types", "a misspelt resource type", STORE, "queueServices/queues@", "queueServices/queus@"),
    ("types", "another version than that of the definitions", STORE, "queueServices/queues@2025", "queueServices/queues@2015"),
    ("declarations", "a parameter without description", STAMP, "@description('Region.')\n", ""),
    ("declarations", "a secret as output", LEDGER, "= account.properties.documentEndpoint", "= account.listKeys().primaryMasterKey"),
    ("modules", "a parameter is not passed on", MAIN, "    wafMode: wafMode\n", ""),
    ("modules", "a parameter that the module does not have", MAIN, "    wafMode: wafMode\n", "    wafMode: wafMode\n    wafMood: wafMode\n"),
    ("modules", "an output that does not exist", MAIN, "stampNetworks[i].outputs.subnetId", "stampNetworks[i].outputs.subnet"),
    ("modules", "a parameter file forgets one", "infra/parameters/prod.bicepparam", "param witnessRegion = 'westus3'\n", ""),
    ("settings", "a setting of the stamp is removed", STAMP, "    CORDON_PEERS: peers\n", ""),
    ("settings", "a setting of the controller is removed", APP, "  CORDON_DATA: '/mounts/cordon'\n", ""),
    ("settings", "a setting that nobody reads", STAMP, "    CORDON_PEERS: peers\n", "    CORDON_PEERS: peers\n    CORDON_PEER_LIST: peers\n"),
    ("settings", "the binary reads one more", "functions/cli/settings.rs", "//! | `CORDON_STAMP` | stamp", "//! | `CORDON_NEW` | stamp | x |\n//! | `CORDON_STAMP` | stamp"),
    ("triggers", "the queue is called otherwise", STORE, "name: 'cordon-wakeups'", "name: 'cordon-wakeup'"),
    ("triggers", "a function reads another container", "functions/notify/function.json", '"audit"', '"audits"'),
    ("triggers", "a binding's setting is removed", APP, "  CORDON_PROBES_HUB: probesHub\n", ""),
    ("triggers", "nothing is sent to the Event Grid function", "infra/modules/controller/subscriptions.bicep", "'event_grid_signal'", "'event_grid'"),
    ("roles", "an action is missing", ROLES, "      'Microsoft.Insights/autoscalesettings/write'\n", ""),
    ("roles", "an action that nobody uses", ROLES, "      'Microsoft.Web/serverfarms/read'\n", "      'Microsoft.Web/serverfarms/read'\n      'Microsoft.Web/serverfarms/write'\n"),
    ("roles", "an action of another lever is missing", ROLES, "      'Microsoft.App/containerApps/revisions/read'\n", ""),
    ("roles", "a lever may do what no drill of it did", ROLES, "      'Microsoft.Compute/virtualMachineScaleSets/read'\n", "      'Microsoft.Compute/virtualMachineScaleSets/read'\n      'Microsoft.Compute/virtualMachineScaleSets/write'\n"),
    ("roles", "a lever that cannot be switched on", MAIN, "  'agentPool'\n", ""),
    ("roles", "every lever's actions, whatever is switched on", ROLES, "[for lever in levers: leverActions[lever].writes]", "[for lever in items(leverActions): lever.value.writes]"),
    ("roles", "something that must never be granted", ROLES, "  'Microsoft.Insights/metrics/read'\n", "  'Microsoft.Insights/metrics/read'\n  'Microsoft.DocumentDB/databaseAccounts/failoverPriorityChange/action'\n"),
    ("heartbeat", "the alert asks for another text", ALERTS, 'Message has "cordon heartbeat', 'Message has "cordon pulse'),
    ("heartbeat", "the binary says something else", "functions/evaluate_timer/mod.rs", '"cordon heartbeat"', '"cordon is well"'),
    ("heartbeat", "the host may drop it", "host.json", "Request;Exception;Trace", "Request;Exception"),
    ("heartbeat", "Cordon is told of its own death", ALERTS, "        toPeople.id\n", "        toCordon.id\n"),
    ("heartbeat", "it is said too seldom", "functions/evaluate_timer/function.json", "/10 * * * * *", "/10 * * * *"),
    ("login", "the header is believed without a login in front", APP, "empty(pageClientId) ? 'none' : 'platform'", "'platform'"),
    ("login", "the login lets everybody through", APP, "      requireAuthentication: true\n", "      requireAuthentication: false\n"),
    ("login", "an alert is sent to the login page", APP, "        '/api/azure_monitor_alert'\n", ""),
    ("login", "a publisher is sent to the login page", APP, "        '/api/cloud_event'\n", ""),
    ("headroom", "N-1 is stated and not sized for", "infra/parameters/prod.bicepparam", "param stampsToLose = 0", "param stampsToLose = 1"),
    ("headroom", "the peak outgrows the stamps", "infra/parameters/dev.bicepparam", "param peakRequestsPerSecond = 600", "param peakRequestsPerSecond = 900"),
    ("diagrams", "the text goes on without its picture", "infra/README.md", "cordon-silent: mail to people", "cordon-silent: mail to somebody"),
    ("demands", "a demand's file is gone", "infra/DECISIONS.md", "`modules/global/workbook.bicep` | written", "`modules/global/workbooks.bicep` | written"),
    ("demands", "a demand's file holds it no more", "infra/DECISIONS.md", "(`originAccess`)", "(`originAccesses`)"),
    ("settings", "the epochs have no place", APP, "  CORDON_EPOCHS: epochContainer\n", ""),
    ("settings", "a setting of the application is removed", STAMP, "    CONCURRENCY_MAX: string(concurrencyMax)\n", ""),
    ("settings", "the application reads one more", "infra/application/src/settings.rs", "//! | `PORT` |", "//! | `NEW` | x |\n//! | `PORT` |"),
    ("roles", "a drill does something new", "infra/checks/arm-operations.json", '"GET", "type": "Microsoft.Web/serverfarms"', '"PUT", "type": "Microsoft.Web/serverfarms"'),
    ("containers", "another partition key", LEDGER, "          '/workload'", "          '/stamp'"),
    ("containers", "a TTL where nothing may expire", LEDGER, "      id: 'audit'\n", "      id: 'audit'\n      defaultTtl: 3600\n"),
    ("containers", "the audit may be changed", LEDGER, "items/create'\n          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/read'\n        ]", "items/replace'\n        ]"),
    ("containers", "a stamp's look may delete", "infra/modules/global/workload-data.bicep", "containers/items/upsert'\n", "containers/items/upsert'\n          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/delete'\n"),
    ("containers", "a stamp's look reaches the orders", "infra/modules/global/data-access.bicep", "dbs/${databaseName}/colls/${healthContainer}", "dbs/${databaseName}"),
    ("settings", "a stamp looks at no container", STAMP, "    CORDON_CHECK_COSMOS_CONTAINER: healthContainer\n", ""),
    ("containers", "a second write region", LEDGER, "enableMultipleWriteLocations: false", "enableMultipleWriteLocations: true"),
    ("probes", "another interval", MAIN, "param probeIntervalSeconds int = 15", "param probeIntervalSeconds int = 30"),
    ("probes", "the simulator moves on", "shared/simulator/src/scenario.rs", "sample_size: 4,", "sample_size: 8,"),
    ("probes", "clients are pinned", DOOR, "sessionAffinityState: 'Disabled'", "sessionAffinityState: 'Enabled'"),
    ("speakers", "a rule that the policy does not know", "infra/modules/controller/alerts.bicep", "  name: 'origin-health-", "  name: 'origin-well-"),
    ("speakers", "a stamp in the witness region", "infra/parameters/prod.bicepparam", "region: 'centralus'", "region: 'westus3'"),
    ("regions", "a template names a region", MAIN, "    location: logsRegion\n", "    location: 'centralus'\n"),
    ("regions", "no room for another's clients", "infra/parameters/prod.bicepparam", "instancesMax: 30\n    addressSpace: '10.20", "instancesMax: 12\n    addressSpace: '10.20"),
    ("tags", "a stamp that Cordon cannot find", STAMP, "  'cordon:stamp': stamp\n", ""),
    ("tags", "an origin with another name than its stamp", ORIGINS, "  name: stamp.name\n", "  name: 'o-${stamp.name}'\n"),
]

# What must stay allowed: a region more is one entry more.
THIRD_STAMP = """  {
    name: 'westus2'
    region: 'westus2'
    displayName: 'West US 2'
    state: 'serving'
    instancesMin: 7
    instancesMax: 30
    addressSpace: '10.30.0.0/24'
  }
]
param witnessRegion"""

POLICY_FAULT = ("policy", "a site without TLS", APP, "    httpsOnly: true\n", "    httpsOnly: false\n")


def run(root, checkov=None):
    """Every fault on a copy of its own; 0 when all were found and the copy without one passes."""
    faults = FAULTS + ([POLICY_FAULT] if checkov else [])
    missed = 0
    with tempfile.TemporaryDirectory(prefix="cordon-checks-") as folder:
        clean = found_in(copied(root, Path(folder) / "clean"), checkov)
        if any(clean.values()):
            print(f"without a fault: found {[f for findings in clean.values() for f in findings]}")
            return 1
        third = copied(root, Path(folder) / "third")
        parameters = third / "infra/parameters/prod.bicepparam"
        text = parameters.read_text()
        parameters.write_text(text.replace("]\nparam witnessRegion", THIRD_STAMP))
        findings = [f for found in found_in(third, None).values() for f in found]
        print(f"a third stamp, by one entry: {'ok' if not findings and 'westus2' in parameters.read_text() else findings or 'the entry has no place'}")
        missed += bool(findings) or "westus2" not in parameters.read_text()
        for number, (name, what, file, text, instead) in enumerate(faults):
            copy = copied(root, Path(folder) / str(number))
            old = (copy / file).read_text()
            if text not in old:
                print(f"{name}: {what}: the text to change is not in {file}: renew the fault")
                missed += 1
                continue
            (copy / file).write_text(old.replace(text, instead, 1))
            findings = found_in(copy, checkov if name == "policy" else None, only=name)[name]
            missed += not findings
            print(f"{name}: {what}: {'found' if findings else 'NOT FOUND'}{': ' + findings[0] if findings else ''}")
            shutil.rmtree(copy)
    print(f"\n{len(faults) - min(missed, len(faults))} of {len(faults)} seeded faults found")
    return 1 if missed else 0


def copied(root, target):
    """What the checks read, and nothing more."""
    for path in READ:
        source = root / path
        if source.is_dir():
            unwanted = shutil.ignore_patterns("xtask", "__pycache__", "*.css")
            shutil.copytree(source, target / path, ignore=unwanted)
        else:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / path)
    return target


def found_in(root, checkov, only=None):
    """Check to findings."""
    infra = Infra(root)
    result = {"parse": infra.broken}
    if not infra.broken:
        if only in (None, "types"):
            result["types"] = list(types(infra))
        for one in consistency.CHECKS:
            if only in (None, one.__name__):
                result[one.__name__] = list(one(infra))
        if checkov and only in (None, "policy"):
            result["policy"] = check.policy(root, checkov)
    return result if only is None else {only: result.get(only, [])}
