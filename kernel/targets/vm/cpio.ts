/** A member of an initramfs. Directories must precede what lies in them. */
export type CpioEntry =
  | { kind: 'directory'; path: string }
  | { kind: 'file'; path: string; data: Uint8Array; executable?: boolean }
  | { kind: 'symlink'; path: string; target: string };

/** `c_mode` bits, as in stat(2). */
const TYPE = { directory: 0o040000, file: 0o100000, symlink: 0o120000 } as const;

/**
 * An uncompressed cpio archive in the `newc` format, which is the one the kernel unpacks as its initramfs: for
 * each member a header of `070701` and thirteen eight-digit hexadecimal numbers, the NUL-terminated path without
 * leading slash, and the data, header-plus-path and data each padded with zeros to a multiple of four bytes; a member
 * named `TRAILER!!!` ends it (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source).
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  let inode = 0;
  const add = (path: string, mode: number, data: Uint8Array): void => {
    inode += 1;
    const name = Buffer.from(`${path.replace(/^\/+/, '')}\0`);
    // inode, mode, uid, gid, links, mtime, file size, device major/minor, rdev major/minor, name size, checksum
    const numbers = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(`070701${numbers.map((n) => n.toString(16).padStart(8, '0')).join('')}`);
    parts.push(header, name, padding(header.length + name.length), data, padding(data.length));
  };
  for (const entry of entries) {
    if (entry.kind === 'directory') add(entry.path, TYPE.directory | 0o755, new Uint8Array());
    else if (entry.kind === 'symlink') add(entry.path, TYPE.symlink | 0o777, Buffer.from(entry.target));
    else add(entry.path, TYPE.file | (entry.executable ? 0o755 : 0o644), entry.data);
  }
  add('TRAILER!!!', 0, new Uint8Array());
  return Buffer.concat(parts);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
