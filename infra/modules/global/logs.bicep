// One Log Analytics for the whole, one Application Insights for Cordon, and one page across the regions.

@description('The workload.')
param workload string

@description('Region: not the witness region.')
param location string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int = 90

@description('Tags.')
param tags object

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${workload}'
  location: location
  tags: tags
  properties: {
    retentionInDays: retentionDays
    sku: {
      name: 'PerGB2018'
    }
    features: {
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-cordon-${workload}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
  }
}

@description('The workspace.')
output workspaceId string = workspace.id

@description('Where Cordon\'s host sends its telemetry. Names an instrumentation key, which only lets one write.')
output insightsConnection string = insights.properties.ConnectionString
