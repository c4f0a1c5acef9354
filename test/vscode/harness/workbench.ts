/** VS Code's workbench in Chromium, driven as a person would, and its API through the bridge. */
import http from 'node:http';
import { mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type * as vscode from 'vscode';
// @ts-expect-error A script without types.
import { e2ePaths, findChromium } from '../../../scripts/e2e-install.mjs';
import { PATIENCE_MS } from '../../support/until';
import type { EditorServer } from './server';

/** Screenshots of every step; looked at by people, compared with nothing. */
export const results =
  process.env.BPF_STUDIO_TEST_SCREENSHOTS ?? path.join(os.tmpdir(), 'bpf-studio-screenshots');

/** The part of Playwright that is used; it is installed in the cache, not in node_modules. */
export interface Locator {
  click(options?: {
    button?: 'right';
    timeout?: number;
    force?: boolean;
    modifiers?: string[];
  }): Promise<void>;
  dblclick(): Promise<void>;
  fill(text: string, options?: { timeout?: number }): Promise<void>;
  press(key: string): Promise<void>;
  hover(): Promise<void>;
  first(): Locator;
  nth(index: number): Locator;
  filter(options: { hasText: string | RegExp }): Locator;
  locator(selector: string): Locator;
  waitFor(options?: {
    state?: 'attached' | 'detached' | 'visible' | 'hidden';
    timeout?: number;
  }): Promise<void>;
  allInnerTexts(): Promise<string[]>;
  innerText(): Promise<string>;
  inputValue(): Promise<string>;
  getAttribute(name: string, options?: { timeout?: number }): Promise<string | null>;
  count(): Promise<number>;
  isVisible(): Promise<boolean>;
}
export interface Page {
  locator(selector: string): Locator;
  frameLocator(selector: string): { frameLocator(selector: string): { locator(selector: string): Locator } };
  goto(url: string): Promise<unknown>;
  setDefaultTimeout(milliseconds: number): void;
  screenshot(options: { path: string }): Promise<unknown>;
  keyboard: {
    press(key: string): Promise<void>;
    type(text: string): Promise<void>;
    insertText(text: string): Promise<void>;
  };
  evaluate<R, A>(body: (argument: A) => R, argument: A): Promise<R>;
}

export interface Workbench {
  page: Page;
  /** Evaluates a function in the extension host; it sees nothing but its parameters. */
  api<R, A = undefined>(body: (api: typeof vscode, argument: A) => R | Thenable<R>, argument?: A): Promise<R>;
  /** Runs a command from the palette by its title, e.g. `BPF: Check Environment`. */
  command(title: string): Promise<void>;
  /** Picks the row of the open quick pick that contains `text`, after typing `filter`. */
  pick(text: string | RegExp, filter?: string): Promise<void>;
  /** Rows of the open quick pick. */
  pickRows(): Promise<string[]>;
  open(relativePath: string): Promise<void>;
  /** Opens the language status and reads it. Escape closes it. */
  openStatus(): Promise<string>;
  /** Saves `NN-name.png` in the results folder. */
  screenshot(name: string): Promise<void>;
  close(): Promise<void>;
}

let shots = 0;

/** `height` is the window's, in pixels: VS Code draws only the rows of its trees that are in sight. */
export async function openWorkbench(server: EditorServer, suite: string, height = 900): Promise<Workbench> {
  const { chromium } = (await import(e2ePaths.playwright as string)) as {
    chromium: {
      launch(options: object): Promise<{
        newPage(options: object): Promise<Page>;
        close(): Promise<void>;
      }>;
    };
  };
  const executablePath: string | null = findChromium();
  if (executablePath === null) throw new Error('Chromium is missing. Run: npm run setup');
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
      ...['--disable-background-networking', '--disable-component-update'],
    ],
  });
  const page = await browser.newPage({ viewport: { width: 1400, height } });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(server.url);
  await page.locator('.monaco-workbench').waitFor();
  mkdirSync(results, { recursive: true });

  const workbench: Workbench = {
    page,
    api: (body, argument) => evaluate(server.bridgeSocket, body.toString(), argument),
    command: async (title) => {
      const input = page.locator('.quick-input-widget input.input');
      const row = page.locator('.quick-input-list .monaco-list-row').filter({ hasText: title }).first();
      // A view that takes the focus a moment later closes the palette again; then it is opened once more.
      for (let left = 3; ; left--) {
        try {
          await page.keyboard.press('F1');
          await input.waitFor({ timeout: 5000 });
          await input.fill(`>${title}`, { timeout: 5000 });
          await row.click({ timeout: left > 1 ? 5000 : PATIENCE_MS });
          return;
        } catch (error) {
          if (left === 1) throw error;
        }
      }
    },
    pick: async (text, filter) => {
      const rows = page.locator('.quick-input-list .monaco-list-row');
      await rows.first().waitFor();
      if (filter !== undefined) await page.locator('.quick-input-widget input.input').fill(filter);
      await rows.filter({ hasText: text }).first().click();
    },
    pickRows: async () => {
      const rows = page.locator('.quick-input-list .monaco-list-row');
      await rows.first().waitFor();
      return rows.allInnerTexts();
    },
    open: (relativePath) =>
      workbench.api(
        async (api, file) => {
          const document = await api.workspace.openTextDocument(file);
          await api.window.showTextDocument(document, { preview: false, viewColumn: api.ViewColumn.One });
        },
        path.join(server.workspace, relativePath),
      ),
    openStatus: async () => {
      await page.locator('[id="status.languageStatus"]').click();
      const rows = page.locator('.hover-language-status');
      await rows.first().waitFor();
      return (await rows.allInnerTexts()).join('\n');
    },
    screenshot: async (name) => {
      shots++;
      const number = String(shots).padStart(2, '0');
      await page.screenshot({ path: path.join(results, `${suite}-${number}-${name}.png`) });
    },
    close: () => browser.close(),
  };
  await until(async () => {
    try {
      return await workbench.api(() => true);
    } catch {
      return false;
    }
  }, 'the extension host to start');
  return workbench;
}

function evaluate<R>(socketPath: string, source: string, argument: unknown): Promise<R> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method: 'POST', path: '/' }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => {
        const answer = JSON.parse(body) as { result?: R; error?: string };
        if (answer.error !== undefined) reject(new Error(`in the extension host: ${answer.error}`));
        else resolve(answer.result as R);
      });
    });
    request.on('error', reject);
    request.end(JSON.stringify({ source, argument }));
  });
}

/** Waits for a condition; fails with what was waited for and what was seen last. */
export async function until<T>(
  probe: () => Promise<T | undefined | false | null>,
  what: string,
  milliseconds = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + milliseconds;
  let last: unknown;
  do {
    const seen = await probe();
    if (seen !== undefined && seen !== false && seen !== null) return seen;
    last = seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
  } while (Date.now() < deadline);
  throw new Error(`waited ${milliseconds / 1000} s for ${what}; last seen: ${JSON.stringify(last)}`);
}
