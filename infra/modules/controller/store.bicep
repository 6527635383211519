// Storage of the witness region: the host's own account (queue, package, locks; identities only), and the share with the
// command line's orders; with CORDON_LEDGER=embedded also the ledger and the gates.

@description('The workload.')
param workload string

@description('For names that are unique in all of Azure.')
param suffix string

@description('The witness region.')
param location string

@description('Cordon\'s identity.')
param principalId string

@description('Log Analytics for the whole.')
param logsWorkspaceId string

@description('Tags.')
param tags object

// Built-in: Storage Blob Data Owner and Storage Queue Data Contributor: what the Functions host asks for.
var hostRoles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
]

resource host 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: take('sth${uniqueString(resourceGroup().id)}${suffix}', 24)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: host
  name: 'default'
}

// Wake-ups carry no data: losing one costs ten seconds, until the timer.
resource wakeups 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' = {
  parent: queues
  name: 'cordon-wakeups'
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: host
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'packages'
  properties: {
    publicAccess: 'None'
  }
}

// The ledger's epochs: outside the account whose write region may change, written with If-Match.
resource epochs 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'epochs'
  properties: {
    publicAccess: 'None'
  }
}

resource hostRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in hostRoles: {
  name: guid(host.id, principalId, role)
  scope: host
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

// A mount of Azure Files knows keys only, no identity; hence an account of its own.
resource shared 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: take('stg${uniqueString(resourceGroup().id)}${suffix}', 24)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2025-01-01' = {
  parent: shared
  name: 'default'
  properties: {
    shareDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource share 'Microsoft.Storage/storageAccounts/fileServices/shares@2025-01-01' = {
  parent: files
  name: 'cordon'
  properties: {
    shareQuota: 100
    enabledProtocols: 'SMB'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'queue'
  scope: queues
  properties: {
    workspaceId: logsWorkspaceId
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

@description('The host\'s account.')
output hostAccount string = host.name

@description('The container that takes the package, as a URL.')
output packageContainer string = '${host.properties.primaryEndpoints.blob}packages'

@description('The container of the ledger\'s epochs, as a URL.')
output epochsContainer string = '${host.properties.primaryEndpoints.blob}epochs'

@description('The account with the share.')
output shareAccount string = shared.name

@description('Its id.')
output shareAccountId string = shared.id

@description('The share.')
output shareName string = share.name
