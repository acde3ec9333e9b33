// SPDX-License-Identifier: GPL-2.0
/*
 * DIVERT_GSO: packets are read and written whole, segmentation and checksums
 * left for later.
 *
 * Proves what becomes of such packets by what arrives at the other end of a
 * link, and what their readers are told.
 *
 * TIMEOUT=600
 */

#include <linux/if_tun.h>
#include <netinet/ip6.h>

#include "gso_test.h"
#include "kselftest_harness.h"

FIXTURE(gso)
{
	int fd;			/* on PORT, reads whole */
	int writer;
	int wire;		/* sees what arrives at the peer */
	struct sockaddr_in to;
	struct shape shape;
	struct layout at;
	int gso_size;
	int segments;
	bool forwarded;		/* such packets, when they are received whole */
};

FIXTURE_VARIANT(gso)
{
	int family;
	int protocol;
	bool extended;
	bool incoming;
	int mtu;
};

FIXTURE_VARIANT_ADD(gso, tcp4_out)
{
	AF_INET, IPPROTO_TCP, false, false, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp4_in)
{
	AF_INET, IPPROTO_TCP, false, true, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp4_out_options)
{
	AF_INET, IPPROTO_TCP, true, false, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp4_in_options)
{
	AF_INET, IPPROTO_TCP, true, true, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp6_out)
{
	AF_INET6, IPPROTO_TCP, false, false, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp6_in)
{
	AF_INET6, IPPROTO_TCP, false, true, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp6_out_short)
{
	AF_INET6, IPPROTO_TCP, false, false, 1280
};

FIXTURE_VARIANT_ADD(gso, tcp6_in_short)
{
	AF_INET6, IPPROTO_TCP, false, true, 1280
};

FIXTURE_VARIANT_ADD(gso, tcp6_out_extended)
{
	AF_INET6, IPPROTO_TCP, true, false, 1500
};

FIXTURE_VARIANT_ADD(gso, tcp6_in_extended)
{
	AF_INET6, IPPROTO_TCP, true, true, 1500
};

FIXTURE_VARIANT_ADD(gso, udp4_out)
{
	AF_INET, IPPROTO_UDP, false, false, 1500
};

FIXTURE_VARIANT_ADD(gso, udp4_in)
{
	AF_INET, IPPROTO_UDP, false, true, 1500
};

FIXTURE_VARIANT_ADD(gso, udp6_out)
{
	AF_INET6, IPPROTO_UDP, false, false, 1500
};

FIXTURE_VARIANT_ADD(gso, udp6_in)
{
	AF_INET6, IPPROTO_UDP, false, true, 1500
};

/* As if a device had received packet whole. */
static void tun_write_whole(int tun, const struct shape *shape, int gso_size)
{
	static struct {
		struct virtio_net_hdr vnet;
		__u8 data[sizeof(packet.data)];
	} __attribute__((__packed__)) whole;
	int len;

	make(shape);
	whole.vnet = header(shape, gso_size);
	memcpy(whole.data, packet.data, packet.len);
	len = sizeof(whole.vnet) + packet.len;
	if (write(tun, &whole, len) != len)
		die("write to tun");
}

/* Whether the kernel forwards what a device has received whole. It takes IPv6's
 * first extension header for TCP's, and newer ones (Linux 7.1, and what that was
 * backported to) drop the packet if that is too short to be one: SKB_BAD_GSO.
 */
static bool kernel_forwards(int fd, struct shape shape, int gso_size)
{
	struct shape plain = { shape.family, shape.protocol, false, 1 };
	int tun = tun_new(IFF_VNET_HDR), packets = 0;

	shape.payload = 2 * gso_size;
	tun_write_whole(tun, &shape, gso_size);
	/* Goes the same way, behind it. */
	tun_write_whole(tun, &plain, 0);
	close(tun);

	do {
		if (!wait_readable(fd))
			die("nothing is forwarded");
		wire.len = recv(fd, wire.data, sizeof(wire.data), MSG_DONTWAIT);
		packets += wire_is(&shape);
	} while (!wire_is(&plain));
	return packets == 2;
}

FIXTURE_SETUP(gso)
{
	self->wire = topology(variant->mtu);
	self->fd = gso_open(PORT);
	self->writer = divert_socket();
	self->to = variant->incoming ? divert_address("10.1.0.1", 0, "d0") :
				       divert_address("0.0.0.0", 0, "");

	self->shape.family = variant->family;
	self->shape.protocol = variant->protocol;
	self->shape.extended = variant->extended;
	self->at = layout(&self->shape);
	self->gso_size = variant->mtu - self->at.payload;
	/* The last one is shorter; the kernel limits how many UDP may have. */
	self->segments = 40;
	self->shape.payload = self->gso_size * (self->segments - 1) + 17;
	self->forwarded = !variant->incoming || !variant->extended ||
		variant->family != AF_INET6 ||
		kernel_forwards(self->wire, self->shape, self->gso_size);
	make(&self->shape);
}

FIXTURE_TEARDOWN(gso)
{
}

/* Whatever the writer left where the checksum goes. */
TEST_F(gso, O3_W2_W3_written_whole_leaves_in_segments)
{
	struct virtio_net_hdr vnet = header(&self->shape, self->gso_size);

	if (!self->forwarded)
		SKIP(return, "the kernel drops such packets of others, too");

	/* But for IPv4 options, which may hold another destination. */
	if (!self->shape.extended || self->shape.family == AF_INET6)
		memset(packet.data + self->at.check, 0x5a, 2);

	EXPECT_EQ(packet.len, write_whole(self->writer, &vnet, &self->to));
	EXPECT_TRUE(arrived(self->wire, &self->shape, self->segments, variant->mtu));
}

/* Have packet diverted, read it whole, and write it back as it is. */
#define PASS_WHOLE(vnet) do {						\
	const struct virtio_net_hdr *_vnet = vnet;			\
	struct virtio_net_hdr _read;					\
	struct sockaddr_in _from;					\
									\
	mark_port(variant->incoming ? "prerouting" : "output",		\
		  MARK(PORT, COOKIE));					\
	ASSERT_EQ(packet.len, write_whole(self->writer, _vnet,		\
					  &self->to));			\
	ASSERT_EQ(packet.len, read_whole(self->fd, &_read, &_from));	\
	EXPECT_TRUE(packet_equal(&packet, &got));			\
	EXPECT_EQ(0, memcmp(_vnet, &_read, sizeof(_read)));		\
	EXPECT_EQ(packet.len, write_whole(self->fd, &_read, &_from));	\
} while (0)

TEST_F(gso, O3_read_whole_and_written_back)
{
	struct virtio_net_hdr vnet = header(&self->shape, self->gso_size);

	if (!self->forwarded)
		SKIP(return, "the kernel drops such packets of others, too");

	PASS_WHOLE(&vnet);
	EXPECT_TRUE(arrived(self->wire, &self->shape, self->segments, variant->mtu));
}

TEST_F(gso, O3_largest)
{
	struct virtio_net_hdr vnet = header(&self->shape, self->gso_size);
	int segments;

	if (!self->forwarded)
		SKIP(return, "the kernel drops such packets of others, too");

	self->shape.payload = 65535 - self->at.payload;
	if (variant->family == AF_INET6)
		self->shape.payload += sizeof(struct ip6_hdr);
	/* UDP's length counts its header, and has 16 bits, too. */
	if (variant->protocol == IPPROTO_UDP && self->shape.payload > 65527)
		self->shape.payload = 65527;
	segments = (self->shape.payload + self->gso_size - 1) / self->gso_size;
	make(&self->shape);

	PASS_WHOLE(&vnet);
	EXPECT_TRUE(arrived(self->wire, &self->shape, segments, variant->mtu));
}

TEST_F(gso, O3_D5_read_in_segments_without_the_option)
{
	struct virtio_net_hdr vnet = header(&self->shape, self->gso_size);
	struct virtio_net_hdr read;
	struct sockaddr_in from;
	int i;

	EXPECT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_GSO, 0));
	mark_port(variant->incoming ? "prerouting" : "output",
		  MARK(PORT, COOKIE));
	EXPECT_EQ(packet.len, write_whole(self->writer, &vnet, &self->to));
	for (i = 0; i < self->segments; i++) {
		ASSERT_GE(variant->mtu, read_whole(self->fd, &read, &from));
		EXPECT_EQ(0xff, read.flags);
		EXPECT_EQ(got.len, divert_write(self->fd, &got, &from));
	}
	EXPECT_FALSE(readable(self->fd));
	EXPECT_TRUE(arrived(self->wire, &self->shape, self->segments, variant->mtu));
}

TEST_F(gso, O3_checksum_alone)
{
	struct virtio_net_hdr vnet = header(&self->shape, 0);

	self->shape.payload = 333;
	make(&self->shape);
	PASS_WHOLE(&vnet);
	EXPECT_TRUE(arrived(self->wire, &self->shape, 1, packet.len));
}

/* What fits one segment is one. */
TEST_F(gso, O3_one_segment)
{
	struct virtio_net_hdr vnet = header(&self->shape, self->gso_size);
	int payload[] = { 0, 1, self->gso_size };
	int i;

	for (i = 0; i < ARRAY_LEN(payload); i++) {
		self->shape.payload = payload[i];
		make(&self->shape);
		EXPECT_EQ(packet.len, write_whole(self->writer, &vnet,
						  &self->to));
		EXPECT_TRUE(arrived(self->wire, &self->shape, 1, packet.len));
	}
}

/* Segments are as the sender wants them, not as the link could have them. */
TEST_F(gso, O3_W5_segments_longer_than_the_mtu)
{
	struct virtio_net_hdr vnet = header(&self->shape, self->gso_size + 1);
	int err;

	/* Forwarding takes the first extension header for TCP's. */
	if (variant->incoming && variant->extended &&
	    variant->family == AF_INET6)
		SKIP(return, "the kernel misjudges such segments");

	self->shape.payload = vnet.gso_size * 20;
	make(&self->shape);
	err = write_whole(self->writer, &vnet, &self->to);
	/* Received, the sender is told by ICMP. */
	EXPECT_EQ(variant->incoming ? packet.len : -EMSGSIZE, err);

	vnet.gso_size--;
	EXPECT_EQ(packet.len, write_whole(self->writer, &vnet, &self->to));
	EXPECT_TRUE(arrived(self->wire, &self->shape, 21, variant->mtu));
}

/* Other ways to read */

static const struct shape tcp4 = { AF_INET, IPPROTO_TCP, false, 20000 };
static const struct shape udp4 = { AF_INET, IPPROTO_UDP, false, 20000 };
static const struct shape udp4_short = { AF_INET, IPPROTO_UDP, false, 1000 };

FIXTURE(whole)
{
	int fd;
	int wire;
	struct sockaddr_in out;
	struct sockaddr_in in;
};

FIXTURE_SETUP(whole)
{
	self->wire = topology(1500);
	self->fd = gso_open(PORT);
	self->out = divert_address("0.0.0.0", 0, "");
	self->in = divert_address("10.1.0.1", 0, "d0");
}

FIXTURE_TEARDOWN(whole)
{
}

TEST_F(whole, O3_set_and_read_back)
{
	static const int wrong[] = { -1, 2, 256, 1 << 30 };
	int i, fd = divert_socket();

	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_GSO));
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_GSO, 1));
	EXPECT_EQ(1, get_int(fd, SOL_DIVERT, DIVERT_GSO));
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_GSO,
					   wrong[i]));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i == sizeof(int) ? 0 : -EINVAL,
			  errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_GSO,
					      "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
					      i)));

	EXPECT_EQ(0, divert_bind(fd, PORT + 1));
	EXPECT_EQ(1, get_int(fd, SOL_DIVERT, DIVERT_GSO));
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_GSO, 0));
	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_GSO));
}

TEST_F(whole, O3_T1_copy_is_whole)
{
	struct virtio_net_hdr vnet = header(&tcp4, 1000), read;
	struct sockaddr_in from;
	int i, watcher = divert_socket();

	ASSERT_EQ(0, set_int(watcher, SOL_DIVERT, DIVERT_TEE, 1));
	ASSERT_EQ(0, set_int(watcher, SOL_DIVERT, DIVERT_GSO, 1));
	ASSERT_EQ(0, divert_bind(watcher, PORT));
	ASSERT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_GSO, 0));
	mark_port("prerouting", MARK(PORT, COOKIE));

	make(&tcp4);
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->in));
	ASSERT_EQ(packet.len, read_whole(watcher, &read, &from));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(0, memcmp(&vnet, &read, sizeof(vnet)));
	EXPECT_FALSE(readable(watcher));

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(1040, read_whole(self->fd, &read, &from));
		EXPECT_EQ(got.len, divert_write(self->fd, &got, &from));
	}
	EXPECT_TRUE(arrived(self->wire, &tcp4, 20, 1040));
}

/* Another source and fewer bytes: the transport checksum is left alone. */
TEST_F(whole, O3_rewritten)
{
	struct virtio_net_hdr vnet = header(&tcp4, 1000), read;
	struct shape shorter = tcp4;
	struct sockaddr_in from;

	mark_port("prerouting", MARK(PORT, COOKIE));
	make(&tcp4);
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->in));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));

	shorter.payload -= 4500;
	packet = got;
	packet.len -= 4500;
	packet.ip.tot_len = htons(packet.len);
	packet.ip.saddr = inet_addr("10.1.0.77");
	packet_sum(&packet);
	ASSERT_EQ(packet.len, write_whole(self->fd, &read, &from));
	EXPECT_TRUE(arrived(self->wire, &shorter, 16, 1040));
	EXPECT_EQ(inet_addr("10.1.0.77"), wire.ip.saddr);
}

/* The sender's congestion signal is in the first segment, and in no other. */
TEST_F(whole, O3_congestion_window_reduced)
{
	struct virtio_net_hdr vnet = header(&tcp4, 1000);
	int i, cwr = 0;

	make(&tcp4);
	packet.data[33] |= 0x80;
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->out));
	vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->out));

	for (i = 0; i < 40; i++) {
		do {
			ASSERT_TRUE(wait_readable(self->wire));
			wire.len = recv(self->wire, wire.data,
					sizeof(wire.data), 0);
		} while (!wire_is(&tcp4));
		EXPECT_EQ(i % 20 == 0, !!(wire.data[33] & 0x80));
		cwr += !!(wire.data[33] & 0x80);
	}
	EXPECT_EQ(2, cwr);
}

TEST_F(whole, O3_delivered_to_this_host)
{
	int i, rx = udp_open("10.0.0.1", 0);
	struct virtio_net_hdr vnet;
	static __u8 data[65536];

	make(&udp4_short);
	packet.ip.daddr = inet_addr("10.0.0.1");
	packet_sum(&packet);
	vnet = header(&udp4_short, 0);
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->in));
	EXPECT_EQ(1000, udp_receive(rx, data, sizeof(data)));
	EXPECT_EQ(0, memcmp(data, packet.data + 28, 1000));

	make(&udp4);
	packet.ip.daddr = inet_addr("10.0.0.1");
	packet_sum(&packet);
	vnet = header(&udp4, 1000);
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->in));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(1000, udp_receive(rx, data, sizeof(data)));
		EXPECT_EQ(0, memcmp(data, packet.data + 28 + i * 1000, 1000));
	}
}

/* Somebody has checked the checksum, or has not, or has found it wrong. */
TEST_F(whole, O3_valid_checksum_is_told)
{
	static const struct virtio_net_hdr valid = {
		.flags = VIRTIO_NET_HDR_F_DATA_VALID,
	}, unknown;
	const struct layout at = make(&udp4_short);
	struct virtio_net_hdr read;
	struct sockaddr_in from;
	__u16 sum;

	memset(packet.data + at.check, 0, 2);
	sum = transport_sum(&packet, at.transport, IPPROTO_UDP,
			    packet.len - at.transport);
	memcpy(packet.data + at.check, &sum, 2);
	mark_port("prerouting", MARK(PORT, COOKIE));

	ASSERT_EQ(packet.len, divert_write(self->fd, &packet, &self->in));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));
	EXPECT_EQ(0, memcmp(&unknown, &read, sizeof(read)));

	/* Connection tracking looks at checksums. */
	nft_load("table ip c {\n"
		 " chain c {\n"
		 "  type filter hook prerouting priority raw;\n"
		 "  ct state new counter\n"
		 " }\n"
		 "}\n");
	ASSERT_EQ(packet.len, divert_write(self->fd, &packet, &self->in));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));
	EXPECT_EQ(0, memcmp(&valid, &read, sizeof(read)));
	EXPECT_EQ(packet.len, write_whole(self->fd, &read, &from));
	EXPECT_TRUE(arrived(self->wire, &udp4_short, 1, packet.len));

	packet.data[at.check] ^= 1;
	ASSERT_EQ(packet.len, divert_write(self->fd, &packet, &self->in));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));
	EXPECT_EQ(0, memcmp(&unknown, &read, sizeof(read)));
}

/* The message is there where it is needed, and where it was asked for. */
TEST_F(whole, O3_changed_while_packets_wait)
{
	struct virtio_net_hdr vnet = header(&tcp4, 1000), none = { }, read;
	struct sockaddr_in from;

	mark_port("prerouting", MARK(PORT, COOKIE));
	make(&tcp4);
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->in));
	ASSERT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_GSO, 0));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));
	EXPECT_EQ(0, memcmp(&vnet, &read, sizeof(read)));

	make(&udp4_short);
	ASSERT_EQ(packet.len, divert_write(self->fd, &packet, &self->in));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));
	EXPECT_EQ(0xff, read.flags);

	ASSERT_EQ(packet.len, divert_write(self->fd, &packet, &self->in));
	ASSERT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_GSO, 1));
	ASSERT_EQ(packet.len, read_whole(self->fd, &read, &from));
	EXPECT_EQ(0, memcmp(&none, &read, sizeof(read)));
}

/* What the message has no words for: segments of a packet in a packet. */
TEST_F(whole, O3_tunnelled_is_read_in_segments)
{
	struct virtio_net_hdr vnet = header(&tcp4, 1000), read;
	struct sockaddr_in from;
	int i;

	ip_batch("link add t0 type ipip local 10.0.0.1 remote 10.0.0.2\n"
		 "link set t0 up\n"
		 "route add 10.2.0.2 dev t0\n");
	nft_load("table ip m {\n"
		 " chain c {\n"
		 "  type filter hook output priority mangle;\n"
		 "  ip protocol 4 meta mark set 0x%x\n"
		 " }\n"
		 "}\n", MARK(PORT, COOKIE));

	make(&tcp4);
	packet.ip.daddr = inet_addr("10.2.0.2");
	packet_sum(&packet);
	ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->out));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(1060, read_whole(self->fd, &read, &from));
		EXPECT_EQ(0, read.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
		EXPECT_EQ(0, read.gso_type);
	}
	EXPECT_FALSE(readable(self->fd));
}

/* A device that segments itself is not given a header that it cannot use: the
 * packet is kept until one comes that will do.
 */
TEST_F(whole, O3_O7_kept_packet_gets_a_bad_header)
{
	struct divert_hold hold = { .size = sizeof(hold), .headers = 60 };
	struct virtio_net_hdr vnet = header(&tcp4, 1000), read;
	static const __u8 doff[] = { 0x00, 0x40, 0x50 };
	struct sockaddr_in from;
	int i;

	offload_set("v0", true);
	mark_port("prerouting", MARK(PORT, COOKIE));
	ASSERT_EQ(0, errno_of(setsockopt(self->fd, SOL_DIVERT, DIVERT_HOLD,
					 &hold, sizeof(hold))));
	for (i = 0; i < ARRAY_LEN(doff); i++) {
		make(&tcp4);
		ASSERT_EQ(packet.len, write_whole(self->fd, &vnet, &self->in));
		ASSERT_EQ(60, read_whole(self->fd, &read, &from));
		got.data[32] = doff[i];
		EXPECT_EQ(doff[i] == 0x50 ? 60 : -EINVAL,
			  divert_write(self->fd, &got, &from));
	}

	do {
		ASSERT_TRUE(wait_readable(self->wire));
		wire.len = recv(self->wire, wire.data, sizeof(wire.data), 0);
	} while (!wire_is(&tcp4));
	EXPECT_EQ(0x50, wire.data[32]);
	EXPECT_EQ(packet.len, wire.len);
}

TEST_HARNESS_MAIN
