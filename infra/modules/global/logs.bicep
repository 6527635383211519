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

var pages = {
  version: 'Notebook/1.0'
  items: [
    {
      type: 1
      name: 'what'
      content: {
        json: '# Contoso Shoes, all regions\nErrors at the edge by origin, failed probes by edge location and origin, Cordon\'s heartbeat.'
      }
    }
    {
      type: 3
      name: 'origin-errors'
      content: {
        version: 'KqlItem/1.0'
        title: 'Answers of the origins, by status group'
        query: 'AzureDiagnostics | where Category == "FrontDoorAccessLog" | summarize requests = count() by bin(TimeGenerated, 1m), originName_s, statusGroup = strcat(substring(tostring(httpStatusCode_d), 0, 1), "xx") | render timechart'
        queryType: 0
        resourceType: 'microsoft.operationalinsights/workspaces'
        crossComponentResources: [
          workspace.id
        ]
      }
    }
    {
      type: 3
      name: 'failed-probes'
      content: {
        version: 'KqlItem/1.0'
        title: 'Failed probes (only failures are logged)'
        query: 'AzureDiagnostics | where Category == "FrontDoorHealthProbeLog" | summarize failed = count(), places = dcount(POP_s) by bin(TimeGenerated, 1m), originName_s | render timechart'
        queryType: 0
        resourceType: 'microsoft.operationalinsights/workspaces'
        crossComponentResources: [
          workspace.id
        ]
      }
    }
    {
      type: 3
      name: 'heartbeat'
      content: {
        version: 'KqlItem/1.0'
        title: 'Evaluations of Cordon'
        query: 'AppRequests | where Name == "evaluate_timer" | summarize evaluations = countif(Success) by bin(TimeGenerated, 1m) | render timechart'
        queryType: 0
        resourceType: 'microsoft.operationalinsights/workspaces'
        crossComponentResources: [
          workspace.id
        ]
      }
    }
  ]
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: '${workload}: all regions'
    category: 'workbook'
    sourceId: workspace.id
    serializedData: string(pages)
  }
}

@description('The workspace.')
output workspaceId string = workspace.id

@description('Where Cordon\'s host sends its telemetry. Names an instrumentation key, which only lets one write.')
output insightsConnection string = insights.properties.ConnectionString
