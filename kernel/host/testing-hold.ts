/** For cleanup.test.ts and the process that it kills: a session that holds one of everything. */
import type { KernelClient } from '../client/client';

/**
 * Loads and attaches: XDP and raw_tp by links, tc by clsact, which no link holds. XDP and tc run variants of their
 * programs, as when somebody watches them, exchanged while they are attached.
 */
export async function holdEverything(client: KernelClient, object: Uint8Array, netns: string): Promise<void> {
  const { object: handle } = await client.request('objectOpen', { object });
  const { programs } = await client.request('objectLoad', { object: handle, log: 'rejected' });
  const programOf = (name: string) => programs.find((one) => one.name === name)?.handle ?? -1;
  const where = { interface: 'veth0', netns };
  const variantOf = async (name: string) => {
    const program = programOf(name);
    const prepared = await client.request('programPrepared', { program });
    const given = { program, license: 'Dual MIT/GPL', ...prepared, log: 'none' } as const;
    const loaded = await client.request('programVariant', given);
    if (loaded.program === null) throw new Error(`a copy of ${name} was refused: ${loaded.errno}`);
    return { program, variant: loaded.program };
  };
  const exchange = async (link: number, program: number, possible: boolean) => {
    const { exchanged } = await client.request('linkExchange', { link, program });
    if (exchanged !== possible) throw new Error(`exchanging the program of a link: ${exchanged}`);
  };
  const xdp = await client.request('attach', {
    program: programOf('clnxdp'),
    spec: { hook: 'xdp', ...where },
  });
  await exchange(xdp.link, (await variantOf('clnxdp')).variant, true);
  const raw = await client.request('attach', { program: programOf('clnraw'), spec: { hook: 'auto' } });
  await exchange(raw.link, programOf('clnraw'), false);
  const tc = await client.request('attach', {
    program: programOf('clntc'),
    spec: { hook: 'tc', direction: 'ingress', implementation: 'clsact', ...where },
  });
  await exchange(tc.link, (await variantOf('clntc')).variant, true);
  await client.request('sharedArrayCreate', { name: 'clnring', bytes: 1 << 20 });
}
