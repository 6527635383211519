// The workload's account: writes in every stamp region, so that losing one needs no failover. Not Cordon's account.

@description('Name.')
@minLength(3)
@maxLength(44)
param name string

@description('Regions of the stamps, in order of failover priority.')
param regions array

@description('Most request units a second; autoscale.')
param throughputMax int

@description('Log Analytics for the whole.')
param logsWorkspaceId string

@description('Tags.')
param tags object

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' = {
  name: name
  location: regions[0]
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    enableMultipleWriteLocations: true
    enableAutomaticFailover: true
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: 'Enabled'
    consistencyPolicy: {
      defaultConsistencyLevel: 'Session'
    }
    locations: [for (region, i) in regions: {
      locationName: region
      failoverPriority: i
      isZoneRedundant: true
    }]
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: 'Continuous30Days'
      }
    }
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-04-15' = {
  parent: account
  name: 'shop'
  properties: {
    resource: {
      id: 'shop'
    }
  }
}

resource orders 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = {
  parent: database
  name: 'orders'
  properties: {
    options: {
      autoscaleSettings: {
        maxThroughput: throughputMax
      }
    }
    resource: {
      id: 'orders'
      partitionKey: {
        kind: 'Hash'
        paths: [
          '/customerId'
        ]
      }
      conflictResolutionPolicy: {
        mode: 'LastWriterWins'
        conflictResolutionPath: '/_ts'
      }
    }
  }
}

// What each stamp's health service reads and writes to see whether that works: one document per stamp, which it replaces. TTL is
// on, so that what a stamp that is gone left behind goes too. Of its own throughput: a check that is throttled by the orders
// would say that they are many, and nothing else. One stamp instance asks once in 10 s: a read and a write.
resource health 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = {
  parent: database
  name: 'health'
  properties: {
    options: {
      throughput: 400
    }
    resource: {
      id: 'health'
      partitionKey: {
        kind: 'Hash'
        paths: [
          '/id'
        ]
      }
      defaultTtl: -1
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: []
        excludedPaths: [
          {
            path: '/*'
          }
        ]
      }
      conflictResolutionPolicy: {
        mode: 'LastWriterWins'
        conflictResolutionPath: '/_ts'
      }
    }
  }
}

// All that the check needs. What of the stamp it belongs to may do with the orders is another assignment.
resource healthRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'cordon-health')
  properties: {
    roleName: 'Cordon health'
    type: 'CustomRole'
    assignableScopes: [
      '${account.id}/dbs/shop/colls/${health.name}'
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.DocumentDB/databaseAccounts/readMetadata'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/read'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/upsert'
        ]
      }
    ]
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'control-plane'
  scope: account
  properties: {
    workspaceId: logsWorkspaceId
    logs: [
      {
        category: 'ControlPlaneRequests'
        enabled: true
      }
    ]
  }
}

@description('Name.')
output accountName string = account.name

@description('Its database.')
output databaseName string = database.name

@description('The container that the stamps\' health services look at.')
output healthContainer string = health.name

@description('The role for that.')
output healthRoleId string = healthRole.id

@description('The container of the orders.')
output ordersContainer string = orders.name

@description('Id, for the policy.')
output accountId string = account.id

@description('Endpoint.')
output endpoint string = account.properties.documentEndpoint
