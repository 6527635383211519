// One origin per stamp, and the routes over them. After the stamps: a route wants an enabled origin.

@description('The workload.')
param workload string

@description('The stamps.')
param stamps array

@description('Their host names, in the same order.')
param originHosts array

@description('Stamps whose origin stays disabled.')
param originsHeldOut array

@description('serviceTag or privateLink.')
param originAccess string

@description('Ids of the sites, in the same order; for Private Link.')
param originIds array

@description('Host name of the clients; empty for none.')
param customDomain string

@description('The endpoint.')
param endpointName string

@description('Weight of every origin. It does something only where additionalLatencyMilliseconds lets several origins compete.')
@minValue(1)
@maxValue(1000)
param weight int = 50

resource profile 'Microsoft.Cdn/profiles@2025-06-01' existing = {
  name: 'afd-${workload}'
}

resource endpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-06-01' existing = {
  parent: profile
  name: endpointName
}

resource group 'Microsoft.Cdn/profiles/originGroups@2025-06-01' existing = {
  parent: profile
  name: workload
}

resource domain 'Microsoft.Cdn/profiles/customDomains@2025-06-01' existing = if (!empty(customDomain)) {
  parent: profile
  name: replace(empty(customDomain) ? 'none' : customDomain, '.', '-')
}

// The origin's name is the stamp's: that is how Cordon finds out which is whose.
@batchSize(1)
resource origins 'Microsoft.Cdn/profiles/originGroups/origins@2025-06-01' = [for (stamp, i) in stamps: {
  parent: group
  name: stamp.name
  properties: {
    hostName: originHosts[i]
    originHostHeader: originHosts[i]
    httpPort: 80
    httpsPort: 443
    priority: 1
    weight: weight
    enabledState: contains(originsHeldOut, stamp.name) ? 'Disabled' : 'Enabled'
    enforceCertificateNameCheck: true
    sharedPrivateLinkResource: originAccess == 'privateLink' ? {
      groupId: 'sites'
      privateLink: {
        id: originIds[i]
      }
      privateLinkLocation: stamp.region
      requestMessage: 'Front Door of ${workload}'
    } : null
  }
}]

var domains = empty(customDomain) ? [] : [
  {
    id: domain.id
  }
]

resource api 'Microsoft.Cdn/profiles/afdEndpoints/routes@2025-06-01' = {
  parent: endpoint
  name: 'api'
  properties: {
    originGroup: {
      id: group.id
    }
    customDomains: domains
    supportedProtocols: [
      'Http'
      'Https'
    ]
    httpsRedirect: 'Enabled'
    forwardingProtocol: 'HttpsOnly'
    linkToDefaultDomain: 'Enabled'
    patternsToMatch: [
      '/*'
    ]
    enabledState: 'Enabled'
  }
  dependsOn: [
    origins
  ]
}

// Cached: only what is the same for everybody and named as such. Never the API, which is per client.
resource pictures 'Microsoft.Cdn/profiles/afdEndpoints/routes@2025-06-01' = {
  parent: endpoint
  name: 'static'
  properties: {
    originGroup: {
      id: group.id
    }
    customDomains: domains
    supportedProtocols: [
      'Http'
      'Https'
    ]
    httpsRedirect: 'Enabled'
    forwardingProtocol: 'HttpsOnly'
    linkToDefaultDomain: 'Enabled'
    patternsToMatch: [
      '/static/*'
    ]
    cacheConfiguration: {
      queryStringCachingBehavior: 'IgnoreQueryString'
      compressionSettings: {
        isCompressionEnabled: true
        contentTypesToCompress: [
          'application/javascript'
          'image/svg+xml'
          'text/css'
        ]
      }
    }
    enabledState: 'Enabled'
  }
  dependsOn: [
    api
  ]
}
