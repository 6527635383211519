// What one stamp's identity may do outside its own group: pull images, read and write the workload's orders, and read and
// replace the one document by which its health service sees whether that works.

@description('The workload\'s account.')
param accountName string

@description('Its database.')
param databaseName string

@description('The container of the orders.')
param ordersContainer string

@description('The container that the health service looks at.')
param healthContainer string

@description('What the health service may do there.')
param healthRoleId string

@description('The registry.')
param registryName string

@description('The stamp\'s identity.')
param principalId string

// Built-in: AcrPull.
var pullRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registryName
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: accountName
}

resource pull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, principalId, 'pull')
  scope: registry
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: pullRole
  }
}

// Built-in data role: Cosmos DB Built-in Data Contributor.
resource items 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, principalId, 'orders')
  properties: {
    principalId: principalId
    roleDefinitionId: '${account.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002'
    scope: '${account.id}/dbs/${databaseName}/colls/${ordersContainer}'
  }
}

resource health 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, principalId, 'health')
  properties: {
    principalId: principalId
    roleDefinitionId: healthRoleId
    scope: '${account.id}/dbs/${databaseName}/colls/${healthContainer}'
  }
  dependsOn: [
    items
  ]
}
