// Microsoft's publisher of Event Grid and the CloudEvents project's library post to Cordon (tests/src/bin/event_peer.rs): to the
// webhook as they are, and to a topic in front of the function `event_grid_signal`.

import { load, end } from './peers.mjs';

const { EventGridPublisherClient, AzureKeyCredential, generateSharedAccessSignature } = load('@azure/eventgrid');
const { CloudEvent, HTTP, emitterFor, httpTransport } = load('cloudevents');
const { CORDON_WEBHOOK: webhook, CORDON_TOPIC: topic, CORDON_TOPIC_KEY: key } = process.env;

const SOURCE = '/contoso/checkout-monitor';
const STRANGER = '/somebody/else';
const options = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };
const wrong = [];
const expect = (good, what) => good || wrong.push(what);

/// Each event that was sent, and what must be recorded of it: a verdict about a stamp, or a refusal's code.
const sent = [];
const data = (stamp, verdict) => ({ verdict, standing: 'fired', stamp, failure: 'server_error', note: `checkout of ${stamp}` });
const expected = (id, outcome) => {
  sent.push({ id, outcome });
  return id;
};
const cloud = (id, outcome, source = SOURCE) => ({
  type: 'com.contoso.checkout.errors', source, id: expected(id, outcome), time: new Date(), data: data('centralus', 'degraded'),
});
const grid = (id, outcome, eventType = 'Contoso.Checkout.Errors') => ({
  eventType, subject: 'checkout', dataVersion: '1.0', id: expected(id, outcome), data: data('eastus2', 'unhealthy'),
});
const credential = new AzureKeyCredential(key);

// Microsoft's publisher, both schemas, batches, to the topic.
const toTopic = (schema, shown = credential) => new EventGridPublisherClient(`${topic}/api/events`, schema, shown, options);
await toTopic('EventGrid').send([grid('topic-grid-1', 'unhealthy eastus2'), grid('topic-grid-2', 'unhealthy eastus2')]);
await toTopic('CloudEvent').send([
  cloud('topic-cloud-1', 'degraded centralus'), cloud('topic-cloud-2', 'degraded centralus'),
  cloud('topic-cloud-3', 'unknown_speaker', STRANGER),
]);
const foreign = await toTopic('EventGrid', new AzureKeyCredential('x')).send([grid('nobody', undefined)]).catch((error) => error);
expect(foreign.statusCode === 401, `the topic took a wrong key: ${foreign.statusCode}`);
sent.pop();

// The same, straight to the webhook, as a custom topic is subscribed to it by Event Grid.
const hook = (schema) => new EventGridPublisherClient(webhook, schema, credential, options);
// A topic answers a publisher with 200; a webhook may answer Event Grid with 202, as ours does.
const toWebhook = (schema) => ({
  send: (events) => hook(schema).send(events).catch((error) => expect(error.statusCode === 202, `${error.statusCode} ${error.message}`)),
});
await toWebhook('EventGrid').send([grid('hook-grid-1', 'unhealthy eastus2', SOURCE), grid('hook-grid-2', 'unknown_speaker')]);
await toWebhook('CloudEvent').send([cloud('hook-cloud-1', 'degraded centralus'), cloud('hook-cloud-2', 'degraded centralus')]);
// A second delivery changes nothing.
await toWebhook('CloudEvent').send([cloud('hook-cloud-1', 'degraded centralus')]);
sent.pop();
const signature = await generateSharedAccessSignature(webhook, credential, new Date(Date.now() + 3_600_000));
expect(/^r=.+&e=.+&s=.+$/.test(signature), 'no signature was made');

// The library wants the time as text.
function written(...event) {
  const { time, ...rest } = cloud(...event);
  return new CloudEvent({ ...rest, time: time.toISOString() });
}

// The CloudEvents library: binary, structured and batched, as it puts them on the wire; and by its own transport.
async function post({ headers, body }) {
  const response = await fetch(webhook, { method: 'POST', headers, body });
  expect(response.status === 202, `the webhook answered ${response.status} to ${JSON.stringify(headers)}`);
}
await post(HTTP.binary(written('binary-1', 'degraded centralus')));
await post(HTTP.structured(written('structured-1', 'degraded centralus')));
await post(HTTP.structured(written('structured-2', 'unknown_speaker', STRANGER)));
await post({
  headers: { 'content-type': 'application/cloudevents-batch+json' },
  body: JSON.stringify([written('batch-1', 'degraded centralus'), written('batch-2', 'degraded centralus')]),
});
const emit = emitterFor(httpTransport(webhook));
await emit(written('emitted-1', 'degraded centralus'));
// What the library refuses to build we refuse to believe: an event without a type.
await post({ headers: { 'content-type': 'application/cloudevents+json' }, body: JSON.stringify({ specversion: '1.0', id: 'x', source: SOURCE }) });

// Both handshakes.
const asked = await fetch(webhook, { method: 'OPTIONS', headers: { 'WebHook-Request-Origin': 'eventgrid.azure.net' } });
expect(asked.status === 200 && asked.headers.get('webhook-allowed-origin') === 'eventgrid.azure.net', 'the CloudEvents handshake');
const validation = {
  id: 'v', topic: 't', subject: '', eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent', eventTime: new Date(),
  data: { validationCode: '512d38b6' }, dataVersion: '1', metadataVersion: '1',
};
const shaken = await fetch(webhook, { method: 'POST', body: JSON.stringify([validation]) });
expect(shaken.status === 200 && (await shaken.json()).validationResponse === '512d38b6', 'the Event Grid handshake');

const items = await (await fetch(`${topic}/recorded`)).json();
for (const { id, outcome } of sent) {
  const found = items.filter((item) => item.id.split(":").includes(id));
  const said = found.map(({ signals, refused }) => refused ?? signals.map((s) => `${s.verdict} ${s.scope.stamp}`).join());
  expect(said.length === 1 && said[0] === outcome, `${id}: ${JSON.stringify(said)} is recorded, not ${outcome}`);
}
const malformed = items.filter((item) => item.refused === 'malformed').length;
expect(malformed === 1, `${malformed} refusals as malformed, not 1`);
expect(items.length === sent.length + 1, `${items.length} items are recorded, ${sent.length + 1} were expected: ${JSON.stringify(items)}`);
console.log(`${sent.length} events in 6 forms (Event Grid and CloudEvents batches, by topic and webhook; binary, structured, batched), ` +
  `${items.length} items recorded, ${wrong.length} wrong`);
end(wrong);
