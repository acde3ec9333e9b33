// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-service: pass packets on, as a service of systemd should.
 *
 * It gives up all privileges as soon as it has its socket. It leaves the socket
 * with systemd, too (the unit needs FileDescriptorStoreMax=): when it is started
 * again, after a crash or by "systemctl restart", it finds it there, and packets
 * that came meanwhile have waited in it. Without systemd it does without.
 */

#include <err.h>
#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <libdivert/libdivert.h>

#define FIRST_FD	3	/* of those that sd_listen_fds(3) speaks of */

static struct divert *find_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	if (!pid || !count || atoi(pid) != getpid() || atoi(count) < 1)
		return NULL;
	return divert_open_fd(FIRST_FD);
}

/* As sd_pid_notify_with_fds(3) does. Without systemd there is nobody to tell. */
static void leave_socket(int fd)
{
	static const char text[] = "FDSTORE=1\nFDNAME=divert";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fd))];
	} control = {
		.header.cmsg_len = CMSG_LEN(sizeof(fd)),
		.header.cmsg_level = SOL_SOCKET,
		.header.cmsg_type = SCM_RIGHTS,
	};
	struct iovec iov = { (void *)text, sizeof(text) - 1 };
	struct msghdr msg = {
		.msg_name = &to,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int notify;

	if (!path || !*path || strlen(path) >= sizeof(to.sun_path))
		return;
	msg.msg_namelen = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	memcpy(to.sun_path, path, strlen(path));
	if (to.sun_path[0] == '@')	/* an abstract name */
		to.sun_path[0] = 0;
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));

	notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify < 0 || sendmsg(notify, &msg, MSG_NOSIGNAL) < 0)
		warn("cannot leave the socket with systemd");
	if (notify >= 0)
		close(notify);
}

static void drop_privileges(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_capset, &header, none))
		err(1, "cannot drop privileges");
}

static struct divert *open_port(unsigned int port)
{
	struct divert *divert = find_socket();

	if (divert && divert_get_port(divert) != (int)port)
		errx(1, "systemd has a socket on port %d: stop the service before you start it with another port",
		     divert_get_port(divert));
	if (divert)
		return divert;
	divert = divert_open(AF_INET);
	if (!divert)
		errx(1, "%s", divert_strerror(errno));
	if (divert_bind(divert, port))
		errx(1, "port %u: %s", port, divert_strerror(errno));
	leave_socket(divert_get_fd(divert));
	return divert;
}

int main(int argc, char **argv)
{
	int port = argc == 2 ? atoi(argv[1]) : 0;
	struct divert_batch *batch;
	struct divert *divert;
	int n;

	if (port < 1 || port > 65534)
		errx(2, "usage: divert-service PORT (1-65534)");

	divert = open_port(port);
	drop_privileges();
	batch = divert_batch_alloc(64, 0);
	if (!batch)
		err(1, "memory");

	for (;;) {
		n = divert_batch_recv(divert, batch);
		if (n < 0 && errno != EINTR)
			err(1, "read");
		if (n > 0)
			divert_batch_send(divert, batch, n);
	}
}
