// How events reach Cordon: two event hubs (alerts, probe log) and an Event Grid topic whose events an event-driven
// function takes. The hub is the durable way; the webhook of the action group is the quick one.

@description('The workload.')
param workload string

@description('For names that are unique in all of Azure.')
param suffix string

@description('The witness region.')
param location string

@description('Cordon\'s identity.')
param principalId string

@description('Tags.')
param tags object

// Built-in: Azure Event Hubs Data Receiver.
var receiverRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde')

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: 'evh-cordon-${workload}-${suffix}'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: 1
  }
  properties: {
    isAutoInflateEnabled: true
    maximumThroughputUnits: 4
    minimumTlsVersion: '1.2'
    zoneRedundant: true
  }
}

resource alerts 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: 'alerts'
  properties: {
    partitionCount: 2
    messageRetentionInDays: 7
  }
}

resource probes 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: 'probes'
  properties: {
    partitionCount: 4
    messageRetentionInDays: 1
  }
}

resource readsAlerts 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: alerts
  name: 'cordon'
}

resource readsProbes 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: probes
  name: 'cordon'
}

// Diagnostic settings know rules only, no identity, and want all three rights. No output shows its key.
resource diagnosticsRule 'Microsoft.EventHub/namespaces/authorizationRules@2024-01-01' = {
  parent: namespace
  name: 'diagnostics'
  properties: {
    rights: [
      'Listen'
      'Manage'
      'Send'
    ]
  }
}

resource receives 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace.id, principalId, 'receive')
  scope: namespace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: receiverRole
  }
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: 'evgt-cordon-${workload}-${suffix}'
  location: location
  tags: tags
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

@description('The namespace.')
output namespaceName string = namespace.name

@description('Its host name, for identity-based connections.')
output namespaceHost string = '${namespace.name}.servicebus.windows.net'

@description('The hub of the alerts.')
output alertsHub string = alerts.name

@description('The hub of the probe log.')
output probesHub string = probes.name

@description('The rule for diagnostic settings: its id, not its key.')
output diagnosticsRuleId string = diagnosticsRule.id

@description('The topic.')
output topicName string = topic.name
