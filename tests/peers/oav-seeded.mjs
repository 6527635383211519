// Faults that the validator must find, each put into an exchange that was recorded and found good.

const properties = (body) => body.properties;

export const SEEDED = [
  {
    name: 'a priority beyond 5',
    operation: 'AFDOrigins_Update',
    fault: ({ liveRequest }) => { properties(liveRequest.body).priority = 9; },
  },
  {
    name: 'a state of an origin as a number',
    operation: 'AFDOrigins_Update',
    fault: ({ liveRequest }) => { properties(liveRequest.body).enabledState = 1; },
  },
  {
    name: 'an origin without a host name',
    operation: 'AFDOrigins_ListByOriginGroup',
    fault: ({ liveResponse }) => { delete properties(liveResponse.body.value[0]).hostName; },
  },
  {
    name: 'an accepted write without an address to follow',
    operation: 'AFDOrigins_Update',
    status: '202',
    fault: ({ liveResponse }) => { delete liveResponse.headers['azure-asyncoperation']; },
  },
  {
    name: 'a capacity as a number',
    operation: 'AutoscaleSettings_CreateOrUpdate',
    fault: ({ liveRequest }) => { properties(liveRequest.body).profiles[0].capacity.minimum = 3; },
  },
  {
    name: 'a setting without its location',
    operation: 'AutoscaleSettings_CreateOrUpdate',
    fault: ({ liveRequest }) => { delete liveRequest.body.location; },
  },
  {
    name: 'a metric without a unit',
    operation: 'Metrics_List',
    fault: ({ liveResponse }) => { delete liveResponse.body.value[0].unit; },
  },
  {
    name: 'a version that is none',
    operation: 'Metrics_List',
    fault: ({ liveRequest }) => { liveRequest.url = liveRequest.url.replace(/api-version=[^&]*/, 'api-version=1999-01-01'); },
  },
  {
    name: 'a replica bound as text',
    operation: 'ContainerApps_Update',
    fault: ({ liveRequest }) => { properties(liveRequest.body).template.scale.minReplicas = 'three'; },
  },
  {
    name: 'a node count as text',
    operation: 'AgentPools_CreateOrUpdate',
    fault: ({ liveRequest }) => { properties(liveRequest.body).minCount = 'three'; },
  },
  {
    name: 'a status that the operation does not have',
    operation: 'DatabaseAccounts_Get',
    fault: ({ liveResponse }) => { liveResponse.statusCode = '299'; },
  },
  {
    name: 'a reply that is no JSON',
    operation: 'DatabaseAccounts_Get',
    fault: ({ liveResponse }) => { liveResponse.headers['content-type'] = 'text/html'; },
  },
  {
    name: 'an address that the specification does not have',
    operation: 'AppServicePlans_Get',
    fault: ({ liveRequest }) => { liveRequest.url = liveRequest.url.replace(/serverfarms/i, 'serverforms'); },
  },
];
