// Journeys of an operator through a drill: three stamps, two of them lost one after the other. Nothing here waits for a
// number of seconds; it waits for what the page says.

import assert from "node:assert/strict";
import { axeSource, browser, drill } from "./stage.mjs";

const PATIENCE = { timeout: 120_000 };
const said = (page, text) =>
  page.waitForFunction((text) => document.querySelector("#now").textContent.includes(text), text, PATIENCE);

const done = [];
async function journey(name, steps) {
  const begun = performance.now();
  await steps();
  done.push(name);
  console.log(`ok  ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
}

const theatre = await drill("second-region-within-velocity-limit", 12);
const chrome = await browser();
const problems = [];
const violations = [];
let audited = 0;

async function context(options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error.message}`));
  page.on("console", (message) => {
    // A refusal of ours shows as a failed resource; everything else in the console is a fault.
    if (message.type() === "error" && !message.text().includes("status of")) problems.push(`${page.url()}: ${message.text()}`);
  });
  page.on("request", (request) => {
    const own = request.url().startsWith(theatre.base) || request.url().startsWith("data:");
    if (!own) problems.push(`a request to elsewhere: ${request.url()}`);
  });
  await page.goto(theatre.signIn);
  return page;
}

async function accessible(page, path, themes = ["light", "dark"]) {
  for (const colorScheme of themes) {
    await page.emulateMedia({ colorScheme });
    if (path) await page.goto(`${theatre.base}/${path}`);
    await page.evaluate(axeSource);
    const found = await page.evaluate(() => globalThis.axe.run(document));
    const told = found.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
    audited += 1;
    violations.push(...told.map((one) => `${page.url()} in ${colorScheme}: ${one}`));
  }
}

/** Tabs until the focus is where it is wanted. */
async function tabTo(page, wanted) {
  for (let presses = 0; presses < 150; presses += 1) {
    await page.keyboard.press("Tab");
    const there = await page.evaluate((wanted) => {
      const one = document.activeElement;
      return (one.getAttribute("href") ?? "").includes(wanted) || one.id === wanted;
    }, wanted);
    if (there) {
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, "none", `the focus on ${wanted} is seen`);
      return;
    }
  }
  assert.fail(`the keyboard never reached ${wanted}`);
}

async function order(page, link, reason) {
  await page.goto(`${theatre.base}/status`);
  await page.click(`a[href*="${link}"]`);
  await page.fill("#reason", reason);
  await page.click("button.strong");
  await page.waitForURL(/ordered=/);
}

try {
  const page = await context();

  await journey("everything is calm", async () => {
    await said(page, "All 3 stamps serve");
    assert.match(await page.textContent(".who"), /developer, operator/);
    for (const path of ["status", "incidents", "audit", "stamp/eastus2", "order/hold?stamp=eastus2",
      "order/cordon?stamp=eastus2", "order/override?stamp=eastus2&rule=S2&generation=1.1", "order/pause", "order/mode", "nothing"]) {
      await accessible(page, path);
    }
  });

  await journey("the cordon happens before one's eyes", async () => {
    await page.emulateMedia({ colorScheme: "light" });
    await page.goto(`${theatre.base}/status`);
    await page.evaluate(() => { window.sameDocument = true; });
    await said(page, "eastus2 is cordoned");
    assert.ok(await page.evaluate(() => window.sameDocument), "without a reload");
    assert.equal(await page.textContent("#live-state"), "live");
    assert.match(await page.textContent("#said"), /eastus2/);
    assert.match(await page.textContent("#why-eastus2"), /Rules that fired/);
  });

  await journey("the timeline, and a record opened in it", async () => {
    await page.click("text=Timeline of this incident");
    await page.waitForSelector("svg.timeline");
    assert.ok(await page.locator("svg.timeline .s-cordoned").count() > 0);
    assert.match(await page.textContent("main"), /Removal decided \(detection\)/);
    const record = page.locator(".records details", { hasText: "is cordoned" }).first();
    await record.locator("summary").click();
    await page.waitForFunction(() => document.querySelector(".records details[open] [data-record]"), null, PATIENCE);
    assert.match(await record.textContent(), /Evidence/);
    assert.match(await record.textContent(), /Rules that fired/);
    await accessible(page);
    await page.click("text=Report");
    await page.waitForSelector("text=Open questions");
    await accessible(page);
  });

  await journey("a second cordon, approved by keyboard alone", async () => {
    await page.emulateMedia({ colorScheme: "light" });
    await page.goto(`${theatre.base}/status`);
    await page.waitForSelector("a[href*='order/approve']", PATIENCE);
    await accessible(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    await tabTo(page, "order/approve");
    await page.keyboard.press("Enter");
    await page.waitForURL(/order\/approve/);
    assert.match(await page.textContent("main"), /The floor without centralus: 1 of 3 regions/);
    await accessible(page);
    await tabTo(page, "reason");
    await page.keyboard.type("two are gone, the third can carry it");
    await page.keyboard.press("Enter");
    await page.waitForURL(/ordered=/);
    await page.waitForFunction(() => /centralus is (evacuating|cordoned)/.test(document.querySelector("#now").textContent), null, PATIENCE);
  });

  await journey("a hold and its release", async () => {
    await order(page, "order/hold?stamp=westus2", "looking at <b>it</b>");
    await page.waitForSelector(".loud:has-text('westus2 is held by developer')");
    assert.equal(await page.locator(".loud b").count(), 0, "a reason is text");
    // One held, one cordoned, one on its way out: every page, both themes.
    for (const path of ["status", "stamp/westus2", "stamp/eastus2", "incidents", "audit", "order/release?stamp=westus2",
      "order/readmit?stamp=eastus2"]) {
      await accessible(page, path);
    }
    await order(page, "order/release?stamp=westus2", "seen enough");
    await page.waitForFunction(() => !document.body.textContent.includes("westus2 is held"), null, PATIENCE);
  });

  await journey("a pause and its end", async () => {
    await order(page, "order/pause", "a change is under way");
    await page.waitForSelector(".loud:has-text('The automation is paused by developer')");
    await order(page, "order/resume", "done");
    await page.waitForFunction(() => !document.body.textContent.includes("automation is paused"), null, PATIENCE);
  });

  await journey("the audit, filtered, as a permanent link and as a file", async () => {
    await page.goto(`${theatre.base}/audit`);
    const all = await page.locator("table.lines tbody tr").count();
    await page.selectOption("select[name=stamp]", "eastus2");
    await page.selectOption("select[name=decision]", "cordon");
    await page.click("button:has-text('Filter')");
    const rows = page.locator("table.lines tbody tr");
    const some = await rows.count();
    assert.ok(some > 0 && some < all, `${some} of ${all}`);
    await page.goto(page.url());
    assert.equal(await rows.count(), some);
    const csv = await page.request.get(`${theatre.base}/audit.csv?stamp=eastus2&decision=cordon`);
    assert.equal((await csv.text()).trim().split("\r\n").length, some + 1);
    await rows.first().locator("a").click();
    assert.match(await page.textContent("main"), /matches the content/);
    await accessible(page);
    await page.goto(`${theatre.base}/audit?decision=ordered`);
    assert.match(await page.textContent("main"), /developer ordered/);
  });

  await journey("at the width of a phone nothing is cut off", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    for (const path of ["status", "incidents", "incident/2", "incident/2/report", "audit", "audit/2", "order/pause", "stamp/eastus2"]) {
      await page.goto(`${theatre.base}/${path}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 360, `${path} is ${wide} wide`);
    }
    await accessible(page, "status");
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  await journey("without JavaScript", async () => {
    const plain = await context({ javaScriptEnabled: false });
    await plain.goto(`${theatre.base}/status`);
    assert.match(await plain.textContent("#now"), /eastus2 is/);
    await plain.click("a[href*='order/hold?stamp=westus2']");
    await plain.fill("#reason", "no script here");
    await plain.click("button.strong");
    await plain.waitForSelector("text=The order was taken");
    assert.match(await plain.textContent("main"), /westus2 is held by developer/);
    await plain.goto(`${theatre.base}/incident/2`);
    await plain.locator(".records summary").first().click();
    await plain.locator(".records details[open] a").first().click();
    assert.match(await plain.textContent("h1"), /Audit record/);
    await plain.goto(`${theatre.base}/audit?stamp=eastus2`);
    assert.ok(await plain.locator("table.lines tbody tr").count() > 0);
    await plain.context().close();
  });

  await journey("a reader sees everything and is offered no order", async () => {
    const reader = await (await chrome.newContext()).newPage();
    await reader.goto(`${theatre.base}/status`);
    assert.match(await reader.textContent(".who"), /reading only/);
    assert.equal(await reader.locator("a[href*='/order/']").count(), 0);
    const refused = await reader.request.post(`${theatre.base}/order/hold`, { form: { stamp: "westus2", reason: "x", token: "x" } });
    assert.equal(refused.status(), 403);
  });

  assert.deepEqual(violations, [], "axe-core finds nothing");
  assert.deepEqual(problems, [], "the console stays empty, and nothing is asked of anybody else");
  console.log(`\n${done.length} journeys, ${audited} pages audited by axe-core without a violation`);
} finally {
  await chrome.close();
  theatre.stop();
}
