// SPDX-License-Identifier: GPL-2.0
/*
 * IPv6: what sockets keep queued of its packets, what becomes of the rest, and
 * copies of them.
 *
 * TIMEOUT=120
 */

#include <stdio.h>

#include "inet6_test.h"
#include "kselftest_harness.h"

/* Over lo, diverted as they leave. */
FIXTURE(queue6)
{
	int fd;			/* AF_INET6, on PORT */
	int tx;
	int rx;
	struct divert_limits limits;
	struct counters before;
};

FIXTURE_SETUP(queue6)
{
	ns_new();
	self->fd = divert6_open(PORT);
	self->tx = udp6_open(0);
	self->rx = udp6_open(UDP_PORT);
	self->limits.size = sizeof(self->limits);
	mark_udp("output");
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(queue6)
{
	EXPECT_FALSE(readable(self->rx));
}

static void send_some(int tx, int payload, int n)
{
	while (n--)
		udp6_send(tx, "::1", payload);
}

static int watcher6_open(void)
{
	int fd = divert6_socket();

	if (set_int(fd, SOL_DIVERT, DIVERT_TEE, 1) || bind6(fd, PORT))
		die("watcher");
	return fd;
}

/* Exactly one packet is there, of this payload. */
static bool has_one(int fd, int payload)
{
	return read6(fd, &packet) == SIZE6 + payload && valid6(&packet) &&
	       !readable(fd);
}

/* A packet is sent and arrives, read by nobody who would have to write it. */
static bool goes_on(int tx, int rx, int payload)
{
	send_some(tx, payload, 1);
	return udp_receive(rx, got.data, sizeof(got.data)) == payload;
}

/* Limits */

TEST_F(queue6, V6_2_O5_old_drop)
{
	self->limits.age = 20;
	EXPECT_EQ(0, limits_set(self->fd, &self->limits));
	send_some(self->tx, 10, 5);
	EXPECT_TRUE(wait_counted(&self->before, "expired", 5));
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(0, counted(&self->before, "released"));
}

TEST_F(queue6, V6_2_O5_old_pass)
{
	int i;

	/* It is not diverted again. */
	mark_udp("postrouting");
	self->limits.age = 20;
	self->limits.old = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->fd, &self->limits));
	send_some(self->tx, 10, 5);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_TRUE(wait_counted(&self->before, "released", 5));
	EXPECT_EQ(5, counted(&self->before, "diverted"));
	EXPECT_EQ(0, counted(&self->before, "expired"));
	EXPECT_FALSE(readable(self->fd));
}

/* The buffer is charged with memory: what is dropped for it, and passed. */
TEST_F(queue6, V6_2_S4_O5_rcvbuf)
{
	int i, n = 100, held, passed;

	set_int(self->fd, SOL_SOCKET, SO_RCVBUF, 20000);
	send_some(self->tx, 1000, n);
	held = counted(&self->before, "diverted");
	EXPECT_LT(0, held);
	EXPECT_GE(40000 / 1000, held);
	EXPECT_EQ(n - held, counted(&self->before, "full"));

	self->limits.full = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->fd, &self->limits));
	for (i = 0; i < held; i++)
		EXPECT_EQ(SIZE6 + 1000, read6(self->fd, &packet));
	EXPECT_FALSE(readable(self->fd));
	counters_read(&self->before);
	send_some(self->tx, 1000, n);
	passed = counted(&self->before, "passed");
	EXPECT_LT(0, passed);
	EXPECT_EQ(n, counted(&self->before, "diverted") + passed);
	EXPECT_EQ(0, counted(&self->before, "full"));
	for (i = 0; i < passed; i++)
		EXPECT_EQ(1000, udp_receive(self->rx, got.data, 2000));
}

/* Copies */

TEST_F(queue6, V6_2_T1_full_watcher)
{
	int watcher, i;

	close(self->fd);
	watcher = watcher6_open();
	self->limits.packets = 1;
	EXPECT_EQ(0, limits_set(watcher, &self->limits));
	for (i = 0; i < 5; i++)
		EXPECT_TRUE(goes_on(self->tx, self->rx, 10 + i));
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_EQ(4, counted(&self->before, "full"));
	EXPECT_EQ(1, counted(&self->before, "teed"));
}

TEST_F(queue6, V6_2_T2_written_copy_is_one_more)
{
	int watcher;

	close(self->fd);
	watcher = watcher6_open();
	EXPECT_TRUE(goes_on(self->tx, self->rx, 10));
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_EQ(SIZE6 + 10, write6(watcher, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_EQ(1, counted(&self->before, "inject_out"));
	/* It resumes behind the rule, like any that was read. */
	EXPECT_FALSE(readable(watcher));
}

/* By the mark's bit the owner reads a copy, and watchers do as ever. */
TEST_F(queue6, V6_2_T1_tee_mask)
{
	int watcher = watcher6_open();

	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x7fff0000"));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("tee_mask"), "0x80000000"));
	nft_load("flush ruleset\n"
		 "table ip6 m {\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n"
		 "  udp dport 5000 meta mark set 0x9b580064\n"
		 " }\n"
		 " chain p {\n"
		 "  type filter hook postrouting priority mangle;\n"
		 "  udp dport 5000 meta mark set 0x9b580064\n"
		 " }\n"
		 "}\n");
	EXPECT_TRUE(goes_on(self->tx, self->rx, 10));
	EXPECT_TRUE(has_one(self->fd, 10));
	EXPECT_EQ(COOKIE, from.sin6_port);
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_EQ(2, counted(&self->before, "teed"));

	/* Without the bit the packet itself is the owner's. */
	nft_load("flush ruleset\n");
	mark_udp("output");
	send_some(self->tx, 11, 1);
	EXPECT_FALSE(readable(self->rx));
	EXPECT_TRUE(has_one(self->fd, 11));
	EXPECT_TRUE(has_one(watcher, 11));
	EXPECT_EQ(3, counted(&self->before, "teed"));
}

TEST_HARNESS_MAIN
