/**
 * Asks for what `SEC()` leaves open before a program can be attached: the interface, the function, the cgroup.
 * What `SEC()` says is not asked again.
 */
import * as vscode from 'vscode';
import type { KernelClient } from '../../kernel/client/client';
import type { AttachSpec } from '../../kernel/protocol';
import * as pick from './attach-picks';
import { requiredChoice, tcDirection } from './required-choice';

/** The part of a program that decides: its section, e.g. `xdp`, `kprobe/tcp_sendmsg`, `cgroup/connect4`. */
export interface Attachable {
  name: string;
  section: string;
}

/** Asks for what is missing. Undefined: the user stepped back. */
export async function chooseAttachSpec(
  kernel: KernelClient,
  program: Attachable,
): Promise<AttachSpec | undefined> {
  const isReturn = /^\??(kret|uret)probe/.test(program.section);
  const choice = requiredChoice(program.section);
  switch (choice) {
    case 'nothing':
      return { hook: 'auto' };
    case 'xdpInterface': {
      const chosen = await pick.networkInterface(kernel, program.name);
      return chosen && { hook: 'xdp', ...chosen };
    }
    case 'tcInterface': {
      const chosen = await pick.networkInterface(kernel, program.name);
      const direction = chosen && (tcDirection(program.section) ?? (await pick.tcDirection(program.name)));
      return chosen && direction && { hook: 'tc', ...chosen, direction, implementation: 'auto' };
    }
    case 'netkitInterface': {
      const chosen = await pick.networkInterface(kernel, program.name, 'netkit');
      const side = program.section.endsWith('peer') ? 'peer' : 'primary';
      return chosen && { hook: 'netkit', ...chosen, side };
    }
    case 'socketInterface': {
      const chosen = await pick.networkInterface(kernel, program.name);
      return chosen && { hook: 'socket', ...chosen };
    }
    case 'kernelFunction': {
      const name = await pick.kernelFunction(kernel, program.name);
      return name === undefined ? undefined : { hook: 'kprobe', function: name, return: isReturn };
    }
    case 'kernelFunctions': {
      const pattern = await pick.kernelFunction(kernel, program.name, { patterns: true });
      return pattern === undefined ? undefined : { hook: 'kprobeMulti', pattern, return: isReturn };
    }
    case 'tracepoint': {
      const chosen = await pick.tracepoint(kernel, program.name);
      return chosen && { hook: 'tracepoint', ...chosen };
    }
    case 'rawTracepoint': {
      const chosen = await pick.tracepoint(kernel, program.name);
      return chosen && { hook: 'rawTracepoint', name: chosen.name };
    }
    case 'userFunction': {
      const binary = await pick.binary(kernel, program.name);
      if (!binary) return undefined;
      const name = await pick.userFunction(kernel, binary.binary, program.name);
      return name === undefined ? undefined : { hook: 'uprobe', ...binary, function: name, return: isReturn };
    }
    case 'usdt': {
      const binary = await pick.binary(kernel, program.name);
      const probe = binary && (await pick.usdtProbe(kernel, binary.binary, program.name));
      return binary && probe && { hook: 'usdt', ...binary, ...probe };
    }
    case 'perfEvent':
      return pick.perfEvent(program.name);
    case 'cgroup': {
      const path = await pick.cgroup(kernel, program.name);
      return path === undefined ? undefined : { hook: 'cgroup', path };
    }
    case 'netns': {
      const chosen = await pick.networkNamespace(kernel, program.name);
      return chosen && { hook: 'netns', ...chosen };
    }
    case 'netfilter':
      return pick.netfilter(program.name);
    default:
      throw new Error(vscode.l10n.t('No question is known for {0}.', choice satisfies never));
  }
}
