// Front Door Premium: the one way in. Its probes ask the stamp's health endpoint, which obeys the gate.

@description('The workload; also the origin group\'s name.')
param workload string

@description('For the endpoint\'s name.')
param suffix string

@description('Host name of the clients; empty for none.')
param customDomain string

@description('Seconds between two probes from one edge location.')
param probeIntervalSeconds int

@description('Origins this much slower than the fastest still get clients, in milliseconds.')
param additionalLatencyMilliseconds int

@description('Detection or Prevention.')
param wafMode string

@description('Requests per minute and address.')
param rateLimitPerMinute int

@description('Tags.')
param tags object

resource profile 'Microsoft.Cdn/profiles@2025-06-01' = {
  name: 'afd-${workload}'
  location: 'global'
  tags: tags
  sku: {
    name: 'Premium_AzureFrontDoor'
  }
  properties: {
    originResponseTimeoutSeconds: 60
  }
}

resource endpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-06-01' = {
  parent: profile
  name: '${workload}-${suffix}'
  location: 'global'
  tags: tags
  properties: {
    enabledState: 'Enabled'
  }
}

// Unhealthy after 3 failed of the last 4, healthy after 2 good ones. No session affinity: clients are not pinned.
resource group 'Microsoft.Cdn/profiles/originGroups@2025-06-01' = {
  parent: profile
  name: workload
  properties: {
    loadBalancingSettings: {
      sampleSize: 4
      successfulSamplesRequired: 2
      additionalLatencyInMilliseconds: additionalLatencyMilliseconds
    }
    healthProbeSettings: {
      probePath: '/healthz'
      probeRequestType: 'HEAD'
      probeProtocol: 'Https'
      probeIntervalInSeconds: probeIntervalSeconds
    }
    sessionAffinityState: 'Disabled'
  }
}

resource domain 'Microsoft.Cdn/profiles/customDomains@2025-06-01' = if (!empty(customDomain)) {
  parent: profile
  name: replace(empty(customDomain) ? 'none' : customDomain, '.', '-')
  properties: {
    hostName: customDomain
    tlsSettings: {
      certificateType: 'ManagedCertificate'
      minimumTlsVersion: 'TLS12'
    }
  }
}

resource firewall 'Microsoft.Network/FrontDoorWebApplicationFirewallPolicies@2024-02-01' = {
  name: 'waf${replace(workload, '-', '')}'
  location: 'global'
  tags: tags
  sku: {
    name: 'Premium_AzureFrontDoor'
  }
  properties: {
    policySettings: {
      enabledState: 'Enabled'
      mode: wafMode
      requestBodyCheck: 'Enabled'
    }
    customRules: {
      rules: [
        {
          name: 'RateLimitByAddress'
          enabledState: 'Enabled'
          priority: 100
          ruleType: 'RateLimitRule'
          rateLimitDurationInMinutes: 1
          rateLimitThreshold: rateLimitPerMinute
          action: 'Block'
          matchConditions: [
            {
              matchVariable: 'SocketAddr'
              operator: 'IPMatch'
              negateCondition: false
              matchValue: [
                '0.0.0.0/0'
                '::/0'
              ]
            }
          ]
        }
        {
          // Clients have no business at the ungated and the peers' view; those are asked directly, with a key.
          name: 'NoInnerViews'
          enabledState: 'Enabled'
          priority: 50
          ruleType: 'MatchRule'
          action: 'Block'
          matchConditions: [
            {
              matchVariable: 'RequestUri'
              operator: 'Contains'
              negateCondition: false
              transforms: [
                'Lowercase'
              ]
              matchValue: [
                '/healthz/'
              ]
            }
          ]
        }
      ]
    }
    managedRules: {
      managedRuleSets: [
        {
          ruleSetType: 'Microsoft_DefaultRuleSet'
          ruleSetVersion: '2.1'
          ruleSetAction: 'Block'
        }
        {
          ruleSetType: 'Microsoft_BotManagerRuleSet'
          ruleSetVersion: '1.1'
        }
      ]
    }
  }
}

var guarded = concat([
  {
    id: endpoint.id
  }
], empty(customDomain) ? [] : [
  {
    id: domain.id
  }
])

resource protection 'Microsoft.Cdn/profiles/securityPolicies@2025-06-01' = {
  parent: profile
  name: 'waf'
  properties: {
    parameters: {
      type: 'WebApplicationFirewall'
      wafPolicy: {
        id: firewall.id
      }
      associations: [
        {
          domains: guarded
          patternsToMatch: [
            '/*'
          ]
        }
      ]
    }
  }
}

@description('The profile.')
output profileName string = profile.name

@description('The endpoint.')
output endpointName string = endpoint.name

@description('What origins must see in X-Azure-FDID.')
output frontDoorId string = profile.properties.frontDoorId

@description('For the policy.')
output originGroupId string = group.id

@description('The endpoint\'s own name.')
output endpointHost string = endpoint.properties.hostName

@description('TXT value of _dnsauth; empty without a domain.')
output domainValidationToken string = empty(customDomain) ? '' : domain!.properties.validationProperties.validationToken
