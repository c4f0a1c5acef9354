/*
 * The system calls the guest's first process needs, for x86-64, without a C library: a static executable of a few
 * kilobytes that runs on every kernel and ships inside the extension.
 */
#pragma once

typedef unsigned long u64;
typedef unsigned int u32;

/* Numbers from the x86-64 system call table (arch/x86/entry/syscalls/syscall_64.tbl). */
enum {
	SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_ioctl = 16, SYS_dup2 = 33,
	SYS_nanosleep = 35, SYS_socket = 41, SYS_shutdown = 48, SYS_socketpair = 53, SYS_fork = 57, SYS_execve = 59, SYS_exit = 60,
	SYS_wait4 = 61, SYS_chdir = 80, SYS_mkdir = 83, SYS_symlink = 88, SYS_getpid = 39,
	SYS_getppid = 110, SYS_setsid = 112, SYS_prctl = 157, SYS_sync = 162, SYS_mount = 165,
	SYS_reboot = 169, SYS_sethostname = 170, SYS_getdents64 = 217, SYS_finit_module = 313,
};

static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define CALL0(n) call6(SYS_##n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) call6(SYS_##n, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) call6(SYS_##n, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) call6(SYS_##n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(n, a, b, c, d) call6(SYS_##n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(n, a, b, c, d, e) call6(SYS_##n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

enum { ENOENT = 2, EEXIST = 17, O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_NOCTTY = 0400 };
enum { O_DIRECTORY = 0200000, O_CLOEXEC = 02000000 };
