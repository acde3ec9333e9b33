// SPDX-License-Identifier: GPL-2.0
/*
 * Packets written to be sent: which way they go, what they look like on the
 * wire, and the errors of the way.
 *
 * TIMEOUT=240
 */

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet packet, got;

/* Two links, d0 with 10.0.0.1/24 and d1 with 10.1.0.1/24, that are seen by a
 * capture each. 10.9.0.0/16 lies behind d0's 10.0.0.2, 10.8.0.0/16 nowhere.
 */
struct links {
	int fd;
	int seen[2];
	struct counters before;
};

FIXTURE(link)
{
	struct links w;
};

#define NEIGHBOUR	"02:00:00:00:00:02"

FIXTURE_SETUP(link)
{
	ns_new();
	ip_batch("link add d0 type dummy\n"
		 "address add 10.0.0.1/24 broadcast + dev d0\n"
		 "link set d0 arp on\n"
		 "link set d0 up\n"
		 "neighbour add 10.0.0.2 lladdr " NEIGHBOUR " dev d0\n"
		 "link add d1 type dummy\n"
		 "address add 10.1.0.1/24 dev d1\n"
		 "link set d1 arp on\n"
		 "link set d1 up\n"
		 "neighbour add 10.1.0.2 lladdr " NEIGHBOUR " dev d1\n"
		 "neighbour add 10.9.0.2 lladdr " NEIGHBOUR " dev d1\n"
		 "route add 10.9.0.0/16 via 10.0.0.2\n");
	self->w.fd = divert_socket();
	self->w.seen[0] = capture_open("d0");
	self->w.seen[1] = capture_open("d1");
	packet_make(&packet, "10.0.0.1", "10.9.0.2", 10);
	counters_read(&self->w.before);
}

/* The socket still sends, and nothing has been sent behind our back. */
FIXTURE_TEARDOWN(link)
{
	int i;

	for (i = 0; i < 2; i++) {
		packet_make(&packet, "10.0.0.1",
			    i ? "10.1.0.2" : "10.0.0.2", 11);
		EXPECT_EQ(39, divert_write(divert_socket(), &packet, NULL));
		EXPECT_EQ(39, capture_read(self->w.seen[i], &got, NULL, NULL));
	}
}

/* Write @packet; the device that sends it, or the error. */
static int sent_by(struct links *w)
{
	int i, err = divert_write(w->fd, &packet, NULL);

	if (err < 0)
		return err;
	for (i = 0; i < 2; i++)
		if (readable(w->seen[i]) &&
		    capture_read(w->seen[i], &got, NULL, NULL) > 0)
			break;
	return i;
}

TEST_F(link, W2_routed_by_destination)
{
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
	packet_make(&packet, "10.0.0.1", "10.1.0.2", 10);
	EXPECT_EQ(1, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(2, counted_only(&self->w.before, "inject_out"));
}

/* Afresh for each packet: nothing of an earlier one's route is kept. */
TEST_F(link, W2_route_is_looked_up_each_time)
{
	EXPECT_EQ(0, sent_by(&self->w));
	ip_batch("route replace 10.9.0.0/16 dev d1\n");
	EXPECT_EQ(1, sent_by(&self->w));
	ip_batch("route del 10.9.0.0/16\n");
	EXPECT_EQ(-ENETUNREACH, sent_by(&self->w));
	ip_batch("route add 10.9.0.0/16 via 10.0.0.2\n");
	EXPECT_EQ(0, sent_by(&self->w));
}

TEST_F(link, W2_any_source_address)
{
	static const char * const sources[] = {
		"192.0.2.1", "10.1.0.1", "10.9.0.2", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "10.0.0.255", "240.0.0.1",
	};
	int i;

	for (i = 0; i < ARRAY_LEN(sources); i++) {
		packet_make(&packet, sources[i], "10.9.0.2", 10);
		EXPECT_EQ(0, sent_by(&self->w)) {
			TH_LOG("%s", sources[i]);
		}
		EXPECT_TRUE(packet_equal(&packet, &got)) {
			TH_LOG("%s", sources[i]);
		}
	}
}

/* As on BSD, such a packet does not leave the host. */
TEST_F(link, W2_loopback_source_stays_at_home)
{
	int rx = udp_open("10.1.0.1", 0);

	packet_make(&packet, LOOP, "10.9.0.2", 10);
	EXPECT_EQ(-EHOSTUNREACH, sent_by(&self->w));
	packet_make(&packet, LOOP, "10.1.0.1", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(10, udp_receive(rx, got.data, 100));
}

TEST_F(link, W2_any_source_address_to_many)
{
	static const char * const many[] = { "239.1.1.1", "255.255.255.255" };
	int i;

	ip_batch("route add default dev d1\n"
		 "route add 239.0.0.0/8 dev d1\n");
	for (i = 0; i < ARRAY_LEN(many); i++) {
		packet_make(&packet, "192.0.2.1", many[i], 10);
		EXPECT_EQ(1, sent_by(&self->w)) {
			TH_LOG("%s", many[i]);
		}
		EXPECT_TRUE(packet_equal(&packet, &got));
	}
}

TEST_F(link, W2_sent_as_written)
{
	packet.ip.ttl = 1;
	packet.ip.tos = 0x2c;
	packet.ip.id = htons(0xbeef);
	packet.ip.saddr = inet_addr("192.0.2.77");
	packet_udp(&packet)->check = htons(0xbad);
	packet_sum(&packet);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, W2_id_zero_stays)
{
	packet.ip.id = 0;
	packet_sum(&packet);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(0, got.ip.id);
	packet.ip.frag_off = htons(0x4000);
	packet_sum(&packet);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, W2_ttl_zero_stays)
{
	packet.ip.ttl = 0;
	packet_sum(&packet);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, W2_ip_checksum_made_right)
{
	packet.ip.check = 0x1111;
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_FALSE(packet_equal(&packet, &got));
	packet_sum(&packet);
	EXPECT_TRUE(packet_equal(&packet, &got));
}

/* Fragments, too, are sent as they are, whether or not they fit together. */
TEST_F(link, W2_fragment_as_written)
{
	/* The first one: its ports tell the capture what it is. */
	packet.ip.frag_off = htons(0x2000);
	packet_sum(&packet);
	close(self->w.fd);
	self->w.fd = divert_open(PORT);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, W2_fragmented_as_needed)
{
	ip_batch("link set d0 mtu 1000\n");
	packet_make(&packet, "10.0.0.1", "10.9.0.2", 1400);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(htons(0x2000), got.ip.frag_off);
	EXPECT_EQ(packet.ip.id, got.ip.id);
	EXPECT_EQ(0, memcmp(packet.data + 20, got.data + 20, got.len - 20));
	EXPECT_TRUE(wait_readable(self->w.seen[0]));
	got.len = recv(self->w.seen[0], got.data, sizeof(got.data), 0) - 14;
	EXPECT_EQ(20 + 8 + 1400 - 976, got.len);
}

TEST_F(link, W2_tos_routes)
{
	ip_batch("rule add tos 0x10 table 5\n"
		 "route add default dev d1 table 5\n");
	EXPECT_EQ(0, sent_by(&self->w));
	packet.ip.tos = 0x10;
	packet_sum(&packet);
	EXPECT_EQ(1, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, W2_so_mark_routes)
{
	ip_batch("rule add fwmark 0x42 table 5\n"
		 "route add default dev d1 table 5\n");
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(0, set_int(self->w.fd, SOL_SOCKET, SO_MARK, 0x42));
	EXPECT_EQ(1, sent_by(&self->w));
	EXPECT_EQ(0, set_int(self->w.fd, SOL_SOCKET, SO_MARK, 0));
	EXPECT_EQ(0, sent_by(&self->w));
}

TEST_F(link, W2_source_routes)
{
	ip_batch("rule add from 192.0.2.1 table 5\n"
		 "route add default dev d1 table 5\n");
	EXPECT_EQ(0, sent_by(&self->w));
	packet_make(&packet, "192.0.2.1", "10.9.0.2", 10);
	EXPECT_EQ(1, sent_by(&self->w));
}

TEST_F(link, W2_ports_route)
{
	ip_batch("rule add ipproto udp dport 5000 table 5\n"
		 "route add default dev d1 table 5\n");
	EXPECT_EQ(1, sent_by(&self->w));

	packet_udp(&packet)->dest = htons(UDP_PORT + 1);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, NULL));
	EXPECT_TRUE(readable(self->w.seen[0]));
	EXPECT_FALSE(readable(self->w.seen[1]));
	ip_batch("rule del table 5\n");
}

TEST_F(link, W2_so_bindtodevice)
{
	ip_batch("route add 10.9.0.0/16 dev d1 metric 5\n");
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_SOCKET, SO_BINDTODEVICE, "d1",
				3));
	EXPECT_EQ(1, sent_by(&self->w));
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1));
	EXPECT_EQ(0, sent_by(&self->w));
}

TEST_F(link, S7_so_dontroute)
{
	EXPECT_EQ(0, set_int(self->w.fd, SOL_SOCKET, SO_DONTROUTE, 1));
	EXPECT_EQ(-ENETUNREACH, sent_by(&self->w));
	packet_make(&packet, "10.0.0.1", "10.0.0.2", 10);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(0, set_int(self->w.fd, SOL_SOCKET, SO_DONTROUTE, 0));
	packet_make(&packet, "10.0.0.1", "10.9.0.2", 10);
	EXPECT_EQ(0, sent_by(&self->w));
}

TEST_F(link, W2_broadcast_needs_no_option)
{
	static const unsigned char everyone[ETH_ALEN] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	};
	struct ethhdr eth;

	EXPECT_EQ(0, get_int(self->w.fd, SOL_SOCKET, SO_BROADCAST));
	packet_make(&packet, "10.0.0.1", "10.0.0.255", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(38, capture_read(self->w.seen[0], &got, &eth, NULL));
	EXPECT_EQ(0, memcmp(everyone, eth.h_dest, ETH_ALEN));

	setsockopt(self->w.fd, SOL_SOCKET, SO_BINDTODEVICE, "d1", 3);
	packet_make(&packet, "0.0.0.0", "255.255.255.255", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(38, capture_read(self->w.seen[1], &got, &eth, NULL));
	EXPECT_EQ(0, memcmp(everyone, eth.h_dest, ETH_ALEN));
}

/* Broadcasts that lo has looped back. */
static void drain(int fd)
{
	while (readable(fd))
		recv(fd, got.data, sizeof(got.data), MSG_DONTWAIT);
}

TEST_F(link, W2_to_this_host)
{
	int rx = udp_open("10.1.0.1", 0);

	packet_make(&packet, "192.0.2.1", "10.1.0.1", 12);
	EXPECT_EQ(40, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(12, udp_receive(rx, got.data, 100));
	drain(self->w.seen[0]);
	drain(self->w.seen[1]);
}

/* Options of the IP layer that act on what is sent */

TEST_F(link, S7_multicast_if)
{
	struct ip_mreqn on = { .imr_ifindex = ifindex_of("d1") };

	packet_make(&packet, "192.0.2.1", "239.1.1.1", 10);
	EXPECT_EQ(-ENETUNREACH, sent_by(&self->w));
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_MULTICAST_IF, &on,
				sizeof(on)));
	EXPECT_EQ(1, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
	on.imr_ifindex = ifindex_of("d0");
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_MULTICAST_IF, &on,
				sizeof(on)));
	EXPECT_EQ(0, sent_by(&self->w));

	/* Unicast goes its own way. */
	packet_make(&packet, "10.0.0.1", "10.1.0.2", 10);
	EXPECT_EQ(1, sent_by(&self->w));
}

TEST_F(link, S7_multicast_if_by_address)
{
	struct in_addr on = { .s_addr = inet_addr("10.1.0.1") };
	socklen_t len = sizeof(on);

	packet_make(&packet, "10.0.0.1", "239.1.1.1", 10);
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_MULTICAST_IF, &on, len));
	EXPECT_EQ(1, sent_by(&self->w));
	/* The source address is the written one all the same. */
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(0, getsockopt(self->w.fd, SOL_IP, IP_MULTICAST_IF, &on, &len));
	EXPECT_EQ(inet_addr("10.1.0.1"), on.s_addr);
}

TEST_F(link, S7_multicast_ttl)
{
	ip_batch("route add 239.0.0.0/8 dev d0\n");
	packet_make(&packet, "10.0.0.1", "239.1.1.1", 10);

	/* As written, until the option has been set. */
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(64, got.ip.ttl);
	EXPECT_EQ(0, set_int(self->w.fd, SOL_IP, IP_MULTICAST_TTL, 9));
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(9, got.ip.ttl);
	EXPECT_TRUE(packet_valid(&got));

	packet_make(&packet, "10.0.0.1", "10.9.0.2", 10);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(64, got.ip.ttl);

	EXPECT_EQ(-EINVAL, set_int(self->w.fd, SOL_IP, IP_MULTICAST_TTL, 256));
	EXPECT_EQ(9, get_int(self->w.fd, SOL_IP, IP_MULTICAST_TTL));
}

TEST_F(link, S7_multicast_loop)
{
	struct ip_mreqn group = {
		.imr_multiaddr.s_addr = inet_addr("239.1.1.1"),
		.imr_ifindex = ifindex_of("d0"),
	};
	int rx = udp_open("0.0.0.0", 0);

	ip_batch("route add 239.0.0.0/8 dev d0\n");
	setsockopt(rx, SOL_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group));
	EXPECT_EQ(0, set_int(self->w.fd, SOL_IP, IP_MULTICAST_LOOP, 0));
	packet_make(&packet, "10.0.0.1", "239.1.1.1", 10);
	EXPECT_EQ(0, sent_by(&self->w));

	EXPECT_EQ(0, set_int(self->w.fd, SOL_IP, IP_MULTICAST_LOOP, 1));
	packet_make(&packet, "10.0.0.1", "239.1.1.1", 11);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(11, udp_receive(rx, got.data, 100));
	EXPECT_FALSE(readable(rx));
	drain(self->w.seen[0]);
}

/* Record route, room for one address */
static const unsigned char record_route[8] = { 7, 7, 4, 0, 0, 0, 0, 0 };

TEST_F(link, S7_ip_options_inserted)
{
	int len = sizeof(record_route);

	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_OPTIONS, record_route,
				len));
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(packet.len + len, got.len);
	EXPECT_EQ(5 + len / 4, (int)got.ip.ihl);
	EXPECT_TRUE(packet_valid(&got));
	EXPECT_EQ(7, got.data[20]);
	EXPECT_EQ(7, got.data[21]);
	EXPECT_EQ(0, memcmp(packet.data + 20, got.data + 20 + len, 18));

	/* Taken away again. */
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_OPTIONS, NULL, 0));
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, S7_ip_options_twice_einval)
{
	unsigned char nop[4] = { 1, 1, 1, 1 };

	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_OPTIONS, nop, 4));
	packet.ip.ihl = 6;
	packet_sum(&packet);
	EXPECT_EQ(-EINVAL, sent_by(&self->w));
	EXPECT_EQ(1, counted_only(&self->w.before, "einval"));

	packet_make(&packet, "10.0.0.1", "10.9.0.2", 10);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_EQ(packet.len + 4, got.len);
}

TEST_F(link, S7_ip_options_written)
{
	/* Eight bytes of payload become options; the rest is no UDP. */
	packet_make(&packet, "10.0.0.1", "10.9.0.2", 10);
	memmove(packet.data + 24, packet.data + 20, 18);
	memset(packet.data + 20, 1, 4);
	packet.len += 4;
	packet.ip.ihl = 6;
	packet.ip.tot_len = htons(packet.len);
	packet_sum(&packet);
	EXPECT_EQ(0, sent_by(&self->w));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(link, S7_ip_options_too_long_emsgsize)
{
	unsigned char nop[40];
	int rx = udp_open(LOOP, 0);

	memset(nop, 1, sizeof(nop));
	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_OPTIONS, nop, 40));
	packet_make(&packet, LOOP, LOOP, 65535 - 28 - 39);
	EXPECT_EQ(-EMSGSIZE, divert_write(self->w.fd, &packet, NULL));
	packet_make(&packet, LOOP, LOOP, 65535 - 28 - 40);
	EXPECT_EQ(65535 - 40, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(65535 - 68, udp_receive(rx, got.data, 65535));
}

/* The written destination becomes the last hop, the first hop the next. */
TEST_F(link, S7_ip_options_source_route)
{
	unsigned char route[8] = { 1, 131, 7, 4, 10, 1, 0, 2 };

	EXPECT_EQ(0, setsockopt(self->w.fd, SOL_IP, IP_OPTIONS, route, 8));
	EXPECT_EQ(1, sent_by(&self->w));
	EXPECT_EQ(inet_addr("10.1.0.2"), got.ip.daddr);
	EXPECT_EQ(131, got.data[21]);
	EXPECT_EQ(inet_addr("10.9.0.2"), *(__u32 *)(got.data + 24));
}

/* Errors */

static void expect_refused(struct __test_metadata *_metadata,
			   struct links *w, int err,
			   const char *counter)
{
	struct counters before;

	counters_read(&before);
	EXPECT_EQ(err, sent_by(w));
	EXPECT_EQ(1, counted_only(&before, counter));
	EXPECT_FALSE(readable(w->seen[0]));
	EXPECT_FALSE(readable(w->seen[1]));
}

TEST_F(link, W5_firewall_eacces)
{
	static const char * const hooks[] = {
		"output priority -300", "output priority mangle",
		"output priority 0", "postrouting priority 0",
		"postrouting priority 300",
	};
	int i;

	for (i = 0; i < ARRAY_LEN(hooks); i++) {
		nft_load("table ip t {\n"
			 " chain c {\n"
			 "  type filter hook %s;\n"
			 "  udp dport %d drop\n"
			 " }\n"
			 "}\n", hooks[i], UDP_PORT);
		expect_refused(_metadata, &self->w, -EACCES, "eacces");
		nft_load("delete table ip t\n");
	}
	EXPECT_EQ(0, sent_by(&self->w));
}

TEST_F(link, W5_too_big_emsgsize)
{
	packet_make(&packet, "10.0.0.1", "10.9.0.2", 1500 - 28 + 1);
	packet.ip.frag_off = htons(0x4000);
	packet_sum(&packet);
	expect_refused(_metadata, &self->w, -EMSGSIZE, "emsgsize");

	packet_make(&packet, "10.0.0.1", "10.9.0.2", 1500 - 28);
	packet.ip.frag_off = htons(0x4000);
	packet_sum(&packet);
	EXPECT_EQ(0, sent_by(&self->w));
}

TEST_F(link, W5_no_route_enetunreach)
{
	packet_make(&packet, "10.0.0.1", "10.8.0.1", 10);
	expect_refused(_metadata, &self->w, -ENETUNREACH, "eunreach");
}

TEST_F(link, W5_routes_to_nowhere)
{
	static const struct {
		const char *type;
		int err;
		const char *counter;
	} routes[] = {
		{ "unreachable", -EHOSTUNREACH, "eunreach" },
		{ "blackhole", -EHOSTUNREACH, "eunreach" },
		{ "throw", -ENETUNREACH, "eunreach" },
		{ "prohibit", -EACCES, "eacces" },
	};
	int i;

	packet_make(&packet, "10.0.0.1", "10.8.0.1", 10);
	for (i = 0; i < ARRAY_LEN(routes); i++) {
		ip_batch("route add %s 10.8.0.0/16\n", routes[i].type);
		expect_refused(_metadata, &self->w, routes[i].err,
			       routes[i].counter);
		ip_batch("route del %s 10.8.0.0/16\n", routes[i].type);
	}
}

TEST_F(link, W5_bound_device_down)
{
	int err;

	setsockopt(self->w.fd, SOL_SOCKET, SO_BINDTODEVICE, "d1", 3);
	ip_batch("link set d1 down\n");
	err = sent_by(&self->w);
	EXPECT_TRUE(err == -ENETUNREACH || err == -EHOSTUNREACH ||
		    err == -ENETDOWN);
	EXPECT_EQ(0, counted(&self->w.before, "inject_out"));
	ip_batch("link set d1 up\n"
		 "neighbour replace 10.1.0.2 lladdr " NEIGHBOUR " dev d1\n");
	close(self->w.seen[1]);
	self->w.seen[1] = capture_open("d1");
}

/* Congestion is no error, else an inline program would stop over it. */
static void expect_congested(struct __test_metadata *_metadata,
			     struct links *w, const char *qdisc)
{
	char command[128];
	int i;

	snprintf(command, sizeof(command), "tc qdisc add dev d0 root %s",
		 qdisc);
	if (system(command))
		die("%s", command);

	counters_read(&w->before);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(38, divert_write(w->fd, &packet, NULL));
	EXPECT_EQ(10, counted(&w->before, "inject_out"));
	EXPECT_EQ(10, counted(&w->before, "congested"));
	EXPECT_EQ(0, counted(&w->before, "enobufs"));
	EXPECT_FALSE(readable(w->seen[0]));

	if (system("tc qdisc del dev d0 root"))
		die("tc");
	EXPECT_EQ(0, sent_by(w));
}

TEST_F(link, W5_congested_fifo)
{
	expect_congested(_metadata, &self->w, "bfifo limit 1");
}

/* A queue that says NET_XMIT_CN: the packet went in, another one was lost. */
TEST_F(link, W5_congested_head_drop)
{
	int i;

	if (system("tc qdisc add dev d0 root handle 1: tbf rate 8bit burst 50 limit 9999") ||
	    system("tc qdisc add dev d0 parent 1: pfifo_head_drop limit 2 2>&-"))
		SKIP(return, "no pfifo_head_drop here");
	for (i = 0; i < 10; i++)
		EXPECT_EQ(38, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(10, counted(&self->w.before, "inject_out"));
	if (system("tc qdisc del dev d0 root"))
		die("tc");
	drain(self->w.seen[0]);
}

/* What becomes of it later is not told to anybody. */
TEST_F(link, W5_unresolved_neighbour_is_success)
{
	packet_make(&packet, "10.0.0.1", "10.0.0.99", 10);
	EXPECT_EQ(38, divert_write(self->w.fd, &packet, NULL));
	EXPECT_EQ(1, counted_only(&self->w.before, "inject_out"));
}

TEST_HARNESS_MAIN
