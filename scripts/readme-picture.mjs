// node scripts/readme-picture.mjs: takes docs/images/editor.png anew, of the sample judged by a Linux 6.12 in a VM, so
// that neither this machine's name nor its kernel's is in it. Needs `npm run package` and scripts/kernels.mjs 6.12.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startCodeServer } from './code-server.mjs';
import { openPage } from './demo-tour.mjs';
import { installE2e } from './e2e-install.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const picture = path.join(root, 'docs/images/editor.png');
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

async function takePicture() {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const vsix = path.join(root, 'dist', `bpf-studio-${version}-linux-x64.vsix`);
  if (!existsSync(vsix)) throw new Error(`${vsix} is missing: npm run package`);
  installE2e();
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-picture-'));
  const workspace = path.join(scratch, 'xdp');
  cpSync(path.join(root, 'extension/sample'), workspace, { recursive: true });
  const server = await startCodeServer({
    directory: scratch,
    extensions: [vsix],
    workspace,
    settings: settings(kernelImage()),
  });
  const browser = await openPage({ width: 1200, height: 760 });
  try {
    await photograph(browser.page, server.fileUrl(path.join(workspace, 'sample.bpf.c')));
  } finally {
    await browser.close();
    await server.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
  const { size } = statSync(picture);
  if (size > largestBytes) throw new Error(`${picture} has ${size} bytes, more than ${largestBytes}`);
  console.log(`${path.relative(root, picture)}, ${size} bytes`);
}

/** The rejected program with its lens and squiggle, and the Problems view with where the value came from. */
async function photograph(page, url) {
  page.setDefaultTimeout(bootLimit);
  await page.goto(url);
  await page.locator('.view-lines .view-line').first().waitFor();
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
  mkdirSync(path.dirname(picture), { recursive: true });
  await page.screenshot({ path: picture });
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
  await takePicture();
} catch (error) {
  console.error(`readme-picture: ${error.message}`);
  process.exitCode = 1;
}
