// Who tells Cordon, and who tells people that Cordon is silent. Rule names are those of policy.toml's speakers: a rule that
// is not listed there is recorded and has no vote.

@description('The workload.')
param workload string

@description('The stamps.')
param stamps array

@description('Their host names, in the same order: Front Door\'s telemetry names origins by host.')
param originHosts array

@description('Front Door\'s profile.')
param profileName string

@description('The workload\'s account.')
param workloadAccountName string

@description('The witness region.')
param witnessRegion string

@description('Event Hubs namespace.')
param eventHubNamespace string

@description('The hub of the alerts.')
param alertsHub string

@description('The resource group of Cordon.')
param controllerGroup string

@description('Cordon\'s app.')
param controllerAppName string

@description('Address of the alert webhook, without key.')
param webhookUri string

@description('Object id of the webhook\'s Entra application; empty leaves the webhook out.')
param webhookObjectId string

@description('Its identifier URI.')
param webhookIdentifierUri string

@description('Whether the package is in: only then has the app a function key.')
param functionsDeployed bool

@description('Who is told when Cordon is silent.')
param operatorMail string

@description('Log Analytics for the whole.')
param logsWorkspaceId string

@description('Its region.')
param logsRegion string

@description('Tags.')
param tags object

// Names as Service Health knows them; those in policy.toml, `workload.services`.
var services = [
  'App Service'
  'Azure Cosmos DB'
  'Azure Front Door'
  'Virtual Machines'
  'Storage'
  'Network Infrastructure'
]

var regionNames = [for stamp in stamps: stamp.displayName]
var stampGroupIds = [for stamp in stamps: subscriptionResourceId('Microsoft.Resources/resourceGroups', 'rg-${workload}-${stamp.name}')]

var withWebhook = functionsDeployed && !empty(webhookObjectId)

resource profile 'Microsoft.Cdn/profiles@2025-06-01' existing = {
  name: profileName
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: workloadAccountName
}

// Global: Service Health alerts work with no other kind. The hub is the durable way. A webhook that answers badly is
// muted by all action groups for 15 minutes; the hub is not.
resource toCordon 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-cordon-${workload}'
  location: 'Global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'cordon'
    eventHubReceivers: [
      {
        name: 'alerts-hub'
        subscriptionId: subscription().subscriptionId
        eventHubNameSpace: eventHubNamespace
        eventHubName: alertsHub
        tenantId: subscription().tenantId
        useCommonAlertSchema: true
      }
    ]
    webhookReceivers: withWebhook ? [
      {
        name: 'azure-monitor-alert'
        serviceUri: '${webhookUri}?code=${listKeys(resourceId(controllerGroup, 'Microsoft.Web/sites/host', controllerAppName, 'default'), '2024-04-01').functionKeys.default}'
        useCommonAlertSchema: true
        useAadAuth: true
        objectId: webhookObjectId
        identifierUri: webhookIdentifierUri
        tenantId: subscription().tenantId
      }
    ] : []
  }
}

// Not through Cordon: people.
resource toPeople 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-people-${workload}'
  location: 'Global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'cordon-ops'
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: operatorMail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource serviceHealth 'Microsoft.Insights/activityLogAlerts@2020-10-01' = {
  name: 'service-health-${workload}'
  location: 'Global'
  tags: tags
  properties: {
    enabled: true
    scopes: [
      subscription().id
    ]
    condition: {
      allOf: [
        {
          field: 'category'
          equals: 'ServiceHealth'
        }
        {
          field: 'properties.incidentType'
          equals: 'Incident'
        }
        {
          field: 'properties.impactedServices[*].ServiceName'
          containsAny: services
        }
        {
          field: 'properties.impactedServices[*].ImpactedRegions[*].RegionName'
          containsAny: concat(regionNames, [
            'Global'
          ])
        }
      ]
    }
    actions: {
      actionGroups: [
        {
          actionGroupId: toCordon.id
        }
        {
          actionGroupId: toPeople.id
        }
      ]
    }
  }
}

resource resourceHealth 'Microsoft.Insights/activityLogAlerts@2020-10-01' = {
  name: 'resource-health-${workload}'
  location: 'Global'
  tags: tags
  properties: {
    enabled: true
    scopes: concat([
      resourceGroup().id
    ], stampGroupIds)
    condition: {
      allOf: [
        {
          field: 'category'
          equals: 'ResourceHealth'
        }
        {
          anyOf: [
            {
              field: 'properties.currentHealthStatus'
              equals: 'Unavailable'
            }
            {
              field: 'properties.currentHealthStatus'
              equals: 'Degraded'
            }
            {
              field: 'properties.currentHealthStatus'
              equals: 'Available'
            }
          ]
        }
      ]
    }
    actions: {
      actionGroups: [
        {
          actionGroupId: toCordon.id
        }
      ]
    }
  }
}

// Class Edge. One rule per stamp, so that the name says which; the dimension Origin says it again.
resource originHealth 'Microsoft.Insights/metricAlerts@2018-03-01' = [for (stamp, i) in stamps: {
  name: 'origin-health-${stamp.name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    severity: 1
    scopes: [
      profile.id
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT1M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'health'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.Cdn/profiles'
          metricName: 'OriginHealthPercentage'
          operator: 'LessThan'
          threshold: 80
          timeAggregation: 'Average'
          dimensions: [
            {
              name: 'Origin'
              operator: 'Include'
              values: [
                originHosts[i]
              ]
            }
          ]
        }
      ]
    }
    actions: [
      {
        actionGroupId: toCordon.id
        webHookProperties: {
          stamp: stamp.name
        }
      }
    ]
  }
}]

// Class Traffic. A ratio needs a query. Over the error budget is a gray failure, and the property says so.
resource originErrors 'Microsoft.Insights/scheduledQueryRules@2021-08-01' = [for (stamp, i) in stamps: {
  name: 'api-5xx-ratio-${stamp.name}'
  location: logsRegion
  tags: tags
  properties: {
    displayName: 'api-5xx-ratio-${stamp.name}'
    enabled: true
    severity: 2
    scopes: [
      logsWorkspaceId
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'AzureDiagnostics | where Category == "FrontDoorAccessLog" and originName_s has "${originHosts[i]}" | summarize failed = countif(toint(httpStatusCode_s) >= 500), total = count() | where total >= 100 | project percent = 100.0 * failed / total'
          metricMeasureColumn: 'percent'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 5
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        toCordon.id
      ]
      customProperties: {
        stamp: stamp.name
        verdict: 'degraded'
      }
    }
  }
}]

// Class Data. Requests that the region's account failed, by status.
resource accountErrors 'Microsoft.Insights/metricAlerts@2018-03-01' = [for stamp in stamps: {
  name: 'cosmos-region-failures-${stamp.name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    severity: 1
    scopes: [
      account.id
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'failures'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.DocumentDB/databaseAccounts'
          metricName: 'TotalRequests'
          operator: 'GreaterThan'
          threshold: 100
          timeAggregation: 'Count'
          dimensions: [
            {
              name: 'Region'
              operator: 'Include'
              values: [
                stamp.displayName
              ]
            }
            {
              name: 'StatusCode'
              operator: 'Include'
              values: [
                '500'
                '503'
              ]
            }
          ]
        }
      ]
    }
    actions: [
      {
        actionGroupId: toCordon.id
        webHookProperties: {
          stamp: stamp.name
        }
      }
    ]
  }
}]

// Who notices that Cordon is dead: nobody in it. Each run of evaluate_timer, every 10 s, says `cordon heartbeat WORKLOAD` if it
// could use its stores and has seen the stamps lately; five minutes without it is a dead, blind or stuck Cordon. The rule and
// the log lie outside the witness region.
resource silence 'Microsoft.Insights/scheduledQueryRules@2021-08-01' = {
  name: 'cordon-silent-${workload}'
  location: logsRegion
  tags: tags
  properties: {
    displayName: 'cordon-silent-${workload}'
    description: 'Cordon in ${witnessRegion} has not evaluated for five minutes. infra/RUNBOOK.md says what to do by hand.'
    enabled: true
    severity: 0
    scopes: [
      logsWorkspaceId
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'AppTraces | where AppRoleName =~ "${controllerAppName}" and Message has "cordon heartbeat ${workload}" | summarize heartbeats = count()'
          metricMeasureColumn: 'heartbeats'
          timeAggregation: 'Maximum'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        toPeople.id
      ]
    }
  }
}
