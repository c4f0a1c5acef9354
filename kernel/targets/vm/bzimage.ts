/** What the first kilobytes of a Linux image for x86 say about it. */
export interface KernelHeader {
  /** The whole version line, `6.12.107+deb13-amd64 (builder) #1 SMP … (date)`. */
  banner: string;
  /** Its first word: what `uname -r` prints, and the name of the modules' directory. */
  release: string;
  /** Where the compressed vmlinux lies in the file. */
  payload: { offset: number; length: number };
}

/** How much of a file {@link readKernelHeader} needs: the version line lies within the 16-bit setup code. */
export const HEADER_BYTES = 64 * 1024;

/**
 * Reads the header of a bzImage. Offsets are those of the x86 boot protocol (Documentation/arch/x86/boot.rst in the
 * kernel's source): `setup_sects` at 0x1f1, the signature at 0x202, `kernel_version` at 0x20e,
 * `payload_offset` and `payload_length` at 0x248 (protocol 2.08).
 */
export function readKernelHeader(start: Buffer): KernelHeader | { problem: string } {
  if (start.length < 0x250 || start.toString('latin1', 0x202, 0x206) !== 'HdrS') {
    return { problem: 'it is not a Linux kernel image for x86 (a bzImage; distributions call it vmlinuz)' };
  }
  if (start.readUInt16LE(0x206) < 0x208)
    return { problem: 'its boot protocol is older than 2.08 (Linux 2.6.26)' };
  const bannerAt = start.readUInt16LE(0x20e) + 0x200;
  const bannerEnd = start.indexOf(0, bannerAt);
  const banner = bannerEnd > bannerAt ? start.toString('latin1', bannerAt, bannerEnd) : '';
  const release = /^\d+\.\d+\S*/.exec(banner)?.[0];
  if (!release) return { problem: 'its header carries no version' };
  const setupBytes = ((start[0x1f1] || 4) + 1) * 512;
  return {
    banner,
    release,
    payload: { offset: setupBytes + start.readUInt32LE(0x248), length: start.readUInt32LE(0x24c) },
  };
}

/** A compressed file's format, by its first bytes; undefined for one that this project does not unpack. */
export function compressionOf(data: Uint8Array): 'gzip' | 'xz' | 'zstd' | undefined {
  const magic = Buffer.from(data.subarray(0, 6)).toString('hex');
  if (magic.startsWith('1f8b')) return 'gzip';
  if (magic === 'fd377a585a00') return 'xz';
  if (magic.startsWith('28b52ffd')) return 'zstd';
  return undefined;
}

/**
 * Whether an uncompressed vmlinux can be started directly: an ELF file with a note of owner `Xen` and type
 * XEN_ELFNOTE_PHYS32_ENTRY (18), the PVH entry that QEMU jumps to without firmware or decompression.
 */
export function hasPvhEntry(vmlinux: Buffer): boolean {
  if (vmlinux.length < 64 || vmlinux.toString('latin1', 0, 4) !== '\x7fELF' || vmlinux[4] !== 2) return false;
  const programHeaders = Number(vmlinux.readBigUInt64LE(32));
  const entrySize = vmlinux.readUInt16LE(54);
  const count = vmlinux.readUInt16LE(56);
  for (let i = 0; i < count; i++) {
    const at = programHeaders + i * entrySize;
    if (at + 56 > vmlinux.length) return false;
    if (vmlinux.readUInt32LE(at) !== 4 /* PT_NOTE */) continue;
    const from = Number(vmlinux.readBigUInt64LE(at + 8));
    const size = Number(vmlinux.readBigUInt64LE(at + 32));
    if (hasNote(vmlinux.subarray(from, from + size), 'Xen', 18)) return true;
  }
  return false;
}

function hasNote(notes: Buffer, owner: string, type: number): boolean {
  const align = (n: number): number => (n + 3) & ~3;
  for (let at = 0; at + 12 <= notes.length;) {
    const nameSize = notes.readUInt32LE(at);
    const dataSize = notes.readUInt32LE(at + 4);
    const name = notes.toString('latin1', at + 12, at + 12 + Math.max(0, nameSize - 1));
    if (name === owner && notes.readUInt32LE(at + 8) === type) return true;
    at += 12 + align(nameSize) + align(dataSize);
  }
  return false;
}
