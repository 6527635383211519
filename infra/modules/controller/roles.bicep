// Four custom roles with exactly the actions that the adapters use; infra/checks holds them to the recorded drills.
// PATCH is `write` in Azure's access control, and no role can be narrowed to one property: the code is the guard there.
// Nothing here deletes, and neither offlineRegion nor failoverPriorityChange is granted to anybody.
targetScope = 'subscription'

@description('The workload.')
param workload string

@description('What Cordon may enlarge: the levers of the stamps\' compute, and the throughput of the workload\'s databases.')
@allowed([
  'appService'
  'scaleSet'
  'agentPool'
  'containerApp'
  'throughput'
])
param levers array

// What each lever reads and writes. infra/checks holds each to a drill of its own: nothing missing, nothing unused.
var leverActions = {
  appService: {
    reads: [
      'Microsoft.Insights/autoscalesettings/read'
      'Microsoft.Web/serverfarms/read'
    ]
    writes: [
      'Microsoft.Insights/autoscalesettings/write'
    ]
  }
  scaleSet: {
    reads: [
      'Microsoft.Insights/autoscalesettings/read'
      'Microsoft.Compute/virtualMachineScaleSets/read'
    ]
    writes: [
      'Microsoft.Insights/autoscalesettings/write'
    ]
  }
  agentPool: {
    reads: [
      // A row of Resource Graph is shown only to whom the resource is: the cluster carries the tags.
      'Microsoft.ContainerService/managedClusters/read'
      'Microsoft.ContainerService/managedClusters/agentPools/read'
    ]
    writes: [
      'Microsoft.ContainerService/managedClusters/agentPools/write'
    ]
  }
  containerApp: {
    reads: [
      'Microsoft.App/containerApps/read'
      'Microsoft.App/containerApps/revisions/read'
    ]
    writes: [
      'Microsoft.App/containerApps/write'
    ]
  }
  throughput: {
    reads: [
      'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/throughputSettings/read'
      // A throughput that all containers of a database share.
      'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/throughputSettings/read'
      'Microsoft.DocumentDB/locations/operationsStatus/read'
    ]
    writes: [
      'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/throughputSettings/write'
      'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/throughputSettings/write'
    ]
  }
}
var leverReads = [for lever in levers: leverActions[lever].reads]
var leverWrites = [for lever in levers: leverActions[lever].writes]
var observerActions = [
  'Microsoft.ResourceGraph/resources/read'
  'Microsoft.Cdn/profiles/origingroups/origins/read'
  'Microsoft.DocumentDB/databaseAccounts/read'
  'Microsoft.Insights/metrics/read'
  'Microsoft.ResourceHealth/availabilityStatuses/read'
  // The table of actions names the status of one resource apart.
  'Microsoft.ResourceHealth/availabilityStatuses/current/read'
]

resource observer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, workload, 'cordon-observer')
  properties: {
    roleName: 'Cordon observer (${workload})'
    description: 'Read what decides: tagged resources, origins, the account, metrics, Resource Health.'
    type: 'CustomRole'
    assignableScopes: [
      subscription().id
    ]
    permissions: [
      {
        // Two levers may share an action: union takes each once.
        actions: union(observerActions, flatten(leverReads))
        notActions: []
      }
    ]
  }
}

resource edge 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, workload, 'cordon-edge')
  properties: {
    roleName: 'Cordon edge (${workload})'
    description: 'Enable and disable origins, and look at the operation.'
    type: 'CustomRole'
    assignableScopes: [
      subscription().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Cdn/profiles/origingroups/origins/write'
          'Microsoft.Cdn/operationresults/read'
          'Microsoft.Cdn/operationresults/*/read'
        ]
        notActions: []
      }
    ]
  }
}

resource capacity 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, workload, 'cordon-capacity')
  properties: {
    roleName: 'Cordon capacity (${workload})'
    description: 'Raise and give back the floor of the levers: ${join(levers, ', ')}.'
    type: 'CustomRole'
    assignableScopes: [
      subscription().id
    ]
    permissions: [
      {
        actions: union([], flatten(leverWrites))
        notActions: []
      }
    ]
  }
}

resource quotas 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, workload, 'cordon-quotas')
  properties: {
    roleName: 'Cordon quotas (${workload})'
    description: 'Read how much more a region may have.'
    type: 'CustomRole'
    assignableScopes: [
      subscription().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Quota/usages/read'
          'Microsoft.Quota/quotas/read'
        ]
        notActions: []
      }
    ]
  }
}

@description('Quotas; a region\'s belong to no group, so it is assigned in the subscription.')
output quotasRoleId string = quotas.id

@description('Reads; assigned in the global group and in each stamp\'s.')
output observerRoleId string = observer.id

@description('Origins; assigned in the global group.')
output edgeRoleId string = edge.id

@description('Floors, assigned in each stamp\'s group; throughput, assigned in the global group.')
output capacityRoleId string = capacity.id
