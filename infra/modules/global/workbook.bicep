// All regions on one page: what the edge and Cordon logged to the one workspace for the whole, and below it each stamp's own
// log, which lies in its region: a region whose log cannot be asked leaves a gap there and nowhere else.

@description('The workload.')
param workload string

@description('Region of the workbook.')
param location string

@description('Log Analytics for the whole.')
param workspaceId string

@description('The stamps, in the order of their workspaces.')
param stampNames array

@description('Log Analytics of each stamp.')
param stampWorkspaceIds array

@description('Tags.')
param tags object

var everywhere = [
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
        workspaceId
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
        workspaceId
      ]
    }
  }
  {
    type: 3
    name: 'heartbeat'
    content: {
      version: 'KqlItem/1.0'
      title: 'Heartbeat of Cordon'
      query: 'AppTraces | where Message has "cordon heartbeat ${workload}" | summarize heartbeats = count() by bin(TimeGenerated, 1m) | render timechart'
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      crossComponentResources: [
        workspaceId
      ]
    }
  }
]

var ofStamps = [for (stampWorkspaceId, i) in stampWorkspaceIds: {
  type: 3
  name: 'stamp-${stampNames[i]}'
  content: {
    version: 'KqlItem/1.0'
    title: 'Requests at ${stampNames[i]}, by status group'
    query: 'AppServiceHTTPLogs | summarize requests = count() by bin(TimeGenerated, 1m), statusGroup = strcat(substring(tostring(ScStatus), 0, 1), "xx") | render timechart'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    crossComponentResources: [
      stampWorkspaceId
    ]
  }
}]

var pages = {
  version: 'Notebook/1.0'
  items: concat(everywhere, ofStamps)
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: '${workload}: all regions'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string(pages)
  }
}
