// Screenshots of a drill for the README: node shots.mjs FOLDER

import { join } from "node:path";
import { browser, drill } from "./stage.mjs";

const folder = process.argv[2];
const theatre = await drill("contoso-shoes", 60);
const chrome = await browser();
const said = (page, text) =>
  page.waitForFunction((text) => document.querySelector("#now").textContent.includes(text), text, { timeout: 600_000 });

async function shot(name, path, { width = 1180, height = 1000, colorScheme = "light", full = false } = {}) {
  const context = await chrome.newContext({ viewport: { width, height }, colorScheme, deviceScaleFactor: 1 });
  const page = await context.newPage();
  await page.goto(theatre.signIn);
  await page.goto(`${theatre.base}/${path}`);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: full });
  await context.close();
  console.log(join(folder, `${name}.png`));
}

try {
  const page = await (await chrome.newContext()).newPage();
  await page.goto(theatre.signIn);
  await said(page, "eastus2 is cordoned");
  await shot("status", "status");
  await shot("phone", "status", { width: 360, height: 740, colorScheme: "dark" });
  await shot("order", "order/hold?stamp=centralus", { height: 620 });
  await page.waitForFunction(() => /All 2 stamps serve/.test(document.querySelector("#now").textContent), null, { timeout: 600_000 });
  await shot("incident", "incident/2", { height: 900, colorScheme: "dark" });
  await shot("audit", "audit", { height: 900 });
} finally {
  await chrome.close();
  theatre.stop();
}
