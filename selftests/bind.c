// SPDX-License-Identifier: GPL-2.0
/* Divert ports: who gets one, what it is called, when it is free again. */

#include <linux/capability.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet got;

static int bind_raw(int fd, const void *address, int len)
{
	return errno_of(bind(fd, address, len));
}

FIXTURE(port)
{
	struct loop loop;
	struct counters before;
};

FIXTURE_SETUP(port)
{
	loop_open(&self->loop);
	counters_read(&self->before);
}

/* Whatever happened to others: the socket that was bound first is not moved. */
FIXTURE_TEARDOWN(port)
{
	EXPECT_EQ(PORT, divert_port(self->loop.fd));
	EXPECT_TRUE(loop_unharmed(&self->loop));
	EXPECT_EQ(0, counted(&self->before, "noport"));
	EXPECT_EQ(0, counted(&self->before, "unread"));
}

TEST_F(port, B1_every_kind_of_port)
{
	static const int ports[] = { 1, 2, 80, 255, 256, 258, 1023, 1024, 6999,
				     8668, 32767, 32768, 65533, 65534 };
	int i;

	for (i = 0; i < ARRAY_LEN(ports); i++) {
		int fd = divert_socket();

		EXPECT_EQ(0, divert_bind(fd, ports[i]));
		EXPECT_EQ(ports[i], divert_port(fd));
	}
}

TEST_F(port, B1_low_ports_without_privilege)
{
	int fd[] = { divert_socket(), divert_socket() };

	caps_keep(0);
	EXPECT_EQ(0, divert_bind(fd[0], 1));
	EXPECT_EQ(0, divert_bind(fd[1], 1023));
}

TEST_F(port, B1_network_byte_order)
{
	struct loop second = self->loop;

	/* 0x1234 is 4660; taken raw it would be 0x3412. */
	second.fd = divert_open(0x1234);
	second.tx = udp_open(NULL, 0x12340001);
	loop_send(&second, 20);
	EXPECT_TRUE(loop_pass(&second, 20));
}

TEST_F(port, B1_each_its_own_packets)
{
	struct loop second = self->loop;

	second.fd = divert_open(PORT + 1);
	second.tx = udp_open(NULL, MARK(PORT + 1, COOKIE));
	loop_send(&second, 20);
	loop_send(&self->loop, 30);
	EXPECT_TRUE(loop_pass(&second, 20));
	EXPECT_FALSE(readable(second.fd));
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	EXPECT_TRUE(loop_pass(&self->loop, 30));

	/* As teardown wants to find it. */
	loop_send(&self->loop, LOOP_WAITING);
}

TEST_F(port, B1_not_the_ports_of_udp_and_tcp)
{
	struct sockaddr_in sin = inet_address("0.0.0.0", PORT);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	int fd = divert_socket();

	EXPECT_EQ(0, bind_raw(udp, &sin, sizeof(sin)));
	EXPECT_EQ(0, bind_raw(tcp, &sin, sizeof(sin)));
	/* UDP's own port of the fixture. */
	EXPECT_EQ(0, divert_bind(fd, UDP_PORT));
}

TEST_F(port, B1_per_namespace)
{
	int here = ns_open(), there, fd;

	if (unshare(CLONE_NEWNET))
		die("unshare");
	there = ns_open();
	fd = divert_socket();
	EXPECT_EQ(0, divert_bind(fd, PORT));
	EXPECT_EQ(PORT, divert_port(fd));

	/* A socket stays where it was made. */
	ns_enter(here);
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), PORT));
	ns_enter(there);
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), PORT));
	ns_enter(here);
	EXPECT_FALSE(readable(fd));
}

TEST_F(port, B1_namespace_of_socket_not_of_caller)
{
	int here = ns_open(), fd = divert_socket();

	if (unshare(CLONE_NEWNET))
		die("unshare");
	EXPECT_EQ(-EADDRINUSE, divert_bind(fd, PORT));
	EXPECT_EQ(0, divert_bind(fd, PORT + 1));
	EXPECT_EQ(0, divert_bind(divert_socket(), PORT + 1));
	ns_enter(here);
}

TEST_F(port, B2_port_0_picks_one)
{
	int fd = divert_socket(), other = divert_socket();

	EXPECT_EQ(0, divert_bind(fd, 0));
	EXPECT_EQ(0, divert_bind(other, 0));
	EXPECT_LT(0, divert_port(fd));
	EXPECT_GT(65535, divert_port(fd));
	EXPECT_LT(0, divert_port(other));
	EXPECT_NE(divert_port(fd), divert_port(other));
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), divert_port(fd)));
}

TEST_F(port, B2_picked_port_works)
{
	struct loop second = self->loop;

	second.fd = divert_socket();
	EXPECT_EQ(0, divert_bind(second.fd, 0));
	second.tx = udp_open(NULL, MARK(divert_port(second.fd), 1));
	loop_send(&second, 20);
	EXPECT_TRUE(loop_pass(&second, 20));
}

TEST_F(port, B2_picks_until_none_is_left)
{
	int i, fd[8];

	/* Only the ports 1 to 6 remain. */
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_range"), "1 6"));
	for (i = 0; i < 6; i++) {
		fd[i] = divert_socket();
		ASSERT_EQ(0, divert_bind(fd[i], 0));
		EXPECT_LE(1, divert_port(fd[i]));
		EXPECT_GE(6, divert_port(fd[i]));
	}
	fd[6] = divert_socket();
	EXPECT_EQ(-EADDRINUSE, divert_bind(fd[6], 0));
	EXPECT_EQ(0, divert_port(fd[6]));

	close(fd[3]);
	EXPECT_EQ(0, divert_bind(fd[6], 0));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_range"), "1 65535"));
}

TEST_F(port, B2_unbound_shows_0)
{
	struct sockaddr_in sin = { .sin_port = 1, .sin_addr.s_addr = 1 };
	socklen_t len = sizeof(sin);
	int fd = divert_socket();

	EXPECT_EQ(0, errno_of(getsockname(fd, (struct sockaddr *)&sin, &len)));
	EXPECT_EQ((socklen_t)sizeof(sin), len);
	EXPECT_EQ(AF_INET, sin.sin_family);
	EXPECT_EQ(0, sin.sin_port);
	EXPECT_EQ(INADDR_ANY, sin.sin_addr.s_addr);
}

TEST_F(port, B2_unbound_receives_nothing_and_writes)
{
	struct loop unbound = self->loop;
	int fd = divert_socket();
	char data[16];

	/* 258, the protocol, is no port of its. */
	unbound.tx = udp_open(NULL, MARK(258, 1));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("no_listener"), "accept"));
	loop_send(&unbound, 10);
	EXPECT_EQ(10, udp_receive(self->loop.rx, data, sizeof(data)));
	EXPECT_FALSE(readable(fd));

	packet_make(&got, "192.0.2.1", LOOP, 12);
	EXPECT_EQ(got.len, divert_write(fd, &got, NULL));
	EXPECT_EQ(12, udp_receive(self->loop.rx, data, sizeof(data)));
	EXPECT_EQ(0, divert_port(fd));
}

TEST_F(port, B3_garbage_in_address)
{
	struct sockaddr_in sin = inet_address("203.0.113.77", 5);
	int fd = divert_socket();
	socklen_t len = sizeof(sin);

	memset(sin.sin_zero, 0xa5, sizeof(sin.sin_zero));
	EXPECT_EQ(0, bind_raw(fd, &sin, sizeof(sin)));
	EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&sin, &len));
	EXPECT_EQ(INADDR_ANY, sin.sin_addr.s_addr);
	EXPECT_EQ(htons(5), sin.sin_port);
}

TEST_F(port, B3_long_address)
{
	struct sockaddr_storage storage = { };
	int fd = divert_socket();

	*(struct sockaddr_in *)&storage = inet_address("0.0.0.0", 5);
	EXPECT_EQ(0, bind_raw(fd, &storage, sizeof(storage)));
	EXPECT_EQ(5, divert_port(fd));
}

TEST_F(port, B3_short_address_einval)
{
	struct sockaddr_in sin = inet_address("0.0.0.0", 5);
	int fd = divert_socket();
	int len;

	for (len = 0; len < (int)sizeof(sin); len++)
		EXPECT_EQ(-EINVAL, bind_raw(fd, &sin, len));
	EXPECT_EQ(-EINVAL, bind_raw(fd, &sin, -1));
	EXPECT_EQ(0, divert_port(fd));
	EXPECT_EQ(0, bind_raw(fd, &sin, sizeof(sin)));
}

TEST_F(port, B3_wrong_family_eafnosupport)
{
	static const int families[] = { AF_UNSPEC, AF_UNIX, AF_INET6, 44, 255,
					65535 };
	struct sockaddr_storage storage = { };
	struct sockaddr_in *sin = (struct sockaddr_in *)&storage;
	int fd = divert_socket();
	int i;

	*sin = inet_address("0.0.0.0", 5);
	for (i = 0; i < ARRAY_LEN(families); i++) {
		sin->sin_family = families[i];
		EXPECT_EQ(-EAFNOSUPPORT, bind_raw(fd, sin, sizeof(*sin)));
		EXPECT_EQ(-EAFNOSUPPORT, bind_raw(fd, &storage,
						  sizeof(struct sockaddr_in6)));
	}
	EXPECT_EQ(0, divert_port(fd));
	EXPECT_EQ(0, divert_bind(fd, 5));
}

TEST_F(port, B3_bad_pointer_efault)
{
	int fd = divert_socket();

	EXPECT_EQ(-EFAULT, bind_raw(fd, (void *)8, 16));
	EXPECT_EQ(0, divert_bind(fd, 5));
}

TEST_F(port, B3_taken_eaddrinuse)
{
	int fd = divert_socket();

	EXPECT_EQ(-EADDRINUSE, divert_bind(fd, PORT));
	EXPECT_EQ(0, divert_port(fd));
	/* It may still have another. */
	EXPECT_EQ(0, divert_bind(fd, PORT + 1));
	EXPECT_EQ(PORT + 1, divert_port(fd));
}

TEST_F(port, B3_so_reuseaddr_changes_nothing)
{
	int fd = divert_socket();

	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	EXPECT_EQ(-EADDRINUSE, divert_bind(fd, PORT));
}

TEST_F(port, B3_second_bind_einval)
{
	EXPECT_EQ(-EINVAL, divert_bind(self->loop.fd, PORT));
	EXPECT_EQ(-EINVAL, divert_bind(self->loop.fd, PORT + 1));
	EXPECT_EQ(-EINVAL, divert_bind(self->loop.fd, 0));
	/* None of them is taken by that. */
	EXPECT_EQ(0, divert_bind(divert_socket(), PORT + 1));
}

TEST_F(port, B3_close_frees_at_once)
{
	int i;

	for (i = 0; i < 100; i++) {
		int fd = divert_socket();

		ASSERT_EQ(0, divert_bind(fd, 5));
		close(fd);
	}
}

TEST_F(port, B3_last_close_frees)
{
	int fd = divert_socket(), copy = dup(fd);

	EXPECT_EQ(0, divert_bind(fd, 5));
	close(fd);
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), 5));
	close(copy);
	EXPECT_EQ(0, divert_bind(divert_socket(), 5));
}

TEST_F(port, B3_death_frees)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(divert_bind(divert_socket(), 5) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, divert_bind(divert_socket(), 5));
}

/* Packets of a port's former owner are not the next one's. */
TEST_F(port, B3_new_owner_starts_empty)
{
	struct loop second = self->loop;
	struct counters before;

	second.fd = divert_open(5);
	second.tx = udp_open(NULL, MARK(5, 1));
	loop_send(&second, 10);
	counters_read(&before);
	close(second.fd);
	EXPECT_EQ(1, counted_only(&before, "unread"));
	counters_read(&self->before);

	second.fd = divert_open(5);
	EXPECT_FALSE(readable(second.fd));
	loop_send(&second, 20);
	EXPECT_TRUE(loop_pass(&second, 20));
}

TEST_F(port, D1_all_ones_eaddrnotavail)
{
	int fd = divert_socket();

	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(fd, 65535));
	EXPECT_EQ(0, divert_port(fd));
	EXPECT_EQ(0, divert_bind(fd, 65534));
}

TEST_F(port, D1_unreachable_port_eaddrnotavail)
{
	int fd = divert_socket();

	/* Four bits of port: 1 to 14 can be named. */
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x000f0000"));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(fd, 15));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(fd, 16));
	EXPECT_EQ(0, divert_bind(fd, 14));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0xffff0000"));

	fd = divert_socket();
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_range"), "100 200"));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(fd, 99));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(fd, 201));
	EXPECT_EQ(0, divert_bind(fd, 200));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_range"), "1 65535"));
}

/* Listing */

/* The line of /proc/net/divert for a socket on this port. */
static bool proc_line(int port, char *line, int size)
{
	FILE *file = fopen("/proc/self/net/divert", "r");
	bool found = false;

	if (!file || !fgets(line, size, file))
		die("/proc/net/divert");
	while (!found && fgets(line, size, file))
		found = atoi(line) == port;
	fclose(file);
	return found;
}

TEST_F(port, L1_one_line_a_socket)
{
	char line[256];
	int fd = divert_socket();

	EXPECT_TRUE(proc_line(PORT, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "00000000:1B58 00000000:0000"));
	EXPECT_TRUE(proc_line(0, line, sizeof(line)));
	EXPECT_FALSE(proc_line(5, line, sizeof(line)));

	divert_bind(fd, 5);
	EXPECT_TRUE(proc_line(5, line, sizeof(line)));
	EXPECT_FALSE(proc_line(0, line, sizeof(line)));
	close(fd);
	EXPECT_FALSE(proc_line(5, line, sizeof(line)));
}

TEST_F(port, L1_shape_of_proc_net_raw)
{
	unsigned int sl, address, port, state, tx, rx, uid, drops;
	char line[256], link[64];
	unsigned long inode;
	int fields;

	EXPECT_TRUE(proc_line(PORT, line, sizeof(line)));
	fields = sscanf(line,
			"%u: %x:%x %*x:%*x %x %x:%x %*x:%*x %*x %u %*u %lu %*d %*s %u",
			&sl, &address, &port, &state, &tx, &rx, &uid, &inode,
			&drops);
	ASSERT_EQ(9, fields);
	EXPECT_EQ((unsigned int)PORT, sl);
	EXPECT_EQ((unsigned int)PORT, port);
	EXPECT_EQ(7U, state);
	EXPECT_EQ(0U, tx);
	/* One packet is waiting. */
	EXPECT_LT((unsigned int)LOOP_WAITING, rx);
	EXPECT_EQ(getuid(), uid);
	EXPECT_EQ(0U, drops);

	snprintf(line, sizeof(line), "/proc/self/fd/%d", self->loop.fd);
	EXPECT_LT(0, readlink(line, link, sizeof(link)));
	EXPECT_EQ(inode, strtoul(link + strlen("socket:["), NULL, 10));
}

TEST_F(port, L1_counters_of_this_namespace)
{
	int here = ns_open();
	struct counters there;

	if (unshare(CLONE_NEWNET))
		die("unshare");
	counters_read(&there);
	EXPECT_EQ(0, there.value[0]);
	ns_enter(here);
	counters_read(&there);
	EXPECT_STREQ("diverted", there.name[0]);
	EXPECT_EQ(1, there.value[0]);
	EXPECT_STREQ("bytes", there.name[1]);
	EXPECT_EQ(28 + LOOP_WAITING, there.value[1]);
}

TEST_HARNESS_MAIN
