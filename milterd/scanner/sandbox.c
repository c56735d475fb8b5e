/* SPDX-License-Identifier: GPL-2.0-only */
#include "config.h"

#include "milterd/scanner/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "milterd/scanner/protocol.h"

static int limit(__rlimit_resource_t resource, uint64_t most)
{
	struct rlimit was, now;

	if (getrlimit(resource, &was) < 0)
		return -1;
	now.rlim_max = was.rlim_max < most ? was.rlim_max : most;
	now.rlim_cur = now.rlim_max;
	return setrlimit(resource, &now);
}

int sandbox_inherit(void)
{
	if (close_range(SCANNER_FD + 1, ~0u, 0) < 0 || limit(RLIMIT_CORE, 0) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int sandbox_user(const char *user, const char *scratch)
{
	const struct passwd *pw;

	if (geteuid() != 0 || user[0] == '\0')
		return 0;
	if ((pw = getpwnam(user)) == NULL && (pw = getpwnam("nobody")) == NULL) {
		errno = ENOENT;
		return -1;
	}
	if (chown(scratch, pw->pw_uid, pw->pw_gid) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0)
		return -1;
	return setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid);
}

/* A scan reads a descriptor, writes temporary files and computes. What reaches other processes,
 * the network or the kernel's rarer rooms is refused with EPERM; a list of what is allowed would be
 * the stronger wall, and follows when it is known over all architectures. */
#define DENY(name)                                             \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef THIS_ARCH
static int deny_system_calls(void)
{
	static const struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		/* x32 calls would pass by every number below. */
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		DENY(socket),
		DENY(socketpair),
		DENY(connect),
		DENY(bind),
		DENY(listen),
		DENY(accept4),
		DENY(sendmmsg),
		DENY(execve),
		DENY(execveat),
		DENY(clone3),
		DENY(unshare),
		DENY(setns),
		DENY(ptrace),
		DENY(process_vm_readv),
		DENY(process_vm_writev),
		DENY(pidfd_open),
		DENY(pidfd_getfd),
		DENY(kcmp),
		DENY(mount),
		DENY(umount2),
		DENY(pivot_root),
		DENY(chroot),
		DENY(bpf),
		DENY(perf_event_open),
		DENY(userfaultfd),
		DENY(keyctl),
		DENY(add_key),
		DENY(request_key),
		DENY(io_uring_setup),
		DENY(init_module),
		DENY(finit_module),
		DENY(kexec_load),
		DENY(seccomp),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(rules[0]),
		.filter = (struct sock_filter *)(uintptr_t)rules };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
		return 0;
	return errno == EINVAL ? 0 : -1; /* a kernel built without seccomp filters */
}
#else
static int deny_system_calls(void)
{
	return 0; /* no list for this architecture yet */
}
#endif

int sandbox_worker(uint64_t recursion, uint64_t file_bytes)
{
	const uint64_t fds = 64 + 4 * recursion; /* each level holds a few temporary files open */

	/* A file that is too large gives the write an error; without a handler it would kill. */
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -1;
	if (limit(RLIMIT_NOFILE, fds) < 0 || limit(RLIMIT_FSIZE, file_bytes) < 0 ||
	    limit(RLIMIT_NPROC, 0) < 0)
		return -1;
	return deny_system_calls();
}
