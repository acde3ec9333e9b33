// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel had in its memory before does not come with what is read.
 *
 * Proves it by booting with poisoned memory and looking for the poison in all
 * that is copied out: addresses, control messages, records and what fills them
 * up, options, packets themselves.
 *
 * TIMEOUT=180
# BOOT=slub_debug=FZP page_poison=1 init_on_alloc=0 init_on_free=0
 */

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stdio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

/* What slabs (in use, free, red zones) and free pages are filled with */
static const __u8 poison[] = { 0x5a, 0x6b, 0xbb, 0xcc, 0xaa };

/* Bytes of it in a row, so that numbers which happen to be there do not count. */
#define ENOUGH	4

static bool poisoned(const void *data, int len)
{
	const __u8 *byte = data;
	int i, n = 0;

	for (i = 0; i < len; i++) {
		if (!memchr(poison, byte[i], sizeof(poison)))
			n = 0;
		else if (i && byte[i] == byte[i - 1])
			n++;
		else
			n = 1;
		if (n >= ENOUGH)
			return true;
	}
	return false;
}

FIXTURE(leaks)
{
	struct loop loop;
	int fd6;
};

FIXTURE_SETUP(leaks)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(PORT + 1),
	};

	loop_open(&self->loop);
	self->fd6 = socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT);
	if (self->fd6 < 0 ||
	    bind(self->fd6, (struct sockaddr *)&sin6, sizeof(sin6)))
		die("IPv6 divert socket");
}

FIXTURE_TEARDOWN(leaks)
{
}

static __u8 data[65536] __attribute__((aligned(8)));

/* Everything that one read has to say; it is all 0xff before. */
static bool read_clean(int fd, int size)
{
	struct sockaddr_storage address;
	char control[512];
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_name = &address, .msg_namelen = sizeof(address),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int n;

	memset(&address, 0xff, sizeof(address));
	memset(control, 0xff, sizeof(control));
	n = wait_readable(fd) ? recvmsg(fd, &msg, 0) : -1;
	if (n <= 0)
		return false;
	return !poisoned(data, n) && !poisoned(&address, sizeof(address)) &&
	       !poisoned(control, sizeof(control));
}

static void send_to(int port, int payload)
{
	int tx = udp_open(NULL, MARK(port, COOKIE));

	udp_send(tx, LOOP, payload);
	close(tx);
}

/* The test's own eyes: it would see poison. */
TEST(S4_poison_is_seen)
{
	static __u8 all[1024];

	EXPECT_FALSE(poisoned(all, sizeof(all)));
	memset(all + 500, 0x6b, 4);
	EXPECT_TRUE(poisoned(all, sizeof(all)));
}

/* The payload's bytes are all different, and never four times the same. */
TEST_F(leaks, R1_O2_O3_reads)
{
	int one = 1, i, fd;

	for (i = 0; i < 40; i++) {
		fd = i & 1 ? self->fd6 : self->loop.fd;
		set_int(fd, SOL_DIVERT, DIVERT_INFO, !!(i & 2));
		set_int(fd, SOL_DIVERT, DIVERT_GSO, !!(i & 4));
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one));
		send_to(PORT + (i & 1), i * 37);
		EXPECT_TRUE(read_clean(fd, i & 8 ? 40 : sizeof(data)));
	}
}

TEST_F(leaks, O7_O8_records_and_headers)
{
	struct divert_hold hold = { .size = sizeof(hold), .packets = 16 };
	int i, fd;

	for (i = 0; i < 60; i++) {
		fd = i & 1 ? self->fd6 : self->loop.fd;
		hold.headers = i % 3 ? 29 + i : 0;
		ASSERT_EQ(0, errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_HOLD,
						 &hold, sizeof(hold))));
		set_int(fd, SOL_DIVERT, DIVERT_RECORDS, 1);
		set_int(fd, SOL_DIVERT, DIVERT_INFO, 1);
		send_to(PORT + (i & 1), i * 11);
		send_to(PORT + (i & 1), i * 23);
		EXPECT_TRUE(read_clean(fd, i & 4 ? 200 : sizeof(data)));
	}
}

TEST_F(leaks, O1_O6_options_and_names)
{
	int option, fd, i;
	socklen_t len;

	for (i = 0; i < 2; i++) {
		fd = i ? self->fd6 : self->loop.fd;
		for (option = DIVERT_VERSION; option <= DIVERT_INPLACE; option++)
			for (len = 1; len < 512; len++) {
				socklen_t got = len;

				memset(data, 0xff, sizeof(data));
				if (getsockopt(fd, SOL_DIVERT, option, data,
					       &got))
					continue;
				EXPECT_FALSE(poisoned(data, got)) {
					TH_LOG("option %d", option);
				}
			}
		len = sizeof(data);
		memset(data, 0xff, sizeof(data));
		EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)data, &len));
		EXPECT_FALSE(poisoned(data, 128));
	}
}

/* Bytes of an answer, of all its parts; -1 if they are not clean. */
static int answer_clean(int nl)
{
	int len, all = 0;

	memset(data, 0xff, sizeof(data));
	while ((len = recv(nl, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		if (poisoned(data, len))
			return -1;
		all += len;
	}
	return all;
}

/* Each answer has all that was asked for: errors are shorter. */
TEST_F(leaks, L2_sock_diag)
{
	const struct inet_diag_sockid id = {
		.idiag_sport = htons(PORT),
		.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
	};
	const int least = sizeof(struct divert_stats);
	int i, nl;

	diag_load();
	nl = diag_socket();
	for (i = 0; i < 10; i++) {
		send_to(PORT + (i & 1), i * 37);
		diag_request(nl, i & 1 ? AF_INET6 : AF_INET, NLM_F_DUMP, ~0U,
			     NULL);
		EXPECT_LT(least, answer_clean(nl));
		diag_request(nl, AF_INET, 0, ~0U, &id);
		EXPECT_LT(least, answer_clean(nl));
	}
	close(nl);
	EXPECT_EQ(0, diag_unload());
}

TEST_HARNESS_MAIN
