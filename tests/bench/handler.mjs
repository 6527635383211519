// The same normalisation as Cordon's ingest, for Node: what the benchmark compares with. Two payloads, allow-list, ids that a
// second delivery repeats, an inbox in memory. `node handler.mjs` prints the port it listens on.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const now = Date.parse("2026-03-10T09:40:30Z");
const horizon = 24 * 3600 * 1000;
const stamps = { eastus2: { region: "eastus2", host: "eastus2.contososhoes.com" }, centralus: { region: "centralus", host: "centralus.contososhoes.com" } };
const services = new Set(["app service", "azure cosmos db", "azure front door"]);
const knownRegions = new Set(["eastus2", "centralus", "westeurope", "westus3", "eastus"]);
const inbox = new Map();

const plain = (part) => (/^[A-Za-z0-9._-]{1,64}$/.test(part) ? part.toLowerCase() : createHash("sha256").update(part).digest("hex").slice(0, 32));
const field = (object, name) => {
  if (object === null || typeof object !== "object") return undefined;
  if (name in object) return object[name];
  const lower = name.toLowerCase();
  for (const key of Object.keys(object)) if (key.toLowerCase() === lower) return object[key];
  return undefined;
};
const opened = (value) => {
  for (let i = 0; i < 3 && typeof value === "string"; i++) {
    try { const inner = JSON.parse(value); if (inner === null || typeof inner === "number" || typeof inner === "boolean") break; value = inner; } catch { break; }
  }
  return value;
};
const take = (item) => { if (inbox.has(item.id)) return 0; inbox.set(item.id, JSON.stringify(item)); return 1; };

function serviceHealth(body) {
  const essentials = field(field(body, "data"), "essentials");
  const context = field(field(body, "data"), "alertContext");
  const bag = opened(field(context, "properties")) ?? {};
  const tracking = field(bag, "trackingId") ?? "";
  const stage = String(field(bag, "stage") ?? field(context, "status") ?? "").toLowerCase();
  const at = Math.min(now, Date.parse(field(context, "eventTimestamp") ?? field(essentials, "firedDateTime")));
  const id = ["service-health", tracking, field(bag, "communicationId") ?? "", stage].map(plain).join(":");
  if (String(field(bag, "IsSynthetic")).toLowerCase() === "true" || tracking.startsWith("TEST-")) return [{ id, refused: "SyntheticTest" }];
  const scopes = new Set(); const refused = [];
  for (const impact of opened(field(bag, "impactedServices")) ?? []) {
    for (const one of field(impact, "ImpactedRegions") ?? []) {
      const service = field(impact, "ServiceName"); const region = field(one, "RegionName").replace(/\s/g, "").toLowerCase();
      if (!services.has(service.toLowerCase())) { refused.push(["ServiceNotUsed", service]); continue; }
      if (!knownRegions.has(region)) { refused.push(["UnknownRegion", region]); continue; }
      const found = Object.keys(stamps).filter((name) => stamps[name].region === region);
      if (found.length === 0) refused.push(["RegionWithoutStamp", region]);
      for (const name of found) scopes.add(name);
    }
  }
  if (now - at > horizon) return [{ id, refused: "TooOld" }];
  const signals = [...scopes].sort().map((scope) => ({ scope, class: "Platform", source: `service-health:${tracking}`, verdict: stage === "active" ? "Unhealthy" : "Unobserved", observed_at: at, note: String(field(bag, "title") ?? "").slice(0, 200) }));
  const items = signals.length ? [{ id, event_at: at, received_at: now, signals }] : [];
  for (const [code, why] of refused) items.push({ id: `${id}:${code}`, event_at: at, received_at: now, refused: { code, why } });
  return items;
}

function probeLog(events) {
  const buckets = new Map(); const contents = new Set(); const refused = []; let latest = 0;
  for (const message of events) {
    for (const document of [].concat(opened(message))) {
      for (const record of field(document, "records") ?? [document]) {
        if (String(field(record, "category")).toLowerCase() !== "frontdoorhealthprobelog") continue;
        const bag = opened(field(record, "properties")) ?? {};
        const result = field(bag, "result") ?? ""; const status = field(bag, "httpStatusCode") ?? "";
        if (result.toLowerCase() === "success") continue;
        contents.add(JSON.stringify(record));
        const host = String(field(bag, "originName") ?? "").replace(/^https?:\/\//, "").replace(/\/.*$/, "").toLowerCase();
        const stamp = Object.keys(stamps).find((name) => stamps[name].host === host);
        if (!stamp) { refused.push(["UnknownStamp", host]); continue; }
        const at = Math.min(now, Date.parse(field(record, "time")));
        if (now - at > horizon) { refused.push(["TooOld", stamp]); continue; }
        latest = Math.max(latest, at);
        const key = `${stamp}|${Math.floor(at / 15000)}`;
        const bucket = buckets.get(key) ?? { stamp, pops: new Set(), results: new Set(), latest: 0 };
        bucket.pops.add(String(field(bag, "POP")).toUpperCase()); bucket.results.add(`${result} ${status}`); bucket.latest = Math.max(bucket.latest, at);
        buckets.set(key, bucket);
      }
    }
  }
  if (contents.size === 0) return [];
  const id = `probe-log:${createHash("sha256").update([...contents].sort().join("\n")).digest("hex").slice(0, 32)}`;
  const signals = [...buckets.values()].map((bucket) => ({ scope: bucket.stamp, class: "Edge", source: "probe-log", verdict: "Unhealthy", observed_at: bucket.latest, measure: { failed: bucket.pops.size, total: bucket.pops.size }, note: `${bucket.pops.size} edge locations: ${[...bucket.pops].slice(0, 5).join(", ")} (${[...bucket.results].join(", ")})` }));
  const items = signals.length ? [{ id, event_at: latest, received_at: now, signals }] : [];
  for (const [code, why] of refused) items.push({ id: `${id}:${code}`, refused: { code, why } });
  return items;
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const items = request.url === "/front_door_probe" ? probeLog(opened(field(body, "Data").events)) : serviceHealth(body);
    const fresh = items.reduce((sum, item) => sum + take(item), 0);
    const answer = request.url === "/front_door_probe"
      ? JSON.stringify({ Outputs: fresh ? { wakeup: { reason: "front_door_probe" } } : {}, Logs: [`${items.length} items, ${fresh} new`], ReturnValue: null })
      : JSON.stringify({ status: "recorded" });
    response.writeHead(request.url === "/front_door_probe" ? 200 : 202, { "content-type": "application/json", "content-length": Buffer.byteLength(answer) });
    response.end(answer);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
