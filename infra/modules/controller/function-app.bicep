// Cordon itself: the function app with the custom handler. The package is put in by `az`, after this.

@description('The workload.')
param workload string

@description('For names that are unique in all of Azure.')
param suffix string

@description('The witness region.')
param location string

@description('dedicated: one instance, always on. flex: Flex Consumption, several instances over the Cosmos DB ledger.')
@allowed([
  'dedicated'
  'flex'
])
param plan string

@description('Cordon\'s subnet.')
param subnetId string

@description('Cordon\'s identity.')
param identityId string

@description('Its client id.')
param identityClientId string

@description('Where the key of the ungated views is.')
param stampKeyUri string

@description('The host\'s storage account.')
param hostAccount string

@description('The container of the packages.')
param packageContainer string

@description('The blob container of the ledger\'s epochs.')
param epochContainer string

@description('The account with the share.')
param shareAccount string

@description('The share.')
param shareName string

@description('The Event Hubs namespace.')
param eventHubHost string

@description('The hub of the alerts.')
param alertsHub string

@description('The hub of the probe log.')
param probesHub string

@description('Cordon\'s Cosmos DB account.')
param ledgerEndpoint string

@description('Its database.')
param ledgerDatabase string

@description('Where the host sends its telemetry.')
param insightsConnection string

@description('Addresses (CIDR) from which operators open the page. The page has no login of its own: nobody else is let in.')
@maxLength(50)
param operatorSources array

@description('Client id of the page\'s Entra application; empty: no login.')
@maxLength(36)
param pageClientId string

@description('Tags.')
param tags object

var isFlex = plan == 'flex'

// Alerts and Event Grid by their service tags; people by address.
var publishers = [
  {
    name: 'action-groups'
    priority: 100
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'ActionGroup'
  }
  {
    name: 'event-grid'
    priority: 110
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'AzureEventGrid'
  }
]
var operators = [for (source, i) in operatorSources: {
  name: 'operator-${i}'
  priority: 200 + i
  action: 'Allow'
  ipAddress: source
}]

resource shared 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: shareAccount
}

resource farm 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-cordon'
  location: location
  tags: tags
  kind: isFlex ? 'functionapp' : 'linux'
  sku: {
    name: isFlex ? 'FC1' : 'P0v3'
    tier: isFlex ? 'FlexConsumption' : 'PremiumV3'
    capacity: isFlex ? 0 : 1
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: 'func-cordon-${workload}-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: farm.id
    httpsOnly: true
    virtualNetworkSubnetId: subnetId
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    functionAppConfig: isFlex ? {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainer
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        alwaysReady: [
          {
            name: 'http'
            instanceCount: 2
          }
          {
            name: 'function:evaluate_timer'
            instanceCount: 2
          }
          {
            name: 'function:evaluate'
            instanceCount: 2
          }
          {
            name: 'function:observe_stamps'
            instanceCount: 2
          }
        ]
      }
    } : null
    siteConfig: {
      // A custom handler has no language stack; an empty text says so (from memory).
      linuxFxVersion: isFlex ? null : ''
      alwaysOn: isFlex ? null : true
      numberOfWorkers: isFlex ? null : 1
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      vnetRouteAllEnabled: true
      ipSecurityRestrictions: concat(publishers, operators)
      ipSecurityRestrictionsDefaultAction: 'Deny'
      // Orders of the command line, and events that wait while the ledger is out of reach. A mount of Azure Files knows
      // keys only.
      azureStorageAccounts: {
        cordon: {
          type: 'AzureFiles'
          accountName: shareAccount
          shareName: shareName
          mountPath: '/mounts/cordon'
          accessKey: shared.listKeys().keys[0].value
        }
      }
    }
  }
}

var hostSettings = isFlex ? {} : {
  FUNCTIONS_EXTENSION_VERSION: '~4'
  FUNCTIONS_WORKER_RUNTIME: 'custom'
}

var cordonSettings = {
  // Cordon.
  CORDON_ROLE: 'controller'
  CORDON_POLICY: '/home/site/wwwroot/policy.toml'
  // State, gates and audit are in Cosmos DB; the share has the orders that the command line places.
  CORDON_LEDGER: 'cosmos'
  CORDON_DATA: '/mounts/cordon'
  CORDON_EPOCHS: epochContainer
  CORDON_STAMP_KEY: '@Microsoft.KeyVault(SecretUri=${stampKeyUri})'
  AZURE_CLIENT_ID: identityClientId
  RUST_LOG: 'info'
  // Only where App Service authentication stands in front may its header be believed.
  CORDON_IDENTITY: empty(pageClientId) ? 'none' : 'platform'
  // The bindings, all by identity.
  AzureWebJobsStorage__accountName: hostAccount
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  CORDON_EVENTHUB__fullyQualifiedNamespace: eventHubHost
  CORDON_EVENTHUB__credential: 'managedidentity'
  CORDON_EVENTHUB__clientId: identityClientId
  CORDON_ALERTS_HUB: alertsHub
  CORDON_PROBES_HUB: probesHub
  CORDON_COSMOS__accountEndpoint: ledgerEndpoint
  CORDON_COSMOS__credential: 'managedidentity'
  CORDON_COSMOS__clientId: identityClientId
  CORDON_COSMOS_DATABASE: ledgerDatabase
  // The host's telemetry: its traces carry Cordon's heartbeat.
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
}

resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(hostSettings, cordonSettings)
}

// The login in front of the page. The publishers cannot log in: they show a key or a token of their own, which the host and
// Cordon check. App Service takes its identity headers out of whatever comes from outside.
resource login 'Microsoft.Web/sites/config@2024-11-01' = if (!empty(pageClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'RedirectToLoginPage'
      redirectToProvider: 'azureactivedirectory'
      excludedPaths: [
        '/api/azure_monitor_alert'
        '/api/cloud_event'
        '/runtime/*'
        '/admin/*'
      ]
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          // Id tokens, so no secret of the application is kept anywhere.
          clientId: pageClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            pageClientId
            'api://${pageClientId}'
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
    httpSettings: {
      requireHttps: true
    }
  }
  dependsOn: [
    settings
  ]
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

@description('The app.')
output name string = app.name

@description('Its host name.')
output hostName string = app.properties.defaultHostName
