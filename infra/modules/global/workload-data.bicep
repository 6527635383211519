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

@description('Id, for the policy.')
output accountId string = account.id

@description('Endpoint.')
output endpoint string = account.properties.documentEndpoint
