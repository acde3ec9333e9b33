// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that are read whole and get their old place when they come back (O9):
 * what is the same as without, what is better, and what takes the ordinary way.
 *
 * TIMEOUT=600
 */

#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "kept.h"
#include "kselftest_harness.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

#define PAYLOAD	500

FIXTURE(inplace)
{
	struct kept kept;
	struct taken taken;
	int fd;
};

FIXTURE_VARIANT(inplace)
{
	const char *hook;
	int family;
	int socket;
};

KEPT_VARIANTS(inplace)

FIXTURE_SETUP(inplace)
{
	kept_open(&self->kept, variant->family, variant->socket, variant->hook);
	self->fd = self->kept.fd;
}

FIXTURE_TEARDOWN(inplace)
{
	EXPECT_FALSE(readable(self->kept.rx));
}

static int set_mode(int fd, int mode)
{
	return set_int(fd, SOL_DIVERT, DIVERT_INPLACE, mode);
}

static long injected(const struct counters *before)
{
	return counted(before, "inject_in") + counted(before, "inject_out");
}

static int write_back(int fd, const struct taken *taken)
{
	return kept_write(fd, taken->packet.data, taken->packet.len,
			  &taken->from, NULL);
}

/* In every mode the reader and the receiver see the same. */
TEST_F(inplace, O9_what_comes_back)
{
	int len = (variant->family == AF_INET6 ? 48 : 28) + PAYLOAD, mode;

	for (mode = 0; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		counters_read(&self->kept.before);
		kept_send(&self->kept, PAYLOAD);
		ASSERT_EQ(len, kept_read(self->fd, &self->taken));
		EXPECT_EQ(0, self->taken.info.flags & DIVERT_INFO_HELD);
		EXPECT_EQ(0, self->taken.info.flags & DIVERT_INFO_CSUM_PARTIAL);
		if (variant->family == AF_INET)
			EXPECT_TRUE(packet_valid(&self->taken.packet));
		EXPECT_EQ(len, write_back(self->fd, &self->taken));
		EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
		EXPECT_FALSE(readable(self->fd));
		EXPECT_EQ(!!mode, counted(&self->kept.before, "held"));
		EXPECT_EQ(!!mode, counted(&self->kept.before, "held_passed"));
		EXPECT_EQ(!mode, injected(&self->kept.before));

		/* Once more: a packet of its own */
		EXPECT_EQ(len, write_back(self->fd, &self->taken));
		EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
		EXPECT_EQ(!mode + 1, injected(&self->kept.before));
	}
}

/* The sum of what is written is the writer's, as ever. */
static void flip_payload(struct taken *taken)
{
	__u8 *udp = taken->packet.data + taken_hlen(taken);

	udp[8] ^= 0xff;
	udp[9] ^= 0xff;
	udp[10] ^= 0xff;
	udp[11] ^= 0xff;
	/* None of these bytes' sum is 0 or -1: no sum would do. */
	if (taken_is6(taken))
		return;
	udp[6] = 0;
	udp[7] = 0;
}

TEST_F(inplace, O9_changed_bytes_go_in)
{
	__u8 data[PAYLOAD], expected[4];
	int mode, i;

	for (mode = 0; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		counters_read(&self->kept.before);
		kept_send(&self->kept, PAYLOAD);
		ASSERT_LT(0, kept_read(self->fd, &self->taken));
		flip_payload(&self->taken);
		*taken_ttl(&self->taken) = 3;
		for (i = 0; i < 4; i++)
			expected[i] = (i * 7) ^ 0xff;
		if (variant->family == AF_INET)
			packet_sum(&self->taken.packet);
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		EXPECT_EQ(!!mode, counted(&self->kept.before, "held_passed"));
		/* IPv6 wants a sum: this one is wrong, in every mode. */
		if (variant->family == AF_INET6) {
			EXPECT_FALSE(readable(self->kept.rx));
			continue;
		}
		EXPECT_EQ(PAYLOAD, udp_receive(self->kept.rx, data,
					       sizeof(data)));
		EXPECT_EQ(0, memcmp(data, expected, 4));
	}
}

/* 1: later rules see the packet, as they do if it is written. 2: they do not. */
TEST_F(inplace, O9_later_rules)
{
	int second = kept_socket(variant->socket, PORT + 1), mode;

	nft_load("flush ruleset\n");
	kept_rules(variant->hook, 2);
	for (mode = 0; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		ASSERT_EQ(0, set_mode(second, mode));
		counters_read(&self->kept.before);
		kept_send(&self->kept, PAYLOAD);
		ASSERT_LT(0, kept_read(self->fd, &self->taken));
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		if (mode < 2) {
			ASSERT_LT(0, kept_read(second, &self->taken));
			EXPECT_EQ(COOKIE + 1, self->taken.info.cookie);
			EXPECT_FALSE(readable(self->kept.rx));
			EXPECT_LT(0, write_back(second, &self->taken));
		}
		EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
		EXPECT_FALSE(readable(self->fd));
		EXPECT_FALSE(readable(second));
		EXPECT_EQ(mode ? 0 : 2, injected(&self->kept.before));
	}
}

/* A cookie is a verdict, in 2, too. */
TEST_F(inplace, O9_changed_cookie)
{
	int second = kept_socket(variant->socket, PORT + 1), mode, i;

	nft_load("flush ruleset\n");
	kept_rules(variant->hook, 2);
	for (mode = 0; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		for (i = 0; i < 2; i++) {
			kept_send(&self->kept, PAYLOAD);
			ASSERT_LT(0, kept_read(self->fd, &self->taken));
			/* Back to before its rule, or behind all of them */
			self->taken.from.v4.sin_port = i ? COOKIE - 1 :
							   COOKIE + 1;
			EXPECT_LT(0, write_back(self->fd, &self->taken));
			if (i) {
				EXPECT_FALSE(readable(self->kept.rx));
				ASSERT_LT(0, kept_read(self->fd, &self->taken));
				self->taken.from.v4.sin_port = COOKIE + 1;
				EXPECT_LT(0, write_back(self->fd,
							&self->taken));
			}
			EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
			EXPECT_FALSE(readable(second));
		}
	}
}

/* Not what was kept: the packet takes the ordinary way, whatever it has in
 * common with that.
 */
TEST_F(inplace, O9_readdressed)
{
	union address other = lo_address(variant->family, 2);
	int rx = lo_listen(variant->family, 2), mode;

	for (mode = 1; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		counters_read(&self->kept.before);
		kept_send(&self->kept, PAYLOAD);
		ASSERT_LT(0, kept_read(self->fd, &self->taken));
		taken_set_daddr(&self->taken, &other);
		/* Without a sum IPv6 would not take it: only see it go. */
		if (variant->family == AF_INET) {
			packet_udp(&self->taken.packet)->check = 0;
			packet_sum(&self->taken.packet);
		}
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		EXPECT_EQ(1, injected(&self->kept.before));
		EXPECT_EQ(0, counted(&self->kept.before, "held_passed"));
		if (variant->family == AF_INET)
			EXPECT_EQ(PAYLOAD, kept_received(rx));
	}
}

/* As Suricata does: the last address for several packets. */
TEST_F(inplace, O9_mixed_addresses)
{
	static struct taken other;
	int mode;

	for (mode = 1; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		counters_read(&self->kept.before);
		kept_send(&self->kept, PAYLOAD);
		kept_send(&self->kept, PAYLOAD);
		kept_send(&self->kept, PAYLOAD + 1);
		ASSERT_LT(0, kept_read(self->fd, &self->taken));
		ASSERT_LT(0, kept_read(self->fd, &other));
		self->taken.from = other.from;
		ASSERT_LT(0, kept_read(self->fd, &other));
		/* The second's: another IPv4 id. IPv6 cannot tell, and need
		 * not: the bytes are all that differs.
		 */
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		other.from = self->taken.from;
		EXPECT_LT(0, write_back(self->fd, &other));
		EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
		EXPECT_EQ(PAYLOAD + 1, kept_arrives(&self->kept));
		EXPECT_EQ(2, injected(&self->kept.before) +
			     counted(&self->kept.before, "held_passed"));
		EXPECT_LE(1, injected(&self->kept.before));
	}
}

/* Options of the writing socket say how packets are written. */
TEST_F(inplace, O9_socket_with_a_mark)
{
	int mode;

	for (mode = 1; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		ASSERT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_MARK, 1));
		counters_read(&self->kept.before);
		kept_send(&self->kept, PAYLOAD);
		ASSERT_LT(0, kept_read(self->fd, &self->taken));
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
		EXPECT_EQ(1, injected(&self->kept.before));
	}
}

/* Longer than the link's packets: in pieces on the wire, whole to the reader */
TEST_F(inplace, O9_fragments)
{
	int mode;

	ip_batch("link set lo mtu 1500\n");
	for (mode = 0; mode <= 2; mode++) {
		ASSERT_EQ(0, set_mode(self->fd, mode));
		counters_read(&self->kept.before);
		kept_send(&self->kept, 4000);
		ASSERT_LT(4000, kept_read(self->fd, &self->taken));
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		EXPECT_EQ(4000, kept_arrives(&self->kept));
		EXPECT_EQ(!!mode, counted(&self->kept.before, "held_passed"));
	}
}

FIXTURE(one)
{
	struct kept kept;
	struct taken taken;
	int fd;
};

FIXTURE_SETUP(one)
{
	kept_open(&self->kept, AF_INET, AF_INET, "output");
	self->fd = self->kept.fd;
}

FIXTURE_TEARDOWN(one)
{
	EXPECT_FALSE(readable(self->kept.rx));
}

TEST_F(one, O9_option)
{
	int fd = divert_socket();

	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_INPLACE));
	EXPECT_EQ(-EINVAL, set_mode(fd, -1));
	EXPECT_EQ(-EINVAL, set_mode(fd, 3));
	EXPECT_EQ(0, set_mode(fd, 2));
	EXPECT_EQ(2, get_int(fd, SOL_DIVERT, DIVERT_INPLACE));
	EXPECT_EQ(0, set_mode(fd, 0));
	EXPECT_EQ(-1, setsockopt(fd, SOL_DIVERT, DIVERT_INPLACE, "", 1));
	EXPECT_EQ(EINVAL, errno);
}

/* For programs that know nothing of it */
TEST_F(one, O9_default_of_the_namespace)
{
	int fd;

	EXPECT_EQ(-EINVAL, sysctl_write(DIVERT_SYSCTL("in_place"), "3"));
	EXPECT_EQ(-EINVAL, sysctl_write(DIVERT_SYSCTL("in_place"), "-1"));
	ASSERT_EQ(0, sysctl_write(DIVERT_SYSCTL("in_place"), "2"));
	EXPECT_EQ(0, get_int(self->fd, SOL_DIVERT, DIVERT_INPLACE));
	close(self->fd);
	fd = divert_socket();
	EXPECT_EQ(2, get_int(fd, SOL_DIVERT, DIVERT_INPLACE));
	ASSERT_EQ(0, divert_bind(fd, PORT));
	kept_send(&self->kept, PAYLOAD);
	ASSERT_LT(0, kept_read(fd, &self->taken));
	EXPECT_LT(0, write_back(fd, &self->taken));
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
	EXPECT_EQ(1, counted(&self->kept.before, "held_passed"));
}

/* Who does not see the address cannot give it back. */
TEST_F(one, O9_read_without_address)
{
	ASSERT_EQ(0, set_mode(self->fd, 2));
	kept_send(&self->kept, PAYLOAD);
	ASSERT_TRUE(wait_readable(self->fd));
	EXPECT_EQ(528, read(self->fd, self->taken.packet.data, 1000));
	EXPECT_EQ(0, counted(&self->kept.before, "held"));
	EXPECT_EQ(528, write(self->fd, self->taken.packet.data, 528));
	ASSERT_EQ(528, kept_read(self->fd, &self->taken));
	self->taken.from.v4.sin_port = DIVERT_COOKIE_LAST;
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
}

TEST_F(one, O9_evicted)
{
	struct divert_hold hold = { .size = sizeof(hold), .packets = 1 };
	static struct taken other;

	ASSERT_EQ(0, set_hold(self->fd, &hold));
	ASSERT_EQ(0, set_mode(self->fd, 2));
	ASSERT_EQ(0, set_limits(self->fd, 0, DIVERT_POLICY_PASS, 0));
	kept_send(&self->kept, 10);
	kept_send(&self->kept, 11);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	ASSERT_LT(0, kept_read(self->fd, &other));
	/* Its copy may come back yet, so it is not passed. */
	EXPECT_EQ(1, counted(&self->kept.before, "held_lost"));
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(10, kept_arrives(&self->kept));
	EXPECT_EQ(1, injected(&self->kept.before));
	EXPECT_LT(0, write_back(self->fd, &other));
	EXPECT_EQ(11, kept_arrives(&self->kept));
	EXPECT_EQ(1, counted(&self->kept.before, "held_passed"));
}

TEST_F(one, O9_shorter)
{
	struct packet *packet = &self->taken.packet;

	ASSERT_EQ(0, set_mode(self->fd, 2));
	kept_send(&self->kept, PAYLOAD);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	packet_make(packet, LOOP, LOOP, PAYLOAD - 1);
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(1, injected(&self->kept.before));
	EXPECT_EQ(PAYLOAD - 1, kept_arrives(&self->kept));
}

/* Neither taps nor what lies before the rules meet it twice. */
TEST_F(one, O9_met_once)
{
	static const char * const hook[] = { "output", "postrouting",
					     "prerouting" };
	int i, tap = capture_open("lo");

	for (i = 0; i < 6; i++) {
		nft_load("flush ruleset\n"
			 "table ip t {\n"
			 " counter met { }\n"
			 " chain o { type filter hook output priority -250;"
			 " udp dport %d counter name met; }\n"
			 " chain i { type filter hook prerouting priority -250;"
			 " udp dport %d counter name met; }\n"
			 "}\n", UDP_PORT, UDP_PORT);
		kept_rules(hook[i / 2], 1);
		ASSERT_EQ(0, set_mode(self->fd, 1 + i % 2));
		kept_send(&self->kept, PAYLOAD);
		ASSERT_LT(0, kept_read(self->fd, &self->taken));
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
		EXPECT_EQ(i + 1, counted(&self->kept.before, "held_passed"));
		/* Sent, received */
		EXPECT_LT(0, capture_read(tap, &self->taken.packet, NULL, NULL));
		EXPECT_LT(0, capture_read(tap, &self->taken.packet, NULL, NULL));
		EXPECT_FALSE(readable(tap));
		EXPECT_EQ(2, nft_packets("met"));
	}
}

/* A send that is a flow's first is one to conntrack, whose entry of it belongs to
 * one packet: its segments are not kept but take the ordinary way, but for the
 * last one, which has it for itself. Those of the next send are.
 */
TEST_F(one, O9_segments_of_a_new_flow)
{
	int i, n;

	nft_load("table ip t {\n"
		 " counter new { }\n"
		 " chain c {\n"
		 "  type filter hook output priority 0;\n"
		 "  udp dport %d ct state new counter name new\n"
		 " }\n"
		 "}\n", UDP_PORT);
	if (set_int(self->kept.tx, IPPROTO_UDP, UDP_SEGMENT, 256))
		SKIP(return, "no UDP_SEGMENT here");
	ASSERT_EQ(0, set_mode(self->fd, DIVERT_INPLACE_BEHIND));
	for (i = 0; i < 2; i++) {
		kept_send(&self->kept, 768);
		for (n = 0; n < 3; n++) {
			ASSERT_EQ(284, kept_read(self->fd, &self->taken));
			ASSERT_EQ(284, write_back(self->fd, &self->taken));
			EXPECT_EQ(256, kept_arrives(&self->kept));
		}
		EXPECT_EQ(1 + 3 * i, counted(&self->kept.before, "held_passed"));
		EXPECT_EQ(2, counted(&self->kept.before, "inject_out"));
	}
	EXPECT_LT(0, nft_packets("new"));
}

/* From another socket, and by one that is not bound */
TEST_F(one, O9_other_writers)
{
	int other = divert_socket();

	ASSERT_EQ(0, set_mode(self->fd, 2));
	ASSERT_EQ(0, set_mode(other, 2));
	kept_send(&self->kept, PAYLOAD);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	EXPECT_LT(0, write_back(other, &self->taken));
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
	EXPECT_EQ(1, injected(&self->kept.before));
}

/* Its address has no room: what its sender is bound to is there. */
TEST_F(one, O9_bound_sender)
{
	ASSERT_EQ(0, set_mode(self->fd, 2));
	ASSERT_EQ(0, setsockopt(self->kept.tx, SOL_SOCKET, SO_BINDTODEVICE,
				"lo", 2));
	kept_send(&self->kept, PAYLOAD);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	EXPECT_EQ(0, counted(&self->kept.before, "held"));
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(PAYLOAD, kept_arrives(&self->kept));
	EXPECT_EQ(1, injected(&self->kept.before));
}

/* The sender's fwmark survives even where the ordinary way is taken. */
TEST_F(one, O9_senders_mark)
{
	ip_batch("route add blackhole 10.9.9.9\n"
		 "rule add fwmark 5 table 100\n"
		 "route add 10.9.9.9 dev lo table 100\n");
	ASSERT_EQ(0, set_mode(self->fd, 2));
	ASSERT_EQ(0, set_int(self->kept.tx, SOL_SOCKET, SO_MARK, 5));
	udp_send(self->kept.tx, "10.9.9.9", PAYLOAD);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(1, counted(&self->kept.before, "held_passed"));
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(1, counted(&self->kept.before, "inject_out"));
}

/* Received by a device with this name and index */
FIXTURE(device)
{
	struct taken taken;
	struct counters before;
	int peer;
	int here;
	int fd;
	int rx;
};

FIXTURE_VARIANT(device)
{
	const char *name;
	int ifindex;	/* 0: any */
	int socket;
	bool kept;
};

FIXTURE_VARIANT_ADD(device, short_name)
{ .name = "d123", .socket = AF_INET, .kept = true };
FIXTURE_VARIANT_ADD(device, long_name)
{ .name = "d1234", .socket = AF_INET, .kept = true };
FIXTURE_VARIANT_ADD(device, longest_name)
{ .name = "d12345678901234", .ifindex = 999, .socket = AF_INET, .kept = true };
FIXTURE_VARIANT_ADD(device, large_index)
{ .name = "d123", .ifindex = 1000, .socket = AF_INET, .kept = true };
FIXTURE_VARIANT_ADD(device, no_room)
{ .name = "d1234", .ifindex = 1000, .socket = AF_INET, .kept = false };
FIXTURE_VARIANT_ADD(device, ipv6)
{ .name = "d12345678901234", .ifindex = 1000, .socket = AF_INET6, .kept = true };

FIXTURE_SETUP(device)
{
	char index[32] = "";

	ns_new();
	self->here = ns_open();
	if (variant->ifindex)
		snprintf(index, sizeof(index), "index %d", variant->ifindex);
	self->peer = veth_new();
	ip_batch("link delete v0\n");
	ip_batch("link add name %s %s type veth peer v1 netns /proc/%d/fd/%d\n"
		 "address add 10.0.0.1/24 dev %s\n"
		 "link set %s up\n",
		 variant->name, index, getpid(), self->peer, variant->name,
		 variant->name);
	ns_enter(self->peer);
	ip_batch("address add 10.0.0.2/24 dev v1\n"
		 "link set v1 up\n");
	ns_enter(self->here);

	self->fd = kept_socket(variant->socket, PORT);
	ASSERT_EQ(0, set_mode(self->fd, 2));
	self->rx = udp_open("10.0.0.1", 0);
	kept_rules("prerouting", 1);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_FALSE(readable(self->rx));
}

static void send_from_peer(int peer, int here)
{
	int tx;

	ns_enter(peer);
	tx = udp_open(NULL, 0);
	udp_send(tx, "10.0.0.1", PAYLOAD);
	close(tx);
	ns_enter(here);
}

TEST_F(device, O9_names)
{
	int i;

	send_from_peer(self->peer, self->here);
	ASSERT_EQ(28 + PAYLOAD, kept_read(self->fd, &self->taken));
	EXPECT_STREQ(variant->name, self->taken.info.ifname);
	EXPECT_EQ(variant->kept, counted(&self->before, "held"));
	/* In place or not, and once more: each time by this device */
	for (i = 0; i < 2; i++) {
		EXPECT_LT(0, write_back(self->fd, &self->taken));
		EXPECT_EQ(PAYLOAD, kept_received(self->rx));
	}
	EXPECT_EQ(variant->kept, counted(&self->before, "held_passed"));
	EXPECT_EQ(2 - variant->kept, counted(&self->before, "inject_in"));
}

/* IP finds a wrong sum where it looks: not behind our hook. */
TEST_F(device, O9_wrong_sum_is_found)
{
	send_from_peer(self->peer, self->here);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	self->taken.packet.ip.ttl--;
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(0, counted(&self->before, "held_passed"));
	EXPECT_EQ(1, counted(&self->before, "inject_in"));
	EXPECT_FALSE(readable(self->rx));
	/* The path works. */
	packet_sum(&self->taken.packet);
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(PAYLOAD, kept_received(self->rx));
	EXPECT_EQ(variant->kept, counted(&self->before, "held_passed"));
}

/* Sent instead of received */
TEST_F(device, O9_turned_round)
{
	__be32 addr;

	send_from_peer(self->peer, self->here);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	addr = self->taken.packet.ip.saddr;
	self->taken.packet.ip.saddr = self->taken.packet.ip.daddr;
	self->taken.packet.ip.daddr = addr;
	if (variant->socket == AF_INET6)
		memset(&self->taken.from.v6.sin6_addr, 0, 16);
	else
		self->taken.from.v4.sin_addr.s_addr = 0;
	EXPECT_LT(0, write_back(self->fd, &self->taken));
	EXPECT_EQ(0, counted(&self->before, "held_passed"));
	EXPECT_EQ(1, counted(&self->before, "inject_out"));
}

TEST_F(device, O9_device_goes)
{
	send_from_peer(self->peer, self->here);
	ASSERT_LT(0, kept_read(self->fd, &self->taken));
	ip_batch("link delete %s\n", variant->name);
	EXPECT_EQ(variant->kept, counted(&self->before, "held_lost"));
	EXPECT_EQ(-EADDRNOTAVAIL, write_back(self->fd, &self->taken));
}

TEST_HARNESS_MAIN
