// What the validator is told about the specifications that are here: their versions, what they do not hold, and where the
// live service is known to differ from them.

/// We speak newer versions of these; the traffic is validated under the one that is here. What differs between the two is not
/// validated.
export const SPEC_VERSIONS = {
  'microsoft.app': '2024-03-01',
  'microsoft.cdn': '2024-02-01',
  'microsoft.compute': '2024-03-01',
  'microsoft.containerservice': '2024-02-01',
  'microsoft.documentdb': '2024-05-15',
  'microsoft.quota': '2023-02-01',
  'microsoft.web': '2023-12-01',
};

export const LEFT_OUT = [
  { name: 'results of operations', path: /\/operation(results|sstatus)\/[^/]+$/i },
  { name: 'availability statuses', path: /\/providers\/Microsoft\.ResourceHealth\/availabilityStatuses\/current$/i },
  { name: 'revisions of Container Apps', path: /\/containerApps\/[^/]+\/revisions\/[^/]+$/i },
];

const ofArm = ['AuthenticationFailed', 'MissingApiVersionParameter', 'ServerTimeout', 'TooManyRequests'];

export const DEVIATIONS = [
  {
    name: 'Azure Resource Manager answers by itself, in its own envelope, whatever the operation declares',
    source: 'ErrorResponse of common-types/resource-management, "common error response for all Azure Resource Manager APIs"',
    is: ({ side, exchange }) => side === 'reply' && ofArm.includes(exchange.liveResponse.body?.error?.code),
  },
  {
    name: 'an agent pool has a read-only eTag',
    source: 'ManagedClusterAgentPoolProfileProperties.ETag in the reference of Azure.ResourceManager.ContainerService; ' +
      'newer than the specification here',
    is: ({ side, code, pathsInPayload, operation }) =>
      operation?.startsWith('AgentPools_') && side === 'reply' && code === 'OBJECT_ADDITIONAL_PROPERTIES' &&
      pathsInPayload.every((path) => path === '/properties/eTag'),
  },
  {
    name: 'a PATCH of an App Service plan needs its sku, which the model of the PATCH does not have',
    source: 'github.com/Azure/azure-rest-api-specs/issues/7139, github.com/Azure/azure-sdk-for-net/issues/34321',
    is: ({ side, code, pathsInPayload, operation }) =>
      operation === 'AppServicePlans_Update' && side === 'request' && code === 'OBJECT_ADDITIONAL_PROPERTIES' &&
      pathsInPayload.every((path) => path === '/sku'),
  },
  {
    name: 'App Service\'s errors are in Pascal case and not wrapped',
    source: 'the answers quoted in github.com/Azure/azure-rest-api-specs/issues/7139',
    is: ({ side, pathsInPayload, operation, exchange }) =>
      operation?.startsWith('AppServicePlans_') && side === 'reply' && Number(exchange.liveResponse.statusCode) >= 400 &&
      (pathsInPayload ?? []).every((path) => /^\/(Code|Message|Target|Details|Innererror)$/.test(path)),
  },
];
