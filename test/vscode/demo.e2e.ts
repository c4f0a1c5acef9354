/** `npm run demo`, in both forms that need no desktop: what a visitor without any knowledge gets to see. */
import { execFile, spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from './harness/server';

const run = promisify(execFile);
const DEMO_MS = 300_000;

/** Width and height from a PNG's IHDR chunk, which is always its first. */
function pngSize(file: string): { width: number; height: number } {
  const bytes = readFileSync(file);
  expect(bytes.subarray(1, 4).toString('latin1')).toBe('PNG');
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

test(
  '--headless takes the tour and leaves its transcript and screenshots',
  { timeout: DEMO_MS },
  async () => {
    const { stdout } = await run('npm', ['run', '--silent', 'demo', '--', '--headless'], { cwd: root });
    const output = path.join(root, 'dist/demo');
    const transcript = readFileSync(path.join(output, 'transcript.txt'), 'utf8');
    expect(stdout).toContain(transcript.trimEnd());
    expect(stdout).toContain(`Transcript and screenshots: ${output}`);

    const [opened, repaired, ran] = transcript.split(/^\d\. /m).slice(1);
    const release = /^\d+\.\d+/.exec(os.release())![0];
    expect(opened).toMatch(/Problems: .*traffic.*NULL.*bpf\/\S+/);
    expect(opened).toMatch(new RegExp(`lens: .*rejected.* ${release}`));
    // Only the lenses in sight are drawn; that of the repaired program is.
    expect(repaired).toMatch(new RegExp(`lens: .*accepted.* ${release}`));
    expect(repaired).not.toContain('rejected');
    expect(ran).toMatch(/console: count_\w+ returned XDP_(DROP|PASS) \(\d\)/);

    const named = [...transcript.matchAll(/screenshot: (\S+\.png)/g)].map(([, name]) => name!);
    expect(named).toEqual(readdirSync(output).filter((name) => name.endsWith('.png')));
    expect(named).toHaveLength(3);
    const pictures = named.map((name) => path.join(output, name));
    for (const picture of pictures) expect(pngSize(picture)).toEqual({ width: 1440, height: 900 });
    // A page that never came would look the same three times.
    expect(new Set(pictures.map((picture) => readFileSync(picture, 'base64'))).size).toBe(3);
  },
);

test(
  'without a screen it says where VS Code is served, and Ctrl-C ends it',
  { timeout: DEMO_MS },
  async () => {
    // Without npm in between, which does not hand on who was asked to end.
    const env = { ...process.env, DISPLAY: '', WAYLAND_DISPLAY: '' };
    const demo = spawn(process.execPath, ['scripts/demo.mjs'], { cwd: root, env });
    let said = '';
    const url = await new Promise<string>((resolve, reject) => {
      demo.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      demo.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        const found = /in a browser on this machine:\s+(http:\/\/127\.0\.0\.1:\d+\/\S+)\n/.exec(said)?.[1];
        if (found && said.includes('Ctrl-C here ends it')) resolve(found);
      });
      demo.on('exit', (status) => reject(new Error(`it ended with ${status}:\n${said}`)));
    });
    expect(decodeURIComponent(url)).toContain('sample.bpf.c');
    expect((await fetch(url)).status).toBe(200);
    const ended = new Promise((resolve) => demo.once('exit', resolve));
    demo.kill('SIGINT');
    expect(await ended).toBe(0);
    await expect(fetch(url)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  },
);

test.each([
  [['--bogus'], /Unknown option '--bogus'/],
  [['--port', 'http'], /--port http is not a port, a number from 1 to 65535/],
])('the command line %j is answered with what may be on it', async (args, message) => {
  const failed = run(process.execPath, ['scripts/demo.mjs', ...args], { cwd: root });
  await expect(failed).rejects.toMatchObject({ stderr: expect.stringMatching(message) });
  await expect(failed).rejects.toMatchObject({ stderr: expect.stringContaining('[--headless] [--port') });
});
