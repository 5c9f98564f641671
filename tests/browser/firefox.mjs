/* Opens pages in Firefox, one after another, and reports as JSON what went wrong on each.

   stdin: { firefox, enter, base, evaluated, withoutTexts: [name], pages: { name: path } }   `enter` is a link that logs in
   stdout: { version, pages: { name: { console, errors, dialogs, requests, breaches, ran, elements, evaluated, shown } } }

   Over WebDriver BiDi.  A page that does not show its heading within the deadline, or no hostile text where there
   should be one, ends it with an error. */

import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import puppeteer from "puppeteer-core";

const PATIENCE_MS = 60_000;
const PROBE = readFileSync(new URL("probe.js", import.meta.url), "utf-8");

const { firefox, enter, base, evaluated, withoutTexts, pages } = JSON.parse(await text(process.stdin));
const browser = await puppeteer.launch({ browser: "firefox", executablePath: firefox, headless: true });
try {
  const report = { version: await browser.version(), pages: {} };
  if (enter) await visit(enter);
  for (const [name, path] of Object.entries(pages)) report.pages[name] = await visit(base + path, !withoutTexts.includes(name));
  process.stdout.write(JSON.stringify(report));
} finally {
  await browser.close();
}

async function visit(url, hasTexts = false) {
  const seen = { console: [], errors: [], dialogs: [], requests: [] };
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", (said) => ["error", "warn"].includes(said.type()) && seen.console.push(said.text()));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("request", (request) => isElsewhere(request.url()) && seen.requests.push(request.url()));
  page.on("dialog", async (dialog) => {
    seen.dialogs.push(dialog.message());
    await dialog.dismiss();
  });
  await page.evaluateOnNewDocument(PROBE);
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await within(PATIENCE_MS, page.evaluate(() => window.isRead()), `${url.split("#")[1]} is not read`);
  if (hasTexts) await within(PATIENCE_MS, page.evaluate(() => window.isShown()), `no hostile text on ${url.split("#")[1]}`);
  const harm = await page.evaluate((sum) => window.harm(sum), evaluated);
  await page.close();
  return { ...seen, ...harm };
}

function isElsewhere(url) {
  const { protocol, host } = new URL(url);
  return !["data:", "blob:"].includes(protocol) && host !== new URL(base).host;
}

async function within(ms, promise, otherwise) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${otherwise} after ${ms} ms`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
