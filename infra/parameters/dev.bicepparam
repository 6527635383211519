using '../main.bicep'

// Contoso Shoes in small: the same regions and the same wiring, for drills against the real thing.
param workload = 'contoso-shoes'
param environmentName = 'dev'
param suffix = 'csh9d'

// One entry per region. A stamp leaves by state: 'draining', then by removal: README.md has the order.
param stamps = [
  {
    name: 'eastus2'
    region: 'eastus2'
    displayName: 'East US 2'
    state: 'serving'
    instancesMin: 3
    instancesMax: 6
    addressSpace: '10.10.0.0/24'
  }
  {
    name: 'centralus'
    region: 'centralus'
    displayName: 'Central US'
    state: 'serving'
    instancesMin: 3
    instancesMax: 6
    addressSpace: '10.20.0.0/24'
  }
]
param witnessRegion = 'westus3'
param logsRegion = 'centralus'
param stampsToLose = 0
param peakRequestsPerSecond = 600
param customDomain = ''
param probeIntervalSeconds = 15
param wafMode = 'Detection'
param planSku = 'P0v3'
param controllerPlan = 'dedicated'
param applicationImage = 'contoso-shoes/api:1'
param cordonImage = 'cordon:1'
param operatorMail = 'oncall@contososhoes.com'
param workloadThroughputMax = 1000

// From the environment of whoever deploys, never from a file.
param stampKey = readEnvironmentVariable('CORDON_STAMP_KEY')
param functionsDeployed = bool(readEnvironmentVariable('CORDON_FUNCTIONS_DEPLOYED', 'false'))
param webhookObjectId = readEnvironmentVariable('CORDON_WEBHOOK_OBJECT_ID', '')
param webhookIdentifierUri = readEnvironmentVariable('CORDON_WEBHOOK_IDENTIFIER_URI', '')
