// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that stay in the kernel while their headers are away (O7).
 *
 * TIMEOUT=600
 */

#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "kept.h"
#include "kselftest_harness.h"

#define HEADERS	64
#define PAYLOAD	500

/* All hooks, packets and sockets of both families */
FIXTURE(hold)
{
	struct kept kept;
	struct taken taken;
};

FIXTURE_VARIANT(hold)
{
	const char *hook;
	int family;
	int socket;
};

KEPT_VARIANTS(hold)

FIXTURE_SETUP(hold)
{
	kept_open(&self->kept, variant->family, variant->socket, variant->hook);
	ASSERT_EQ(0, hold_headers(self->kept.fd, HEADERS, 0));
}

FIXTURE_TEARDOWN(hold)
{
	EXPECT_FALSE(readable(self->kept.rx));
	EXPECT_EQ(0, kept_away(&self->kept.before));
	EXPECT_EQ(0, counted(&self->kept.before, "inject_in"));
	EXPECT_EQ(0, counted(&self->kept.before, "inject_out"));
}

TEST_F(hold, O7_headers_up_packet_stays)
{
	const struct taken *taken = &self->taken;
	int fd = self->kept.fd;

	kept_send(&self->kept, PAYLOAD);
	ASSERT_EQ(HEADERS, kept_read(fd, &self->taken));
	EXPECT_EQ(taken_hlen(taken) + 8 + PAYLOAD, (int)taken->info.len);
	EXPECT_EQ(variant->family, taken->info.family);
	EXPECT_EQ(variant->socket, taken->from.sa.sa_family);
	EXPECT_EQ(COOKIE, divert_cookie(&taken->from.v4));
	EXPECT_EQ(1, taken->info.id);
	EXPECT_TRUE(taken->info.flags & DIVERT_INFO_HELD);
	EXPECT_FALSE(taken->flags & MSG_TRUNC);
	EXPECT_EQ(1, counted(&self->kept.before, "held"));

	*taken_ttl(&self->taken) = 33;
	ASSERT_EQ(HEADERS, kept_write(fd, taken->packet.data, HEADERS,
				      &taken->from, NULL));
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
	EXPECT_EQ(1, counted(&self->kept.before, "held_passed"));

	EXPECT_EQ(-ESTALE, kept_write(fd, NULL, 0, &taken->from, NULL));
	EXPECT_EQ(1, counted(&self->kept.before, "estale"));
}

TEST_F(hold, O7_verdicts_by_control_message)
{
	int fd = self->kept.fd;

	kept_send(&self->kept, 10);
	kept_send(&self->kept, 11);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_DROP));
	EXPECT_EQ(1, counted(&self->kept.before, "held_dropped"));
	EXPECT_EQ(-ESTALE, kept_verdict(fd, &self->taken, 0));

	ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_EQ(2, self->taken.info.id);
	self->taken.info.id = 3;
	EXPECT_EQ(-ENOENT, kept_verdict(fd, &self->taken, 0));
	self->taken.info.id = 0;
	EXPECT_EQ(-ENOENT, kept_verdict(fd, &self->taken, 0));
	self->taken.info.id = 2;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(11, kept_arrives(&self->kept));
}

TEST_F(hold, O7_up_to_what_was_read)
{
	int i, fd = self->kept.fd;

	for (i = 0; i < 7; i++)
		kept_send(&self->kept, 10 + i);
	for (i = 0; i < 6; i++)
		ASSERT_LT(0, kept_read(fd, &self->taken));

	/* The seventh is in the queue still. */
	self->taken.info.id = 7;
	EXPECT_EQ(-ENOENT, kept_verdict(fd, &self->taken,
					DIVERT_VERDICT_UPTO));
	self->taken.info.id = 2;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_DROP));
	self->taken.info.id = 3;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(12, kept_arrives(&self->kept));
	EXPECT_FALSE(readable(self->kept.rx));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));

	self->taken.info.id = 6;
	EXPECT_EQ(-EINVAL, kept_write(fd, "x", 1, NULL,
				      &(struct divert_info){
			.size = sizeof(struct divert_info), .id = 6,
			.flags = DIVERT_INFO_HELD | DIVERT_VERDICT_UPTO }));
	EXPECT_EQ(-EINVAL, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO |
					DIVERT_VERDICT_RULES));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO |
				  DIVERT_VERDICT_DROP));
	EXPECT_EQ(4, counted(&self->kept.before, "held_dropped"));

	ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_EQ(7, self->taken.info.id);
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));
	EXPECT_EQ(16, kept_arrives(&self->kept));
}

static int write_changed(int fd, const struct taken *taken, int at, __u8 flip)
{
	static struct packet packet;

	packet = taken->packet;
	packet.data[at] ^= flip;
	return kept_write(fd, packet.data, HEADERS, &taken->from, NULL);
}

TEST_F(hold, O7_what_does_not_fit_keeps_the_packet)
{
	static __u8 data[2048];
	bool ipv6 = variant->family == AF_INET6;
	int fd = self->kept.fd, whole;

	kept_send(&self->kept, PAYLOAD);
	ASSERT_EQ(HEADERS, kept_read(fd, &self->taken));

	EXPECT_EQ(-EINVAL, write_changed(fd, &self->taken, 0, 0x10));
	/* Length; next header or time to live, then protocol */
	EXPECT_EQ(-EINVAL, write_changed(fd, &self->taken, ipv6 ? 5 : 3, 1));
	EXPECT_EQ(-EINVAL, write_changed(fd, &self->taken, ipv6 ? 6 : 9, 1));
	if (!ipv6) {
		EXPECT_EQ(-EINVAL, write_changed(fd, &self->taken, 0, 1));
		EXPECT_EQ(-EINVAL, write_changed(fd, &self->taken, 6, 0x20));
		EXPECT_EQ(-EINVAL, write_changed(fd, &self->taken, 7, 1));
	}
	memcpy(data, self->taken.packet.data, HEADERS);
	whole = self->taken.info.len;
	EXPECT_EQ(-EINVAL, kept_write(fd, data, whole + 1, &self->taken.from,
				      NULL));
	EXPECT_EQ(1, kept_away(&self->kept.before));

	/* A part of the header, and of the payload's length, is enough. */
	EXPECT_EQ(1, kept_write(fd, data, 1, &self->taken.from, NULL));
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
}

TEST_F(hold, O7_a_new_destination_is_routed)
{
	union address other = lo_address(variant->family, 2);
	int rx = lo_listen(variant->family, 2), fd = self->kept.fd;

	kept_send(&self->kept, PAYLOAD);
	ASSERT_EQ(HEADERS, kept_read(fd, &self->taken));
	EXPECT_TRUE(self->taken.info.flags & DIVERT_INFO_CSUM_PARTIAL);
	taken_set_daddr(&self->taken, &other);
	ASSERT_EQ(HEADERS, kept_write(fd, self->taken.packet.data, HEADERS,
				      &self->taken.from, NULL));
	EXPECT_EQ(PAYLOAD, kept_received(rx));
}

/* The second rule's socket sees what the first one's lets rules see. */
TEST_F(hold, O7_rules_see_it_again)
{
	int second = kept_socket(variant->socket, PORT + 1);
	int fd = self->kept.fd, i;

	nft_load("flush ruleset\n");
	kept_rules(variant->hook, 2);
	for (i = 0; i < 2; i++)
		kept_send(&self->kept, 10 + i);

	ASSERT_EQ(10, kept_read(fd, &self->taken) - taken_hlen(&self->taken) - 8);
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_RULES));
	EXPECT_FALSE(readable(self->kept.rx));
	ASSERT_LT(0, kept_read(second, &self->taken));
	EXPECT_EQ(COOKIE + 1, self->taken.info.cookie);
	EXPECT_FALSE(readable(second));
	/* A packet of its own, as this socket keeps none */
	EXPECT_LT(0, kept_write(second, self->taken.packet.data,
				self->taken.packet.len, &self->taken.from,
				NULL));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(1, counted(&self->kept.before, "inject_in") +
		     counted(&self->kept.before, "inject_out"));
	counters_read(&self->kept.before);

	/* Not without the flag. */
	ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(11, kept_arrives(&self->kept));
	EXPECT_FALSE(readable(second));
	counters_read(&self->kept.before);
}

/* For all of a socket's packets, verdicts up to one included */
TEST_F(hold, O7_rules_see_all_again)
{
	int second = kept_socket(variant->socket, PORT + 1);
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = HEADERS,
		.flags = DIVERT_HOLD_RULES,
	};
	int fd = self->kept.fd, i;

	ASSERT_EQ(0, set_hold(fd, &hold));
	ASSERT_EQ(0, hold_headers(second, HEADERS, 0));
	nft_load("flush ruleset\n");
	kept_rules(variant->hook, 2);
	for (i = 0; i < 3; i++)
		kept_send(&self->kept, 10 + i);
	for (i = 0; i < 3; i++)
		ASSERT_LT(0, kept_read(fd, &self->taken));

	self->taken.info.id = 1;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	self->taken.info.id = 3;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));
	for (i = 0; i < 3; i++) {
		EXPECT_FALSE(readable(self->kept.rx));
		ASSERT_LT(0, kept_read(second, &self->taken));
		EXPECT_EQ(0, kept_verdict(second, &self->taken, 0));
		EXPECT_EQ(10 + i, kept_arrives(&self->kept));
	}
}

/* One is enough where hooks and families make no difference. */
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

static int get_hold(int fd, struct divert_hold *hold)
{
	socklen_t len = sizeof(*hold);

	return errno_of(getsockopt(fd, SOL_DIVERT, DIVERT_HOLD, hold, &len));
}

TEST_F(one, O7_option)
{
	const struct divert_hold good = {
		.size = sizeof(good), .headers = 65575, .packets = 65536,
		.flags = DIVERT_HOLD_RULES, .bytes = 1ULL << 40,
	};
	struct divert_hold hold;
	int fd = divert_socket();

	ASSERT_EQ(0, get_hold(fd, &hold));
	EXPECT_EQ(sizeof(hold), hold.size);
	EXPECT_EQ(0, hold.headers | hold.packets | hold.flags | hold.bytes);

	hold = good;
	hold.size--;
	EXPECT_EQ(-EINVAL, set_hold(fd, &hold));
	hold = good;
	hold.headers++;
	EXPECT_EQ(-EINVAL, set_hold(fd, &hold));
	hold = good;
	hold.packets++;
	EXPECT_EQ(-EINVAL, set_hold(fd, &hold));
	hold = good;
	hold.flags = 2;
	EXPECT_EQ(-EINVAL, set_hold(fd, &hold));
	EXPECT_EQ(-1, setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, &good,
				 sizeof(good) - 1));
	EXPECT_EQ(EINVAL, errno);

	ASSERT_EQ(0, set_hold(fd, &good));
	ASSERT_EQ(0, get_hold(fd, &hold));
	EXPECT_EQ(0, memcmp(&good, &hold, sizeof(good)));
	/* Its place is there. */
	hold.packets = 4;
	EXPECT_EQ(-EINVAL, set_hold(fd, &hold));
	hold.packets = 65536;
	hold.headers = 0;
	EXPECT_EQ(0, set_hold(fd, &hold));
}

/* What is kept is the host's memory. */
TEST_F(one, O7_S3_more_than_rcvbuf)
{
	struct divert_hold hold = { .size = sizeof(hold), .headers = HEADERS };
	int fd = divert_socket(), rcvbuf;

	rcvbuf = get_int(fd, SOL_SOCKET, SO_RCVBUF);
	hold.bytes = 2 * rcvbuf;
	EXPECT_EQ(0, set_hold(fd, &hold));

	caps_keep(CAP_BIT(CAP_NET_RAW));
	hold.bytes++;
	EXPECT_EQ(-EPERM, set_hold(fd, &hold));
	hold.bytes--;
	EXPECT_EQ(0, set_hold(fd, &hold));
	hold.bytes = rcvbuf;
	EXPECT_EQ(0, set_hold(fd, &hold));
	hold.bytes++;
	EXPECT_EQ(-EPERM, set_hold(fd, &hold));
	ASSERT_EQ(0, get_hold(fd, &hold));
	EXPECT_EQ(rcvbuf, (int)hold.bytes);
	EXPECT_EQ(HEADERS, (int)hold.headers);
}

TEST_F(one, O7_without_it_packets_are_whole)
{
	ASSERT_EQ(0, hold_headers(self->kept.fd, HEADERS, 0));
	ASSERT_EQ(0, hold_headers(self->kept.fd, 0, 0));
	kept_send(&self->kept, PAYLOAD);
	EXPECT_EQ(28 + PAYLOAD, kept_read(self->kept.fd, &self->taken));
	EXPECT_FALSE(self->taken.info.flags & DIVERT_INFO_HELD);
	EXPECT_TRUE(packet_valid(&self->taken.packet));
}

TEST_F(one, O7_headers_longer_than_packet)
{
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, 65575, 0));
	kept_send(&self->kept, 0);
	EXPECT_EQ(28, kept_read(fd, &self->taken));
	EXPECT_EQ(28, kept_write(fd, self->taken.packet.data, 28,
				 &self->taken.from, NULL));
	EXPECT_EQ(0, kept_arrives(&self->kept));

	/* A shorter buffer says so, the packet is kept all the same. */
	kept_send(&self->kept, 50);
	EXPECT_EQ(20, kept_read_flags(fd, &self->taken, 20, 0));
	EXPECT_TRUE(self->taken.flags & MSG_TRUNC);
	EXPECT_EQ(0, kept_write(fd, NULL, 0, &self->taken.from, NULL));
	EXPECT_EQ(50, kept_arrives(&self->kept));
}

TEST_F(one, O7_unknown_ticket)
{
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	kept_send(&self->kept, 10);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	/* The last of the bytes that name it */
	self->taken.from.v4.sin_zero[3]++;
	EXPECT_EQ(-ENOENT, kept_write(fd, NULL, 0, &self->taken.from, NULL));
	self->taken.from.v4.sin_zero[3]--;
	EXPECT_EQ(0, kept_write(fd, NULL, 0, &self->taken.from, NULL));
	EXPECT_EQ(10, kept_arrives(&self->kept));
}

/* What has another length is dropped and written, its address beside it. */
TEST_F(one, O7_longer_packet)
{
	int fd = self->kept.fd;
	struct divert_info info;
	struct packet *packet = &self->taken.packet;
	union address from;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	kept_send(&self->kept, 10);
	ASSERT_EQ(38, kept_read(fd, &self->taken));
	info = self->taken.info;
	from = self->taken.from;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_DROP));

	packet_make(packet, LOOP, LOOP, 20);
	info.flags &= ~DIVERT_INFO_HELD;
	EXPECT_EQ(48, kept_write(fd, packet->data, 48, &from, &info));
	EXPECT_EQ(20, kept_arrives(&self->kept));
	EXPECT_FALSE(readable(fd));
	EXPECT_EQ(1, counted(&self->kept.before, "inject_out"));
}

/* The mark of a control message counts beside changed bytes, too. */
TEST_F(one, O7_a_new_mark_is_routed)
{
	int i, fd = self->kept.fd;

	ip_batch("route add 10.9.9.9 dev lo\n"
		 "rule add fwmark 0x10000 table 100\n"
		 "route add blackhole 10.9.9.9 table 100\n");
	close(fd);
	ASSERT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0xff000000"));
	nft_load("flush ruleset\n"
		 "table ip m {\n"
		 " chain output {\n"
		 "  type filter hook output priority mangle;\n"
		 "  udp dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", UDP_PORT, 1 << 24 | COOKIE);
	fd = kept_socket(AF_INET, 1);
	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));

	for (i = 0; i < 2; i++) {
		udp_send(self->kept.tx, "10.9.9.9", 10);
		ASSERT_EQ(38, kept_read(fd, &self->taken));
		self->taken.info.mark = 0x10000;
		/* With bytes and without */
		EXPECT_EQ(-EHOSTUNREACH,
			  kept_write(fd, self->taken.packet.data, i ? 0 : 38,
				     NULL, &self->taken.info));
	}
	EXPECT_EQ(2, counted(&self->kept.before, "held_dropped"));
}

/* IP has parsed what it will send: options must not change under it. */
TEST_F(one, O7_options_of_what_is_sent_stay)
{
	static const __u8 record_route[] = { IPOPT_RR, 7, 4, 0, 0, 0, 0, 0 };
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, setsockopt(self->kept.tx, SOL_IP, IP_OPTIONS, record_route,
				sizeof(record_route)));
	kept_send(&self->kept, 10);
	ASSERT_EQ(46, kept_read(fd, &self->taken));
	ASSERT_EQ(28, taken_hlen(&self->taken));
	ASSERT_EQ(7, self->taken.packet.data[21]);
	self->taken.packet.data[21] = 255;
	EXPECT_EQ(-EINVAL, kept_write(fd, self->taken.packet.data, 46,
				      &self->taken.from, NULL));
	self->taken.packet.data[21] = 7;
	EXPECT_EQ(46, kept_write(fd, self->taken.packet.data, 46,
				 &self->taken.from, NULL));
	EXPECT_EQ(10, kept_arrives(&self->kept));
}

TEST_F(one, O7_full_by_number)
{
	int i, fd = self->kept.fd;

	/* 3 makes 4. */
	ASSERT_EQ(0, hold_headers(fd, HEADERS, 3));
	for (i = 0; i < 6; i++)
		kept_send(&self->kept, 10 + i);
	for (i = 0; i < 6; i++)
		ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_EQ(2, counted(&self->kept.before, "held_lost"));
	EXPECT_EQ(4, kept_away(&self->kept.before));

	self->taken.info.id = 2;
	EXPECT_EQ(-ESTALE, kept_verdict(fd, &self->taken, 0));
	self->taken.info.id = 6;
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, DIVERT_VERDICT_UPTO));
	for (i = 2; i < 6; i++)
		EXPECT_EQ(10 + i, kept_arrives(&self->kept));
	EXPECT_FALSE(readable(self->kept.rx));
}

TEST_F(one, O7_full_by_bytes)
{
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = HEADERS, .bytes = 1,
	};
	int i, fd = self->kept.fd;

	/* One there may always be. */
	ASSERT_EQ(0, set_hold(fd, &hold));
	ASSERT_EQ(0, set_limits(fd, 0, DIVERT_POLICY_PASS, 0));
	for (i = 0; i < 3; i++) {
		kept_send(&self->kept, 10 + i);
		ASSERT_LT(0, kept_read(fd, &self->taken));
	}
	EXPECT_EQ(2, counted(&self->kept.before, "held_released"));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(11, kept_arrives(&self->kept));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(12, kept_arrives(&self->kept));
}

TEST_F(one, O7_old_packets_go)
{
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, set_limits(fd, 1, DIVERT_POLICY_DROP, 0));
	kept_send(&self->kept, 10);
	while (kept_read(fd, &self->taken) < 0) {
		/* It was too old before it was read. */
		ASSERT_EQ(1, counted(&self->kept.before, "expired"));
		counters_read(&self->kept.before);
		kept_send(&self->kept, 10);
	}
	EXPECT_TRUE(wait_counted(&self->kept.before, "held_lost", 1));
	EXPECT_EQ(-ESTALE, kept_verdict(fd, &self->taken, 0));
}

TEST_F(one, O7_old_packets_pass_if_age_comes_late)
{
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, set_limits(fd, 0, DIVERT_POLICY_PASS, 0));
	kept_send(&self->kept, 10);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	/* The queue is empty, no other packet comes. */
	ASSERT_EQ(0, set_limits(fd, 1, DIVERT_POLICY_PASS, 0));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(1, counted(&self->kept.before, "held_released"));
}

TEST_F(one, O7_close_loses_or_passes)
{
	int i, fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	kept_send(&self->kept, 10);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	close(fd);
	EXPECT_EQ(1, counted(&self->kept.before, "held_lost"));

	fd = kept_socket(AF_INET, PORT);
	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, set_limits(fd, 0, 0, DIVERT_POLICY_PASS));
	for (i = 0; i < 4; i++)
		kept_send(&self->kept, 10 + i);
	for (i = 0; i < 2; i++)
		ASSERT_LT(0, kept_read(fd, &self->taken));
	close(fd);
	/* In order, what was read first */
	for (i = 0; i < 4; i++)
		EXPECT_EQ(10 + i, kept_arrives(&self->kept));
	EXPECT_EQ(2, counted(&self->kept.before, "held_released"));
	EXPECT_EQ(2, counted(&self->kept.before, "released"));
}

TEST_F(one, O7_kill_passes)
{
	int fd = self->kept.fd, status;
	pid_t child;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, set_limits(fd, 0, 0, DIVERT_POLICY_PASS));
	child = fork();
	if (!child) {
		kept_read(fd, &self->taken);
		pause();
		_exit(0);
	}
	close(fd);
	kept_send(&self->kept, 10);
	EXPECT_TRUE(wait_counted(&self->kept.before, "held", 1));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(1, counted(&self->kept.before, "held_released"));
}

TEST_F(one, O7_shutdown)
{
	int fd = self->kept.fd;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	kept_send(&self->kept, 10);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	ASSERT_EQ(0, shutdown(fd, SHUT_RD));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	ASSERT_EQ(0, shutdown(fd, SHUT_WR));
	signal(SIGPIPE, SIG_IGN);
	EXPECT_EQ(-EPIPE, kept_verdict(fd, &self->taken, 0));
}

TEST_F(one, O7_ids_are_the_sockets_own)
{
	int fd = self->kept.fd, other = kept_socket(AF_INET, PORT + 1);

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	kept_send(&self->kept, 10);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	/* One that keeps none, one that has kept none */
	EXPECT_EQ(-ENOENT, kept_verdict(other, &self->taken, 0));
	ASSERT_EQ(0, hold_headers(other, HEADERS, 0));
	EXPECT_EQ(-ENOENT, kept_verdict(other, &self->taken, 0));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(10, kept_arrives(&self->kept));
}

TEST_F(one, O7_peek_keeps_nothing)
{
	struct timespec peeked = { }, read = { };
	char control[512];
	struct iovec iov = { self->taken.packet.data, 100 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd = self->kept.fd, i;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	kept_send(&self->kept, 100);
	ASSERT_TRUE(wait_readable(fd));
	for (i = 0; i < 2; i++) {
		msg.msg_controllen = sizeof(control);
		ASSERT_EQ(HEADERS, recvmsg(fd, &msg, i ? 0 : MSG_PEEK));
		EXPECT_EQ(i, counted(&self->kept.before, "held"));
		for (cmsg = CMSG_FIRSTHDR(&msg); cmsg;
		     cmsg = CMSG_NXTHDR(&msg, cmsg)) {
			if (cmsg->cmsg_level == SOL_SOCKET)
				memcpy(i ? &read : &peeked, CMSG_DATA(cmsg),
				       sizeof(read));
			else
				memcpy(&self->taken.info, CMSG_DATA(cmsg),
				       sizeof(self->taken.info));
		}
		EXPECT_EQ(i, !!(self->taken.info.flags & DIVERT_INFO_HELD));
	}
	EXPECT_NE(0, read.tv_sec);
	EXPECT_EQ(0, memcmp(&peeked, &read, sizeof(read)));
	EXPECT_EQ(0, kept_verdict(fd, &self->taken, 0));
	EXPECT_EQ(100, kept_arrives(&self->kept));
}

/* A copy is none to keep, however it is read. */
TEST_F(one, O7_copies_are_not_kept)
{
	int fd = divert_socket();

	ASSERT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_TEE, 1));
	ASSERT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_INFO, 1));
	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	ASSERT_EQ(0, divert_bind(fd, PORT));
	close(self->kept.fd);

	kept_send(&self->kept, PAYLOAD);
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
	ASSERT_EQ(HEADERS, kept_read(fd, &self->taken));
	EXPECT_TRUE(self->taken.info.flags & DIVERT_INFO_TEE);
	EXPECT_FALSE(self->taken.info.flags & DIVERT_INFO_HELD);
	EXPECT_EQ(28 + PAYLOAD, (int)self->taken.info.len);
	EXPECT_EQ(0, counted(&self->kept.before, "held"));
}

TEST_F(one, O7_members_of_a_port)
{
	int i, n = 0, fd[2];

	close(self->kept.fd);
	for (i = 0; i < 2; i++) {
		fd[i] = divert_socket();
		ASSERT_EQ(0, set_int(fd[i], SOL_SOCKET, SO_REUSEPORT, 1));
		ASSERT_EQ(0, set_int(fd[i], SOL_DIVERT, DIVERT_INFO, 1));
		ASSERT_EQ(0, hold_headers(fd[i], HEADERS, 0));
		ASSERT_EQ(0, divert_bind(fd[i], PORT));
	}
	for (i = 0; i < 16; i++) {
		close(self->kept.tx);
		self->kept.tx = udp_open(NULL, 0);
		kept_send(&self->kept, 10);
	}
	for (i = 0; i < 2; i++) {
		for (; readable(fd[i]); n++)
			ASSERT_LT(0, kept_read(fd[i], &self->taken));
		EXPECT_LT(0, n);
		EXPECT_EQ(0, kept_verdict(fd[i], &self->taken,
					  DIVERT_VERDICT_UPTO));
	}
	EXPECT_EQ(16, n);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(10, kept_arrives(&self->kept));
}

TEST_HARNESS_MAIN
