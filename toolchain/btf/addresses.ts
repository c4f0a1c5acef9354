import { declaredOrder } from './byteorder';
import { formatIpv4, formatIpv6, formatMac } from './text';
import { bytesOf } from './value';
import type { Value } from './value';

export type AddressKind = 'ipv4' | 'ipv6' | 'mac';

/** Names that only an IPv4 address in network order would have, given that the type is `__be32`. */
const ipv4Name = /addr|(^|_)ip(4|v4)?(_|$)/i;
const macName = /(^|_)(mac|eth|hwaddr|lladdr)(_|$|\d)|mac_?addr|^(src|dst)mac$|^h_(dest|source)$/i;

/**
 * What kind of address a value is, when its type and name leave no doubt: `struct in_addr` and `in6_addr`, a
 * `__be32` named like an address, six unsigned bytes named like a hardware address. A plain `__u32` never is: its
 * byte order is anybody's guess.
 */
export function addressKind(value: Value): AddressKind | undefined {
  const type = value.source.btf?.resolve(value.typeId);
  if (!type || value.kind === 'missing') return undefined;
  if (type.kind === 'struct') {
    if (type.name === 'in_addr' && type.size === 4) return 'ipv4';
    if (type.name === 'in6_addr' && type.size === 16) return 'ipv6';
    return undefined;
  }
  if (type.kind === 'int' && type.size === 4 && !value.bitfield && declaredOrder(value) === false) {
    return ipv4Name.test(value.hint) && !value.name.startsWith('[') ? 'ipv4' : undefined;
  }
  if (type.kind === 'array' && type.count === 6 && value.size === 6 && macName.test(value.hint)) return 'mac';
  return undefined;
}

/** A value that is an address, as people write it; undefined for anything else. */
export function addressOf(value: Value): string | undefined {
  const bytes = bytesOf(value);
  switch (addressKind(value)) {
    case 'ipv4':
      return formatIpv4(bytes);
    case 'ipv6':
      return formatIpv6(bytes);
    case 'mac':
      return formatMac(bytes);
    default:
      return undefined;
  }
}
