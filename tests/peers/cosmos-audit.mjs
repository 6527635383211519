// Microsoft's JavaScript client of Cosmos DB reads the audit that Cordon wrote, through a front over Microsoft's emulator
// (tests/src/bin/audit_peer.rs), and works out the chain again.

import { load, end } from './peers.mjs';
import { bodyOf, brokenAt } from './chain.mjs';

const { CosmosClient } = load('@azure/cosmos');
const { CORDON_COSMOS: endpoint, CORDON_WORKLOAD: workload, CORDON_RECORDS: records, CORDON_HEAD: head } = process.env;

const client = new CosmosClient({
  endpoint,
  // The emulator checks no key; the client wants one to sign with.
  key: Buffer.from('peer').toString('base64'),
  // The account's document names the regions' own addresses, and there is one front.
  connectionPolicy: { enableEndpointDiscovery: false },
});

const wrong = [];
const expect = (good, what) => good || wrong.push(what);

/** Every record of a container, in the order of their places, a page at a time. */
async function read(container) {
  const query = {
    query: 'SELECT * FROM c WHERE c.place > @after AND c.place < @end ORDER BY c.place',
    parameters: [{ name: '@after', value: '2|' }, { name: '@end', value: '2~' }],
  };
  const pages = container.items.query(query, { partitionKey: workload, maxItemCount: 5 });
  const found = [];
  let count = 0;
  while (pages.hasMoreResults()) {
    const { resources } = await pages.fetchNext();
    found.push(...(resources ?? []));
    count += 1;
  }
  return { found, count };
}

const kept = {};
for (const name of ['audit', 'ledger']) {
  const container = client.database('cordon').container(name);
  const { found, count } = await read(container);
  const texts = found.map((document) => bodyOf(document.text));
  kept[name] = texts;
  console.log(`${name}: ${found.length} records in ${count} pages`);
  expect(String(found.length) === records, `${name} has ${found.length} records, ${records} were written`);
  expect(count > 1, `${name} was read in one page`);
  wrong.push(...brokenAt(texts).map((what) => `${name}: ${what}`));
  expect(texts.length > 0 && JSON.parse(texts.at(-1)).hash === head, `${name} does not end with the last record`);
  for (const { id, seq, at, headline, hash, text, kind } of found) {
    const record = JSON.parse(bodyOf(text));
    const shown = kind === 'audit' && record.id === id && record.seq === seq && record.at === at;
    expect(shown && record.headline === headline && record.hash === hash, `${name}: ${id} shows something else`);
  }
  // One at a time, by id and partition, as a reader of one incident would.
  for (const { id, text } of found) {
    const { resource, statusCode } = await container.item(id, workload).read();
    expect(statusCode === 200 && resource.text === text, `${name}: ${id} reads differently by its id`);
  }
  const { statusCode } = await container.item('0000000000-none', workload).read();
  expect(statusCode === 404, `${name}: a record that is not there answers ${statusCode}`);
}
expect(JSON.stringify(kept.audit) === JSON.stringify(kept.ledger), 'the copy differs from the ledger');

// A record may be created once and is never overwritten by a second creation.
const audit = client.database('cordon').container('audit');
const { found: [first] } = await read(audit);
const again = await audit.items.create({ id: first.id, workload }).catch((error) => error);
expect(again.code === 409, `creating a record again answers ${again.code ?? again.statusCode}, not 409`);
const stale = { accessCondition: { type: 'IfMatch', condition: '"not-the-etag"' } };
const replaced = await audit.item(first.id, workload).replace({ ...first, headline: 'x' }, stale).catch((error) => error);
expect(replaced.code === 412, `replacing with another ETag answers ${replaced.code ?? replaced.statusCode}, not 412`);

// A check that cannot fail is none.
const middle = Math.floor(kept.audit.length / 2);
const altered = kept.audit.with(middle, kept.audit[middle].replace('"headline":"', '"headline":"not '));
expect(brokenAt(altered).length === 1, 'a record that was changed is not found');
expect(brokenAt(kept.audit.toSpliced(middle, 1)).length === 1, 'a record that is missing is not found');

console.log(wrong.length === 0 ? `the chain of ${kept.audit.length} records holds in both containers` : 'it does not hold');
end(wrong);
