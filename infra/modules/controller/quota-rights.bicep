// Gives Cordon's identity the right to read quotas. They are the subscription's; nothing else is granted there.
targetScope = 'subscription'

@description('Cordon\'s identity.')
param principalId string

@description('The role.')
param roleId string

resource rights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, roleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: roleId
  }
}
