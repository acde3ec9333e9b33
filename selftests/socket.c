// SPDX-License-Identifier: GPL-2.0
/*
 * The socket itself: who may have one, how much it holds, and the calls that
 * make no sense for it or end it.
 */

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#if defined(PF_DIVERT) || defined(AF_DIVERT)
#error "44 is AF_XDP here"
#endif

/* Nobody. */
#define UID	65534

static struct packet packet, got;

static int try_socket(int type, int protocol)
{
	int fd = socket(AF_INET, type, protocol);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

FIXTURE(plain)
{
};

FIXTURE_SETUP(plain)
{
	ns_new();
}

FIXTURE_TEARDOWN(plain)
{
}

TEST_F(plain, S1_number_258)
{
	int fd = socket(AF_INET, SOCK_RAW, 258);

	EXPECT_EQ(258, IPPROTO_DIVERT);
	ASSERT_LE(0, fd);
	EXPECT_EQ(258, get_int(fd, SOL_SOCKET, SO_PROTOCOL));
	EXPECT_EQ(SOCK_RAW, get_int(fd, SOL_SOCKET, SO_TYPE));
	EXPECT_EQ(AF_INET, get_int(fd, SOL_SOCKET, SO_DOMAIN));
}

TEST_F(plain, S1_creation_flags)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 258);
	char byte;

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_NE(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(-EAGAIN, errno_of(read(fd, &byte, 1)));
}

TEST_F(plain, S1_only_raw)
{
	int pair[2];

	EXPECT_EQ(-EPROTONOSUPPORT, try_socket(SOCK_DGRAM, IPPROTO_DIVERT));
	EXPECT_EQ(-EPROTONOSUPPORT, try_socket(SOCK_STREAM, IPPROTO_DIVERT));
	EXPECT_EQ(-EOPNOTSUPP, errno_of(socketpair(AF_INET, SOCK_RAW,
						   IPPROTO_DIVERT, pair)));
}

TEST_F(plain, S8_O1_probe)
{
	int fd = divert_socket();
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	EXPECT_EQ(DIVERT_ABI_VERSION,
		  get_int(fd, SOL_DIVERT, DIVERT_VERSION));
	/* What the probe says where the socket is none of ours. */
	EXPECT_GT(0, get_int(raw, SOL_DIVERT, DIVERT_VERSION));
}

TEST_F(plain, O1_length)
{
	static const socklen_t wrong[] = { 0, 1, 3, 5, 8, 4096, -1 };
	int fd = divert_socket();
	char value[4096];
	int i;

	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		socklen_t len = wrong[i];

		EXPECT_EQ(-EINVAL, errno_of(getsockopt(fd, SOL_DIVERT,
						       DIVERT_VERSION, value,
						       &len))) {
			TH_LOG("length %d", (int)len);
		}
	}
}

TEST_F(plain, O1_address)
{
	int fd = divert_socket(), value;
	socklen_t len = sizeof(value);

	EXPECT_EQ(-EFAULT, errno_of(syscall(SYS_getsockopt, fd, SOL_DIVERT,
					    DIVERT_VERSION, NULL, &len)));
	EXPECT_EQ(-EFAULT, errno_of(syscall(SYS_getsockopt, fd, SOL_DIVERT,
					    DIVERT_VERSION, &value, NULL)));
	EXPECT_EQ(DIVERT_ABI_VERSION,
		  get_int(fd, SOL_DIVERT, DIVERT_VERSION));
}

TEST_F(plain, O1_read_only)
{
	int fd = divert_socket();

	EXPECT_EQ(-ENOPROTOOPT, set_int(fd, SOL_DIVERT, DIVERT_VERSION, 1));
	EXPECT_EQ(DIVERT_ABI_VERSION,
		  get_int(fd, SOL_DIVERT, DIVERT_VERSION));
}

TEST_F(plain, S8_protocol_0_is_divert)
{
	int fd = socket(AF_INET, SOCK_RAW, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(DIVERT_ABI_VERSION,
		  get_int(fd, SOL_DIVERT, DIVERT_VERSION));
	EXPECT_EQ(0, divert_bind(fd, PORT));
	EXPECT_EQ(PORT, divert_port(fd));
}

TEST_F(plain, S8_sysctl_and_proc_exist)
{
	EXPECT_EQ(0, access("/proc/sys/net/divert/no_listener", R_OK));
	EXPECT_EQ(0, access("/proc/self/net/divert", R_OK));
	EXPECT_EQ(0, access("/proc/self/net/stat/divert", R_OK));
}

/* Privileges */

TEST_F(plain, S3_no_capability)
{
	caps_keep(0);
	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, IPPROTO_DIVERT));
	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, 0));
}

TEST_F(plain, S3_net_raw_is_not_enough)
{
	caps_keep(CAP_BIT(CAP_NET_RAW));
	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, IPPROTO_DIVERT));
	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, 0));
	EXPECT_EQ(0, try_socket(SOCK_RAW, IPPROTO_ICMP));
}

TEST_F(plain, S3_net_admin_is_not_enough)
{
	caps_keep(CAP_BIT(CAP_NET_ADMIN));
	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, IPPROTO_DIVERT));
}

TEST_F(plain, S3_both_are)
{
	caps_keep(CAP_BIT(CAP_NET_RAW) | CAP_BIT(CAP_NET_ADMIN));
	EXPECT_EQ(0, try_socket(SOCK_RAW, IPPROTO_DIVERT));
}

/* One that is refused must not switch diverting on: no hooks, no "opened". */
TEST_F(plain, S3_refusal_leaves_nothing)
{
	struct counters before;
	int tx, rx;
	char byte;

	if (unshare(CLONE_NEWNET))
		die("unshare");
	ip_batch("link set lo up\n");
	tx = udp_open(NULL, MARK(PORT, COOKIE));
	rx = udp_open(LOOP, 0);
	caps_keep(CAP_BIT(CAP_NET_RAW));
	counters_read(&before);

	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, IPPROTO_DIVERT));
	udp_send(tx, LOOP, 1);
	EXPECT_EQ(1, udp_receive(rx, &byte, 1));
	EXPECT_EQ(0, counted_only(&before, "noport"));
}

TEST_F(plain, S3_user_namespace_that_owns)
{
	if (setresgid(UID, UID, UID) || setresuid(UID, UID, UID))
		die("setuid");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		SKIP(return, "no unprivileged user namespaces here");

	EXPECT_EQ(0, try_socket(SOCK_RAW, IPPROTO_DIVERT));
}

TEST_F(plain, S3_user_namespace_that_does_not_own)
{
	if (unshare(CLONE_NEWUSER))
		SKIP(return, "no user namespaces here");

	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, IPPROTO_DIVERT));
}

TEST_F(plain, S3_checked_once)
{
	struct loop loop = {
		.fd = divert_socket(),
		.tx = udp_open(NULL, MARK(PORT, COOKIE)),
		.rx = udp_open(LOOP, 0),
	};

	if (setresgid(UID, UID, UID) || setresuid(UID, UID, UID))
		die("setuid");
	caps_keep(0);

	/* Low ports are nothing special. */
	EXPECT_EQ(0, divert_bind(loop.fd, PORT));
	loop_send(&loop, 100);
	EXPECT_TRUE(loop_pass(&loop, 100));
	packet_make(&packet, "192.0.2.1", LOOP, 10);
	EXPECT_EQ(packet.len, divert_write(loop.fd, &packet, NULL));
	EXPECT_EQ(-EPERM, try_socket(SOCK_RAW, IPPROTO_DIVERT));
}

/* Buffers */

FIXTURE(buffer)
{
	struct loop loop;
};

FIXTURE_SETUP(buffer)
{
	loop_open(&self->loop);
}

FIXTURE_TEARDOWN(buffer)
{
}

TEST_F(buffer, S4_defaults)
{
	EXPECT_LE(4 << 20, get_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF));
	EXPECT_LE(4 << 20, get_int(self->loop.fd, SOL_SOCKET, SO_SNDBUF));
}

TEST_F(buffer, S4_holds_hundreds)
{
	struct counters before;
	int i;

	counters_read(&before);
	for (i = 0; i < 300; i++)
		loop_send(&self->loop, 1500 - 28);
	EXPECT_EQ(300, counted(&before, "diverted"));
	EXPECT_EQ(0, counted(&before, "full"));

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	for (i = 0; i < 300; i++)
		ASSERT_TRUE(loop_pass(&self->loop, 1500 - 28));
	EXPECT_FALSE(readable(self->loop.fd));
	EXPECT_EQ(301, counted(&before, "read"));
}

/* The room for the largest packet is there however small the buffers are. */
TEST_F(buffer, S4_largest_packet)
{
	static const int size[] = { 4 << 20, 1 };
	int i;

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	for (i = 0; i < ARRAY_LEN(size); i++) {
		set_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF, size[i]);
		set_int(self->loop.fd, SOL_SOCKET, SO_SNDBUF, size[i]);
		loop_send(&self->loop, 65535 - 28);
		EXPECT_TRUE(loop_pass(&self->loop, 65535 - 28));
	}
}

TEST_F(buffer, S4_largest_packet_incoming)
{
	struct sockaddr_in in = divert_address(LOOP, 0, "lo");

	packet_make(&packet, LOOP, LOOP, 65535 - 28);
	EXPECT_EQ(65535, packet.len);
	EXPECT_EQ(65535, divert_write(self->loop.fd, &packet, &in));
	EXPECT_EQ(65535 - 28, udp_receive(self->loop.rx, got.data, 65535));
	EXPECT_EQ(0, memcmp(packet.data + 28, got.data, 65535 - 28));
}

TEST_F(buffer, S4_rcvbuf_sysctl)
{
	int older = get_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF);
	int fd;

	EXPECT_STREQ("4194304", sysctl_read(DIVERT_SYSCTL("rcvbuf")));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("rcvbuf"), "1000000"));
	fd = divert_socket();
	EXPECT_EQ(1000000, get_int(fd, SOL_SOCKET, SO_RCVBUF));
	EXPECT_EQ(older, get_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF));

	EXPECT_EQ(-EINVAL, sysctl_write(DIVERT_SYSCTL("rcvbuf"), "0"));
	EXPECT_EQ(-EINVAL, sysctl_write(DIVERT_SYSCTL("rcvbuf"), "-1"));
	EXPECT_EQ(-EINVAL, sysctl_write(DIVERT_SYSCTL("rcvbuf"), "many"));
	EXPECT_STREQ("1000000", sysctl_read(DIVERT_SYSCTL("rcvbuf")));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(buffer, S4_rcvbufforce)
{
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_RCVBUFFORCE,
			     64 << 20));
	EXPECT_EQ(128 << 20, get_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF));
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_SNDBUFFORCE,
			     64 << 20));
	EXPECT_EQ(128 << 20, get_int(self->loop.fd, SOL_SOCKET, SO_SNDBUF));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

static int sock_drops(int fd)
{
	__u32 meminfo[SK_MEMINFO_VARS];
	socklen_t len = sizeof(meminfo);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, meminfo, &len))
		return -errno;
	return meminfo[SK_MEMINFO_DROPS];
}

/* Fill a small buffer with more than it holds; returns how many went in. */
static int overfill(const struct loop *loop, int packets)
{
	struct counters before;
	int i;

	set_int(loop->fd, SOL_SOCKET, SO_RCVBUF, 20000);
	counters_read(&before);
	for (i = 0; i < packets; i++)
		loop_send(loop, 1000);
	return counted(&before, "diverted");
}

TEST_F(buffer, S4_full_is_counted)
{
	struct counters before;
	int i, held;

	counters_read(&before);
	held = overfill(&self->loop, 100);
	EXPECT_LT(1, held);
	EXPECT_GT(100, held);
	EXPECT_EQ(100 - held, counted(&before, "full"));
	EXPECT_EQ(100 - held, sock_drops(self->loop.fd));

	/* What was there first stays, and no drop gets through. */
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	for (i = 0; i < held; i++)
		ASSERT_TRUE(loop_pass(&self->loop, 1000));
	EXPECT_FALSE(readable(self->loop.fd));
	EXPECT_FALSE(readable(self->loop.rx));

	/* Room again. */
	loop_send(&self->loop, 5);
	EXPECT_TRUE(loop_pass(&self->loop, 5));
}

TEST_F(buffer, S4_charged_by_truesize)
{
	__u32 meminfo[SK_MEMINFO_VARS];
	socklen_t len = sizeof(meminfo);
	int held = overfill(&self->loop, 100);

	ASSERT_EQ(0, getsockopt(self->loop.fd, SOL_SOCKET, SO_MEMINFO, meminfo,
				&len));
	EXPECT_LT((held + 1) * 1028U, meminfo[SK_MEMINFO_RMEM_ALLOC]);

	while (readable(self->loop.fd))
		divert_read(self->loop.fd, &got, NULL);
	ASSERT_EQ(0, getsockopt(self->loop.fd, SOL_SOCKET, SO_MEMINFO, meminfo,
				&len));
	EXPECT_EQ(0U, meminfo[SK_MEMINFO_RMEM_ALLOC]);
}

TEST_F(buffer, S10_close_with_queued_packets)
{
	struct counters before;
	int i;

	counters_read(&before);
	for (i = 0; i < 10; i++)
		loop_send(&self->loop, 1000);
	close(self->loop.fd);
	/* The one that waited, too. */
	EXPECT_EQ(11, counted(&before, "unread"));
	EXPECT_EQ(10, counted(&before, "diverted"));
}

/* Calls */

FIXTURE(calls)
{
	struct loop loop;
};

FIXTURE_SETUP(calls)
{
	loop_open(&self->loop);
}

FIXTURE_TEARDOWN(calls)
{
}

TEST_F(calls, S5_connect)
{
	static const int family[] = { AF_INET, AF_INET6, AF_UNSPEC };
	struct sockaddr_in sin = inet_address(LOOP, 9);
	int i;

	for (i = 0; i < ARRAY_LEN(family); i++) {
		sin.sin_family = family[i];
		EXPECT_EQ(-EOPNOTSUPP,
			  errno_of(connect(self->loop.fd,
					   (struct sockaddr *)&sin,
					   sizeof(sin))));
	}
	EXPECT_EQ(PORT, divert_port(self->loop.fd));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(calls, S5_listen_accept)
{
	EXPECT_EQ(-EOPNOTSUPP, errno_of(listen(self->loop.fd, 1)));
	EXPECT_EQ(-EOPNOTSUPP, errno_of(accept(self->loop.fd, NULL, NULL)));
	EXPECT_EQ(-EOPNOTSUPP, errno_of(accept4(self->loop.fd, NULL, NULL,
						SOCK_NONBLOCK)));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(calls, S5_getpeername)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	EXPECT_EQ(-ENOTCONN, errno_of(getpeername(self->loop.fd,
						  (struct sockaddr *)&sin,
						  &len)));
}

TEST_F(calls, S5_send_without_address)
{
	int fd = self->loop.fd;

	packet_make(&packet, LOOP, LOOP, 11);
	EXPECT_EQ(packet.len, send(fd, packet.data, packet.len, 0));
	EXPECT_EQ(11, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(packet.len, write(fd, packet.data, packet.len));
	EXPECT_EQ(11, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(calls, S5_shutdown_works)
{
	static const int how[] = { SHUT_RD, SHUT_WR, SHUT_RDWR, SHUT_RD };
	int i;

	/* Also of one that is bound to nothing, and more than once. */
	for (i = 0; i < ARRAY_LEN(how); i++) {
		int fd = divert_socket();

		EXPECT_EQ(0, shutdown(fd, how[i]));
		EXPECT_EQ(0, shutdown(fd, how[i]));
	}
}

TEST_F(calls, S5_shutdown_bad_how)
{
	EXPECT_EQ(-EINVAL, errno_of(shutdown(self->loop.fd, 3)));
	EXPECT_EQ(-EINVAL, errno_of(shutdown(self->loop.fd, -1)));
	EXPECT_EQ(-EINVAL, errno_of(shutdown(self->loop.fd, 1 << 30)));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(calls, S5_shut_wr)
{
	int fd = self->loop.fd;
	struct sockaddr_in sin;

	EXPECT_EQ(0, shutdown(fd, SHUT_WR));
	packet_make(&packet, LOOP, LOOP, 11);
	EXPECT_EQ(-EPIPE, divert_write(fd, &packet, NULL));
	EXPECT_EQ(-EPIPE, errno_of(send(fd, packet.data, packet.len,
					MSG_NOSIGNAL)));

	/* Reading goes on. */
	EXPECT_EQ(28 + LOOP_WAITING, divert_read(fd, &got, &sin));
	loop_send(&self->loop, 12);
	EXPECT_EQ(28 + 12, divert_read(fd, &got, &sin));

	/* Nothing of it got out; another socket's does. */
	packet_make(&packet, LOOP, LOOP, 13);
	EXPECT_EQ(packet.len, divert_write(divert_socket(), &packet, NULL));
	EXPECT_EQ(13, udp_receive(self->loop.rx, got.data, 100));
}

TEST_F(calls, S5_shut_rd)
{
	int fd = self->loop.fd;
	struct counters before;
	struct sockaddr_in sin;

	counters_read(&before);
	EXPECT_EQ(0, shutdown(fd, SHUT_RD));
	loop_send(&self->loop, 10);
	EXPECT_EQ(1, counted_only(&before, "noport"));

	/* What was taken before is read, then comes the end. */
	EXPECT_EQ(28 + LOOP_WAITING, divert_read(fd, &got, &sin));
	EXPECT_EQ(0, recv(fd, got.data, 100, 0));
	EXPECT_EQ(0, recv(fd, got.data, 100, MSG_DONTWAIT));

	/* Writing goes on. */
	EXPECT_EQ(got.len, divert_write(fd, &got, &sin));
	EXPECT_EQ(LOOP_WAITING, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_FALSE(readable(self->loop.rx));
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), PORT));
}

TEST_F(calls, S5_shut_rd_accept)
{
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("no_listener"), "accept"));
	EXPECT_EQ(0, shutdown(self->loop.fd, SHUT_RD));
	loop_send(&self->loop, 10);
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));
}

TEST_F(calls, S5_shut_rd_poll)
{
	struct pollfd poll_fd = {
		.fd = self->loop.fd, .events = POLLIN | POLLOUT | POLLRDHUP,
	};

	EXPECT_EQ(0, shutdown(self->loop.fd, SHUT_RD));
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT | POLLRDHUP, poll_fd.revents);
	EXPECT_EQ(0, shutdown(self->loop.fd, SHUT_RDWR));
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_NE(0, poll_fd.revents & POLLHUP);
}

TEST_F(calls, S5_shut_rd_wakes_reader)
{
	int status;
	pid_t pid;

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	pid = fork();
	if (!pid)
		_exit(recv(self->loop.fd, got.data, 100, 0) == 0 ? 42 : 1);

	wait_blocked(pid);
	EXPECT_EQ(0, shutdown(self->loop.fd, SHUT_RD));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(42, WEXITSTATUS(status));
}

TEST_F(calls, S5_no_urgent_data)
{
	packet_make(&packet, LOOP, LOOP, 1);
	EXPECT_EQ(-EOPNOTSUPP, errno_of(send(self->loop.fd, packet.data,
					     packet.len, MSG_OOB)));
	EXPECT_EQ(-EOPNOTSUPP, errno_of(recv(self->loop.fd, got.data, 100,
					     MSG_OOB)));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

/* Waiting */

TEST_F(calls, S9_pollrdnorm_comes_with_pollin)
{
	struct pollfd poll_fd = {
		.fd = self->loop.fd, .events = POLLIN | POLLRDNORM,
	};

	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLIN | POLLRDNORM, poll_fd.revents);
	poll_fd.events = POLLRDNORM;
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLRDNORM, poll_fd.revents);
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(calls, S9_pollout)
{
	struct pollfd poll_fd = {
		.fd = divert_socket(), .events = POLLIN | POLLOUT | POLLWRNORM,
	};

	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLOUT | POLLWRNORM, poll_fd.revents);
}

static void on_alarm(int __always_unused signal)
{
}

TEST_F(calls, S9_eintr)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval soon = { { 0, 10000 }, { 0, 10000 } };

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	EXPECT_EQ(-EINTR, errno_of(recv(self->loop.fd, got.data, 100, 0)));
	soon = (struct itimerval){ };
	setitimer(ITIMER_REAL, &soon, NULL);

	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

/* What happens to written packets later on never comes back to a reader. */
TEST_F(calls, S9_no_errors_from_the_past)
{
	int fd = self->loop.fd, icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	/* Nobody is there: the answer is an ICMP port unreachable. */
	packet_make(&packet, LOOP, LOOP, 10);
	packet_udp(&packet)->dest = htons(1);
	packet_udp(&packet)->check = 0;
	EXPECT_EQ(packet.len, divert_write(fd, &packet, NULL));
	EXPECT_LT(0, divert_read(icmp, &got, NULL));

	EXPECT_EQ(0, get_int(fd, SOL_SOCKET, SO_ERROR));
	EXPECT_TRUE(loop_unharmed(&self->loop));
	EXPECT_EQ(-EAGAIN, errno_of(recv(fd, got.data, 100, MSG_DONTWAIT)));
}

TEST_F(calls, S9_refused_writes_leave_no_error)
{
	struct sockaddr_in nowhere = divert_address("192.0.2.1", 0, "");

	packet_make(&packet, LOOP, LOOP, 10);
	EXPECT_EQ(-EADDRNOTAVAIL, divert_write(self->loop.fd, &packet,
					       &nowhere));
	EXPECT_EQ(0, get_int(self->loop.fd, SOL_SOCKET, SO_ERROR));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_HARNESS_MAIN
