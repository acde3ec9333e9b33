// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What daemons share that decide on one packet after the other.
 *
 * There are two modes. With "hold" the kernel keeps the packets, and only their
 * headers are read and verdicts written, many in one buffer. With "plain" they
 * are read and written whole, many in one system call. Without -m it is hold,
 * or plain where the module is too old for that.
 *
 * They are good services of systemd. All privileges are given up as soon as
 * there is a socket. It is left with systemd, too (FileDescriptorStoreMax= in
 * the unit): a daemon that is started again, after a crash or by "systemctl
 * restart", finds it there, and packets that came meanwhile have waited in it.
 * Without systemd they do without.
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

#include "daemon.h"

#define HEADERS		160	/* IP, ICMP and what an error quotes, at most */
#define FIRST_FD	3	/* of those that sd_listen_fds(3) speaks of */

static const char *mode;	/* NULL: the best there is */

int parse_options(int argc, char **argv, const char *usage)
{
	int c;

	while ((c = getopt(argc, argv, "m:")) == 'm') {
		mode = optarg;
		if (strcmp(mode, "plain") && strcmp(mode, "hold"))
			errx(2, "-m takes plain or hold, not '%s'", mode);
	}
	if (c != -1 || optind == argc)
		errx(2, "usage: %s", usage);
	return optind;
}

/* The socket */

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

/* True if packets are kept. A socket that was left may be in the other mode. */
static bool set_mode(struct divert *divert)
{
	bool plain = mode && !strcmp(mode, "plain");
	struct divert_hold hold = { .headers = plain ? 0 : HEADERS };

	if (!divert_set_hold(divert, &hold) &&
	    !divert_set_records(divert, !plain))
		return !plain;
	if (errno != ENOPROTOOPT || (mode && !plain))
		errx(1, "mode hold: %s", divert_strerror(errno));
	return false;
}

static struct divert *open_socket(void)
{
	struct divert *divert = divert_open(AF_INET);

	if (!divert)
		errx(1, "%s", divert_strerror(errno));
	return divert;
}

static struct divert *open_port(const char *text, bool *kept)
{
	struct divert *divert = find_socket();
	bool found = divert;
	char *end;
	long port = strtol(text, &end, 10);

	if (*end || port < 1 || port > 65534)
		errx(2, "a divert port is a number from 1 to 65534, not '%s'",
		     text);
	if (!found)
		divert = open_socket();
	*kept = set_mode(divert);
	if (!found && divert_bind(divert, port))
		errx(1, "port %ld: %s", port, divert_strerror(errno));
	if (divert_get_port(divert) != port)
		errx(1, "systemd has a socket on port %d: stop the service before you start it with another port",
		     divert_get_port(divert));
	if (!found)
		leave_socket(divert_get_fd(divert));
	return divert;
}

/* The packets */

static bool interrupted(ssize_t ret)
{
	if (ret < 0 && errno != EINTR)
		err(1, "read");
	return ret < 0;
}

static void decide_whole(struct divert *divert, struct divert_batch *batch,
			 decide_t *decide)
{
	int i, n = divert_batch_recv(divert, batch);

	if (interrupted(n))
		return;
	for (i = 0; i < n; i++) {
		struct divert_msg *msg = divert_batch_msg(batch, i);

		if (decide(msg->data, msg->len, &msg->addr) == DROP)
			msg->len = 0;
	}
	divert_batch_send(divert, batch, n);
}

static void decide_record(struct divert_record *record, decide_t *decide)
{
	switch (decide(divert_record_data(record), record->captured,
		       divert_record_addr(record))) {
	case DROP:
		divert_record_drop(record);
		break;
	case PASS:
		/* Nothing need be written into a kept one. */
		if (record->flags & DIVERT_INFO_HELD)
			record->captured = 0;
		break;
	case CHANGED:
		break;
	}
}

static void decide_kept(struct divert *divert, decide_t *decide)
{
	static uint64_t buffer[1 << 15];
	ssize_t len = divert_recv(divert, buffer, sizeof(buffer), NULL);
	struct divert_record *record;
	size_t at = 0;

	if (interrupted(len))
		return;
	while ((record = divert_record_next(buffer, len, &at)))
		decide_record(record, decide);
	divert_record_send(divert, buffer, len);
}

void run_daemon(const char *port, decide_t *decide)
{
	struct divert_batch *batch = divert_batch_alloc(64, 0);
	struct divert *divert;
	bool kept;

	if (!batch)
		err(1, "memory");
	divert = open_port(port, &kept);
	drop_privileges();
	for (;;) {
		if (kept)
			decide_kept(divert, decide);
		else
			decide_whole(divert, batch, decide);
	}
}
