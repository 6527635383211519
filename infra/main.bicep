// The whole of it: an active-active application behind Front Door, and Cordon in the witness region beside it.
// A region is added or removed by one entry of `stamps`. README.md has the order of the steps, DECISIONS.md the reasons.
targetScope = 'subscription'

@description('The workload: one Front Door origin group and its stamps. The same name as in policy.toml; 3 to 20 of a-z, 0-9 and -.')
@minLength(3)
@maxLength(20)
param workload string

@description('Which deployment this is. It decides no name by itself; the parameter files differ in sizes and locks.')
@allowed([
  'dev'
  'prod'
])
param environmentName string

@description('Appended to names that are unique in all of Azure (apps, registry, accounts, vaults): 2 to 6 of a-z and 0-9.')
@minLength(2)
@maxLength(6)
param suffix string

@description('The stamps, one entry per region: { name, region, displayName, state: serving|draining, instancesMin, instancesMax, addressSpace }. displayName is the region as Azure Monitor writes it (East US 2). The name is the origin\'s name and the tag cordon:stamp; at most 20 characters.')
@minLength(2)
@maxLength(10)
param stamps array

@description('Names of stamps whose origin stays disabled in this deployment. Front Door\'s origins have no ETag: a deployment writes enabledState whatever Cordon has set, so what Cordon has latched must be named here.')
@maxLength(9)
param originsHeldOut array = []

@description('Where Cordon and its ledger run. No stamp may be there: it must share no fate with one.')
@minLength(3)
@maxLength(30)
param witnessRegion string

@description('Where the one Log Analytics for the whole lies. Not the witness region: it must notice that the witness region is gone.')
@minLength(3)
@maxLength(30)
param logsRegion string

@description('The host name that clients use. Empty until the domain is to be moved: clients then use the endpoint\'s own name.')
@maxLength(253)
param customDomain string = ''

@description('Seconds between two probes of one origin from one edge location. The simulator plays the same value.')
@minValue(5)
@maxValue(255)
param probeIntervalSeconds int = 15

@description('Origins this much slower than the fastest still get clients, in milliseconds. 0: only the fastest, so weights do nothing.')
@minValue(0)
@maxValue(1000)
param additionalLatencyMilliseconds int = 0

@description('How Front Door reaches the origins. privateLink hides the prober\'s address from the origin and so loses the slices: the return is then all or nothing.')
@allowed([
  'serviceTag'
  'privateLink'
])
param originAccess string = 'serviceTag'

@description('What the firewall does with what it recognises. Begin with Detection, read the log, then Prevention.')
@allowed([
  'Detection'
  'Prevention'
])
param wafMode string = 'Prevention'

@description('Requests per minute and client address above which the firewall blocks.')
@minValue(100)
@maxValue(100000)
param rateLimitPerMinute int = 3000

@description('The App Service plan of the stamps. Zone redundancy needs Premium v3: S2, where the application runs today, cannot.')
@allowed([
  'P0v3'
  'P1v3'
  'P2v3'
  'P3v3'
])
param planSku string = 'P1v3'

@description('How many stamps may be lost with the others still carrying everything at instancesMin. 1 is N-1 sizing; 0 relies on the pre-scale, and the first minutes of a loss are short of capacity. The checks hold instancesMin of the stamps to it and to peakRequestsPerSecond; see DECISIONS.md.')
@minValue(0)
@maxValue(2)
param stampsToLose int = 0

@description('What all clients together send at the peak, in requests per second: with stampsToLose, what the stamps must be sized for.')
@minValue(1)
@maxValue(10000000)
param peakRequestsPerSecond int

@description('Requests that one instance of the application serves at once; the rest is refused with 503 and Retry-After, so that the first minutes of a surge cost the admitted clients nothing. From the owner\'s load test.')
@minValue(1)
@maxValue(100000)
param concurrencyMax int = 100

@description('Image of the application in the registry, without the registry\'s name: repository:tag.')
@minLength(3)
@maxLength(200)
param applicationImage string

@description('Image with the cordon binary and policy.toml at /etc/cordon/policy.toml, for the sidecar: repository:tag.')
@minLength(3)
@maxLength(200)
param cordonImage string

@description('How Cordon is hosted. dedicated: one instance of one plan, always on. flex: Flex Consumption with always-ready instances, where every function group is a process of its own; those share one ledger by its ETags, which was never run against the live service. See DECISIONS.md.')
@allowed([
  'dedicated'
  'flex'
])
param controllerPlan string = 'dedicated'

@description('What Cordon may enlarge: the levers of the stamps\' compute. The stamps of these templates are App Service; name another where yours are VM scale sets, AKS agent pools or Container Apps, and Cordon\'s roles get exactly its actions. Add throughput where the policy lists databases or containers under [[throughput]].')
@allowed([
  'appService'
  'scaleSet'
  'agentPool'
  'containerApp'
  'throughput'
])
param levers array = [
  'appService'
]

@description('Client id of the Entra application that stands for Cordon\'s page, with the app role Cordon.Operator. Empty: no login in front of the page, and nobody gives orders by it. README.md says how to register it.')
@maxLength(36)
param pageClientId string = ''

@description('Whether Cordon\'s package is in the app. The first deployment says false; the one after the package true, and wires what needs the functions: the Event Grid subscription and the webhook with its key.')
param functionsDeployed bool = false

@description('Object id of the Entra application of the action group\'s secure webhook; empty leaves that receiver out. README.md says how to make it.')
@maxLength(36)
param webhookObjectId string = ''

@description('Identifier URI of that application.')
@maxLength(200)
param webhookIdentifierUri string = ''

@description('Who is told when Cordon itself is silent: a mail address outside Cordon.')
@minLength(6)
@maxLength(254)
param operatorMail string

@description('Addresses (CIDR) from which operators open Cordon\'s page and read its audit.')
@maxLength(50)
param operatorSources array = []

@description('Most request units a second of the workload\'s container; autoscale goes down to a tenth of it.')
@minValue(1000)
@maxValue(1000000)
param workloadThroughputMax int = 4000

@description('The key that Cordon and the peers show to a stamp\'s ungated view. At least 32 random characters; kept in the vaults and nowhere else.')
@secure()
@minLength(32)
@maxLength(128)
param stampKey string

@description('Tags of every resource, besides Cordon\'s own.')
param tags object = {}

var workloadTags = union(tags, {
  'cordon:workload': workload
  environment: environmentName
})

// Names that the modules share. They follow the drill's, so that a page of a drill and one of the real thing read alike.
var originHosts = [for stamp in stamps: 'app-${workload}-${stamp.name}-${suffix}.azurewebsites.net']
var peerList = [for stamp in stamps: '${stamp.name}=https://app-${workload}-${stamp.name}-${suffix}.azurewebsites.net']
var stampRegions = [for stamp in stamps: stamp.region]
var stampNames = [for stamp in stamps: stamp.name]

resource globalGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${workload}-global'
  location: logsRegion
  tags: workloadTags
}

resource controllerGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${workload}-cordon'
  location: witnessRegion
  tags: workloadTags
}

resource stampGroups 'Microsoft.Resources/resourceGroups@2025-04-01' = [for stamp in stamps: {
  name: 'rg-${workload}-${stamp.name}'
  location: stamp.region
  tags: union(workloadTags, {
    'cordon:stamp': stamp.name
  })
}]

// --- Networks first: each knows its own way out, and the others' locks must name it. ---

module controllerNetwork 'modules/stamp/network.bicep' = {
  name: 'network-cordon'
  scope: controllerGroup
  params: {
    name: 'cordon'
    location: witnessRegion
    addressSpace: '10.250.0.0/24'
    delegation: controllerPlan == 'flex' ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'
    tags: workloadTags
  }
}

module stampNetworks 'modules/stamp/network.bicep' = [for (stamp, i) in stamps: {
  name: 'network-${stamp.name}'
  scope: stampGroups[i]
  params: {
    name: stamp.name
    location: stamp.region
    addressSpace: stamp.addressSpace
    delegation: 'Microsoft.Web/serverFarms'
    tags: workloadTags
  }
}]

// --- Global, once. ---

module logs 'modules/global/logs.bicep' = {
  name: 'logs'
  scope: globalGroup
  params: {
    workload: workload
    location: logsRegion
    tags: workloadTags
  }
}

module registry 'modules/global/registry.bicep' = {
  name: 'registry'
  scope: globalGroup
  params: {
    name: 'cr${replace(workload, '-', '')}${suffix}'
    location: logsRegion
    replicaRegions: stampRegions
    logsWorkspaceId: logs.outputs.workspaceId
    tags: workloadTags
  }
}

module workloadData 'modules/global/workload-data.bicep' = {
  name: 'workload-data'
  scope: globalGroup
  params: {
    name: 'cosmos-${workload}-${suffix}'
    regions: stampRegions
    throughputMax: workloadThroughputMax
    logsWorkspaceId: logs.outputs.workspaceId
    tags: workloadTags
  }
}

module frontDoor 'modules/global/front-door.bicep' = {
  name: 'front-door'
  scope: globalGroup
  params: {
    workload: workload
    suffix: suffix
    customDomain: customDomain
    probeIntervalSeconds: probeIntervalSeconds
    additionalLatencyMilliseconds: additionalLatencyMilliseconds
    wafMode: wafMode
    rateLimitPerMinute: rateLimitPerMinute
    tags: workloadTags
  }
}

// --- The stamps. ---

module stampSupport 'modules/stamp/support.bicep' = [for (stamp, i) in stamps: {
  name: 'support-${stamp.name}'
  scope: stampGroups[i]
  params: {
    workload: workload
    stamp: stamp.name
    suffix: suffix
    location: stamp.region
    subnetId: stampNetworks[i].outputs.subnetId
    stampKey: stampKey
    tags: workloadTags
  }
}]

module stampData 'modules/global/data-access.bicep' = [for (stamp, i) in stamps: {
  name: 'data-${stamp.name}'
  scope: globalGroup
  params: {
    accountName: workloadData.outputs.accountName
    databaseName: workloadData.outputs.databaseName
    ordersContainer: workloadData.outputs.ordersContainer
    healthContainer: workloadData.outputs.healthContainer
    healthRoleId: workloadData.outputs.healthRoleId
    registryName: registry.outputs.name
    principalId: stampSupport[i].outputs.principalId
  }
}]

module stampCompute 'modules/stamp/compute.bicep' = [for (stamp, i) in stamps: {
  name: 'compute-${stamp.name}'
  scope: stampGroups[i]
  params: {
    workload: workload
    stamp: stamp.name
    state: stamp.state
    suffix: suffix
    location: stamp.region
    planSku: planSku
    instancesMin: stamp.instancesMin
    instancesMax: stamp.instancesMax
    subnetId: stampNetworks[i].outputs.subnetId
    probeSources: [for (other, j) in stamps: '${stampNetworks[j].outputs.egressAddress}/32']
    witnessSource: '${controllerNetwork.outputs.egressAddress}/32'
    frontDoorId: frontDoor.outputs.frontDoorId
    originAccess: originAccess
    peers: join(peerList, ',')
    identityId: stampSupport[i].outputs.identityId
    identityClientId: stampSupport[i].outputs.identityClientId
    stampKeyUri: stampSupport[i].outputs.stampKeyUri
    logsWorkspaceId: stampSupport[i].outputs.workspaceId
    insightsConnection: stampSupport[i].outputs.insightsConnection
    registryHost: registry.outputs.host
    applicationImage: applicationImage
    cordonImage: cordonImage
    workloadEndpoint: workloadData.outputs.endpoint
    workloadDatabase: workloadData.outputs.databaseName
    healthContainer: workloadData.outputs.healthContainer
    vaultUri: stampSupport[i].outputs.vaultUri
    concurrencyMax: concurrencyMax
    ledgerEndpoint: controllerLedger.outputs.endpoint
    ledgerDatabase: controllerLedger.outputs.databaseName
    gatesAccount: controllerStore.outputs.shareAccount
    gatesAccountId: controllerStore.outputs.shareAccountId
    gatesShare: controllerStore.outputs.shareName
    tags: workloadTags
  }
  dependsOn: [
    stampData
  ]
}]

module workbook 'modules/global/workbook.bicep' = {
  name: 'workbook'
  scope: globalGroup
  params: {
    workload: workload
    location: logsRegion
    workspaceId: logs.outputs.workspaceId
    stampNames: stampNames
    stampWorkspaceIds: [for (stamp, i) in stamps: stampSupport[i].outputs.workspaceId]
    tags: workloadTags
  }
}

module origins 'modules/global/origins.bicep' = {
  name: 'origins'
  scope: globalGroup
  params: {
    workload: workload
    stamps: stamps
    originHosts: originHosts
    originsHeldOut: originsHeldOut
    originAccess: originAccess
    originIds: [for (stamp, i) in stamps: stampCompute[i].outputs.siteId]
    customDomain: customDomain
    endpointName: frontDoor.outputs.endpointName
  }
}

// --- Cordon, in the witness region. ---

module controllerIdentity 'modules/controller/identity.bicep' = {
  name: 'cordon-identity'
  scope: controllerGroup
  params: {
    workload: workload
    suffix: suffix
    location: witnessRegion
    subnetId: controllerNetwork.outputs.subnetId
    stampKey: stampKey
    tags: workloadTags
  }
}

module controllerStore 'modules/controller/store.bicep' = {
  name: 'cordon-store'
  scope: controllerGroup
  params: {
    workload: workload
    suffix: suffix
    location: witnessRegion
    principalId: controllerIdentity.outputs.principalId
    logsWorkspaceId: logs.outputs.workspaceId
    tags: workloadTags
  }
}

module controllerLedger 'modules/controller/ledger.bicep' = {
  name: 'cordon-ledger'
  scope: controllerGroup
  params: {
    name: 'cosmos-cordon-${workload}-${suffix}'
    witnessRegion: witnessRegion
    replicaRegions: stampRegions
    controllerPrincipalId: controllerIdentity.outputs.principalId
    stampPrincipalIds: [for (stamp, i) in stamps: stampSupport[i].outputs.principalId]
    logsWorkspaceId: logs.outputs.workspaceId
    tags: workloadTags
  }
}

module controllerEvents 'modules/controller/events.bicep' = {
  name: 'cordon-events'
  scope: controllerGroup
  params: {
    workload: workload
    suffix: suffix
    location: witnessRegion
    principalId: controllerIdentity.outputs.principalId
    tags: workloadTags
  }
}

module controllerApp 'modules/controller/function-app.bicep' = {
  name: 'cordon-app'
  scope: controllerGroup
  params: {
    workload: workload
    suffix: suffix
    location: witnessRegion
    plan: controllerPlan
    subnetId: controllerNetwork.outputs.subnetId
    identityId: controllerIdentity.outputs.identityId
    identityClientId: controllerIdentity.outputs.clientId
    stampKeyUri: controllerIdentity.outputs.stampKeyUri
    hostAccount: controllerStore.outputs.hostAccount
    packageContainer: controllerStore.outputs.packageContainer
    epochContainer: controllerStore.outputs.epochContainer
    shareAccount: controllerStore.outputs.shareAccount
    shareName: controllerStore.outputs.shareName
    eventHubHost: controllerEvents.outputs.namespaceHost
    alertsHub: controllerEvents.outputs.alertsHub
    probesHub: controllerEvents.outputs.probesHub
    ledgerEndpoint: controllerLedger.outputs.endpoint
    ledgerDatabase: controllerLedger.outputs.databaseName
    insightsConnection: logs.outputs.insightsConnection
    operatorSources: operatorSources
    pageClientId: pageClientId
    tags: workloadTags
  }
}

module probeLog 'modules/global/diagnostics.bicep' = {
  name: 'probe-log'
  scope: globalGroup
  params: {
    profileName: frontDoor.outputs.profileName
    logsWorkspaceId: logs.outputs.workspaceId
    eventHubAuthorizationRuleId: controllerEvents.outputs.diagnosticsRuleId
    eventHubName: controllerEvents.outputs.probesHub
  }
}

module alerts 'modules/controller/alerts.bicep' = {
  name: 'alerts'
  scope: globalGroup
  params: {
    workload: workload
    stamps: stamps
    originHosts: originHosts
    profileName: frontDoor.outputs.profileName
    workloadAccountName: workloadData.outputs.accountName
    witnessRegion: witnessRegion
    eventHubNamespace: controllerEvents.outputs.namespaceName
    alertsHub: controllerEvents.outputs.alertsHub
    webhookUri: 'https://${controllerApp.outputs.hostName}/api/azure_monitor_alert'
    webhookObjectId: webhookObjectId
    webhookIdentifierUri: webhookIdentifierUri
    operatorMail: operatorMail
    logsWorkspaceId: logs.outputs.workspaceId
    logsRegion: logsRegion
    controllerAppName: controllerApp.outputs.name
    controllerGroup: controllerGroup.name
    functionsDeployed: functionsDeployed
    tags: workloadTags
  }
}

module subscriptions 'modules/controller/subscriptions.bicep' = if (functionsDeployed) {
  name: 'subscriptions'
  scope: controllerGroup
  params: {
    topicName: controllerEvents.outputs.topicName
    appName: controllerApp.outputs.name
  }
}

// --- What Cordon may do: exactly this. ---

module roles 'modules/controller/roles.bicep' = {
  name: 'cordon-roles-${workload}'
  params: {
    workload: workload
    levers: levers
  }
}

module globalRights 'modules/controller/rights.bicep' = {
  name: 'cordon-rights-global'
  scope: globalGroup
  params: {
    principalId: controllerIdentity.outputs.principalId
    // The workload's account is here, so the lever of its throughput is as well.
    roleIds: concat([
      roles.outputs.observerRoleId
      roles.outputs.edgeRoleId
    ], contains(levers, 'throughput') ? [
      roles.outputs.capacityRoleId
    ] : [])
  }
}

module quotaRights 'modules/controller/quota-rights.bicep' = {
  name: 'cordon-rights-quotas-${workload}'
  params: {
    principalId: controllerIdentity.outputs.principalId
    roleId: roles.outputs.quotasRoleId
  }
}

module stampRights 'modules/controller/rights.bicep' = [for (stamp, i) in stamps: {
  name: 'cordon-rights-${stamp.name}'
  scope: stampGroups[i]
  params: {
    principalId: controllerIdentity.outputs.principalId
    roleIds: [
      roles.outputs.observerRoleId
      roles.outputs.capacityRoleId
    ]
  }
}]

@description('The name under which Front Door answers before the domain is moved; afterwards the target of the CNAME.')
output endpointHost string = frontDoor.outputs.endpointHost

@description('For policy.toml: workload.origin_group.')
output originGroupId string = frontDoor.outputs.originGroupId

@description('For policy.toml: workload.cosmos_account.')
output workloadAccountId string = workloadData.outputs.accountId

@description('Front Door\'s id, which the origins want to see in X-Azure-FDID. No secret: every origin is shown it.')
output frontDoorId string = frontDoor.outputs.frontDoorId

@description('TXT record value for _dnsauth of the custom domain; empty without one.')
output domainValidationToken string = frontDoor.outputs.domainValidationToken

@description('The function app that takes the package of cargo xtask package.')
output controllerAppName string = controllerApp.outputs.name

@description('How many stamps may be lost without any new instance, as stated by the parameter.')
output stampsToLose int = stampsToLose

@description('The peak that the stamps are sized for, as stated by the parameter.')
output peakRequestsPerSecond int = peakRequestsPerSecond
