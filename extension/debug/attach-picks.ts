/** The quick picks behind attach-choice.ts: each lists what the kernel has and returns what an AttachSpec needs. */
import * as vscode from 'vscode';
import type { KernelClient } from '../../kernel/client/client';
import type { AttachSpec, NetworkInterface } from '../../kernel/protocol';
import { searchPick } from './search-pick';

/** How many rows a searched list shows; typing more finds the others. */
const ROWS = 200;

interface ChosenInterface {
  interface: string;
  netns?: string;
}

/** An interface of the host's network namespace, or of another one chosen first. */
export async function networkInterface(
  kernel: KernelClient,
  program: string,
  kind?: string,
  netns?: string,
): Promise<ChosenInterface | undefined> {
  const { interfaces } = await kernel.request('listInterfaces', { netns });
  const elsewhere = vscode.l10n.t('$(server-environment) In another network namespace…');
  const rows = interfaces
    .filter((candidate) => kind === undefined || candidate.kind === kind)
    .map((candidate) => ({
      label: candidate.name,
      description: describeInterface(candidate),
      detail: candidate.addresses.join('  ') || undefined,
    }));
  const chosen = await vscode.window.showQuickPick(
    netns === undefined ? [...rows, { label: elsewhere, description: '', detail: undefined }] : rows,
    {
      title: vscode.l10n.t('Interface for {0}', program),
      placeHolder: netns,
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  if (chosen?.label !== elsewhere) return chosen && { interface: chosen.label, ...(netns && { netns }) };
  const namespace = await networkNamespace(kernel, program, { own: false });
  return namespace?.netns ? networkInterface(kernel, program, kind, namespace.netns) : undefined;
}

function describeInterface(candidate: NetworkInterface): string {
  const parts = [
    candidate.kind,
    candidate.up ? vscode.l10n.t('up') : vscode.l10n.t('down'),
    candidate.mac,
    candidate.xdp && vscode.l10n.t('has XDP program {0} ({1})', candidate.xdp.programId, candidate.xdp.mode),
  ];
  return parts.filter((part) => part !== undefined && part !== '').join(' · ');
}

export async function networkNamespace(
  kernel: KernelClient,
  program: string,
  { own } = { own: true },
): Promise<{ netns?: string } | undefined> {
  const { namespaces } = await kernel.request('listNetworkNamespaces', {});
  const rows: (vscode.QuickPickItem & { netns?: string })[] = namespaces.map(({ name, path }) => ({
    label: name,
    description: path,
    netns: path,
  }));
  if (own) rows.unshift({ label: vscode.l10n.t("The host's own network namespace") });
  if (rows.length === 0) {
    await vscode.window.showInformationMessage(
      vscode.l10n.t('This machine has no named network namespace. Make one with: ip netns add NAME'),
    );
    return undefined;
  }
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Network namespace for {0}', program),
  });
  return chosen && { netns: chosen.netns };
}

export async function tcDirection(program: string): Promise<'ingress' | 'egress' | undefined> {
  const rows: (vscode.QuickPickItem & { direction: 'ingress' | 'egress' })[] = [
    { label: 'ingress', description: vscode.l10n.t('packets that arrive'), direction: 'ingress' },
    { label: 'egress', description: vscode.l10n.t('packets that leave'), direction: 'egress' },
  ];
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Direction for {0}', program),
  });
  return chosen?.direction;
}

/** A kernel function; with `patterns`, what was typed may be taken as a glob such as `tcp_*`. */
export async function kernelFunction(
  kernel: KernelClient,
  program: string,
  { patterns } = { patterns: false },
): Promise<string | undefined> {
  const chosen = await searchPick(
    {
      title: vscode.l10n.t('Kernel function for {0}', program),
      placeholder: vscode.l10n.t('Part of its name'),
    },
    async (text, signal) => {
      const { functions } = await kernel.request(
        'listKernelFunctions',
        { contains: text.replaceAll('*', ''), limit: ROWS },
        { signal },
      );
      const rows = functions.map((name) => ({ label: name }));
      const glob = patterns && text.includes('*');
      return glob
        ? [{ label: text, description: vscode.l10n.t('every function that matches') }, ...rows]
        : rows;
    },
  );
  return chosen?.label;
}

export async function tracepoint(
  kernel: KernelClient,
  program: string,
): Promise<{ category: string; name: string } | undefined> {
  const chosen = await searchPick(
    {
      title: vscode.l10n.t('Tracepoint for {0}', program),
      placeholder: vscode.l10n.t('Part of its name'),
    },
    async (text, signal) => {
      const parameters = { contains: text, limit: ROWS };
      const { tracepoints } = await kernel.request('listTracepoints', parameters, { signal });
      return tracepoints.map((found) => ({ label: found.name, description: found.category, found }));
    },
  );
  return chosen?.found;
}

/** The executable to probe: that of a running process, limited to it, or a file. */
export async function binary(
  kernel: KernelClient,
  program: string,
): Promise<{ binary: string; pid?: number } | undefined> {
  const { processes } = await kernel.request('listProcesses', {});
  const file = vscode.l10n.t('$(file-binary) A file…');
  const rows = processes
    .filter((running) => running.executable !== '')
    .map((running) => ({
      label: running.command,
      description: `${running.pid}  ${running.executable}`,
      detail: running.arguments,
      running,
    }));
  const chosen = await vscode.window.showQuickPick(
    [
      {
        label: file,
        description: '',
        detail: vscode.l10n.t('every process that runs it'),
        running: undefined,
      },
      ...rows,
    ],
    {
      title: vscode.l10n.t('Process for {0}', program),
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  if (chosen?.running) return { binary: chosen.running.executable, pid: chosen.running.pid };
  if (!chosen) return undefined;
  const picked = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Executable or library'),
    defaultUri: vscode.Uri.file('/usr/bin'),
    canSelectMany: false,
  });
  return picked?.[0] && { binary: picked[0].fsPath };
}

export async function userFunction(
  kernel: KernelClient,
  path: string,
  program: string,
): Promise<string | undefined> {
  const chosen = await searchPick(
    { title: vscode.l10n.t('Function for {0}', program), placeholder: path },
    async (text, signal) => {
      const parameters = { binary: path, contains: text, limit: ROWS };
      const { functions } = await kernel.request('listBinarySymbols', parameters, { signal });
      return functions.map(({ name, offset }) => ({ label: name, description: `0x${offset.toString(16)}` }));
    },
  );
  return chosen?.label;
}

export async function usdtProbe(
  kernel: KernelClient,
  path: string,
  program: string,
): Promise<{ provider: string; name: string } | undefined> {
  const { probes } = await kernel.request('listBinarySymbols', { binary: path, contains: '', limit: 1 });
  if (probes.length === 0) {
    await vscode.window.showInformationMessage(
      vscode.l10n.t('{0} carries no USDT probes. Choose another process or file.', path),
    );
    return undefined;
  }
  const chosen = await vscode.window.showQuickPick(
    probes.map(({ provider, name, arguments: values }) => ({
      label: `${provider}:${name}`,
      description: values,
      probe: { provider, name },
    })),
    { title: vscode.l10n.t('Probe for {0}', program) },
  );
  return chosen?.probe;
}

export async function cgroup(kernel: KernelClient, program: string): Promise<string | undefined> {
  const { cgroups } = await kernel.request('listCgroups', { limit: 2000 });
  return vscode.window.showQuickPick(cgroups, { title: vscode.l10n.t('Cgroup for {0}', program) });
}

/** perf_event_open(2): PERF_TYPE_SOFTWARE with PERF_COUNT_SW_CPU_CLOCK works on every machine and in VMs. */
export async function perfEvent(program: string): Promise<AttachSpec | undefined> {
  const software = 1;
  const hardware = 0;
  const rows = [
    { label: vscode.l10n.t('CPU clock, 99 times a second'), type: software, config: 0n, frequency: 99n },
    { label: vscode.l10n.t('CPU clock, 999 times a second'), type: software, config: 0n, frequency: 999n },
    { label: vscode.l10n.t('CPU cycles, 99 times a second'), type: hardware, config: 0n, frequency: 99n },
    { label: vscode.l10n.t('Page faults'), type: software, config: 2n, period: 1n },
    { label: vscode.l10n.t('Context switches'), type: software, config: 3n, period: 1n },
  ];
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Event for {0}', program),
    placeHolder: vscode.l10n.t('On every CPU'),
  });
  if (!chosen) return undefined;
  const { type, config, frequency, period } = chosen;
  return {
    hook: 'perfEvent',
    type,
    config,
    ...(frequency !== undefined && { sampleFrequency: frequency }),
    ...(period !== undefined && { samplePeriod: period }),
  };
}

export async function netfilter(program: string): Promise<AttachSpec | undefined> {
  const hooks = ['prerouting', 'localIn', 'forward', 'localOut', 'postrouting'] as const;
  const rows = (['ipv4', 'ipv6'] as const).flatMap((family) =>
    hooks.map((hookNumber) => ({ label: hookNumber, description: family, family, hookNumber })),
  );
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Netfilter hook for {0}', program),
    matchOnDescription: true,
  });
  // Priority 0 is NF_IP_PRI_FILTER; the kernel refuses the two extremes to BPF programs.
  return chosen && { hook: 'netfilter', family: chosen.family, hookNumber: chosen.hookNumber, priority: 0 };
}
