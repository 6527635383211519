// Cordon's identity, outliving the app that uses it, and the vault with its one secret.

@description('The workload.')
param workload string

@description('For names that are unique in all of Azure.')
param suffix string

@description('The witness region.')
param location string

@description('Cordon\'s subnet.')
param subnetId string

@description('The shared key of the ungated views.')
@secure()
param stampKey string

@description('Tags.')
param tags object

// Built-in: Key Vault Secrets User.
var secretsRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-cordon-${workload}'
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

@description('Principal, for role assignments.')
output principalId string = identity.properties.principalId

@description('Client id, for AZURE_CLIENT_ID.')
output clientId string = identity.properties.clientId

@description('The identity.')
output identityId string = identity.id

@description('Where the key is.')
output stampKeyUri string = '${vault.properties.vaultUri}secrets/cordon-stamp-key'
