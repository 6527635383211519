// What a stamp owns besides its compute: identity, vault, storage, and a Log Analytics of its own. No state that counts
// lies here: the storage holds caches and uploads on their way, and may be lost with the stamp.

@description('The workload.')
param workload string

@description('The stamp.')
@minLength(1)
@maxLength(20)
param stamp string

@description('For names that are unique in all of Azure.')
param suffix string

@description('Region.')
param location string

@description('The apps\' subnet: the only network that the vault and the storage answer.')
param subnetId string

@description('The shared key of the ungated views.')
@secure()
param stampKey string

@description('Tags. Not cordon:stamp: only what Cordon acts on carries it.')
param tags object

// Built-in: Key Vault Secrets User; Storage Blob Data Contributor.
var secretsRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
var blobsRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${workload}-${stamp}'
  location: location
  tags: tags
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: take('kv-${uniqueString(resourceGroup().id)}-${suffix}', 24)
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      virtualNetworkRules: [
        {
          id: subnetId
        }
      ]
    }
  }
}

resource key 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'cordon-stamp-key'
  properties: {
    value: stampKey
    contentType: 'the key of the ungated views'
    attributes: {
      enabled: true
    }
  }
}

resource readsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identity.id, 'secrets')
  scope: vault
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: secretsRole
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: take('st${uniqueString(resourceGroup().id)}${suffix}', 24)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      virtualNetworkRules: [
        {
          id: subnetId
          action: 'Allow'
        }
      ]
    }
  }
}

resource usesBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, 'blobs')
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: blobsRole
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${workload}-${stamp}'
  location: location
  tags: tags
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${workload}-${stamp}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
  }
}

@description('The stamp\'s identity: its principal.')
output principalId string = identity.properties.principalId

@description('The stamp\'s identity.')
output identityId string = identity.id

@description('Its client id.')
output identityClientId string = identity.properties.clientId

@description('Where the key is; the key itself is never an output.')
output stampKeyUri string = '${vault.properties.vaultUri}secrets/cordon-stamp-key'

@description('The stamp\'s own Log Analytics.')
output workspaceId string = workspace.id

@description('Where the application sends its telemetry.')
output insightsConnection string = insights.properties.ConnectionString

@description('The vault\'s address.')
output vaultUri string = vault.properties.vaultUri
