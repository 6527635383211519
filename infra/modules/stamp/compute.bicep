// The stamp's plan, its autoscale setting (Cordon's lever), and the site: the application with `cordon stamp-health` as a
// sidecar on loopback. The application forwards /healthz to it with the prober's address, at most 1 s, failing open.

@description('The workload.')
param workload string

@description('Cordon\'s own Cosmos DB account, where the gate is read.')
param ledgerEndpoint string

@description('Its database.')
param ledgerDatabase string

@description('The stamp: also its origin\'s name.')
param stamp string

@description('draining: not counted as capacity and never let in again by Cordon; then removed.')
@allowed([
  'serving'
  'draining'
])
param state string

@description('For names that are unique in all of Azure.')
param suffix string

@description('Region.')
param location string

@description('Plan size. Premium v3, for zones.')
param planSku string

@description('Least instances of the default autoscale profile. At least 3 for zone redundancy.')
@minValue(3)
@maxValue(30)
param instancesMin int

@description('Most instances of the default profile. Cordon never goes above it.')
@minValue(3)
@maxValue(30)
param instancesMax int

@description('The apps\' subnet.')
param subnetId string

@description('Addresses from which the stamps probe each other.')
param probeSources array

@description('Address from which Cordon probes.')
param witnessSource string

@description('Only requests through this Front Door are let in.')
param frontDoorId string

@description('serviceTag or privateLink.')
param originAccess string

@description('The stamps as name=url, separated by commas; the stamp\'s own entry is ignored.')
param peers string

@description('The stamp\'s identity.')
param identityId string

@description('Its client id.')
param identityClientId string

@description('Where the key of the ungated view is.')
param stampKeyUri string

@description('The stamp\'s Log Analytics.')
param logsWorkspaceId string

@description('Where the application sends its telemetry.')
param insightsConnection string

@description('The registry.')
param registryHost string

@description('repository:tag of the application.')
param applicationImage string

@description('repository:tag of cordon.')
param cordonImage string

@description('The workload\'s account.')
param workloadEndpoint string

@description('Its database.')
param workloadDatabase string

@description('The container that the health service looks at.')
param healthContainer string

@description('The stamp\'s vault.')
param vaultUri string

@description('Requests that one instance serves at once.')
param concurrencyMax int

@description('Storage account with the share of the gates (until the gates are in Cosmos DB).')
param gatesAccount string

@description('Its id.')
param gatesAccountId string

@description('The share.')
param gatesShare string

@description('Tags.')
param tags object

var siteName = 'app-${workload}-${stamp}-${suffix}'

// Cordon finds a stamp by these: the autoscale setting, the plan and the site carry them, and nothing else does.
var stampTags = union(tags, {
  'cordon:stamp': stamp
  'cordon:state': state
  'cordon:direct-url': 'https://${siteName}.azurewebsites.net'
})

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${stamp}'
  location: location
  tags: stampTags
  kind: 'linux'
  sku: {
    name: planSku
    tier: 'PremiumV3'
    capacity: instancesMin
  }
  properties: {
    reserved: true
    zoneRedundant: true
  }
}

// A deployment writes this whole: a floor that Cordon has set is lost with it. README.md, "Deploying during a cordon".
resource autoscale 'Microsoft.Insights/autoscaleSettings@2022-10-01' = {
  name: 'autoscale-${stamp}'
  location: location
  tags: stampTags
  properties: {
    name: 'autoscale-${stamp}'
    enabled: true
    targetResourceUri: plan.id
    profiles: [
      {
        name: 'default'
        capacity: {
          minimum: string(instancesMin)
          maximum: string(instancesMax)
          default: string(instancesMin)
        }
        rules: [
          {
            metricTrigger: {
              metricName: 'CpuPercentage'
              metricResourceUri: plan.id
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT5M'
              timeAggregation: 'Average'
              operator: 'GreaterThan'
              threshold: 60
            }
            scaleAction: {
              direction: 'Increase'
              type: 'PercentChangeCount'
              value: '30'
              cooldown: 'PT3M'
            }
          }
          {
            metricTrigger: {
              metricName: 'CpuPercentage'
              metricResourceUri: plan.id
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT15M'
              timeAggregation: 'Average'
              operator: 'LessThan'
              threshold: 30
            }
            scaleAction: {
              direction: 'Decrease'
              type: 'ChangeCount'
              value: '1'
              cooldown: 'PT10M'
            }
          }
        ]
      }
    ]
  }
}

var frontDoorOnly = [
  {
    name: 'front-door'
    priority: 100
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'AzureFrontDoor.Backend'
    headers: {
      'x-azure-fdid': [
        frontDoorId
      ]
    }
  }
]

// Probes have their own way in: a known address, and for all but the gated view the key in x-cordon-key.
var probers = [for (source, i) in concat([witnessSource], probeSources): {
  name: i == 0 ? 'witness' : 'peer-${i}'
  priority: 200 + i
  action: 'Allow'
  ipAddress: source
}]

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: siteName
  location: location
  tags: stampTags
  kind: 'app,linux,container'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    virtualNetworkSubnetId: subnetId
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    siteConfig: {
      linuxFxVersion: 'sitecontainers'
      acrUseManagedIdentityCreds: true
      acrUserManagedIdentityID: identityClientId
      alwaysOn: true
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      vnetRouteAllEnabled: true
      // The platform's own check replaces bad instances. Not /healthz: that obeys the gate, and a cordon would then make
      // App Service throw away healthy instances.
      healthCheckPath: '/internal/live'
      ipSecurityRestrictions: originAccess == 'privateLink' ? probers : concat(frontDoorOnly, probers)
      ipSecurityRestrictionsDefaultAction: 'Deny'
      scmIpSecurityRestrictionsDefaultAction: 'Deny'
      azureStorageAccounts: {
        gates: {
          type: 'AzureFiles'
          accountName: gatesAccount
          shareName: gatesShare
          mountPath: '/mounts/cordon'
          accessKey: listKeys(gatesAccountId, '2023-05-01').keys[0].value
        }
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: site
  name: 'appsettings'
  properties: {
    // The sidecar: cordon stamp-health.
    CORDON_ROLE: 'stamp'
    CORDON_POLICY: '/etc/cordon/policy.toml'
    CORDON_STAMP: stamp
    CORDON_STAMP_KEY: '@Microsoft.KeyVault(SecretUri=${stampKeyUri})'
    CORDON_LEDGER: 'cosmos'
    CORDON_COSMOS__accountEndpoint: ledgerEndpoint
    CORDON_COSMOS_DATABASE: ledgerDatabase
    CORDON_GATES_DIR: '/mounts/cordon/gates/${workload}'
    CORDON_COMPONENTS: 'local:app=http://127.0.0.1:8080/internal/health/app,cosmos=http://127.0.0.1:8080/internal/health/cosmos,vault=http://127.0.0.1:8080/internal/health/vault'
    CORDON_CHECK_COSMOS_ENDPOINT: workloadEndpoint
    CORDON_CHECK_COSMOS_DATABASE: workloadDatabase
    CORDON_CHECK_COSMOS_CONTAINER: healthContainer
    CORDON_LOAD_URL: 'http://127.0.0.1:8080/internal/load'
    CORDON_PEERS: peers
    CORDON_FRONT_DOOR_ID: frontDoorId
    CORDON_PROBER_HEADER: 'X-Azure-SocketIP'
    RUST_LOG: 'info'
    // The application.
    AZURE_CLIENT_ID: identityClientId
    PORT: '8080'
    HEALTH_URL: 'http://127.0.0.1:8081/healthz'
    COMPONENTS: 'cosmos=${workloadEndpoint},vault=${vaultUri}'
    CONCURRENCY_MAX: string(concurrencyMax)
    // All instances of the site see /home: there they tell each other their load.
    INSTANCES_DIR: '/home/cordon-instances'
    WEBSITES_ENABLE_APP_SERVICE_STORAGE: 'true'
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
  }
}

resource application 'Microsoft.Web/sites/sitecontainers@2024-11-01' = {
  parent: site
  name: 'app'
  properties: {
    image: '${registryHost}/${applicationImage}'
    isMain: true
    targetPort: '8080'
    authType: 'UserAssigned'
    userManagedIdentityClientId: identityClientId
    inheritAppSettingsAndConnectionStrings: true
  }
}

resource health 'Microsoft.Web/sites/sitecontainers@2024-11-01' = {
  parent: site
  name: 'stamp-health'
  properties: {
    image: '${registryHost}/${cordonImage}'
    isMain: false
    targetPort: '8081'
    startUpCommand: 'cordon stamp-health --port 8081'
    authType: 'UserAssigned'
    userManagedIdentityClientId: identityClientId
    inheritAppSettingsAndConnectionStrings: true
  }
  dependsOn: [
    application
  ]
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'all'
  scope: site
  properties: {
    workspaceId: logsWorkspaceId
    logs: [
      {
        category: 'AppServiceHTTPLogs'
        enabled: true
      }
      {
        category: 'AppServiceConsoleLogs'
        enabled: true
      }
      {
        category: 'AppServiceIPSecAuditLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

@description('The site.')
output siteId string = site.id

@description('Its host name: the origin\'s.')
output hostName string = site.properties.defaultHostName
