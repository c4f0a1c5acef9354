// What `npm run demo -- --headless` shows: a tour of the sample in real VS Code, as a transcript and screenshots.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { e2ePaths, findChromium } from './e2e-install.mjs';

const stepLimit = 60_000;

/** Takes the tour; `say` gets the transcript's lines. Throws when a step does not show what it should. */
export async function takeTour({ server, sample, output, say }) {
  const browser = await openPage({ width: 1440, height: 900 });
  const { page } = browser;
  page.setDefaultTimeout(stepLimit);
  const shoot = async (name) => {
    await page.screenshot({ path: path.join(output, `${name}.png`) });
    say(`  screenshot: ${name}.png`);
  };
  try {
    await page.goto(server.fileUrl(sample));
    await rejection(page, say, shoot);
    await repair(page, sample, say, shoot);
    await testRun(page, say, shoot);
  } finally {
    await browser.close();
  }
}

/** A page of Chromium without a screen, with a profile of its own: `{page, close}`. */
export async function openPage(viewport) {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('Chromium is not installed: npm run setup');
  const { chromium } = await import(e2ePaths.playwright);
  const profile = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-demo-'));
  const flags =
    '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: flags.split(' '),
    viewport,
  });
  return {
    page: browser.pages()[0] ?? (await browser.newPage()),
    close: async () => {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

async function rejection(page, say, shoot) {
  say('1. A .bpf.c file is opened; the kernel judges its programs and rejects one of them.');
  // A squiggle is drawn only where the editor is scrolled to; the Problems view lists every finding.
  await page.locator('.view-lines .view-line').first().waitFor();
  await page.keyboard.press('Control+Shift+M');
  const problem = rejections(page).first();
  await problem.waitFor();
  say(`  Problems: ${oneLine(await problem.innerText())}`);
  // Lenses are drawn only where the editor is scrolled to, and a click on the problem scrolls there.
  await problem.click();
  say(`  lens: ${await lensSaying(page, /rejected/)}`);
  await shoot('1-rejection');
}

/** Rows of the Problems view that come from the kernel. */
function rejections(page) {
  return page.locator('.markers-panel .monaco-list-row').filter({ hasText: 'bpf/' });
}

async function repair(page, sample, say, shoot) {
  say('2. The missing check is added, and the verdict follows.');
  const text = readFileSync(sample, 'utf8');
  const unchecked = '\ttraffic->packets++;';
  if (!text.includes(unchecked)) throw new Error(`${sample} does not hold the line that the tour repairs`);
  writeFileSync(sample, text.replace(unchecked, `\tif (!traffic)\n\t\treturn XDP_PASS;\n${unchecked}`));
  await rejections(page).first().waitFor({ state: 'detached' });
  await visibleLens(page, /rejected/).waitFor({ state: 'hidden' });
  say(`  lens: ${await lensSaying(page, /accepted/)}`);
  await shoot('2-accepted');
}

async function testRun(page, say, shoot) {
  say('3. A program is run in the kernel on a packet.');
  await visibleLens(page, /^Run$/).click();
  const returned = page.locator('.repl .monaco-list-row').filter({ hasText: 'returned XDP_' }).first();
  await returned.waitFor();
  for (const row of await page.locator('.repl .monaco-list-row').allInnerTexts())
    say(`  console: ${oneLine(row)}`);
  await shoot('3-run');
}

/** The first lens in sight with these words; VS Code keeps those that were scrolled out of it, hidden. */
function visibleLens(page, words) {
  return page.locator('.codelens-decoration a:visible').filter({ hasText: words }).first();
}

/** The text of the first lens in sight with these words, once there is one. */
async function lensSaying(page, words) {
  const lens = visibleLens(page, words);
  await lens.waitFor();
  return oneLine(await lens.innerText());
}

function oneLine(text) {
  return text.replace(/\s+/g, ' ').trim();
}
