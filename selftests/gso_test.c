// SPDX-License-Identifier: GPL-2.0
/* What the tests of DIVERT_GSO share; see gso_test.h. */

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "gso_test.h"

#define SEQ		1000
#define EXTENSION	24	/* bytes of destination options */

struct packet packet, got, wire;

struct layout layout(const struct shape *shape)
{
	struct layout at;

	at.transport = shape->family == AF_INET6 ? (int)sizeof(struct ip6_hdr) :
						   (int)sizeof(struct iphdr);
	if (shape->extended)
		at.transport += shape->family == AF_INET6 ? EXTENSION : 4;
	if (shape->protocol == IPPROTO_TCP) {
		at.payload = at.transport + sizeof(struct tcphdr);
		at.check = at.transport + offsetof(struct tcphdr, check);
	} else {
		at.payload = at.transport + sizeof(struct udphdr);
		at.check = at.transport + offsetof(struct udphdr, check);
	}
	return at;
}

static __u8 payload_byte(int i)
{
	return (i * 2654435761u) >> 24;
}

__u16 transport_sum(const struct packet *packet, int transport, int protocol,
		    int len)
{
	static struct {
		__u8 addresses[32];
		__be32 len;
		__be32 protocol;
		__u8 data[sizeof(packet->data)];
	} of;
	bool ipv6 = packet->ip.version == 6;

	memset(of.addresses, 0, sizeof(of.addresses));
	memcpy(of.addresses, packet->data + (ipv6 ? 8 : 12), ipv6 ? 32 : 8);
	of.len = htonl(packet->len - transport);
	of.protocol = htonl(protocol);
	memcpy(of.data, packet->data + transport, len);
	return ip_sum(&of, offsetof(typeof(of), data) + len);
}

static void make_ip4(const struct shape *shape, int hlen)
{
	packet.ip.version = 4;
	packet.ip.ihl = hlen / 4;
	packet.ip.tot_len = htons(packet.len);
	packet.ip.id = htons(0x1234);
	packet.ip.frag_off = htons(0x4000);
	packet.ip.ttl = 64;
	packet.ip.protocol = shape->protocol;
	packet.ip.saddr = inet_addr("10.1.0.2");
	packet.ip.daddr = inet_addr("10.0.0.2");
	memset(packet.data + sizeof(packet.ip), IPOPT_NOP,
	       hlen - sizeof(packet.ip));
	packet_sum(&packet);
}

static void make_ip6(const struct shape *shape, int hlen)
{
	struct ip6_hdr *ip6 = (struct ip6_hdr *)packet.data;
	struct ip6_ext *ext = (struct ip6_ext *)(ip6 + 1);

	ip6->ip6_flow = htonl(6 << 28);
	ip6->ip6_plen = htons(packet.len - sizeof(*ip6));
	ip6->ip6_nxt = shape->protocol;
	ip6->ip6_hlim = 64;
	inet_pton(AF_INET6, "fd01::2", &ip6->ip6_src);
	inet_pton(AF_INET6, "fd00::2", &ip6->ip6_dst);
	if (!shape->extended)
		return;

	ip6->ip6_nxt = IPPROTO_DSTOPTS;
	ext->ip6e_nxt = shape->protocol;
	ext->ip6e_len = EXTENSION / 8 - 1;
	ext[1].ip6e_nxt = 1;			/* PadN */
	ext[1].ip6e_len = hlen - sizeof(*ip6) - 4;
}

static void make_tcp(int transport)
{
	struct tcphdr *th = (struct tcphdr *)(packet.data + transport);

	th->source = htons(4000);
	th->dest = htons(UDP_PORT);
	th->seq = htonl(SEQ);
	th->ack_seq = htonl(1);
	th->doff = sizeof(*th) / 4;
	th->ack = 1;
	th->psh = 1;
	th->window = htons(1000);
}

static void make_udp(int transport)
{
	struct udphdr *uh = (struct udphdr *)(packet.data + transport);

	uh->source = htons(4000);
	uh->dest = htons(UDP_PORT);
	uh->len = htons(packet.len - transport);
}

struct layout make(const struct shape *shape)
{
	struct layout at = layout(shape);
	__u16 sum;
	int i;

	memset(packet.data, 0, at.payload);
	packet.len = at.payload + shape->payload;
	for (i = 0; i < shape->payload; i++)
		packet.data[at.payload + i] = payload_byte(i);

	if (shape->family == AF_INET6)
		make_ip6(shape, at.transport);
	else
		make_ip4(shape, at.transport);
	if (shape->protocol == IPPROTO_TCP)
		make_tcp(at.transport);
	else
		make_udp(at.transport);

	sum = ~transport_sum(&packet, at.transport, shape->protocol, 0);
	memcpy(packet.data + at.check, &sum, sizeof(sum));
	return at;
}

struct virtio_net_hdr header(const struct shape *shape, int gso_size)
{
	struct layout at = layout(shape);
	struct virtio_net_hdr vnet = {
		.flags		= VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start	= at.transport,
		.csum_offset	= at.check - at.transport,
	};

	if (!gso_size)
		return vnet;
	vnet.gso_size = gso_size;
	vnet.hdr_len = at.payload;
	if (shape->protocol == IPPROTO_UDP)
		vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	else
		vnet.gso_type = shape->family == AF_INET6 ?
				VIRTIO_NET_HDR_GSO_TCPV6 :
				VIRTIO_NET_HDR_GSO_TCPV4;
	return vnet;
}

/* Sockets */

int write_bytes(int fd, const void *vnet, int vnet_len,
		const struct sockaddr_in *to)
{
	union {
		struct cmsghdr cmsg;
		__u8 space[CMSG_SPACE(64)];
	} control = { .cmsg = {
		.cmsg_level = SOL_DIVERT,
		.cmsg_type = DIVERT_GSO,
		.cmsg_len = CMSG_LEN(vnet_len),
	} };
	struct iovec iov = { packet.data, packet.len };
	struct msghdr msg = {
		.msg_name = (void *)to, .msg_namelen = to ? sizeof(*to) : 0,
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(vnet_len),
	};
	int len;

	memcpy(CMSG_DATA(&control.cmsg), vnet, vnet_len);
	len = sendmsg(fd, &msg, 0);
	return len < 0 ? -errno : len;
}

int write_whole(int fd, const struct virtio_net_hdr *vnet,
		const struct sockaddr_in *to)
{
	return write_bytes(fd, vnet, sizeof(*vnet), to);
}

int read_whole(int fd, struct virtio_net_hdr *vnet, struct sockaddr_in *from)
{
	union {
		struct cmsghdr cmsg;
		__u8 space[CMSG_SPACE(sizeof(*vnet))];
	} control;
	struct iovec iov = { got.data, sizeof(got.data) };
	struct msghdr msg = {
		.msg_name = from, .msg_namelen = sizeof(*from),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	memset(vnet, 0xff, sizeof(*vnet));
	if (!wait_readable(fd))
		return -ETIMEDOUT;
	got.len = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (got.len < 0)
		return -errno;

	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_DIVERT &&
	    cmsg->cmsg_type == DIVERT_GSO &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(*vnet)))
		memcpy(vnet, CMSG_DATA(cmsg), sizeof(*vnet));
	return got.len;
}

int gso_open(int port)
{
	int fd = divert_open(port);

	if (set_int(fd, SOL_DIVERT, DIVERT_GSO, 1))
		die("DIVERT_GSO");
	return fd;
}

static int capture(const char *dev)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex_of(dev),
	};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("packets of %s", dev);
	return fd;
}

void offload_set(const char *dev, bool on)
{
	struct ethtool_value value = { .cmd = ETHTOOL_STXCSUM, .data = on };
	struct ifreq ifr = { .ifr_data = (void *)&value };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr.ifr_name, dev);
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		die("%s: checksums", dev);
	close(fd);
}

void mark_port(const char *hook, __u32 mark)
{
	nft_load("table inet m {\n"
		 " chain %s {\n"
		 "  type filter hook %s priority mangle;\n"
		 "  meta l4proto { tcp, udp } th dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", hook, hook, UDP_PORT, mark);
}

/* What arrives */

struct arrivals {
	int packets;
	int bytes;		/* of payload */
	int longest;		/* packet */
	int bad;		/* checksums, lengths, order, payload */
};

static int wire_length(void)
{
	const struct ip6_hdr *ip6 = (struct ip6_hdr *)wire.data;

	return wire.ip.version == 6 ?
	       (int)sizeof(*ip6) + ntohs(ip6->ip6_plen) :
	       ntohs(wire.ip.tot_len);
}

bool wire_is(const struct shape *shape)
{
	const struct layout at = layout(shape);
	const struct ip6_hdr *ip6 = (struct ip6_hdr *)wire.data;
	int protocol = shape->family == AF_INET6 ? ip6->ip6_nxt :
						   wire.ip.protocol;
	__be16 port;

	memcpy(&port, wire.data + at.transport + 2, sizeof(port));
	if (shape->family == AF_INET6 && shape->extended)
		protocol = ((struct ip6_ext *)(ip6 + 1))->ip6e_nxt;
	return wire.ip.version == (shape->family == AF_INET6 ? 6 : 4) &&
	       protocol == shape->protocol && port == htons(UDP_PORT) &&
	       wire.len >= at.payload;
}

static bool wire_valid(const struct shape *shape, int offset)
{
	const struct layout at = layout(shape);
	const struct tcphdr *th = (void *)(wire.data + at.transport);
	const struct udphdr *uh = (void *)(wire.data + at.transport);
	int i;

	if (wire.ip.version == 4 && ip_sum(wire.data, at.transport))
		return false;
	if (transport_sum(&wire, at.transport, shape->protocol,
			  wire.len - at.transport))
		return false;
	if (shape->protocol == IPPROTO_TCP ?
	    ntohl(th->seq) != (__u32)SEQ + offset :
	    ntohs(uh->len) != wire.len - at.transport)
		return false;

	for (i = at.payload; i < wire.len; i++)
		if (wire.data[i] != payload_byte(offset + i - at.payload))
			return false;
	return wire.len == wire_length();
}

/* All of a packet of this shape, however many it has become. */
static struct arrivals arrive(int fd, const struct shape *shape)
{
	const struct layout at = layout(shape);
	struct arrivals arrivals = { };

	while (arrivals.bytes < shape->payload || !arrivals.packets) {
		if (!wait_readable(fd))
			break;
		wire.len = recv(fd, wire.data, sizeof(wire.data), MSG_DONTWAIT);
		if (wire.len < (int)sizeof(struct iphdr) || !wire_is(shape))
			continue;
		arrivals.packets++;
		arrivals.bad += !wire_valid(shape, arrivals.bytes);
		arrivals.bytes += wire.len - at.payload;
		if (wire.len > arrivals.longest)
			arrivals.longest = wire.len;
	}
	return arrivals;
}

bool arrived(int fd, const struct shape *shape, int packets, int longest)
{
	const struct arrivals is = arrive(fd, shape);

	if (is.packets == packets && is.bytes == shape->payload &&
	    is.longest == longest && !is.bad)
		return true;
	fprintf(stderr, "# %d bytes in %d packets up to %d, %d of them bad\n",
		is.bytes, is.packets, is.longest, is.bad);
	return false;
}

int topology(int mtu)
{
	int here, peer, fd;

	ns_new();
	here = ns_open();
	peer = veth_new();
	offload_set("v0", false);
	ip_batch("link set v0 mtu %d\n"
		 "address add fd00::1/64 dev v0 nodad\n"
		 "link add d0 type dummy\n"
		 "address add 10.1.0.1/24 dev d0\n"
		 "address add fd01::1/64 dev d0 nodad\n"
		 "link set d0 up\n", mtu);
	if (sysctl_write("net/ipv4/ip_forward", "1") ||
	    sysctl_write("net/ipv6/conf/all/forwarding", "1") ||
	    sysctl_write("net/ipv4/conf/all/rp_filter", "0"))
		die("forwarding");

	ns_enter(peer);
	ip_batch("link set v1 mtu %d\n"
		 "address add fd00::2/64 dev v1 nodad\n"
		 "route add default via 10.0.0.1\n"
		 "route add default via fd00::1\n", mtu);
	fd = capture("v1");
	ns_enter(here);
	return fd;
}
