// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that stay in the kernel while their headers are away (O7), one in a
 * read or many (O8).
 *
 * TIMEOUT=240
 */

#include <stddef.h>
#include <stdio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define HEADERS	64

/* UDP over lo, taken on its way out or in. */
FIXTURE(hold)
{
	struct loop loop;
	struct divert_hold hold;
	struct counters before;
};

FIXTURE_VARIANT(hold)
{
	const char *hook;
};

FIXTURE_VARIANT_ADD(hold, out)
{
	.hook = "output",
};

FIXTURE_VARIANT_ADD(hold, post)
{
	.hook = "postrouting",
};

FIXTURE_VARIANT_ADD(hold, in)
{
	.hook = "prerouting",
};

static int set_hold(int fd, const struct divert_hold *hold)
{
	return errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, hold,
				   sizeof(*hold)));
}

FIXTURE_SETUP(hold)
{
	ns_new();
	self->loop.fd = divert_open(PORT);
	self->hold = (struct divert_hold){
		.size = sizeof(self->hold),
		.headers = HEADERS,
	};
	ASSERT_EQ(0, set_hold(self->loop.fd, &self->hold));
	self->loop.tx = udp_open(NULL, 0);
	self->loop.rx = udp_open(LOOP, 0);
	nft_mark_udp(variant->hook, MARK(PORT, COOKIE));
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(hold)
{
	EXPECT_FALSE(readable(self->loop.rx));
}

/* Headers of a packet that is kept, with its address. */
static int read_headers(int fd, struct packet *packet, struct sockaddr_in *sa)
{
	socklen_t len = sizeof(*sa);

	if (!wait_readable(fd))
		return -ETIMEDOUT;
	packet->len = recvfrom(fd, packet->data, sizeof(packet->data), 0,
			       (struct sockaddr *)sa, &len);
	return errno_of(packet->len) ?: packet->len;
}

static int write_bytes(int fd, const void *data, int len,
		       const struct sockaddr_in *sa)
{
	int ret = sendto(fd, data, len, 0, (const struct sockaddr *)sa,
			 sizeof(*sa));

	return ret < 0 ? -errno : ret;
}

TEST_F(hold, O7_headers_up_packet_stays)
{
	static struct packet packet;
	struct sockaddr_in sa;

	loop_send(&self->loop, 500);
	ASSERT_EQ(HEADERS, read_headers(self->loop.fd, &packet, &sa));
	EXPECT_EQ(528, ntohs(packet.ip.tot_len));
	EXPECT_EQ(COOKIE, divert_cookie(&sa));
	EXPECT_EQ(1, counted(&self->before, "held"));

	packet.ip.ttl = 33;
	ASSERT_EQ(HEADERS, write_bytes(self->loop.fd, packet.data, HEADERS, &sa));
	EXPECT_EQ(500, udp_receive(self->loop.rx, packet.data, 1000));
	EXPECT_EQ(1, counted(&self->before, "held_passed"));
	EXPECT_EQ(0, counted(&self->before, "inject_in"));
	EXPECT_EQ(0, counted(&self->before, "inject_out"));

	EXPECT_EQ(-ESTALE, write_bytes(self->loop.fd, NULL, 0, &sa));
}

TEST_F(hold, O8_many_in_one_read_and_write)
{
	static union {
		struct divert_record record;
		char bytes[65536];
	} buffer;
	struct divert_record *record;
	int i, n = 0, len, off;

	ASSERT_EQ(0, set_int(self->loop.fd, SOL_DIVERT, DIVERT_RECORDS, 1));
	for (i = 0; i < 20; i++)
		loop_send(&self->loop, 100 + i);
	len = recv(self->loop.fd, buffer.bytes, sizeof(buffer), 0);
	ASSERT_EQ(20 * 128, len);
	for (off = 0; off < len; off += record->len) {
		record = (void *)(buffer.bytes + off);
		ASSERT_EQ(sizeof(*record), record->size);
		EXPECT_EQ(HEADERS, record->captured);
		EXPECT_EQ(128 + n, record->packet);
		EXPECT_EQ(n + 1, record->id);
		EXPECT_TRUE(record->flags & DIVERT_INFO_HELD);
		n++;
	}
	EXPECT_EQ(20, n);
	EXPECT_EQ(len, send(self->loop.fd, buffer.bytes, len, 0));
	for (i = 0; i < 20; i++)
		EXPECT_EQ(100 + i, udp_receive(self->loop.rx, buffer.bytes,
					       1000));
}

TEST_HARNESS_MAIN
