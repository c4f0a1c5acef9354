/** The kernel's names of value types in the programmer's words. */

const plainTypes: [RegExp, string][] = [
  [/^(scalar|inv|unknown)$/, 'a plain number'],
  [/^ctx$/, 'the context'],
  [/^fp$/, 'a pointer to the stack'],
  [/^pkt(_meta)?$/, 'a packet pointer'],
  [/^pkt_end$/, 'the end of the packet'],
  [/^map_ptr$/, 'a map'],
  [/^map_value$/, 'a pointer to a map value'],
  [/^map_key$/, 'a pointer to a map key'],
  [/^(ringbuf_)?mem$|^alloc_mem$/, 'a pointer to memory'],
  [/^(trusted_|rcu_|untrusted_)?ptr_\w*$/, 'a pointer to a kernel object'],
  [/^sock(_common)?$|^tcp_sock$/, 'a socket'],
];

/** `scalar` → `a plain number`; types without words of their own keep the kernel's. */
export function plainType(type: string): string {
  return plainTypes.find(([pattern]) => pattern.test(type))?.[1] ?? type;
}

/** What an `expected=` list comes down to: memory of any kind, or the kinds one by one. */
export function plainExpectation(list: string): string {
  const types = list
    .split(',')
    .map((type) => type.trim())
    .filter(Boolean);
  if (types.includes('fp') && types.includes('map_value')) {
    return 'a pointer to memory (stack, map value, packet …)';
  }
  return [...new Set(types.map(plainType))].join(' or ') || list;
}

/** What lets a packet through in program types where 0 does not; 0 is XDP_ABORTED to XDP. */
const PASS: Record<string, string> = {
  xdp: 'XDP_PASS',
  cgroup_skb: '1',
  cgroup_sock: '1',
  cgroup_sock_addr: '1',
  sk_skb: 'SK_PASS',
  sk_msg: 'SK_PASS',
  sk_lookup: 'SK_PASS',
  netfilter: 'NF_ACCEPT',
};

/** The value with which a program of a type leaves without a decision of its own. */
export function neutralReturn(programType: string): string {
  return PASS[programType] ?? '0';
}
