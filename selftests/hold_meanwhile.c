// SPDX-License-Identifier: GPL-2.0
/*
 * What goes on around a packet that is held (O7): chains, connections,
 * namespaces and devices come and go.
 *
 * TIMEOUT=600
 */

#include <stddef.h>
#include <sys/wait.h>

#include "kept.h"
#include "kselftest_harness.h"

#define HEADERS	64

FIXTURE(one)
{
	struct kept kept;
	struct taken taken;
};

FIXTURE_SETUP(one)
{
	kept_open(&self->kept, AF_INET, AF_INET, "output");
}

FIXTURE_TEARDOWN(one)
{
	EXPECT_EQ(0, kept_away(&self->kept.before));
}

/* Others' chains come and go while packets are held. */
TEST_F(one, O7_chains_change_meanwhile)
{
	int i, fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	for (i = 0; i < 4; i++) {
		kept_send(&self->kept, 10 + i);
		ASSERT_LT(0, kept_read(fd, &self->taken));
	}
	nft_load("table ip t {\n"
		 " counter before { }\n"
		 " counter after { }\n"
		 " chain a { type filter hook output priority -310;"
		 " udp dport %d counter name before; }\n"
		 " chain b { type filter hook output priority -140;"
		 " udp dport %d counter name before; }\n"
		 " chain c { type filter hook output priority -50;"
		 " udp dport %d counter name after; }\n"
		 "}\n", UDP_PORT, UDP_PORT, UDP_PORT);
	self->taken.info.id = 2;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));
	EXPECT_EQ(0, nft_packets("before"));
	EXPECT_EQ(2, nft_packets("after"));
	nft_load("delete chain ip t a\n"
		 "delete chain ip t b\n"
		 "delete table inet m\n");
	self->taken.info.id = 4;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));
	EXPECT_EQ(4, nft_packets("after"));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(10 + i, kept_arrives(&self->kept));
}

/* Connection, sender and its marks are met behind our hook as ever. */
TEST_F(one, O7_metadata_stay)
{
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	nft_load("table ip t {\n"
		 " counter invalid { }\n"
		 " counter good { }\n"
		 " chain c {\n"
		 "  type filter hook output priority 0;\n"
		 "  ct state invalid,untracked counter name invalid\n"
		 "  udp dport %d ct state new meta skuid 0 meta skgid 0 counter name good\n"
		 " }\n"
		 "}\n", UDP_PORT);
	kept_send(&self->kept, 10);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_TRUE(self->taken.info.flags & DIVERT_INFO_SENDER);
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(1, nft_packets("good"));
	EXPECT_EQ(0, nft_packets("invalid"));
}

/* The namespace's only socket goes with a packet that is held. */
TEST_F(one, O7_namespace_goes)
{
	int here = ns_open(), fd, status;
	pid_t child = fork();

	if (!child) {
		struct kept kept;

		kept_open(&kept, AF_INET, AF_INET, "prerouting");
		fd = kept.fd;
		if (hold_headers(fd, HEADERS, 0))
			_exit(1);
		kept_send(&kept, 10);
		_exit(kept_read(fd, &self->taken) < 0);
	}
	waitpid(child, &status, 0);
	EXPECT_EQ(0, status);
	ns_enter(here);
}

/* Received on veth, so that a device can go. */
FIXTURE(device)
{
	struct taken taken;
	struct counters before;
	int peer;
	int fd;
};

FIXTURE_SETUP(device)
{
	struct sockaddr_in to = inet_address("10.0.0.1", UDP_PORT);
	int here, tx;

	ns_new();
	self->peer = veth_new();
	self->fd = kept_socket(AF_INET, PORT);
	ASSERT_EQ(0, hold_headers(self->fd, HEADERS, 0));
	kept_rules("prerouting", 1);
	counters_read(&self->before);
	here = ns_open();
	ns_enter(self->peer);
	tx = udp_open(NULL, 0);
	ASSERT_EQ(5, sendto(tx, "hello", 5, 0, (struct sockaddr *)&to,
			    sizeof(to)));
	ns_enter(here);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_EQ(0, kept_away(&self->before));
}

TEST_F(device, O7_device_goes_while_held)
{
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	EXPECT_EQ(1, kept_away(&self->before));
	/* Returns, and says nothing of a device that is still in use. */
	ip_batch("link delete v0\n");
	EXPECT_EQ(1, counted(&self->before, "held_lost"));
	EXPECT_EQ(-ESTALE, kept_verdict(self->fd, &self->taken, 0));
}

TEST_F(device, O7_device_goes_before_it_is_read)
{
	ASSERT_TRUE(wait_readable(self->fd));
	ip_batch("link delete v0\n");
	/* Its headers can be read, no more. */
	ASSERT_EQ(33, kept_read(self->fd, &self->taken));
	EXPECT_FALSE(self->taken.info.flags & DIVERT_INFO_HELD);
	EXPECT_EQ(0, counted(&self->before, "held"));
}

TEST_F(device, O7_device_moves_to_another_namespace)
{
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	ip_batch("link set v0 netns /proc/%d/fd/%d\n", getpid(), self->peer);
	EXPECT_EQ(1, counted(&self->before, "held_lost"));
	EXPECT_EQ(-ESTALE, kept_verdict(self->fd, &self->taken, 0));
}

/* It leaves no trace in ours: what comes out of it names it, but does not need
 * it. With a rule that reads the name.
 */
TEST_F(device, O7_tunnel_of_another_namespace_goes)
{
	struct sockaddr_in to = inet_address("10.9.0.2", UDP_PORT);
	int here = ns_open(), tx;

	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	EXPECT_EQ(0, kept_verdict(self->fd, &self->taken, DIVERT_VERDICT_DROP));

	ip_batch("link add t0 type ipip local 10.0.0.1 remote 10.0.0.2\n"
		 "link set t0 netns /proc/%d/fd/%d\n", getpid(), self->peer);
	nft_load("flush ruleset\n"
		 "table ip m {\n"
		 " counter passed { }\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n"
		 "  ip protocol 4 meta mark set 0x%x\n"
		 " }\n"
		 " chain p {\n"
		 "  type filter hook postrouting priority 0;\n"
		 "  ip protocol 4 iifname != \"t0\" counter name passed\n"
		 " }\n"
		 "}\n", MARK(PORT, COOKIE));
	ns_enter(self->peer);
	ip_batch("address add 10.9.0.1/24 dev t0\n"
		 "link set t0 up\n");
	tx = udp_open(NULL, 0);
	ASSERT_EQ(5, sendto(tx, "hello", 5, 0, (struct sockaddr *)&to,
			    sizeof(to)));
	ns_enter(here);
	ASSERT_EQ(53, kept_read(self->fd, &self->taken));
	EXPECT_TRUE(self->taken.info.flags & DIVERT_INFO_HELD);

	ns_enter(self->peer);
	ip_batch("link delete t0\n");
	ns_enter(here);
	EXPECT_EQ(0, kept_verdict(self->fd, &self->taken, 0));
	EXPECT_EQ(1, nft_packets("passed"));
	EXPECT_EQ(1, counted(&self->before, "held_passed"));
}

TEST_F(device, O7_device_is_down_meanwhile)
{
	int rx = udp_open("10.0.0.1", 0);

	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	ip_batch("link set v0 down\n");
	EXPECT_EQ(0, kept_verdict(self->fd, &self->taken, 0));
	EXPECT_EQ(1, counted(&self->before, "held_passed"));
	EXPECT_EQ(1, counted(&self->before, "congested"));
	EXPECT_FALSE(readable(rx));
	close(rx);
}

/* A VRF shows a packet to PRE_ROUTING a second time, as received on itself: that
 * one cannot be kept, so it is read and written whole.
 */
TEST_F(device, O7_second_time_in_vrf)
{
	struct sockaddr_in to = inet_address("10.0.0.1", UDP_PORT);
	int here = ns_open(), tx, rx;

	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	EXPECT_EQ(0, kept_verdict(self->fd, &self->taken, DIVERT_VERDICT_DROP));

	ip_batch("link add red type vrf table 10\n"
		 "link set red up\n"
		 "link set v0 master red\n");
	nft_load("flush ruleset\n"
		 "table ip m {\n"
		 " chain prerouting {\n"
		 "  type filter hook prerouting priority mangle;\n"
		 "  iifname red udp dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", UDP_PORT, MARK(PORT, COOKIE));
	rx = socket(AF_INET, SOCK_DGRAM, 0);
	ASSERT_EQ(0, setsockopt(rx, SOL_SOCKET, SO_BINDTODEVICE, "red", 4));
	ASSERT_EQ(0, bind(rx, (struct sockaddr *)&to, sizeof(to)));

	ns_enter(self->peer);
	tx = udp_open(NULL, 0);
	ASSERT_EQ(5, sendto(tx, "hello", 5, 0, (struct sockaddr *)&to,
			    sizeof(to)));
	ns_enter(here);
	ASSERT_EQ(33, kept_read(self->fd, &self->taken));
	EXPECT_STREQ("red", self->taken.info.ifname);
	EXPECT_FALSE(self->taken.info.flags & DIVERT_INFO_HELD);
	EXPECT_EQ(33, kept_write(self->fd, self->taken.packet.data, 33,
				 &self->taken.from, NULL));
	EXPECT_EQ(5, udp_receive(rx, self->taken.packet.data, 100));
}

TEST_HARNESS_MAIN
