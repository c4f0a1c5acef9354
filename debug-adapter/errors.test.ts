import { expect, it } from 'vitest';
import {
  attachFailed,
  badConfiguration,
  describeError,
  noTarget,
  nothingRecorded,
  runFailed,
} from './errors';

it('offers the next step as a command to VS Code alone', () => {
  const error = noTarget('No kernel.', 'Choose one.');
  expect(describeError(error, 'vscode', 'launch', {})).toMatchObject({
    url: 'command:bpf.selectKernel',
    urlLabel: 'Select Kernel',
  });
  expect(describeError(error, 'emacs', 'launch', {})).not.toHaveProperty('url');
});

it('leaves it to the extension to show what became of its own requests', () => {
  const error = nothingRecorded();
  expect(describeError(error, 'vscode', 'bpf/saveRecording', {})).toMatchObject({ showUser: false });
  expect(describeError(error, 'vscode', 'setVariable', {})).toMatchObject({ showUser: true });
  expect(describeError(error, 'emacs', 'bpf/saveRecording', {})).toMatchObject({ showUser: true });
});

it('leaves the way to launch.json open where it is to be mended, and only there', () => {
  const listed = describeError(badConfiguration('In the launch configuration, …'), 'vscode', 'launch', {});
  expect(listed).not.toHaveProperty('url');
  const unlisted = describeError(attachFailed('…'), 'vscode', 'launch', { unlisted: true });
  expect(unlisted).toMatchObject({ url: 'command:bpf.attachProgram', urlLabel: 'Attach Again' });
  const run = describeError(runFailed('…'), 'vscode', 'launch', { unlisted: true });
  expect(run).toMatchObject({ url: 'command:bpf.showLog' });
  const another = describeError(attachFailed('…', { unsupported: true }), 'vscode', 'launch', {
    unlisted: true,
  });
  expect(another).toMatchObject({ url: 'command:bpf.selectKernel' });
});
