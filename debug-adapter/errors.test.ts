import { expect, it } from 'vitest';
import { attachFailed, badConfiguration, describeError, noTarget, runFailed } from './errors';

it('offers the next step as a command to VS Code alone', () => {
  const error = noTarget('No kernel.', 'Choose one.');
  expect(describeError(error, 'vscode', {})).toMatchObject({
    url: 'command:bpf.selectKernel',
    urlLabel: 'Select Kernel',
  });
  expect(describeError(error, 'emacs', {})).not.toHaveProperty('url');
});

it('leaves the way to launch.json open where it is to be mended, and only there', () => {
  const listed = describeError(badConfiguration('In the launch configuration, …'), 'vscode', {});
  expect(listed).not.toHaveProperty('url');
  const unlisted = describeError(attachFailed('…'), 'vscode', { unlisted: true });
  expect(unlisted).toMatchObject({ url: 'command:bpf.attachProgram', urlLabel: 'Attach Again' });
  const run = describeError(runFailed('…'), 'vscode', { unlisted: true });
  expect(run).toMatchObject({ url: 'command:bpf.showLog' });
  const another = describeError(attachFailed('…', { unsupported: true }), 'vscode', { unlisted: true });
  expect(another).toMatchObject({ url: 'command:bpf.selectKernel' });
});
