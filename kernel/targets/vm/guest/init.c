/*
 * One small executable with three jobs, told apart by how it is called:
 *
 *   as process 1 of a guest      carries out /boot.plan (written by boot-plan.ts), runs the kernel host, reaps
 *                                orphans, and powers the machine off when the kernel host has ended;
 *   as `modprobe` in a guest     what the guest's kernel calls to load a module on demand: hands over to the
 *                                system's modprobe with the directory where this kernel's modules are;
 *   `--die-with-parent PID PROGRAM ARGUMENT…` on the user's machine
 *                                becomes PROGRAM, to be killed by the kernel when its parent PID ends.
 *
 * Policy lives in TypeScript; this is only an interpreter of its plan. A line of the plan is a verb and its
 * arguments, separated by tabs; a verb after `?` may fail, any other failure ends the boot with a message.
 */
#include "syscalls.h"

#define MAX_ARGUMENTS 64
#define PLAN_BYTES (256 * 1024)

static char plan[PLAN_BYTES];
static char *environment[MAX_ARGUMENTS + 1] = { "HOME=/root", "TERM=linux" };
static int environment_count = 2;

static u64 length(const char *text)
{
	u64 n = 0;

	while (text[n])
		n++;
	return n;
}

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static int ends_with(const char *text, const char *end)
{
	u64 n = length(text), m = length(end);

	return n >= m && equal(text + n - m, end);
}

static long number(const char *text)
{
	long value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (*text - '0');
	return value;
}

static char *decimal(long value, char *end)
{
	*--end = 0;
	do
		*--end = '0' + value % 10;
	while ((value /= 10) > 0);
	return end;
}

static void put(const char *text)
{
	CALL3(write, 2, text, length(text));
}

static void say(const char *a, const char *b, const char *c)
{
	put("bpf-studio: "), put(a), put(b), put(c), put("\n");
}

static void sleep_ms(long ms)
{
	long time[2] = { ms / 1000, ms % 1000 * 1000000 };

	CALL2(nanosleep, time, 0);
}

/* QEMU runs with -no-reboot, so a restart ends it; unlike power-off that works on machines without ACPI. */
static void __attribute__((noreturn)) power_off(void)
{
	CALL0(sync);
	for (;;)
		CALL4(reboot, 0xfee1dead, 672274793, 0x01234567, 0);
}

static long read_file(const char *path, char *buffer, long size)
{
	long file = CALL3(open, path, O_RDONLY | O_CLOEXEC, 0), total = 0, n;

	if (file < 0)
		return file;
	while (total < size - 1 && (n = CALL3(read, file, buffer + total, size - 1 - total)) > 0)
		total += n;
	CALL1(close, file);
	buffer[total] = 0;
	return total;
}

static long write_file(const char *path, const char *text)
{
	long file = CALL3(open, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), n;

	if (file < 0)
		return file;
	n = CALL3(write, file, text, length(text));
	CALL1(close, file);
	return n < 0 ? n : 0;
}

/* insmod FILE: modules arrive in the order of their dependencies; one that is loaded already is no failure. */
static long load_module(const char *path)
{
	int compressed = !ends_with(path, ".ko");
	long file = CALL3(open, path, O_RDONLY | O_CLOEXEC, 0), result;

	if (file < 0)
		return file;
	result = CALL3(finit_module, file, "", compressed ? 4 /* MODULE_INIT_COMPRESSED_FILE */ : 0);
	CALL1(close, file);
	return result == -EEXIST ? 0 : result;
}

/* up INTERFACE: struct ifreq is a 16-byte name and, for SIOCSIFFLAGS, a short. */
static long interface_up(const char *name)
{
	char request[40] = { 0 };
	long fd = CALL3(socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */, 0), result;

	if (fd < 0)
		return fd;
	for (int i = 0; i < 15 && name[i]; i++)
		request[i] = name[i];
	*(short *)(request + 16) = 1 /* IFF_UP */;
	result = CALL3(ioctl, fd, 0x8914 /* SIOCSIFFLAGS */, request);
	CALL1(close, fd);
	return result;
}

static char *append(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	*to = 0;
	return to;
}

/*
 * Find the virtio-serial port called `name` and link /dev/virtio-ports/NAME to it, which udev does elsewhere.
 * Returns 1 when found.
 */
static int link_port(const char *name)
{
	static char entries[4096];
	char path[128], found[64], device[64], target[128];
	long dir = CALL3(open, "/sys/class/virtio-ports", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;
	int linked = 0;

	if (dir < 0)
		return 0;
	while (!linked && (n = CALL3(getdents64, dir, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < n && !linked; at += *(unsigned short *)(entries + at + 16)) {
			const char *entry = entries + at + 19;
			long got;

			if (entry[0] == '.' || length(entry) > 40)
				continue;
			append(append(append(path, "/sys/class/virtio-ports/"), entry), "/name");
			got = read_file(path, found, sizeof(found));
			if (got <= 0)
				continue;
			if (found[got - 1] == '\n')
				found[got - 1] = 0;
			if (!equal(found, name))
				continue;
			append(append(device, "../"), entry);
			append(append(target, "/dev/virtio-ports/"), name);
			linked = CALL2(symlink, device, target) >= 0;
		}
	}
	CALL1(close, dir);
	return linked;
}

/* port NAME MILLISECONDS: ports appear some time after their driver is loaded. */
static long wait_for_port(const char *name, long ms)
{
	CALL2(mkdir, "/dev/virtio-ports", 0755);
	for (; ms >= 0; ms--) {
		if (link_port(name))
			return 0;
		sleep_ms(1);
	}
	return -ENOENT;
}

static char copy_buffer[64 * 1024];

/*
 * Copies until `from` ends. A virtio-serial port answers "end" until the driver has heard that its outside is
 * connected, so an end before the first byte is only believed after a while.
 */
static void __attribute__((noreturn)) copy(long from, long to)
{
	int patience_ms = 5000;
	long n, done = 0;

	while (done >= 0) {
		n = CALL3(read, from, copy_buffer, sizeof(copy_buffer));
		if (n == 0 && patience_ms-- > 0) {
			sleep_ms(1);
			continue;
		}
		if (n <= 0)
			break;
		patience_ms = 0;
		for (long at = 0; at < n && done >= 0; at += done)
			done = CALL3(write, to, copy_buffer + at, n - at);
	}
	/* The copier of the other direction holds the socket too: only this tells the program that it is over. */
	CALL2(shutdown, from, 2 /* SHUT_RDWR */);
	CALL2(shutdown, to, 2);
	for (;;)
		CALL1(exit, 0);
}

/*
 * bridge PORT: gives the next process a socket as descriptor 3 for what is a port. A port can be read only by calls
 * that block and return 4 KiB each, which costs a program in Node milliseconds apiece under emulation.
 */
static long bridge(const char *path)
{
	int pair[2];
	long result = CALL4(socketpair, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0, pair);
	long port = CALL3(open, path, O_RDWR | O_NOCTTY, 0);

	if (result < 0 || port < 0)
		return result < 0 ? result : port;
	for (int direction = 0; direction < 2; direction++) {
		long pid = CALL0(fork);

		if (pid < 0)
			return pid;
		if (pid > 0)
			continue;
		CALL1(close, pair[0]);
		if (direction == 0)
			copy(port, pair[1]);
		copy(pair[1], port);
	}
	CALL1(close, port);
	CALL1(close, pair[1]);
	if (pair[0] != 3) {
		CALL2(dup2, pair[0], 3);
		CALL1(close, pair[0]);
	}
	return 0;
}

static long start_process(char **arguments)
{
	long pid = CALL0(fork);

	if (pid == 0) {
		CALL0(setsid);
		long result = CALL3(execve, arguments[0], arguments, environment);
		char text[24];

		say("cannot run ", arguments[0], "");
		say("errno ", decimal(-result, text + sizeof(text)), "");
		CALL1(exit, 127);
	}
	return pid;
}

/* run PROGRAM ARGUMENT…: the last verb. The machine lives as long as this process does. */
static long run(char **arguments)
{
	long main_process = start_process(arguments), pid;
	int status = 0;
	char text[24];

	if (main_process < 0)
		return main_process;
	do
		pid = CALL4(wait4, -1, &status, 0, 0);
	while (pid != main_process);
	say("the kernel host ended with wait status ", decimal(status, text + sizeof(text)), "");
	power_off();
}

static long carry_out(char **word, int count)
{
	const char *verb = word[0];

	if (equal(verb, "say") && count == 2)
		return say(word[1], "", ""), 0;
	if (equal(verb, "mkdir") && count == 2) {
		long result = CALL2(mkdir, word[1], 0755);
		return result == -EEXIST ? 0 : result;
	}
	if (equal(verb, "mount") && count == 6) /* SOURCE TARGET TYPE FLAGS OPTIONS */
		return CALL5(mount, word[1], word[2], word[3], number(word[4]), word[5]);
	if (equal(verb, "symlink") && count == 3)
		return CALL2(symlink, word[1], word[2]);
	if (equal(verb, "write") && count == 3)
		return write_file(word[1], word[2]);
	if (equal(verb, "insmod") && count == 2)
		return load_module(word[1]);
	if (equal(verb, "up") && count == 2)
		return interface_up(word[1]);
	if (equal(verb, "hostname") && count == 2)
		return CALL2(sethostname, word[1], length(word[1]));
	if (equal(verb, "port") && count == 3)
		return wait_for_port(word[1], number(word[2]));
	if (equal(verb, "bridge") && count == 2)
		return bridge(word[1]);
	if (equal(verb, "chdir") && count == 2)
		return CALL1(chdir, word[1]);
	if (equal(verb, "env") && count == 2 && environment_count < MAX_ARGUMENTS)
		return environment[environment_count++] = word[1], 0;
	if (equal(verb, "spawn") && count >= 2) {
		long pid = start_process(word + 1);
		return pid < 0 ? pid : 0;
	}
	if (equal(verb, "run") && count >= 2)
		return run(word + 1);
	return -22 /* EINVAL */;
}

/* Splits a line at its tabs, in place, and carries it out. */
static void do_line(char *line)
{
	char *word[MAX_ARGUMENTS + 1];
	int count = 0, optional = line[0] == '?';
	long result;
	char text[24];

	for (char *at = line + optional; count < MAX_ARGUMENTS;) {
		word[count++] = at;
		while (*at && *at != '\t')
			at++;
		if (!*at)
			break;
		*at++ = 0;
	}
	word[count] = 0;
	result = carry_out(word, count);
	if (result >= 0)
		return;
	put("bpf-studio: boot step failed:");
	for (int i = 0; i < count; i++)
		put(" "), put(word[i]);
	put(": errno "), put(decimal(-result, text + sizeof(text))), put("\n");
	if (!optional)
		power_off();
}

static void boot(void)
{
	long console, size;

	/* The initramfs has no device files: devtmpfs brings the console, so it comes first. */
	CALL2(mkdir, "/dev", 0755);
	CALL5(mount, "devtmpfs", "/dev", "devtmpfs", 0, "");
	console = CALL3(open, "/dev/console", O_RDWR | O_NOCTTY, 0);
	for (int fd = 0; console >= 0 && fd <= 2; fd++)
		CALL2(dup2, console, fd);
	if (console > 2)
		CALL1(close, console);

	size = read_file("/boot.plan", plan, sizeof(plan));
	if (size <= 0) {
		say("no /boot.plan in the initramfs", "", "");
		power_off();
	}
	for (char *line = plan, *at = plan;; at++) {
		int last = !*at;

		if (*at && *at != '\n')
			continue;
		*at = 0;
		if (*line)
			do_line(line);
		if (last)
			break;
		line = at + 1;
	}
	say("the boot plan ran nothing", "", "");
	power_off();
}

/* The kernel calls `modprobe -q -- NAME`; this kernel's modules are not where the system's modprobe looks. */
static int load_on_demand(int count, char **arguments)
{
	char *call[MAX_ARGUMENTS + 4] = { "/sbin/modprobe", "-d", "/kernel" };
	int n = 3;

	for (int i = 1; i < count && n < MAX_ARGUMENTS; i++)
		call[n++] = arguments[i];
	call[n] = 0;
	CALL3(execve, call[0], call, environment);
	return 127;
}

static int die_with_parent(int count, char **arguments, char **inherited)
{
	if (count < 4 || CALL2(prctl, 1 /* PR_SET_PDEATHSIG */, 9) < 0)
		return 126;
	/* The parent may have ended before the call above, which would then never have an effect. */
	if (CALL0(getppid) != number(arguments[2]))
		return 126;
	CALL3(execve, arguments[3], arguments + 3, inherited);
	say("cannot run ", arguments[3], "");
	return 127;
}

/* The stack at entry: argument count, arguments, NULL, environment, NULL. */
static void __attribute__((used, noreturn)) start(long *stack)
{
	int count = (int)stack[0];
	char **arguments = (char **)(stack + 1);
	int status = 2;

	if (CALL0(getpid) == 1)
		boot();
	else if (count > 1 && equal(arguments[1], "--die-with-parent"))
		status = die_with_parent(count, arguments, arguments + count + 1);
	else if (count > 0 && ends_with(arguments[0], "modprobe"))
		status = load_on_demand(count, arguments);
	else
		put("usage: vm-init --die-with-parent PID PROGRAM ARGUMENT…\n");
	for (;;)
		CALL1(exit, status);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");

/* The compiler may turn loops into calls of these, C library or not. */
void *memset(void *to, int value, u64 n)
{
	for (char *at = to; n; n--)
		*at++ = (char)value;
	return to;
}
void *memcpy(void *to, const void *from, u64 n)
{
	const char *source = from;

	for (char *at = to; n; n--)
		*at++ = *source++;
	return to;
}
