// A small network with one known address to the outside: the other stamps and the witness let exactly it probe them.

@description('Name of the stamp, or cordon.')
@minLength(1)
@maxLength(20)
param name string

@description('Region.')
param location string

@description('Address space, at least a /26; the apps\' subnet takes all of it.')
@minLength(9)
@maxLength(18)
param addressSpace string

@description('Whose machines live in the subnet.')
@allowed([
  'Microsoft.Web/serverFarms'
  'Microsoft.App/environments'
])
param delegation string

@description('Tags.')
param tags object

resource egress 'Microsoft.Network/publicIPAddresses@2024-07-01' = {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  zones: [
    '1'
    '2'
    '3'
  ]
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

// A NAT gateway lies in one zone or in none; with none Azure places it. Its loss costs probes, not clients.
resource gateway 'Microsoft.Network/natGateways@2024-07-01' = {
  name: 'nat-${name}'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: egress.id
      }
    ]
  }
}

resource guard 'Microsoft.Network/networkSecurityGroups@2024-07-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-in'
        properties: {
          access: 'Deny'
          direction: 'Inbound'
          priority: 4000
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressSpace
      ]
    }
    subnets: [
      {
        name: 'apps'
        properties: {
          addressPrefix: addressSpace
          natGateway: {
            id: gateway.id
          }
          networkSecurityGroup: {
            id: guard.id
          }
          delegations: [
            {
              name: 'apps'
              properties: {
                serviceName: delegation
              }
            }
          ]
          serviceEndpoints: [
            {
              service: 'Microsoft.KeyVault'
            }
            {
              service: 'Microsoft.Storage.Global'
            }
          ]
        }
      }
    ]
  }
}

@description('The subnet for the apps.')
output subnetId string = resourceId('Microsoft.Network/virtualNetworks/subnets', network.name, 'apps')

@description('The address that the outside sees.')
output egressAddress string = egress.properties.ipAddress
