// Cordon's own account. One write region, the witness region, where its compare-and-swap is decided; session consistency;
// read replicas in the stamp regions for the gates. An ETag in a multi-write account is no lock (DESIGN.md, fact 8).

@description('Name.')
@minLength(3)
@maxLength(44)
param name string

@description('The write region.')
param witnessRegion string

@description('Regions of the stamps.')
param replicaRegions array

@description('Cordon\'s identity.')
param controllerPrincipalId string

@description('The stamps\' identities.')
param stampPrincipalIds array

@description('Log Analytics for the whole.')
param logsWorkspaceId string

@description('Most request units a second, shared by the containers; autoscale.')
@minValue(1000)
@maxValue(100000)
param throughputMax int = 1000

@description('Tags.')
param tags object

var regions = concat([witnessRegion], replicaRegions)

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' = {
  name: name
  location: witnessRegion
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    enableMultipleWriteLocations: false
    // A failover by the service may lose the last commits; then the epoch rises. Without it, losing the witness region
    // stops Cordon until a person decides; gates stay in force either way.
    enableAutomaticFailover: false
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
      isZoneRedundant: i == 0
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
  name: 'cordon'
  properties: {
    options: {
      autoscaleSettings: {
        maxThroughput: throughputMax
      }
    }
    resource: {
      id: 'cordon'
    }
  }
}

// State, plans, inbox and audit of one workload in one partition, so that one batch commits them together.
// TTL is on, and only evidence in the inbox and what is left of consumed items carry one. One property is indexed: the body is
// a text, and everything is asked for by id or by a range of places.
resource ledger 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = {
  parent: database
  name: 'ledger'
  properties: {
    resource: {
      id: 'ledger'
      partitionKey: {
        kind: 'Hash'
        paths: [
          '/workload'
        ]
      }
      defaultTtl: -1
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [
          {
            path: '/place/?'
          }
        ]
        excludedPaths: [
          {
            path: '/*'
          }
        ]
      }
    }
  }
}

// One document per stamp. None carries a TTL: it says itself until when it binds, and its generation must outlive that.
resource gates 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = {
  parent: database
  name: 'gates'
  properties: {
    resource: {
      id: 'gates'
      partitionKey: {
        kind: 'Hash'
        paths: [
          '/workload'
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
    }
  }
}

// Append-only by its role below. No TTL at all: nothing here expires, and no writer can make it.
resource audit 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = {
  parent: database
  name: 'audit'
  properties: {
    resource: {
      id: 'audit'
      partitionKey: {
        kind: 'Hash'
        paths: [
          '/workload'
        ]
      }
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [
          {
            path: '/place/?'
          }
        ]
        excludedPaths: [
          {
            path: '/*'
          }
        ]
      }
    }
  }
}

// Of the two change feeds: publish_audit and notify, told apart by their prefixes.
resource leases 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = {
  parent: database
  name: 'leases'
  properties: {
    resource: {
      id: 'leases'
      partitionKey: {
        kind: 'Hash'
        paths: [
          '/id'
        ]
      }
    }
  }
}

resource itemsRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'cordon-items')
  properties: {
    roleName: 'Cordon items'
    type: 'CustomRole'
    assignableScopes: [
      '${account.id}/dbs/cordon'
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.DocumentDB/databaseAccounts/readMetadata'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/executeQuery'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/readChangeFeed'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/create'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/read'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/replace'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/upsert'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/delete'
        ]
      }
    ]
  }
}

resource appendRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'cordon-append')
  properties: {
    roleName: 'Cordon append'
    type: 'CustomRole'
    assignableScopes: [
      '${account.id}/dbs/cordon'
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.DocumentDB/databaseAccounts/readMetadata'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/executeQuery'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/readChangeFeed'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/create'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/read'
        ]
      }
    ]
  }
}

resource gateReadRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'cordon-gate-read')
  properties: {
    roleName: 'Cordon gate read'
    type: 'CustomRole'
    assignableScopes: [
      '${account.id}/dbs/cordon'
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.DocumentDB/databaseAccounts/readMetadata'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/read'
        ]
      }
    ]
  }
}

@batchSize(1)
resource controllerItems 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [for container in [
  'ledger'
  'gates'
  'leases'
]: {
  parent: account
  name: guid(account.id, controllerPrincipalId, container)
  properties: {
    principalId: controllerPrincipalId
    roleDefinitionId: itemsRole.id
    scope: '${account.id}/dbs/cordon/colls/${container}'
  }
  dependsOn: [
    ledger
    gates
    leases
  ]
}]

resource controllerAudit 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, controllerPrincipalId, 'audit')
  properties: {
    principalId: controllerPrincipalId
    roleDefinitionId: appendRole.id
    scope: '${account.id}/dbs/cordon/colls/${audit.name}'
  }
}

@batchSize(1)
resource stampGates 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [for (principal, i) in stampPrincipalIds: {
  parent: account
  name: guid(account.id, replicaRegions[i], 'gates')
  properties: {
    principalId: principal
    roleDefinitionId: gateReadRole.id
    scope: '${account.id}/dbs/cordon/colls/${gates.name}'
  }
}]

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

@description('Endpoint.')
output endpoint string = account.properties.documentEndpoint

@description('Database.')
output databaseName string = database.name
