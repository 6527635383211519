// Gives Cordon's identity roles in one resource group.

@description('Cordon\'s identity.')
param principalId string

@description('The roles.')
param roleIds array

resource rights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roleIds: {
  name: guid(resourceGroup().id, principalId, role)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role
  }
}]
