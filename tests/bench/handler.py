"""The same normalisation as Cordon's ingest, for Python: what the benchmark compares with. Plain asyncio and the standard
library, so that no framework is measured. `python3 handler.py` prints the port it listens on."""

import asyncio
import hashlib
import json
import re
from datetime import datetime

NOW = datetime.fromisoformat("2026-03-10T09:40:30+00:00").timestamp()
HORIZON = 24 * 3600
STAMPS = {"eastus2": "eastus2.contososhoes.com", "centralus": "centralus.contososhoes.com"}
SERVICES = {"app service", "azure cosmos db", "azure front door"}
REGIONS = {"eastus2", "centralus", "westeurope", "westus3", "eastus"}
PLAIN = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
INBOX = {}


def plain(part):
    return part.lower() if PLAIN.match(part) else hashlib.sha256(part.encode()).hexdigest()[:32]


def field(value, name):
    if not isinstance(value, dict):
        return None
    if name in value:
        return value[name]
    lower = name.lower()
    return next((inner for key, inner in value.items() if key.lower() == lower), None)


def opened(value):
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            inner = json.loads(value)
        except ValueError:
            break
        if not isinstance(inner, (dict, list, str)):
            break
        value = inner
    return value


def at_of(text):
    return min(NOW, datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def take(item):
    if item["id"] in INBOX:
        return 0
    INBOX[item["id"]] = json.dumps(item)
    return 1


def service_health(body):
    essentials, context = field(field(body, "data"), "essentials"), field(field(body, "data"), "alertContext")
    bag = opened(field(context, "properties")) or {}
    tracking = field(bag, "trackingId") or ""
    stage = str(field(bag, "stage") or field(context, "status") or "").lower()
    at = at_of(field(context, "eventTimestamp") or field(essentials, "firedDateTime"))
    ident = ":".join(plain(part) for part in ["service-health", tracking, field(bag, "communicationId") or "", stage])
    if str(field(bag, "IsSynthetic")).lower() == "true" or tracking.startswith("TEST-"):
        return [{"id": ident, "refused": "SyntheticTest"}]
    scopes, refused = set(), []
    for impact in opened(field(bag, "impactedServices")) or []:
        for one in field(impact, "ImpactedRegions") or []:
            service, region = field(impact, "ServiceName"), field(one, "RegionName").replace(" ", "").lower()
            if service.lower() not in SERVICES:
                refused.append(("ServiceNotUsed", service))
            elif region not in REGIONS:
                refused.append(("UnknownRegion", region))
            elif region not in STAMPS:
                refused.append(("RegionWithoutStamp", region))
            else:
                scopes.add(region)
    if NOW - at > HORIZON:
        return [{"id": ident, "refused": "TooOld"}]
    verdict = "Unhealthy" if stage == "active" else "Unobserved"
    note = str(field(bag, "title") or "")[:200]
    signals = [
        {"scope": scope, "class": "Platform", "source": f"service-health:{tracking}", "verdict": verdict, "observed_at": at, "note": note}
        for scope in sorted(scopes)
    ]
    items = [{"id": ident, "event_at": at, "received_at": NOW, "signals": signals}] if signals else []
    return items + [{"id": f"{ident}:{code}", "refused": {"code": code, "why": why}} for code, why in refused]


def probe_log(events):
    buckets, contents, refused, latest = {}, set(), [], 0.0
    for message in events:
        documents = opened(message)
        for document in documents if isinstance(documents, list) else [documents]:
            for record in field(document, "records") or [document]:
                if str(field(record, "category")).lower() != "frontdoorhealthprobelog":
                    continue
                bag = opened(field(record, "properties")) or {}
                result, status = field(bag, "result") or "", field(bag, "httpStatusCode") or ""
                if result.lower() == "success":
                    continue
                contents.add(json.dumps(record, sort_keys=True))
                host = re.sub(r"/.*$", "", re.sub(r"^https?://", "", str(field(bag, "originName") or ""))).lower()
                stamp = next((name for name, known in STAMPS.items() if known == host), None)
                if stamp is None:
                    refused.append(("UnknownStamp", host))
                    continue
                at = at_of(field(record, "time"))
                if NOW - at > HORIZON:
                    refused.append(("TooOld", stamp))
                    continue
                latest = max(latest, at)
                bucket = buckets.setdefault((stamp, int(at // 15)), {"pops": set(), "results": set(), "latest": 0.0})
                bucket["pops"].add(str(field(bag, "POP")).upper())
                bucket["results"].add(f"{result} {status}")
                bucket["latest"] = max(bucket["latest"], at)
    if not contents:
        return []
    ident = "probe-log:" + hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()[:32]
    signals = [
        {
            "scope": stamp, "class": "Edge", "source": "probe-log", "verdict": "Unhealthy", "observed_at": bucket["latest"],
            "measure": {"failed": len(bucket["pops"]), "total": len(bucket["pops"])},
            "note": f"{len(bucket['pops'])} edge locations: {', '.join(sorted(bucket['pops'])[:5])} ({', '.join(bucket['results'])})",
        }
        for (stamp, _), bucket in buckets.items()
    ]
    items = [{"id": ident, "event_at": latest, "received_at": NOW, "signals": signals}] if signals else []
    return items + [{"id": f"{ident}:{code}", "refused": {"code": code, "why": why}} for code, why in refused]


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(re.search(r"(?i)content-length: *(\d+)", head).group(1))
            body = json.loads(await reader.readexactly(length))
            probes = head.split(" ", 2)[1] == "/front_door_probe"
            items = probe_log(opened(body["Data"]["events"])) if probes else service_health(body)
            fresh = sum(take(item) for item in items)
            if probes:
                wakeup = {"wakeup": {"reason": "front_door_probe"}} if fresh else {}
                answer = {"Outputs": wakeup, "Logs": [f"{len(items)} items, {fresh} new"], "ReturnValue": None}
            else:
                answer = {"status": "recorded"}
            text = json.dumps(answer).encode()
            status = "200 OK" if probes else "202 Accepted"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n".encode() + text)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
