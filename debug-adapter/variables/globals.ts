/** The Globals scope: variables of .data, .bss and .rodata, each by its own name. */
import type { LoadedMap } from '../../kernel/protocol';
import { childrenOf } from '../../toolchain/btf/value';
import type { VariableContext } from './context';
import { note, type VariableNode } from './node';
import { rootValue, valueNode, type Home } from './values';

export function globalMaps(context: VariableContext): LoadedMap[] {
  return context.loaded.maps.filter((map) => map.globals);
}

export async function globalNodes(context: VariableContext): Promise<VariableNode[]> {
  const rows = await Promise.all(globalMaps(context).map((map) => sectionNodes(context, map)));
  return rows.flat();
}

async function sectionNodes(context: VariableContext, map: LoadedMap): Promise<VariableNode[]> {
  const bytes = await context.section(map);
  if (!bytes) return [note('globals', map.name, 'the kernel gave no value for this section')];
  const home = sectionHome(context, map);
  if (!home.btf || home.type === 0)
    return [
      {
        ...valueNode({ ...home, path: `globals/${map.name}` }, rootValue(home, map.name, bytes)),
        name: map.name,
      },
    ];
  return childrenOf(rootValue(home, map.name, bytes)).map((variable) => {
    // Static variables of functions are named `function.variable`; both parts tell where they live.
    const { evaluateName: _, ...node } = valueNode(home, variable);
    return { ...node, name: variable.name, evaluateName: variable.name };
  });
}

/** Members are written as parts of their section: the kernel takes it only as a whole. */
export function sectionHome(context: VariableContext, map: LoadedMap): Home {
  const constant = map.frozen || /\.rodata/.test(map.name);
  return {
    path: 'globals',
    expression: '',
    btf: context.btf,
    type: map.valueTypeId,
    epoch: context.epoch,
    read: () => context.readSection(map),
    ...(constant
      ? {
          readOnly: `${map.name} is frozen: the verifier relied on its values when the program was loaded; set "globals" in the launch configuration instead`,
        }
      : {
          write: async (bytes: Uint8Array) => {
            await context.kernel.request('mapUpdate', {
              map: map.handle,
              key: new Uint8Array(4),
              value: bytes,
              flags: 'any',
            });
          },
        }),
  };
}
