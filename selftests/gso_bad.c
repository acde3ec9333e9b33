// SPDX-License-Identifier: GPL-2.0
/*
 * DIVERT_GSO: what does not fit the packet is refused.
 *
 * Proves that no control message has the kernel do what the packet is not fit
 * for, by listing what may be wrong, and by chance.
 *
 * TIMEOUT=600
 */

#include <netinet/ip6.h>
#include <stdio.h>

#include "gso_test.h"
#include "kselftest_harness.h"

FIXTURE(offload)
{
	int fd;
	int wire;
	struct sockaddr_in out;
	struct sockaddr_in in;
};

FIXTURE_SETUP(offload)
{
	self->wire = topology(1500);
	self->fd = gso_open(PORT);
	self->out = divert_address("0.0.0.0", 0, "");
	self->in = divert_address("10.1.0.1", 0, "d0");
}

FIXTURE_TEARDOWN(offload)
{
}

static const struct shape tcp4 = { AF_INET, IPPROTO_TCP, false, 20000 };
static const struct shape tcp6 = { AF_INET6, IPPROTO_TCP, false, 20000 };
static const struct shape udp4 = { AF_INET, IPPROTO_UDP, false, 20000 };
static const struct shape udp6 = { AF_INET6, IPPROTO_UDP, false, 20000 };
static const struct shape udp4_short = { AF_INET, IPPROTO_UDP, false, 1000 };
static const struct shape ext6 = { AF_INET6, IPPROTO_TCP, true, 20000 };

#define NEEDS_CSUM	VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCPV4		VIRTIO_NET_HDR_GSO_TCPV4
#define TCPV6		VIRTIO_NET_HDR_GSO_TCPV6
#define ECN		VIRTIO_NET_HDR_GSO_ECN
#define UDP_L4		VIRTIO_NET_HDR_GSO_UDP_L4

/* Headers that are right are { NEEDS_CSUM, type, hdr_len, size, start, offset }. */
static const struct {
	const char *what;
	const struct shape *shape;
	struct virtio_net_hdr vnet;
} bad_headers[] = {
	{ "unknown flag", &tcp4, { NEEDS_CSUM | 4, TCPV4, 0, 1000, 20, 16 } },
	{ "all flags", &tcp4, { 0xff, TCPV4, 0, 1000, 20, 16 } },
	{ "flag alone", &udp4_short, { 0x80, 0, 0, 0, 0, 0 } },
	{ "hdr_len", &tcp4, { NEEDS_CSUM, TCPV4, 20041, 1000, 20, 16 } },
	{ "hdr_len alone", &udp4_short, { 0, 0, 0xffff, 0, 0, 0 } },
	{ "no checksum", &tcp4, { 0, TCPV4, 0, 1000, 20, 16 } },
	{ "no checksum, valid", &tcp4, { 2, TCPV4, 0, 1000, 20, 16 } },
	{ "ECN of nothing", &tcp4, { NEEDS_CSUM, ECN, 0, 1000, 20, 16 } },
	{ "unknown type", &tcp4, { NEEDS_CSUM, 2, 0, 1000, 20, 16 } },
	{ "UFO", &udp4, { NEEDS_CSUM, 3, 0, 1000, 20, 6 } },
	{ "UDP with ECN", &udp4, { NEEDS_CSUM, UDP_L4 | ECN, 0, 1000, 20, 6 } },
	{ "TCPV6 over IPv4", &tcp4, { NEEDS_CSUM, TCPV6, 0, 1000, 20, 16 } },
	{ "TCPV4 over IPv6", &tcp6, { NEEDS_CSUM, TCPV4, 0, 1000, 40, 16 } },
	{ "TCPV4 of UDP", &udp4, { NEEDS_CSUM, TCPV4, 0, 1000, 20, 6 } },
	{ "TCPV6 of UDP", &udp6, { NEEDS_CSUM, TCPV6, 0, 1000, 40, 6 } },
	{ "UDP of TCP", &tcp4, { NEEDS_CSUM, UDP_L4, 0, 1000, 20, 16 } },
	{ "size 0", &tcp4, { NEEDS_CSUM, TCPV4, 0, 0, 20, 16 } },
	{ "size 1", &tcp4, { NEEDS_CSUM, TCPV4, 0, 1, 20, 16 } },
	{ "size 7", &tcp6, { NEEDS_CSUM, TCPV6, 0, 7, 40, 16 } },
	{ "size 0, UDP", &udp4, { NEEDS_CSUM, UDP_L4, 0, 0, 20, 6 } },
	{ "too many segments", &udp4, { NEEDS_CSUM, UDP_L4, 0, 100, 20, 6 } },
	{ "start - 1", &tcp4, { NEEDS_CSUM, TCPV4, 0, 1000, 19, 16 } },
	{ "start + 1", &tcp4, { NEEDS_CSUM, 0, 0, 0, 21, 16 } },
	{ "start 0", &tcp4, { NEEDS_CSUM, 0, 0, 0, 0, 10 } },
	{ "start at end", &tcp4, { NEEDS_CSUM, 0, 0, 0, 20040, 16 } },
	{ "start behind", &tcp4, { NEEDS_CSUM, 0, 0, 0, 0xffff, 16 } },
	{ "same place", &tcp4, { NEEDS_CSUM, 0, 0, 0, 18, 18 } },
	{ "offset of UDP", &tcp4, { NEEDS_CSUM, TCPV4, 0, 1000, 20, 6 } },
	{ "offset of TCP", &udp4_short, { NEEDS_CSUM, 0, 0, 0, 20, 16 } },
	{ "offset behind", &tcp4, { NEEDS_CSUM, 0, 0, 0, 20, 0xffff } },
	{ "start at extension", &ext6, { NEEDS_CSUM, TCPV6, 0, 1000, 40, 16 } },
};

TEST_F(offload, O3_header_does_not_fit)
{
	struct counters before;
	int i;

	counters_read(&before);
	for (i = 0; i < ARRAY_LEN(bad_headers); i++) {
		make(bad_headers[i].shape);
		EXPECT_EQ(-EINVAL, write_whole(self->fd, &bad_headers[i].vnet,
					       &self->out)) {
			TH_LOG("sent: %s", bad_headers[i].what);
		}
		EXPECT_EQ(-EINVAL, write_whole(self->fd, &bad_headers[i].vnet,
					       &self->in)) {
			TH_LOG("received: %s", bad_headers[i].what);
		}
	}
	EXPECT_EQ(2 * ARRAY_LEN(bad_headers), counted_only(&before, "einval"));
}

/* A byte of a good packet that makes its good header a bad one. */
static const struct {
	const char *what;
	const struct shape *shape;
	int at;
	__u8 value;
} bad_packets[] = {
	{ "more fragments", &tcp4, 6, 0x20 },
	{ "later fragment", &tcp4, 7, 0x01 },
	{ "other protocol", &tcp4, 9, IPPROTO_UDPLITE },
	{ "UDP instead", &tcp4, 9, IPPROTO_UDP },
	{ "ESP", &tcp6, 6, IPPROTO_ESP },
	{ "fragment header", &ext6, 6, IPPROTO_FRAGMENT },
	{ "AH", &ext6, 6, IPPROTO_AH },
	{ "no next header", &tcp6, 6, IPPROTO_NONE },
	{ "extension behind", &ext6, 41, 255 },
	{ "longer extension", &ext6, 41, 3 },
	{ "extensions instead", &tcp6, 6, IPPROTO_DSTOPTS },
	{ "TCP header of 16 bytes", &tcp4, 32, 0x40 },
	{ "TCP header of 0 bytes", &tcp6, 52, 0x00 },
	{ "UDP length", &udp4, 25, 0x00 },
	{ "UDP length 0", &udp6, 44, 0x00 },
};

TEST_F(offload, O3_packet_does_not_fit)
{
	struct virtio_net_hdr vnet;
	int i;

	for (i = 0; i < ARRAY_LEN(bad_packets); i++) {
		vnet = header(bad_packets[i].shape, 1000);
		make(bad_packets[i].shape);
		packet.data[bad_packets[i].at] = bad_packets[i].value;
		EXPECT_EQ(-EINVAL, write_whole(self->fd, &vnet, &self->out)) {
			TH_LOG("sent: %s", bad_packets[i].what);
		}
		EXPECT_EQ(-EINVAL, write_whole(self->fd, &vnet, &self->in)) {
			TH_LOG("received: %s", bad_packets[i].what);
		}
	}
}

/* TCP's options, or TCP itself, do not fit in the packet. */
TEST_F(offload, O3_header_longer_than_the_packet)
{
	struct shape shape = tcp4;
	struct virtio_net_hdr vnet = header(&tcp4, 1000);
	int len;

	shape.payload = 39;
	vnet.hdr_len = 0;
	make(&shape);
	packet.data[32] = 0xf0;
	EXPECT_EQ(-EINVAL, write_whole(self->fd, &vnet, &self->out));

	shape.payload = 40;
	make(&shape);
	packet.data[32] = 0xf0;
	EXPECT_EQ(packet.len, write_whole(self->fd, &vnet, &self->out));

	for (len = 20; len < 40; len++) {
		make(&shape);
		packet.len = len;
		packet.ip.tot_len = htons(len);
		EXPECT_EQ(-EINVAL, write_whole(self->fd, &vnet, &self->out));
	}
}

/* Puts @n extension headers, all of them right, into packet. */
static int extend(int n)
{
	struct ip6_hdr *ip6 = (struct ip6_hdr *)packet.data;
	int i, end = sizeof(*ip6) + 8 * n;

	memmove(packet.data + end, ip6 + 1, packet.len - sizeof(*ip6));
	packet.len += 8 * n;
	ip6->ip6_plen = htons(packet.len - sizeof(*ip6));
	ip6->ip6_nxt = IPPROTO_DSTOPTS;
	for (i = sizeof(*ip6); i < end; i += 8)
		memcpy(packet.data + i,
		       (__u8[]){ IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0 }, 8);
	packet.data[end - 8] = IPPROTO_TCP;
	return end;
}

TEST_F(offload, O3_headers_have_a_limit)
{
	struct virtio_net_hdr vnet = header(&tcp6, 500);

	vnet.hdr_len = 0;
	make(&tcp6);
	vnet.csum_start = extend(100);
	EXPECT_EQ(packet.len, write_whole(self->fd, &vnet, &self->out));
	make(&tcp6);
	vnet.csum_start = extend(255);
	EXPECT_EQ(-EINVAL, write_whole(self->fd, &vnet, &self->out));
}

TEST_F(offload, O3_W8_length_of_the_message)
{
	struct virtio_net_hdr vnet[4] = { header(&udp4_short, 0) };
	int len;

	make(&udp4_short);
	for (len = 0; len < (int)sizeof(vnet); len++)
		EXPECT_EQ(len == (int)sizeof(vnet[0]) ? packet.len : -EINVAL,
			  write_bytes(self->fd, vnet, len, &self->out)) {
			TH_LOG("%d bytes", len);
		}
	EXPECT_TRUE(arrived(self->wire, &udp4_short, 1, packet.len));
}

/* Chance */

#define TRIES		6000

static int below(int n)
{
	return random() % n;
}

static void random_shape(struct shape *shape)
{
	shape->family = below(2) ? AF_INET6 : AF_INET;
	shape->protocol = below(2) ? IPPROTO_TCP : IPPROTO_UDP;
	shape->extended = below(2);
	shape->payload = below(below(2) ? 64 : 6000);
}

/* Mostly not far from what is right. */
static void random_header(struct virtio_net_hdr *vnet)
{
	__u8 *bytes = (__u8 *)vnet;
	int n = below(4);

	vnet->gso_size = below(4) ? 1 + below(1400) : below(65536);
	while (n--) {
		if (below(2))
			bytes[below(sizeof(*vnet))] = below(256);
		else
			bytes[below(sizeof(*vnet))] ^= 1 << below(8);
	}
}

static void random_damage(void)
{
	int n = below(3) ? 0 : below(6);

	while (n--)
		packet.data[below(below(2) ? 64 : packet.len)] = below(256);
	if (!below(8))
		packet.len = 1 + below(packet.len);
}

static bool errno_documented(int err)
{
	switch (-err) {
	case EINVAL:
	case EMSGSIZE:
	case EAFNOSUPPORT:
	case EACCES:
	case ENETUNREACH:
	case EHOSTUNREACH:
		return true;
	default:
		return false;
	}
}

/* Longest packet that has arrived. */
static int drain(int fd)
{
	int len, longest = 0;

	while ((len = recv(fd, wire.data, sizeof(wire.data),
			   MSG_DONTWAIT)) > 0)
		if (len > longest)
			longest = len;
	return longest;
}

/* The kernel's log must be clean, too: whoever runs this looks. */
TEST_F(offload, O3_W1_W6_chance_finds_nothing)
{
	struct virtio_net_hdr vnet = header(&tcp4, 1000);
	int i, len, accepted = 0, refused = 0;
	struct shape shape;

	srandom(1);
	for (i = 0; i < TRIES; i++) {
		random_shape(&shape);
		make(&shape);
		vnet = header(&shape, 1);
		random_header(&vnet);
		random_damage();
		len = write_whole(self->fd, &vnet,
				  below(2) ? &self->in : &self->out);
		ASSERT_TRUE(len == packet.len || errno_documented(len)) {
			TH_LOG("try %d: %s", i, strerror(-len));
		}
		accepted += len > 0;
		refused += len == -EINVAL;
		ASSERT_GE(1500, drain(self->wire));
	}
	EXPECT_LT(TRIES / 10, accepted);
	EXPECT_LT(TRIES / 10, refused);

	make(&tcp4);
	vnet = header(&tcp4, 1000);
	drain(self->wire);
	EXPECT_EQ(packet.len, write_whole(self->fd, &vnet, &self->out));
	EXPECT_TRUE(arrived(self->wire, &tcp4, 20, 1040));
}

TEST_HARNESS_MAIN
