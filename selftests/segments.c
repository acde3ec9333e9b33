// SPDX-License-Identifier: GPL-2.0
/*
 * What cannot be made fit for reading: an aggregate, as a guest might send it,
 * that cannot be taken apart.
 *
 * TIMEOUT=120
 */

#include <linux/if_tun.h>
#include <linux/tcp.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/uio.h>

#include "inet6_test.h"
#include "kselftest_harness.h"

#define SEGMENTS	4
#define PAYLOAD		1000	/* of each */

FIXTURE(segments)
{
	int tun;
	struct counters before;
};

FIXTURE_VARIANT(segments)
{
	int family;
	int header;
};

FIXTURE_VARIANT_ADD(segments, ipv4)
{
	.family = AF_INET,
	.header = sizeof(struct iphdr),
};

FIXTURE_VARIANT_ADD(segments, ipv6)
{
	.family = AF_INET6,
	.header = sizeof(struct ip6_hdr),
};

FIXTURE_SETUP(segments)
{
	ns_new();
	self->tun = tun_new(IFF_VNET_HDR);
	ip_batch("address add fd09::1/64 dev t0 nodad\n");
	nft_load("table inet m {\n"
		 " chain p {\n"
		 "  type filter hook prerouting priority mangle;\n"
		 "  iifname t0 tcp dport 5000 meta mark set 0x1b580064\n"
		 " }\n"
		 "}\n"
		 "table inet t {\n"
		 " counter came { }\n"
		 " chain came {\n"
		 "  type filter hook prerouting priority 0;\n"
		 "  iifname t0 tcp dport 5000 counter name came\n"
		 " }\n"
		 "}\n");
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(segments)
{
}

/* The IP header of @len bytes of TCP; its length. */
static int make_header(int family, int len)
{
	if (family == AF_INET6) {
		make6("fd09::2", "fd09::1", len - sizeof(struct udphdr));
		header6(&packet)->ip6_nxt = IPPROTO_TCP;
		return sizeof(struct ip6_hdr);
	}
	packet_make(&packet, "10.0.9.2", "10.0.9.1",
		    len - sizeof(struct udphdr));
	packet.ip.protocol = IPPROTO_TCP;
	packet_sum(&packet);
	return sizeof(struct iphdr);
}

/* TCP that claims to be many segments, with a header of @doff words. */
static void receive_aggregate(int tun, int family, int doff)
{
	int len = sizeof(struct tcphdr) + SEGMENTS * PAYLOAD;
	int hlen = make_header(family, len);
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = family == AF_INET6 ? VIRTIO_NET_HDR_GSO_TCPV6 :
						 VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = PAYLOAD,
		.hdr_len = hlen + sizeof(struct tcphdr),
		.csum_start = hlen,
		.csum_offset = offsetof(struct tcphdr, check),
	};
	struct tcphdr *tcp = (struct tcphdr *)(packet.data + hlen);
	struct iovec iov[] = {
		{ &vnet, sizeof(vnet) }, { packet.data, packet.len },
	};

	memset(tcp, 0, len);
	tcp->dest = htons(UDP_PORT);
	tcp->doff = doff;
	if (writev(tun, iov, 2) != (ssize_t)sizeof(vnet) + packet.len)
		die("tun");
}

TEST_F(segments, D8_L3_nomem_when_it_cannot_be_segmented)
{
	int fd = divert_open(PORT), i;
	int len = variant->header + sizeof(struct tcphdr) + PAYLOAD;

	/* The way works. */
	receive_aggregate(self->tun, variant->family, 5);
	for (i = 0; i < SEGMENTS; i++)
		EXPECT_EQ(len, divert_read(fd, &got, NULL));
	EXPECT_FALSE(readable(fd));

	receive_aggregate(self->tun, variant->family, 4);
	EXPECT_TRUE(wait_counted(&self->before, "nomem", 1));
	EXPECT_FALSE(readable(fd));
	EXPECT_EQ(SEGMENTS, counted(&self->before, "diverted"));

	/* The socket is none the worse for it. */
	receive_aggregate(self->tun, variant->family, 5);
	EXPECT_EQ(len, divert_read(fd, &got, NULL));
}

/* The same of a copy: the packet does not care. */
TEST_F(segments, T1_copy_cannot_be_made)
{
	int fd = divert_socket();

	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_TEE, 1));
	EXPECT_EQ(0, divert_bind(fd, PORT));
	receive_aggregate(self->tun, variant->family, 4);
	EXPECT_TRUE(wait_counted(&self->before, "nomem", 1));
	EXPECT_FALSE(readable(fd));
	EXPECT_EQ(0, counted(&self->before, "teed"));
	EXPECT_EQ(1, nft_packets("came"));
}

TEST_HARNESS_MAIN
