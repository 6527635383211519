// Front Door's logs: all to Log Analytics, the probe log also to the Event Hub that Cordon reads.

@description('The profile.')
param profileName string

@description('Log Analytics for the whole.')
param logsWorkspaceId string

@description('A rule of the Event Hubs namespace that may send.')
param eventHubAuthorizationRuleId string

@description('The hub for the probe log.')
param eventHubName string

resource profile 'Microsoft.Cdn/profiles@2025-06-01' existing = {
  name: profileName
}

resource toLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: profile
  properties: {
    workspaceId: logsWorkspaceId
    logs: [
      {
        category: 'FrontDoorAccessLog'
        enabled: true
      }
      {
        category: 'FrontDoorHealthProbeLog'
        enabled: true
      }
      {
        category: 'FrontDoorWebApplicationFirewallLog'
        enabled: true
      }
    ]
  }
}

// Off by default in Azure; holds failed probes only, so its silence proves nothing.
resource toCordon 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'cordon-probe-log'
  scope: profile
  properties: {
    eventHubAuthorizationRuleId: eventHubAuthorizationRuleId
    eventHubName: eventHubName
    logs: [
      {
        category: 'FrontDoorHealthProbeLog'
        enabled: true
      }
    ]
  }
}
