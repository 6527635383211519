// What can only be wired once the package is in: Event Grid wants the function itself as its destination.

@description('The topic of custom publishers.')
param topicName string

@description('Cordon\'s app.')
param appName string

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

// HealthResources (a subscription's system topic) covers virtual machines and scale sets only, and these stamps have
// none: so only the custom topic is subscribed. A workload on machines adds a system topic with the same destination.
resource toCordon 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'cordon'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: resourceId('Microsoft.Web/sites/functions', appName, 'event_grid_signal')
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
  }
}
