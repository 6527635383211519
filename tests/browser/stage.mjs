// What the browser's journeys and the screenshots share: a drill with its page, and a browser.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(join(process.env.CORDON_MODULES, "here.js"));
export const { chromium } = require("playwright-core");
export const axeSource = require("axe-core").source;

/** Plays a scenario at a speed. Resolves when its page answers. */
export async function drill(scenario, speed) {
  const data = mkdtempSync(join(tmpdir(), "cordon-browser-"));
  const args = ["drill", scenario, "--speed", String(speed), "--data", join(data, "stores"), "--json"];
  const child = spawn(process.env.CORDON_BINARY, args, { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.setEncoding("utf8");
  const signIn = await new Promise((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`the drill ended with ${code}: ${told}`)));
    child.stderr.on("data", (text) => {
      told += text;
      const found = told.match(/http:\/\/\S+\/sign-in\?token=\S+/);
      if (found) resolve(found[0]);
    });
  });
  child.removeAllListeners("exit");
  const base = signIn.slice(0, signIn.indexOf("/sign-in"));
  const stop = () => {
    child.kill();
    rmSync(data, { recursive: true, force: true });
  };
  return { base, signIn, stop };
}

export function browser() {
  return chromium.launch({
    executablePath: process.env.CORDON_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}
