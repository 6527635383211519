// Every recorded exchange with ARM, requests and simulated replies both, against Microsoft's published specifications, by
// Microsoft's own validator.
//
//   node oav.mjs RECORDED    (folders of exchanges, as `cordon drill --record` writes them)

import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { load, end } from './peers.mjs';
import { DEVIATIONS, LEFT_OUT, SPEC_VERSIONS } from './oav-rules.mjs';
import { SEEDED } from './oav-seeded.mjs';

const SPECS = join(dirname(fileURLToPath(import.meta.url)), 'arm-specs');
/// Findings printed in full; the rest is counted.
const SHOWN_MAX = 40;

const { LiveValidator } = load('oav');
const quiet = () => {};
const validator = new LiveValidator(
  {
    directory: SPECS,
    swaggerPathsPattern: ['/specification/**/*.json'],
    excludedSwaggerPathsPattern: [],
    git: { shouldClone: false },
    isArmCall: true,
    loadValidatorInBackground: false,
    loadValidatorInInitialize: true,
  },
  quiet,
);

/** The exchange under the version of the specification that is here, where we speak a newer one. */
function translated(exchange) {
  const url = new URL(exchange.liveRequest.url);
  const provider = url.pathname.toLowerCase().split('/providers/').at(-1).split('/')[0];
  const version = SPEC_VERSIONS[provider];
  if (version && url.searchParams.has('api-version')) {
    exchange.liveRequest.url = exchange.liveRequest.url.replace(/api-version=[^&]*/i, `api-version=${version}`);
  }
  return exchange;
}

function reasons(result) {
  if (result.runtimeException) return [{ code: 'RUNTIME', message: String(result.runtimeException.message) }];
  return result.errors ?? [];
}

/** The operation that an exchange was taken for, what is wrong with it, and what is known of the live service. */
async function judge(exchange) {
  const { operation, found } = await findings(exchange);
  const deviation = (finding) => DEVIATIONS.find((known) => known.is({ operation, exchange, ...finding }));
  return { operation, wrong: found.filter((finding) => !deviation(finding)), known: found.map(deviation).filter(Boolean) };
}

async function findings(exchange) {
  const said = await validator.validateLiveRequestResponse(translated(exchange));
  const operation = said.requestValidationResult.operationInfo?.operationId;
  if (said.runtimeException) {
    return { operation, found: [{ side: 'exchange', code: 'RUNTIME', message: said.runtimeException.message }] };
  }
  const sides = [['request', said.requestValidationResult], ['reply', said.responseValidationResult]];
  const found = sides.flatMap(([side, result]) => {
    const errors = reasons(result).map((error) => ({ side, ...error }));
    // Never read "not judged" as "good".
    if (errors.length === 0 && result.isSuccessful !== true) errors.push({ side, code: 'NOT_JUDGED', message: '' });
    return errors;
  });
  return { operation, found };
}

const count = (counts, key) => counts.set(key, (counts.get(key) ?? 0) + 1);
const table = (counts) => [...counts].sort().map(([key, n]) => `  ${String(n).padStart(7)}  ${key}`).join('\n');

async function recorded(folder) {
  const operations = new Map(), left = new Map(), deviations = new Map(), wrong = new Map();
  // The first good exchange of each kind.
  const samples = [];
  let validated = 0, drills = 0;
  const folders = readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory());
  for (const name of folders.map((one) => one.name).sort()) {
    drills += 1;
    for (const file of readdirSync(join(folder, name)).sort()) {
      const text = readFileSync(join(folder, name, file), 'utf8');
      const exchange = JSON.parse(text);
      const { method, url } = exchange.liveRequest;
      const status = exchange.liveResponse.statusCode;
      const reason = LEFT_OUT.find(({ path }) => path.test(new URL(url).pathname));
      if (reason) {
        count(left, reason.name);
        continue;
      }
      validated += 1;
      const judged = await judge(exchange);
      const { operation } = judged;
      const kind = `${operation ?? 'no operation'} ${method} ${status}`;
      if (judged.wrong.length === 0 && !samples.some((one) => one.kind === kind)) samples.push({ kind, operation, status, text });
      count(operations, kind);
      for (const { name, source } of judged.known) count(deviations, `${name} (${source})`);
      for (const finding of judged.wrong) {
        const where = (finding.pathsInPayload ?? []).join(' ') || (finding.jsonPathsInPayload ?? []).join(' ');
        const what = `${operation ?? url} ${method} ${status}: ${finding.side} ${finding.code} ${where} ${finding.message}`;
        if (!wrong.has(what)) wrong.set(what, { first: `${name}/${file}`, times: 0 });
        wrong.get(what).times += 1;
      }
    }
  }
  return { operations, left, deviations, wrong, validated, drills, samples };
}

/** A check that cannot fail is none: each seeded fault must be found. */
async function seeded(samples) {
  const wrong = [];
  for (const { name, operation, status, fault } of SEEDED) {
    const sample = samples.find((one) => one.operation === operation && (status ?? one.status) === one.status);
    if (!sample) {
      wrong.push(`seeded fault "${name}": no good exchange of ${operation} was recorded`);
      continue;
    }
    const bad = JSON.parse(sample.text);
    fault(bad);
    if ((await judge(bad)).wrong.length === 0) wrong.push(`seeded fault "${name}" was not found`);
  }
  console.log(`seeded faults: ${SEEDED.length - wrong.length} of ${SEEDED.length} found`);
  return wrong;
}

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error('name the folder of the recorded exchanges');
  process.exit(2);
}
await validator.initialize();
const result = await recorded(folder);
const wrong = await seeded(result.samples);
console.log(`exchanges by operation, method and status:\n${table(result.operations)}`);
console.log(`left out, because the specifications do not hold them:\n${table(result.left)}`);
console.log(`deviations of the live service from its specification, known:\n${table(result.deviations)}`);
for (const [text, { first, times }] of [...result.wrong].slice(0, SHOWN_MAX)) {
  wrong.push(`${text} (${times} times, first in ${first})`);
}
const hidden = result.wrong.size - SHOWN_MAX;
if (hidden > 0) wrong.push(`and ${hidden} more`);
if (result.validated === 0) wrong.push('there is no exchange to validate');
console.log(`${result.validated} exchanges of ${result.drills} drills validated, ${result.wrong.size} kinds of errors`);
end(wrong);
