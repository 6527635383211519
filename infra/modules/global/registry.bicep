// The container registry: one, replicated into every stamp region, so that no region needs another to start instances.

@description('Name: 5 to 50 of a-z and 0-9.')
@minLength(5)
@maxLength(50)
param name string

@description('Home region.')
param location string

@description('Regions of the stamps.')
param replicaRegions array

@description('Log Analytics for the whole.')
param logsWorkspaceId string

@description('Tags.')
param tags object

var others = filter(replicaRegions, region => region != location)

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Premium'
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    zoneRedundancy: 'Enabled'
    dataEndpointEnabled: false
    policies: {
      retentionPolicy: {
        days: 30
        status: 'enabled'
      }
    }
  }
}

resource replicas 'Microsoft.ContainerRegistry/registries/replications@2025-04-01' = [for region in others: {
  parent: registry
  name: region
  location: region
  tags: tags
  properties: {
    zoneRedundancy: 'Enabled'
    regionEndpointEnabled: true
  }
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'all'
  scope: registry
  properties: {
    workspaceId: logsWorkspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

@description('Name.')
output name string = registry.name

@description('Host name.')
output host string = registry.properties.loginServer
