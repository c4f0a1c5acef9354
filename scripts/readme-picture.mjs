// node scripts/readme-picture.mjs [editor] [debugger]: takes docs/images/editor.png anew, of the sample judged by a
// Linux 6.12 in a VM, and docs/images/debugger.png, of a run on it, so that neither this machine's name nor its kernel's
// is in them. Needs `npm run package` and scripts/kernels.mjs 6.12.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startCodeServer } from './code-server.mjs';
import { openPage } from './demo-tour.mjs';
import { installE2e } from './e2e-install.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const release = '6.12';
const largestBytes = 150_000;
/** Booting takes 5 s where nothing else runs, and many times that on a busy machine without KVM. */
const bootLimit = 180_000;

const settings = (image) => ({
  'bpf.target': `vm:${image}`,
  'breadcrumbs.enabled': false,
  'editor.minimap.enabled': false,
  'editor.stickyScroll.enabled': false,
  'git.enabled': false,
  'window.commandCenter': false,
  'workbench.colorTheme': 'Default Light Modern',
  'workbench.reduceMotion': 'on',
});

const pictures = {
  editor: { photograph: photographRejection, fill: copySample, file: 'sample.bpf.c', settings: {} },
  debugger: {
    photograph: photographRun,
    fill: writeGuard,
    file: 'guard.bpf.c',
    settings: { 'debug.toolBarLocation': 'docked' },
  },
};

/** Takes the picture of that name into docs/images. */
async function takePicture(name) {
  const { photograph, fill, file, settings: more } = pictures[name];
  const picture = path.join(root, `docs/images/${name}.png`);
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const vsix = path.join(root, 'dist', `bpf-studio-${version}-linux-x64.vsix`);
  if (!existsSync(vsix)) throw new Error(`${vsix} is missing: npm run package`);
  installE2e();
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-picture-'));
  const workspace = path.join(scratch, 'xdp');
  fill(workspace);
  const server = await startCodeServer({
    directory: scratch,
    extensions: [vsix],
    workspace,
    settings: { ...settings(kernelImage()), ...more },
  });
  const browser = await openPage({ width: 1200, height: 760 });
  try {
    browser.page.setDefaultTimeout(bootLimit);
    await browser.page.goto(server.fileUrl(path.join(workspace, file)));
    await browser.page.locator('.view-lines .view-line').first().waitFor();
    await photograph(browser.page);
    mkdirSync(path.dirname(picture), { recursive: true });
    await browser.page.screenshot({ path: picture });
  } finally {
    await browser.close();
    await server.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
  const { size } = statSync(picture);
  if (size > largestBytes) throw new Error(`${picture} has ${size} bytes, more than ${largestBytes}`);
  console.log(`${path.relative(root, picture)}, ${size} bytes`);
}

function copySample(workspace) {
  cpSync(path.join(root, 'extension/sample'), workspace, { recursive: true });
}

/** The program of the debugger's tests, without what marks its lines for them. */
function writeGuard(workspace) {
  const source = readFileSync(path.join(root, 'test/vscode/fixtures/guard.bpf.c'), 'utf8');
  mkdirSync(workspace);
  writeFileSync(path.join(workspace, 'guard.bpf.c'), source.replaceAll(/ \/\/ #[A-Z]+$/gm, ''));
}

/** The rejected program with its lens and squiggle, and the Problems view with where the value came from. */
async function photographRejection(page) {
  await page.keyboard.press('Control+B');
  await page.keyboard.press('Control+Shift+M');
  const problem = page.locator('.markers-panel .monaco-list-row').filter({ hasText: 'bpf/' }).first();
  await problem.waitFor();
  // Lenses that come while the editor has no focus are dropped by it.
  await problem.dblclick();
  await page
    .locator('.codelens-decoration')
    .filter({ hasText: `rejected · ${release}` })
    .first()
    .waitFor();
  await problem.click();
  await page.keyboard.press('ArrowRight');
  await page.locator('.squiggly-error').first().waitFor({ state: 'attached' });
}

/** A run at a breakpoint, with values beside the code, and the packet by layer. */
async function photographRun(page) {
  const lens = page.locator('.codelens-decoration').filter({ hasText: `accepted · ${release}` });
  const line = page.locator('.view-line').filter({ hasText: 'port == guarded' }).first();
  const row = (text) => page.locator('.debug-variables .monaco-list-row').filter({ hasText: text }).first();
  const open = async (text) => {
    await row(text).waitFor();
    if ((await row(text).getAttribute('aria-expanded')) === 'false')
      await row(text).locator('.monaco-tl-twistie').click();
  };
  const fold = (name) => page.locator(`.sidebar .pane-header[aria-label^="${name}"]`).first().click();
  await page.locator('.view-lines').first().click();
  await page.keyboard.press('Control+End');
  await lens.first().waitFor();
  await line.click();
  await page.keyboard.press('F9');
  await page.keyboard.press('F5');
  await page.locator('.debug-top-stack-frame-line').first().waitFor({ state: 'attached' });
  await page.keyboard.press('Control+J');
  // Rows that are out of sight are not drawn.
  for (const name of ['Watch', 'Call Stack', 'Breakpoints']) await fold(name);
  await open(/^Packet/);
  await open(/^ipv4/);
  await page.mouse.move(700, 740);
}

function kernelImage() {
  const kernels = path.join(
    process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
    'bpf-studio',
    'kernels',
  );
  const names = existsSync(kernels) ? readdirSync(kernels) : [];
  const name = names.find((each) => each.startsWith(`${release}.`));
  const boot = name && path.join(kernels, name, 'boot');
  const image = boot && readdirSync(boot).find((each) => each.startsWith('vmlinuz'));
  if (!image) throw new Error(`there is no Linux ${release}: node scripts/kernels.mjs ${release}`);
  return path.join(boot, image);
}

try {
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(pictures);
  const unknown = wanted.find((name) => !Object.hasOwn(pictures, name));
  if (unknown !== undefined) throw new Error(`there is no picture "${unknown}"`);
  for (const name of wanted) await takePicture(name);
} catch (error) {
  console.error(`readme-picture: ${error.message}`);
  process.exitCode = 1;
}
