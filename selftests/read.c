// SPDX-License-Identifier: GPL-2.0
/*
 * What is read: the packet, its address, and how long both stay good.
 *
 * TIMEOUT=240
 */

#include <linux/filter.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet packet, got;

/* v0 here, its packets diverted as they come in; v1 in another namespace. */
FIXTURE(incoming)
{
	int fd;
	int rx;
	int tx;
};

FIXTURE_SETUP(incoming)
{
	int here, peer;

	ns_new();
	here = ns_open();
	peer = veth_new();
	self->fd = divert_open(PORT);
	self->rx = udp_open("0.0.0.0", 0);
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));

	ns_enter(peer);
	self->tx = udp_open(NULL, 0);
	ns_enter(here);
	close(peer);
	close(here);
}

FIXTURE_TEARDOWN(incoming)
{
}

static void device_rename(const char *old, const char *new)
{
	ip_batch("link set %s down\n"
		 "link set %s name %s\n"
		 "link set %s up\n", old, old, new, new);
}

static int take(int tx, int fd, struct sockaddr_in *sin)
{
	udp_send(tx, "10.0.0.1", 10);
	return divert_read(fd, &got, sin);
}

TEST_F(incoming, R1_cookie_in_host_order)
{
	struct sockaddr_in sin;

	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	EXPECT_EQ(AF_INET, sin.sin_family);
	EXPECT_EQ(COOKIE, sin.sin_port);
	EXPECT_EQ(COOKIE, divert_cookie(&sin));
	EXPECT_EQ(htons(COOKIE), htons(sin.sin_port));
}

TEST_F(incoming, R1_header_helpers)
{
	struct sockaddr_in sin = { };

	divert_set_cookie(&sin, 0x1234);
	EXPECT_EQ(0x1234, sin.sin_port);
	EXPECT_EQ(0x1234, divert_cookie(&sin));
}

TEST_F(incoming, R2_first_address_of_interface)
{
	struct sockaddr_in sin;

	ip_batch("address add 10.9.0.1/24 dev v0\n"
		 "address add 10.0.0.9/24 dev v0\n");
	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	EXPECT_EQ(inet_addr("10.0.0.1"), sin.sin_addr.s_addr);

	/* Of the interface: not the packet's destination. */
	udp_send(self->tx, "10.0.0.9", 10);
	EXPECT_EQ(38, divert_read(self->fd, &got, &sin));
	EXPECT_EQ(inet_addr("10.0.0.9"), got.ip.daddr);
	EXPECT_EQ(inet_addr("10.0.0.1"), sin.sin_addr.s_addr);
}

TEST_F(incoming, R2_no_address)
{
	struct sockaddr_in sin;
	char buf[64];

	/* The host is addressed by its loopback's address. */
	ip_batch("address add 10.0.0.1/32 dev lo\n"
		 "address flush dev v0\n"
		 "route add 10.0.0.0/24 dev v0\n");
	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	EXPECT_EQ(htonl(ifindex_of("v0")), sin.sin_addr.s_addr);
	EXPECT_STREQ("v0", (char *)sin.sin_zero);

	/* It leads back, by name and without. */
	EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
	memset(sin.sin_zero, 0, sizeof(sin.sin_zero));
	EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
}

TEST_F(incoming, R3_name_of_receiving_interface)
{
	static const char zero[8] = "v0";
	struct sockaddr_in sin;

	/* Whatever was in the caller's memory: all eight bytes are set. */
	memset(&sin, 0xa5, sizeof(sin));
	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	EXPECT_EQ(0, memcmp(zero, sin.sin_zero, sizeof(zero)));
}

TEST_F(incoming, R3_longest_name_that_fits)
{
	struct sockaddr_in sin;
	char buf[64];

	device_rename("v0", "seven77");
	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	EXPECT_STREQ("seven77", (char *)sin.sin_zero);
	EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
}

TEST_F(incoming, R3_long_name_is_ifindex)
{
	static const char * const names[] = { "eight888", "fifteen-bytes15" };
	struct sockaddr_in sin;
	char buf[64];
	int i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		device_rename(i ? names[i - 1] : "v0", names[i]);
		snprintf(buf, sizeof(buf), "/%d", ifindex_of(names[i]));
		EXPECT_EQ(38, take(self->tx, self->fd, &sin));
		EXPECT_STREQ(buf, (char *)sin.sin_zero);

		/* Understood on write, the address counting for nothing. */
		sin.sin_addr.s_addr = inet_addr("192.0.2.1");
		EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
		EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
	}
}

TEST_F(incoming, R4_leads_back_past_its_rule)
{
	struct counters before;
	struct sockaddr_in sin;
	char buf[64];
	int i;

	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	counters_read(&before);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
		EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
	}
	EXPECT_EQ(5, counted(&before, "inject_in"));
	EXPECT_EQ(0, counted(&before, "diverted"));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(incoming, R4_by_any_socket)
{
	int other = divert_open(PORT + 1), unbound = divert_socket();
	struct sockaddr_in sin;
	char buf[64];

	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	EXPECT_EQ(38, divert_write(other, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
	EXPECT_EQ(38, divert_write(unbound, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));

	/* Its reader need not live that long. */
	close(self->fd);
	EXPECT_EQ(38, divert_write(unbound, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
	EXPECT_FALSE(readable(other));
}

TEST_F(incoming, R4_for_other_packets)
{
	struct sockaddr_in sin;
	char buf[2000];

	EXPECT_EQ(38, take(self->tx, self->fd, &sin));
	packet_make(&packet, "10.0.0.2", "10.0.0.1", 1400);
	EXPECT_EQ(packet.len, divert_write(self->fd, &packet, &sin));
	EXPECT_EQ(1400, udp_receive(self->rx, buf, sizeof(buf)));
	packet_make(&packet, "198.51.100.1", "10.0.0.1", 0);
	ip_batch("route add default dev v0\n");
	EXPECT_EQ(packet.len, divert_write(self->fd, &packet, &sin));
	EXPECT_EQ(0, udp_receive(self->rx, buf, sizeof(buf)));
}

TEST_F(incoming, R4_out_of_order)
{
	static struct packet held[8];
	struct sockaddr_in sin[8];
	char buf[64];
	int i;

	for (i = 0; i < 8; i++)
		udp_send(self->tx, "10.0.0.1", i);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(28 + i, divert_read(self->fd, &held[i], &sin[i]));
	for (i = 7; i >= 0; i--) {
		EXPECT_EQ(28 + i, divert_write(self->fd, &held[i], &sin[i]));
		EXPECT_EQ(i, udp_receive(self->rx, buf, sizeof(buf)));
	}
}

TEST_F(incoming, R6_interface_gone)
{
	struct counters before;
	struct sockaddr_in sin;

	udp_send(self->tx, "10.0.0.1", 10);
	EXPECT_TRUE(wait_readable(self->fd));
	ip_batch("link del v0\n");

	EXPECT_EQ(38, divert_read(self->fd, &got, &sin));
	EXPECT_TRUE(packet_valid(&got));
	EXPECT_STREQ("v0", (char *)sin.sin_zero);
	EXPECT_EQ(inet_addr("10.0.0.1"), sin.sin_addr.s_addr);

	counters_read(&before);
	EXPECT_EQ(-EADDRNOTAVAIL, divert_write(self->fd, &got, &sin));
	EXPECT_EQ(1, counted_only(&before, "eaddrnotavail"));
	EXPECT_FALSE(readable(self->rx));
}

TEST_F(incoming, R6_address_and_route_gone)
{
	struct sockaddr_in sin;
	char buf[64];

	udp_send(self->tx, "10.0.0.1", 10);
	EXPECT_TRUE(wait_readable(self->fd));
	ip_batch("address flush dev v0\n");
	EXPECT_EQ(38, divert_read(self->fd, &got, &sin));

	/* The interface is still there: it takes the packet. */
	EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
	ip_batch("address add 10.0.0.1/24 dev v0\n");
	EXPECT_EQ(38, divert_write(self->fd, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, buf, sizeof(buf)));
	EXPECT_FALSE(readable(self->rx));
}

TEST_F(incoming, R6_queued_when_device_goes)
{
	/* A reference left behind would show in the kernel's log. */
	udp_send(self->tx, "10.0.0.1", 10);
	EXPECT_TRUE(wait_readable(self->fd));
	ip_batch("link del v0\n");
	close(self->fd);
}

/* Forwarded from v0 to d0. */
TEST_F(incoming, R3_forwarded_shows_where_it_came_from)
{
	struct sockaddr_in sin;

	ip_batch("link add d0 type dummy\n"
		 "address add 10.1.0.1/24 dev d0\n"
		 "link set d0 up\n");
	sysctl_write("net/ipv4/ip_forward", "1");
	nft_load("flush chain ip m prerouting\n");
	nft_mark_udp("postrouting", MARK(PORT, COOKIE));
	packet_make(&packet, "10.0.0.2", "10.1.0.2", 10);

	/* As if v1's host had sent it. */
	sin = divert_address("10.0.0.1", 0, "v0");
	EXPECT_EQ(38, divert_write(self->fd, &packet, &sin));
	EXPECT_EQ(38, divert_read(self->fd, &got, &sin));
	EXPECT_EQ(63, got.ip.ttl);
	EXPECT_EQ(INADDR_ANY, sin.sin_addr.s_addr);
	EXPECT_STREQ("v0", (char *)sin.sin_zero);
}

/* Locally made packets */

FIXTURE(outgoing)
{
	struct loop loop;
};

FIXTURE_SETUP(outgoing)
{
	loop_open(&self->loop);
}

FIXTURE_TEARDOWN(outgoing)
{
}

TEST_F(outgoing, R2_address_is_any)
{
	struct sockaddr_in sin;

	memset(&sin, 0xa5, sizeof(sin));
	EXPECT_EQ(28 + LOOP_WAITING, divert_read(self->loop.fd, &got, &sin));
	EXPECT_EQ(AF_INET, sin.sin_family);
	EXPECT_EQ(COOKIE, divert_cookie(&sin));
	EXPECT_EQ(INADDR_ANY, sin.sin_addr.s_addr);
}

TEST_F(outgoing, R3_no_name)
{
	struct sockaddr_in sin;

	memset(&sin, 0xa5, sizeof(sin));
	EXPECT_EQ(28 + LOOP_WAITING, divert_read(self->loop.fd, &got, &sin));
	EXPECT_EQ(0, sin.sin_zero[0]);
}

TEST_F(outgoing, R4_reused_many_times)
{
	struct sockaddr_in sin;
	struct counters before;
	int i, other = divert_socket();

	EXPECT_EQ(28 + LOOP_WAITING, divert_read(self->loop.fd, &got, &sin));
	counters_read(&before);
	for (i = 0; i < 10; i++) {
		packet_make(&packet, "192.0.2.1", LOOP, i);
		EXPECT_EQ(28 + i, divert_write(i & 1 ? other : self->loop.fd,
					       &packet, &sin));
		EXPECT_EQ(i, udp_receive(self->loop.rx, got.data, 100));
	}
	EXPECT_EQ(10, counted_only(&before, "inject_out"));
}

/* On lo, a packet is seen on its way out and on its way in. */
TEST_F(outgoing, R4_one_rule_two_stages)
{
	struct sockaddr_in sin;

	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	EXPECT_EQ(28 + LOOP_WAITING, divert_read(self->loop.fd, &got, &sin));
	EXPECT_EQ(INADDR_ANY, sin.sin_addr.s_addr);
	EXPECT_EQ(got.len, divert_write(self->loop.fd, &got, &sin));

	EXPECT_EQ(28 + LOOP_WAITING, divert_read(self->loop.fd, &got, &sin));
	EXPECT_EQ(inet_addr(LOOP), sin.sin_addr.s_addr);
	EXPECT_STREQ("lo", (char *)sin.sin_zero);
	EXPECT_FALSE(readable(self->loop.rx));
	EXPECT_EQ(got.len, divert_write(self->loop.fd, &got, &sin));
	EXPECT_EQ(LOOP_WAITING, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_FALSE(readable(self->loop.fd));
}

TEST_F(outgoing, D4_checksums_complete)
{
	/* lo asks for no checksum: what is read has it all the same. */
	EXPECT_EQ(28 + LOOP_WAITING, divert_read(self->loop.fd, &got, NULL));
	EXPECT_TRUE(packet_valid(&got));
	EXPECT_NE(0, packet_udp(&got)->check);
	EXPECT_NE(0, got.ip.check);
}

TEST_F(outgoing, D4_unaltered_in_network_order)
{
	loop_send(&self->loop, 1000);
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	EXPECT_EQ(1028, divert_read(self->loop.fd, &got, NULL));
	EXPECT_EQ(htons(1028), got.ip.tot_len);
	EXPECT_EQ(inet_addr(LOOP), got.ip.saddr);
	EXPECT_EQ(inet_addr(LOOP), got.ip.daddr);
	EXPECT_EQ(htons(1008), packet_udp(&got)->len);
	packet_make(&packet, LOOP, LOOP, 1000);
	EXPECT_EQ(0, memcmp(packet.data + 28, got.data + 28, 1000));
}

TEST_F(outgoing, D9_no_cookie_reads_65535)
{
	struct loop second = self->loop;
	struct sockaddr_in sin;
	char buf[64];

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	second.tx = udp_open(NULL, MARK(PORT, 0));
	loop_send(&second, 10);
	EXPECT_EQ(38, divert_read(self->loop.fd, &got, &sin));
	EXPECT_EQ(DIVERT_COOKIE_LAST, divert_cookie(&sin));

	/* Written back, it does not come again. */
	EXPECT_EQ(38, divert_write(self->loop.fd, &got, &sin));
	EXPECT_EQ(10, udp_receive(self->loop.rx, buf, sizeof(buf)));
	EXPECT_FALSE(readable(self->loop.fd));
}

/* Filters */

static int attach(int fd, struct sock_filter *code, int len)
{
	struct sock_fprog program = { .len = len, .filter = code };

	return errno_of(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				   sizeof(program)));
}

TEST_F(outgoing, D10_rejected_stays_in_stack)
{
	struct sock_filter reject[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct counters before;

	EXPECT_EQ(0, attach(self->loop.fd, reject, ARRAY_LEN(reject)));
	counters_read(&before);
	loop_send(&self->loop, 10);
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(1, counted_only(&before, "passed"));

	/* What had been taken before stays taken. */
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_DETACH_FILTER, 0));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(outgoing, D10_result_does_not_cut)
{
	struct sock_filter one[] = { BPF_STMT(BPF_RET | BPF_K, 1) };

	EXPECT_EQ(0, attach(self->loop.fd, one, ARRAY_LEN(one)));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(outgoing, D10_sees_packet_from_ip_header)
{
	struct sock_filter udp_over_100[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x45, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 100, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	EXPECT_EQ(0, attach(self->loop.fd, udp_over_100,
			    ARRAY_LEN(udp_over_100)));
	loop_send(&self->loop, 72);
	EXPECT_EQ(72, udp_receive(self->loop.rx, got.data, 100));
	loop_send(&self->loop, 73);
	EXPECT_TRUE(loop_pass(&self->loop, 73));
}

/* Descriptors and threads */

static void send_fd(int via, int fd)
{
	char byte = 0, buf[CMSG_SPACE(sizeof(fd))] = { };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = buf, .msg_controllen = sizeof(buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(via, &msg, 0) != 1)
		die("sendmsg");
}

static int receive_fd(int via)
{
	char byte, buf[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = buf, .msg_controllen = sizeof(buf),
	};
	int fd;

	if (recvmsg(via, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		die("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* A process without any privilege and without the original descriptor. */
static int helper_process(struct loop *loop, int via)
{
	close(loop->fd);
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		die("setuid");
	caps_keep(0);
	loop->fd = receive_fd(via);
	return loop_unharmed(loop) ? 0 : 1;
}

TEST_F(outgoing, R6_descriptor_passed_to_unprivileged)
{
	int pair[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	pid = fork();
	if (!pid)
		_exit(helper_process(&self->loop, pair[1]));

	send_fd(pair[0], self->loop.fd);
	close(self->loop.fd);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(outgoing, R6_descriptor_inherited_and_duplicated)
{
	int status;
	pid_t pid;

	self->loop.fd = dup(self->loop.fd);
	pid = fork();
	if (!pid)
		_exit(loop_unharmed(&self->loop) ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

#define WRITERS		3
#define WRITTEN		200

static void *writer(void *arg)
{
	int i, *fd = arg;
	long failed = 0;

	for (i = 0; i < WRITTEN; i++)
		if (divert_write(*fd, &packet, NULL) != packet.len)
			failed++;
	return (void *)failed;
}

/* A rule catches what the writers send, so the reader gets it all. */
TEST_F(outgoing, R6_one_reads_while_others_write)
{
	pthread_t threads[WRITERS];
	struct counters before;
	void *failed;
	int i;

	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	nft_mark_udp("output", MARK(PORT, COOKIE));
	packet_make(&packet, "192.0.2.1", LOOP, 100);
	counters_read(&before);
	for (i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, &self->loop.fd);
	for (i = 0; i < WRITERS * WRITTEN; i++) {
		ASSERT_EQ(128, divert_read(self->loop.fd, &got, NULL));
		ASSERT_TRUE(packet_equal(&packet, &got));
	}
	for (i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	EXPECT_EQ(WRITERS * WRITTEN, counted(&before, "diverted"));
	EXPECT_EQ(WRITERS * WRITTEN, counted(&before, "inject_out"));
	EXPECT_EQ(WRITERS * WRITTEN, counted(&before, "read"));
}

TEST_HARNESS_MAIN
