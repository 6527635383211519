using '../main.bicep'

// Contoso Shoes. Central US is sized for its own load plus 30 %, as in the drill `contoso-shoes`; the pre-scale does the
// rest, and DECISIONS.md says what the first minutes cost. For N-1 set
// stampsToLose to 1 and instancesMin to 27 in Central US and 21 in East US 2: a check holds them to peakRequestsPerSecond.
param workload = 'contoso-shoes'
param environmentName = 'prod'
param suffix = 'csh01'

// One entry per region. A stamp leaves by state: 'draining', then by removal: README.md has the order.
param stamps = [
  {
    name: 'eastus2'
    region: 'eastus2'
    displayName: 'East US 2'
    state: 'serving'
    instancesMin: 20
    instancesMax: 30
    addressSpace: '10.10.0.0/24'
  }
  {
    name: 'centralus'
    region: 'centralus'
    displayName: 'Central US'
    state: 'serving'
    instancesMin: 7
    instancesMax: 30
    addressSpace: '10.20.0.0/24'
  }
]
param witnessRegion = 'westus3'
param logsRegion = 'centralus'
param stampsToLose = 0
param peakRequestsPerSecond = 3000
param customDomain = 'api.contososhoes.com'
param probeIntervalSeconds = 15
param wafMode = 'Prevention'
param planSku = 'P1v3'
param controllerPlan = 'dedicated'
param applicationImage = 'contoso-shoes/api:1'
param cordonImage = 'cordon:1'
param operatorMail = 'oncall@contososhoes.com'
param workloadThroughputMax = 10000

// From the environment of whoever deploys, never from a file.
param stampKey = readEnvironmentVariable('CORDON_STAMP_KEY')
param functionsDeployed = bool(readEnvironmentVariable('CORDON_FUNCTIONS_DEPLOYED', 'false'))
param webhookObjectId = readEnvironmentVariable('CORDON_WEBHOOK_OBJECT_ID', '')
param webhookIdentifierUri = readEnvironmentVariable('CORDON_WEBHOOK_IDENTIFIER_URI', '')
