// SPDX-License-Identifier: GPL-2.0
/*
 * Packets written to be received: on which interface, and what they look like
 * there.
 *
 * TIMEOUT=240
 */

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet packet, got;

/* Two devices, d0 with 10.0.0.1/24 and d1 with 10.1.0.1/24; what d0 and d1
 * receive is seen by a capture on each.
 */
struct devices {
	int fd;
	int rx;
	int seen[2];
	struct counters before;
};

FIXTURE(device)
{
	struct devices w;
};

FIXTURE_SETUP(device)
{
	ns_new();
	ip_batch("link add d0 type dummy\n"
		 "address add 10.0.0.1/24 broadcast + dev d0\n"
		 "link set d0 up\n"
		 "link add d1 type dummy\n"
		 "address add 10.1.0.1/24 dev d1\n"
		 "link set d1 up\n");
	self->w.fd = divert_socket();
	self->w.rx = udp_open("0.0.0.0", 0);
	self->w.seen[0] = capture_open("d0");
	self->w.seen[1] = capture_open("d1");
	packet_make(&packet, "10.0.0.2", "10.0.0.1", 10);
	counters_read(&self->w.before);
}

/* The way still works, for a packet that nothing is wrong with. */
FIXTURE_TEARDOWN(device)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");

	packet_make(&packet, "10.0.0.2", "10.0.0.1", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(10, udp_receive(self->w.rx, got.data, 100));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, NULL, NULL));
	EXPECT_FALSE(readable(self->w.rx));
}

/* Write @packet; the device that receives it, or the error. */
static int received_by(struct devices *w, const char *address,
		       const char *name)
{
	struct sockaddr_in to = divert_address(address, 0, name);
	int i, err = divert_write(w->fd, &packet, &to);

	if (err < 0)
		return err;
	for (i = 0; i < 2; i++)
		if (readable(w->seen[i]) &&
		    capture_read(w->seen[i], &got, NULL, NULL) ==
		    packet.len && packet_equal(&packet, &got))
			break;
	/* Also to its end. */
	udp_receive(w->rx, got.data, 100);
	return i;
}

/* A SYN, right in all it says */
static void make_syn(void)
{
	struct {
		__be32 saddr, daddr;
		__be16 protocol, len;
		struct tcphdr tcp;
	} sum;
	struct tcphdr tcp = {
		.source = htons(4000), .dest = htons(80),
		.doff = sizeof(tcp) / 4, .syn = 1,
	};

	packet_make(&packet, "10.0.0.2", "10.0.0.1", 12);
	packet.ip.protocol = IPPROTO_TCP;
	packet_sum(&packet);
	sum.saddr = packet.ip.saddr;
	sum.daddr = packet.ip.daddr;
	sum.protocol = htons(IPPROTO_TCP);
	sum.len = htons(sizeof(tcp));
	sum.tcp = tcp;
	tcp.check = ip_sum(&sum, sizeof(sum));
	memcpy(packet.data + sizeof(packet.ip), &tcp, sizeof(tcp));
}

/* Who answers before our hook finds what the packet has in the place of a route. */
TEST_F(device, C2_rejected_by_a_rule)
{
	static const char * const how[] = { "tcp reset", "icmp type admin-prohibited" };
	struct sockaddr_in to = divert_address("10.0.0.1", COOKIE, "d0");
	int i;

	for (i = 0; i < 2; i++) {
		nft_load("flush ruleset\n"
			 "table ip t {\n"
			 " counter out { }\n"
			 " chain p {\n"
			 "  type filter hook prerouting priority mangle;\n"
			 "  ip protocol tcp reject with %s\n"
			 " }\n"
			 " chain o {\n"
			 "  type filter hook output priority 0;\n"
			 "  ip saddr 10.0.0.1 ip daddr 10.0.0.2 counter name out\n"
			 " }\n"
			 "}\n", how[i]);
		make_syn();
		EXPECT_TRUE(packet_valid(&packet));
		EXPECT_EQ(40, divert_write(self->w.fd, &packet, &to));
		EXPECT_EQ(1, nft_packets("out"));
	}
	nft_load("flush ruleset\n");
}

TEST_F(device, W3_by_name)
{
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", "d0"));
	EXPECT_EQ(1, received_by(&self->w, "10.1.0.1", "d1"));
	/* The name counts, not the address. */
	EXPECT_EQ(1, received_by(&self->w, "10.0.0.1", "d1"));
	EXPECT_EQ(0, received_by(&self->w, "192.0.2.1", "d0"));
	EXPECT_EQ(4, counted_only(&self->w.before, "inject_in"));
}

TEST_F(device, W3_by_ifindex)
{
	char name[8];

	snprintf(name, sizeof(name), "/%d", ifindex_of("d1"));
	EXPECT_EQ(1, received_by(&self->w, "10.0.0.1", name));
	snprintf(name, sizeof(name), "/%d", ifindex_of("d0"));
	EXPECT_EQ(0, received_by(&self->w, "192.0.2.1", name));
}

TEST_F(device, W3_by_address)
{
	ip_batch("address add 10.1.0.9/24 dev d1\n");
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", ""));
	EXPECT_EQ(1, received_by(&self->w, "10.1.0.1", ""));
	/* Any of its addresses. */
	EXPECT_EQ(1, received_by(&self->w, "10.1.0.9", ""));
}

TEST_F(device, W3_by_zero_net_ifindex)
{
	char address[16];

	snprintf(address, sizeof(address), "0.0.0.%d", ifindex_of("d1"));
	EXPECT_EQ(1, received_by(&self->w, address, ""));
	EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, "0.0.0.200", ""));
	EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, "0.255.255.255", ""));
}

TEST_F(device, W3_unknown_name_falls_to_address)
{
	static const char * const names[] = { "none", "d", "d00", "/", "/0",
					      "/999", "/-1", "/1x", "/99999",
					      "d0 ", "../d0" };
	int i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		EXPECT_EQ(1, received_by(&self->w, "10.1.0.1", names[i])) {
			TH_LOG("%s", names[i]);
		}
		EXPECT_EQ(-EADDRNOTAVAIL,
			  received_by(&self->w, "192.0.2.1", names[i])) {
			TH_LOG("%s", names[i]);
		}
	}
	EXPECT_EQ(ARRAY_LEN(names), counted(&self->w.before, "inject_in"));
	EXPECT_EQ(ARRAY_LEN(names), counted(&self->w.before, "eaddrnotavail"));
}

/* It may have been cut by whoever put it there. */
TEST_F(device, W3_eight_bytes_are_no_name)
{
	ip_batch("link set d1 down\n"
		 "link set d1 name eight888\n"
		 "link set eight888 up\n");
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", "eight888"));
	EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, "192.0.2.1", "eight888"));
}

/* A name ends at its zero: what follows is nobody's business. */
TEST_F(device, W3_garbage_after_name)
{
	struct sockaddr_in to = divert_address("192.0.2.1", 0, "d0");

	memset(to.sin_zero + 3, 0xa5, 5);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(10, udp_receive(self->w.rx, got.data, 100));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, NULL, NULL));
}

TEST_F(device, W3_neither_eaddrnotavail)
{
	static const char * const addresses[] = {
		"192.0.2.1", "10.0.0.2", "10.0.0.255", "224.0.0.1",
		"255.255.255.255",
	};
	int i;

	for (i = 0; i < ARRAY_LEN(addresses); i++)
		EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, addresses[i], ""));
	EXPECT_EQ(ARRAY_LEN(addresses),
		  counted_only(&self->w.before, "eaddrnotavail"));
	EXPECT_FALSE(readable(self->w.seen[0]));
	EXPECT_FALSE(readable(self->w.rx));
}

TEST_F(device, W3_lower_device_eaddrnotavail)
{
	ip_batch("link add br0 type bridge\n"
		 "link set br0 up\n"
		 "link set d1 master br0\n");
	EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, "192.0.2.1", "d1"));
	EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, "10.1.0.1", ""));
	EXPECT_EQ(2, counted_only(&self->w.before, "eaddrnotavail"));

	/* The bridge itself takes it. */
	close(self->w.seen[1]);
	self->w.seen[1] = capture_open("br0");
	EXPECT_EQ(1, received_by(&self->w, "192.0.2.1", "br0"));
}

TEST_F(device, W3_bond_slave_eaddrnotavail)
{
	if (system("ip link add bond0 type bond 2>&-"))
		SKIP(return, "no bonding here");
	ip_batch("link set d1 down\n"
		 "link set d1 master bond0\n"
		 "link set bond0 up\n");
	EXPECT_EQ(-EADDRNOTAVAIL, received_by(&self->w, "192.0.2.1", "d1"));

	close(self->w.seen[1]);
	self->w.seen[1] = capture_open("bond0");
	EXPECT_EQ(1, received_by(&self->w, "192.0.2.1", "bond0"));
}

TEST_F(device, W3_down_enetdown)
{
	ip_batch("link set d1 down\n");
	EXPECT_EQ(-ENETDOWN, received_by(&self->w, "10.1.0.1", "d1"));
	EXPECT_EQ(-ENETDOWN, received_by(&self->w, "10.1.0.1", ""));
	EXPECT_EQ(2, counted_only(&self->w.before, "enetdown"));
	ip_batch("link set d1 up\n");
	/* The capture has been told of the end of its device. */
	close(self->w.seen[1]);
	self->w.seen[1] = capture_open("d1");
	EXPECT_EQ(1, received_by(&self->w, "10.1.0.1", "d1"));
}

TEST_F(device, W3_lo_down_enetdown)
{
	ip_batch("link set lo down\n");
	EXPECT_EQ(-ENETDOWN, received_by(&self->w, LOOP, "lo"));
	ip_batch("link set lo up\n");
}

/* One thread's packets stay in order. */
TEST_F(device, W3_in_order)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");
	int i;

	for (i = 0; i < 100; i++) {
		packet_make(&packet, "10.0.0.2", "10.0.0.1", i);
		ASSERT_EQ(28 + i, divert_write(self->w.fd, &packet, &to));
	}
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(i, udp_receive(self->w.rx, got.data, 1000));
		ASSERT_EQ(28 + i, capture_read(self->w.seen[0], &got, NULL,
					       NULL));
	}
}

/* As received */

static void device_address(const char *name, void *address)
{
	struct ifreq ifr = { };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(ifr.ifr_name, name);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		die("address of %s", name);
	memcpy(address, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	close(fd);
}

TEST_F(device, W4_link_header)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");
	unsigned char address[ETH_ALEN];
	struct ethhdr eth;
	int type;

	device_address("d0", address);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, &eth, &type));
	EXPECT_EQ(0, memcmp(address, eth.h_dest, ETH_ALEN));
	EXPECT_EQ(htons(ETH_P_IP), eth.h_proto);
	EXPECT_EQ(PACKET_HOST, type);
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(10, udp_receive(self->w.rx, got.data, 100));
}

TEST_F(device, W4_bad_ip_checksum_is_dropped)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");

	/* Without an error: it is as received. */
	packet.ip.check ^= 0x1111;
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, NULL, NULL));
	EXPECT_EQ(1, counted_only(&self->w.before, "inject_in"));

	packet_make(&packet, "10.0.0.2", "10.0.0.1", 11);
	EXPECT_EQ(39, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(11, udp_receive(self->w.rx, got.data, 100));
	EXPECT_EQ(39, capture_read(self->w.seen[0], &got, NULL, NULL));
}

TEST_F(device, W4_l4_checksum_is_verified)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");

	packet_udp(&packet)->check ^= 0x1111;
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	packet_make(&packet, "10.0.0.2", "10.0.0.1", 11);
	EXPECT_EQ(39, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(11, udp_receive(self->w.rx, got.data, 100));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, NULL, NULL));
	EXPECT_EQ(39, capture_read(self->w.seen[0], &got, NULL, NULL));
}

/* Martians, were they received; programs write them all the same. */
TEST_F(device, W4_source_of_this_host)
{
	packet_make(&packet, "10.0.0.1", "10.0.0.1", 10);
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", "d0"));
	packet_make(&packet, "10.1.0.1", "10.0.0.1", 10);
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", "d0"));
	packet_make(&packet, LOOP, "10.0.0.1", 10);
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", "d0"));
	EXPECT_FALSE(readable(self->w.rx));
}

TEST_F(device, W4_source_of_this_host_reaches_its_end)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");
	int i;

	for (i = 0; i < 2; i++) {
		packet_make(&packet, i ? "10.1.0.1" : "10.0.0.1", "10.0.0.1",
			    20 + i);
		EXPECT_EQ(48 + i, divert_write(self->w.fd, &packet, &to));
		EXPECT_EQ(20 + i, udp_receive(self->w.rx, got.data, 100));
		EXPECT_EQ(48 + i, capture_read(self->w.seen[0], &got, NULL,
					       NULL));
	}
}

TEST_F(device, W4_on_lo)
{
	struct sockaddr_in to = divert_address(LOOP, 0, "lo");

	packet_make(&packet, LOOP, LOOP, 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(10, udp_receive(self->w.rx, got.data, 100));
	/* This host's other addresses are on lo, too. */
	packet_make(&packet, "10.0.0.1", "10.1.0.1", 11);
	EXPECT_EQ(39, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(11, udp_receive(self->w.rx, got.data, 100));
}

TEST_F(device, W4_forwarded)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");

	sysctl_write("net/ipv4/ip_forward", "1");
	ip_batch("neighbour add 10.1.0.2 lladdr 02:00:00:00:00:02 dev d1\n");
	packet_make(&packet, "10.0.0.2", "10.1.0.2", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(38, capture_read(self->w.seen[1], &got, NULL, NULL));
	EXPECT_EQ(63, got.ip.ttl);
	EXPECT_TRUE(packet_valid(&got));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, NULL, NULL));
}

TEST_F(device, W4_meets_the_firewall)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");

	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook prerouting priority -300;\n"
		 "  iifname d0 udp dport %d counter name c\n"
		 " }\n"
		 "}\n", UDP_PORT);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(10, udp_receive(self->w.rx, got.data, 100));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, NULL, NULL));
	EXPECT_EQ(1, nft_packets("c"));
}

/* IP options of the socket are for packets that it sends. */
TEST_F(device, S7_ip_options_not_on_incoming)
{
	unsigned char nop[4] = { 1, 1, 1, 1 };

	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_OPTIONS, nop, 4));
	EXPECT_EQ(0, received_by(&self->w, "10.0.0.1", "d0"));
}

/* Broadcast and multicast */

static void expect_type(struct __test_metadata *_metadata,
			struct devices *w, const char *daddr, int type)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "d0");
	int seen;

	packet_make(&packet, "10.0.0.2", daddr, 10);
	EXPECT_EQ(38, divert_write(w->fd, &packet, &to));
	EXPECT_EQ(38, capture_read(w->seen[0], &got, NULL, &seen));
	EXPECT_EQ(type, seen);
	EXPECT_EQ(10, udp_receive(w->rx, got.data, 100));
}

TEST_F(device, D13_broadcast)
{
	set_int(self->w.rx, SOL_SOCKET, SO_BROADCAST, 1);
	expect_type(_metadata, &self->w, "10.0.0.255", PACKET_BROADCAST);
	expect_type(_metadata, &self->w, "255.255.255.255", PACKET_BROADCAST);
}

TEST_F(device, D13_multicast)
{
	struct ip_mreqn group = {
		.imr_multiaddr.s_addr = inet_addr("239.1.1.1"),
		.imr_ifindex = ifindex_of("d0"),
	};

	EXPECT_EQ(0, setsockopt(self->w.rx, SOL_IP, IP_ADD_MEMBERSHIP, &group,
				sizeof(group)));
	expect_type(_metadata, &self->w, "239.1.1.1", PACKET_MULTICAST);
}

/* On this link nobody would have sent that to everyone. */
TEST_F(device, D13_broadcast_address_of_another_link)
{
	ip_batch("address add 10.3.0.1/24 broadcast + dev d1\n");
	set_int(self->w.rx, SOL_SOCKET, SO_BROADCAST, 1);
	expect_type(_metadata, &self->w, "10.3.0.255", PACKET_HOST);
}

/* Devices without link addresses */

TEST_F(device, W4_tun)
{
	struct sockaddr_in to = divert_address("10.2.0.1", 0, "t0");

	if (system("modprobe -q tun; ip tuntap add t0 mode tun 2>&-"))
		SKIP(return, "no tun here");
	ip_batch("address add 10.2.0.1/24 dev t0\n"
		 "link set t0 up\n");
	packet_make(&packet, "10.2.0.2", "10.2.0.1", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, &to));
	EXPECT_EQ(10, udp_receive(self->w.rx, got.data, 100));
}

TEST_HARNESS_MAIN
