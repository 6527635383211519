// Three custom roles with exactly the actions that the adapters use; infra/checks holds them to the recorded drills.
// PATCH is `write` in Azure's access control, and no role can be narrowed to one property: the code is the guard there.
// Nothing here deletes, and neither offlineRegion nor failoverPriorityChange is granted to anybody.
targetScope = 'subscription'

@description('The workload.')
param workload string

resource observer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, workload, 'cordon-observer')
  properties: {
    roleName: 'Cordon observer (${workload})'
    description: 'Read what decides: tagged resources, origins, the account, metrics.'
    type: 'CustomRole'
    assignableScopes: [
      subscription().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.ResourceGraph/resources/read'
          'Microsoft.Cdn/profiles/origingroups/origins/read'
          'Microsoft.DocumentDB/databaseAccounts/read'
          'Microsoft.Insights/metrics/read'
          'Microsoft.Insights/autoscalesettings/read'
          'Microsoft.Web/serverfarms/read'
        ]
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
    description: 'Raise and give back the floor of an autoscale setting.'
    type: 'CustomRole'
    assignableScopes: [
      subscription().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Insights/autoscalesettings/write'
        ]
        notActions: []
      }
    ]
  }
}

@description('Reads; assigned in the global group and in each stamp\'s.')
output observerRoleId string = observer.id

@description('Origins; assigned in the global group.')
output edgeRoleId string = edge.id

@description('Floors; assigned in each stamp\'s group.')
output capacityRoleId string = capacity.id
