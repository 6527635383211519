// The audit's hash chain, worked out again from what is written about it and not from our code: SHA-256 over the record's
// fields in canonical JSON (keys sorted at every level, no spaces, numbers as they were written), with empty `id` and `hash`.

import { createHash } from 'node:crypto';

const TOKEN = /\s*(?:([{}\[\],:])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*|true|false|null))/y;

/** Canonical JSON of a JSON text; `top` changes the members of the outermost object. Literals stay as they are written. */
export function canonical(text, top = (members) => members) {
  let at = 0;
  const next = () => {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text);
    if (!found) throw new Error(`no JSON at ${at}`);
    at = TOKEN.lastIndex;
    return found[1] ?? found[2] ?? found[3];
  };
  const list = (end, item) => {
    for (let token = next(); token !== end; token = next()) item(token === ',' ? next() : token);
  };
  const value = (token, change = (members) => members) => {
    if (token === '[') {
      const items = [];
      list(']', (first) => items.push(value(first)));
      return `[${items.join(',')}]`;
    }
    if (token !== '{') return token;
    const members = new Map();
    list('}', (key) => {
      next();
      members.set(key, value(next()));
    });
    const sorted = [...change(members)].sort(([a], [b]) => (JSON.parse(a) < JSON.parse(b) ? -1 : 1));
    return `{${sorted.map(([key, member]) => `${key}:${member}`).join(',')}}`;
  };
  const whole = value(next(), top);
  if (text.slice(at).trim() !== '') throw new Error(`more than one value: ${at}`);
  return whole;
}

/** A document of Cordon's stores is an envelope with the schema's number; its body, as text. */
export function bodyOf(text) {
  let body;
  canonical(text, (members) => {
    body = members.get('"body"');
    return members;
  });
  if (body === undefined) throw new Error('an envelope without a body');
  return body;
}

/** The hash that a record should have. */
export function contentHash(text) {
  const bare = canonical(text, (members) => members.set('"id"', '""').set('"hash"', '""'));
  return createHash('sha256').update(bare, 'utf8').digest('hex');
}

/** What is wrong with a chain of record texts, the oldest first; nothing if it holds. */
export function brokenAt(texts) {
  const wrong = [];
  let previous = '', seq = 0;
  for (const text of texts) {
    const record = JSON.parse(text);
    if (contentHash(text) !== record.hash) wrong.push(`record ${record.seq} was changed`);
    if (record.seq !== seq + 1 || record.previous !== previous) wrong.push(`record ${record.seq} does not follow ${seq}`);
    [previous, seq] = [record.hash, record.seq];
  }
  return wrong;
}
