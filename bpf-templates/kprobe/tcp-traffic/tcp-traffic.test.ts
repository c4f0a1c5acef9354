import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KernelClient } from '../../../kernel/client/client';
import { findKernels } from '../../../kernel/targets/vm/kernels';
import { findQemu } from '../../../kernel/targets/vm/qemu';
import { compileTemplate } from '../../../test/support/bpf-object';
import { readMap } from '../../../test/support/maps';
import { startGuest, type Guest } from '../../../test/vm/guest';

/** `BPF_STUDIO_TEST_KERNEL=5.10` runs it on another one. */
const wanted = process.env.BPF_STUDIO_TEST_KERNEL ?? '6.12';
const kernel = findKernels().find(({ release, usable }) => usable.ok && release.startsWith(`${wanted}.`));
const missing = kernel === undefined ? ` (no ${wanted} kernel: node scripts/kernels.mjs ${wanted})` : '';
const noQemu = findQemu() === undefined ? ' (no QEMU: npm run setup)' : '';

/**
 * Real TCP connections in the guest, each end a process of its own that adds up what send and recv return and prints
 * it. What each scenario is for is its name.
 */
const traffic = `
import json, os, select, socket, sys, threading, time

def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline: sys.exit(f"{name}: {condition.__name__} did not come true")
        time.sleep(0.001)

def unread_by_peer(s):
    # Bytes that wait in the other end's receive queue, as /proc/net/tcp has them.
    ends = [f":{port:04X}" for port in (s.getpeername()[1], s.getsockname()[1])]
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    [queues] = [row[4] for row in rows if [row[1][-5:], row[2][-5:]] == ends]
    return int(queues.split(":")[1], 16)

def pair(family, host, server, client):
    listener = socket.create_server((host, 0), family=family)
    address = listener.getsockname()
    children = []
    for role in (server, client):
        pid = os.fork()
        if pid == 0:
            if role is server: s, _ = listener.accept()
            else: s = socket.create_connection(address[:2])
            sent, received = role(s)
            s.close()
            print(json.dumps({"scenario": name, "pid": os.getpid(), "sent": sent, "received": received}), flush=True)
            os._exit(0)
        children.append(pid)
    for pid in children: os.waitpid(pid, 0)

def drain(s, size=65536):
    n = 0
    while chunk := s.recv(size): n += len(chunk)
    return n

def send_all(total):
    def role(s):
        s.sendall(bytes(total)); s.shutdown(socket.SHUT_WR)
        return total, drain(s)
    return role

def one_byte_at_a_time(s):
    n = 0
    while chunk := s.recv(1): n += 1
    return 0, n

def in_pieces(s):
    for size in (1, 70000, 3, 120000, 9999):
        s.sendall(bytes(size))
        def reader_has_it(): return unread_by_peer(s) == 0
        wait_until(reader_has_it)
    return 200003, 0

def wait_for_all(s):
    # Asks for more than comes, so the end of the stream ends the read.
    return 0, len(s.recv(1000000, socket.MSG_WAITALL))

def peek_first(s):
    n = 0
    while s.recv(4000, socket.MSG_PEEK):
        s.recv(4000, socket.MSG_PEEK)
        n += len(s.recv(3000))
    return 0, n

def without_blocking(s):
    s.setblocking(False)
    sent = refused = 0
    while sent < 5000000:
        try: sent += s.send(bytes(400000))
        except BlockingIOError:
            if refused == 0: os.write(refusal[1], b"!")
            refused += 1
            select.select([], [s], [])
    if refused == 0: os.write(refusal[1], b"?")
    return sent, 0

def after_a_refusal(s):
    assert os.read(refusal[0], 1) == b"!"
    return 0, drain(s)

def many_blocked():
    # More senders blocked at once than a kretprobe has room for.
    listener = socket.create_server(("127.0.0.1", 0))
    count, size = 24, 5000000
    address = listener.getsockname()
    pid = os.fork()
    if pid == 0:
        def send(): 
            s = socket.create_connection(address); s.sendall(bytes(size)); s.close()
        threads = [threading.Thread(target=send) for _ in range(count)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(json.dumps({"scenario": name, "pid": os.getpid(), "sent": count * size, "received": 0}), flush=True)
        os._exit(0)
    accepted = [listener.accept()[0] for _ in range(count)]
    def senders_wait():
        # Each thread's system call, from /proc: sendto, of which no one returns before something is read.
        calls = [open(f"/proc/{pid}/task/{tid}/syscall").read().split()[0] for tid in os.listdir(f"/proc/{pid}/task")]
        return calls.count("44") == count
    wait_until(senders_wait)
    for s in accepted: drain(s, 1 << 20)
    os.waitpid(pid, 0)

refusal = os.pipe()
v4, v6 = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")
for name, where, server, client in (
    ("a megabyte and three bytes, IPv4", v4, lambda s: (0, drain(s, 1000)), send_all(1000003)),
    ("both directions, IPv6", v6, send_all(70001), send_all(123457)),
    ("read byte by byte", v4, one_byte_at_a_time, send_all(2000)),
    ("a read that waits for pieces", v4, wait_for_all, in_pieces),
    ("looked at before it is read", v6, peek_first, send_all(50000)),
    ("a sender that does not block", v4, after_a_refusal, without_blocking),
): pair(*where, server, client)
name = "more blocked senders than a kretprobe follows"
many_blocked()
`;

interface Counted {
  scenario: string;
  pid: number;
  sent: number;
  received: number;
}

describe.skipIf(missing !== '' || noQemu !== '')(`kprobe/tcp-traffic in a VM${missing}${noQemu}`, () => {
  let guest: Guest;
  let client: KernelClient;

  beforeAll(async () => {
    guest = await startGuest(kernel!.image);
    client = await KernelClient.connect(guest.socketPath, 'test');
  });
  afterAll(async () => {
    client?.dispose();
    await guest?.dispose();
  });

  it(`counts the exact bytes of real connections on ${wanted}`, async () => {
    const object = await compileTemplate(client, 'bpf-templates/kprobe/tcp-traffic/tcp-traffic.bpf.c');
    const opened = await client.request('objectOpen', { object });
    const loaded = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
    for (const { handle } of loaded.programs) {
      await client.request('attach', { program: handle, spec: { hook: 'auto' } });
    }

    const output = await guest.run('python3', '-c', traffic);
    const told = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Counted);
    expect(told).toHaveLength(13);

    const map = loaded.maps.find(({ name }) => name === 'traffic_by_process')!;
    const entries = await readMap(client, object, map);
    const counted = told.map(({ scenario, pid }) => {
      const own = entries.filter(({ key }) => (key as { pid: number }).pid === pid);
      const [traffic] = own.map(({ values }) => values[0] as { sent_bytes: number; received_bytes: number });
      const comm = own.map(({ key }) => (key as { comm: string }).comm).join();
      return { scenario, pid, comm, sent: traffic?.sent_bytes, received: traffic?.received_bytes };
    });
    expect(counted).toEqual(told.map((each) => ({ ...each, comm: 'python3' })));
    await client.request('objectClose', { object: opened.object });
  });
});
