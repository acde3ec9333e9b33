/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of kept packets share: UDP of either family over lo, taken on
 * its way by a socket of either family.
 */
#ifndef _KEPT_H
#define _KEPT_H

#include <linux/ipv6.h>
#include <time.h>

#include "divert_test.h"

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct kept {
	int family;		/* of the packets */
	int fd;			/* divert socket that reads struct divert_info */
	int tx;
	int rx;
	struct counters before;
};

/* What one read gave. */
struct taken {
	struct packet packet;
	union address from;
	socklen_t from_len;
	struct divert_info info;
	int flags;
};

static inline socklen_t address_len(const union address *address)
{
	return address->sa.sa_family == AF_INET6 ? sizeof(address->v6) :
						   sizeof(address->v4);
}

/* lo's n-th address, from 1; for IPv6 the others have to be added first. */
static inline union address lo_address(int family, int n)
{
	union address address = { .sa.sa_family = family };

	if (family == AF_INET6) {
		address.v6.sin6_addr.s6_addr[15] = n;
		if (n > 1)
			address.v6.sin6_addr.s6_addr[0] = 0xfd;
		address.v6.sin6_port = htons(UDP_PORT);
	} else {
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + n);
		address.v4.sin_port = htons(UDP_PORT);
	}
	return address;
}

static inline int lo_listen(int family, int n)
{
	union address address = lo_address(family, n);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &address.sa, address_len(&address)))
		die("UDP socket");
	return fd;
}

static inline int kept_socket(int family, int port)
{
	union address any = { .sa.sa_family = family };
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);

	any.v4.sin_port = htons(port);
	if (fd < 0 || bind(fd, &any.sa, address_len(&any)) ||
	    set_int(fd, SOL_DIVERT, DIVERT_INFO, 1))
		die("divert socket");
	return fd;
}

/* Ports from PORT on, with rules COOKIE, COOKIE + 1, ..., that can follow each
 * other.
 */
static inline void kept_rules(const char *hook, int n)
{
	int i;

	for (i = 0; i < n; i++)
		nft_load("table inet m {\n"
			 " chain %s {\n"
			 "  type filter hook %s priority mangle;\n"
			 "  udp dport %d meta mark & 0xffff < %d meta mark set 0x%x accept\n"
			 " }\n"
			 "}\n", hook, hook, UDP_PORT, COOKIE + i,
			 MARK(PORT + i, COOKIE + i));
}

static inline void kept_open(struct kept *kept, int family, int socket_family,
			     const char *hook)
{
	ns_new();
	ip_batch("address add fd00::2/128 dev lo nodad\n");
	kept->family = family;
	kept->fd = kept_socket(socket_family, PORT);
	kept->tx = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	kept->rx = lo_listen(family, 1);
	kept_rules(hook, 1);
	counters_read(&kept->before);
}

static inline void kept_send(const struct kept *kept, int payload)
{
	union address to = lo_address(kept->family, 1);
	__u8 data[9000];
	int i;

	for (i = 0; i < payload; i++)
		data[i] = i * 7;
	if (sendto(kept->tx, data, payload, 0, &to.sa, address_len(&to)) !=
	    payload)
		die("send");
}

/* Payload of the packet that arrives, if it is as it was sent. */
static inline int kept_received(int rx)
{
	__u8 data[9000];
	int i, len = udp_receive(rx, data, sizeof(data));

	for (i = 0; i < len; i++)
		if (data[i] != (__u8)(i * 7))
			return -EBADMSG;
	return len;
}

static inline int kept_arrives(const struct kept *kept)
{
	return kept_received(kept->rx);
}

static inline int kept_read_flags(int fd, struct taken *taken, int size,
				  int flags)
{
	char control[256];
	struct iovec iov = { taken->packet.data, size };
	struct msghdr msg = {
		.msg_name = &taken->from, .msg_namelen = sizeof(taken->from),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	memset(&taken->info, 0, sizeof(taken->info));
	if (!wait_readable(fd))
		return -ETIMEDOUT;
	taken->packet.len = recvmsg(fd, &msg, flags | MSG_DONTWAIT);
	if (taken->packet.len < 0)
		return -errno;
	taken->from_len = msg.msg_namelen;
	taken->flags = msg.msg_flags;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg))
		if (cmsg->cmsg_level == SOL_DIVERT &&
		    cmsg->cmsg_type == DIVERT_INFO)
			memcpy(&taken->info, CMSG_DATA(cmsg),
			       sizeof(taken->info));
	return taken->packet.len;
}

static inline int kept_read(int fd, struct taken *taken)
{
	return kept_read_flags(fd, taken, sizeof(taken->packet.data), 0);
}

/* With an address or a control message or both or none. */
static inline int kept_write(int fd, const void *data, int len,
			     const union address *to,
			     const struct divert_info *info)
{
	union {
		struct cmsghdr cmsg;
		char bytes[CMSG_SPACE(sizeof(*info))];
	} control = { };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = {
		.msg_name = (void *)to,
		.msg_namelen = to ? address_len(to) : 0,
		.msg_iov = &iov, .msg_iovlen = 1,
	};
	int ret;

	if (info) {
		control.cmsg.cmsg_level = SOL_DIVERT;
		control.cmsg.cmsg_type = DIVERT_INFO;
		control.cmsg.cmsg_len = CMSG_LEN(sizeof(*info));
		memcpy(CMSG_DATA(&control.cmsg), info, sizeof(*info));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	ret = sendmsg(fd, &msg, 0);
	return ret < 0 ? -errno : ret;
}

/* A verdict without bytes, by the packet's control message. */
static inline int kept_verdict(int fd, const struct taken *taken, __u32 verdict)
{
	struct divert_info info = taken->info;

	info.flags |= verdict;
	return kept_write(fd, NULL, 0, NULL, &info);
}

static inline bool taken_is6(const struct taken *taken)
{
	return taken->packet.ip.version == 6;
}

static inline struct ipv6hdr *taken_ip6(struct taken *taken)
{
	return (struct ipv6hdr *)taken->packet.data;
}

/* Length of the IP header */
static inline int taken_hlen(const struct taken *taken)
{
	return taken_is6(taken) ? 40 : taken->packet.ip.ihl * 4;
}

static inline __u8 *taken_ttl(struct taken *taken)
{
	return taken_is6(taken) ? &taken_ip6(taken)->hop_limit :
				  &taken->packet.ip.ttl;
}

static inline void taken_set_daddr(struct taken *taken,
				   const union address *to)
{
	if (taken_is6(taken))
		memcpy(&taken_ip6(taken)->daddr, &to->v6.sin6_addr, 16);
	else
		taken->packet.ip.daddr = to->v4.sin_addr.s_addr;
}

static inline int set_hold(int fd, const struct divert_hold *hold)
{
	return errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, hold,
				   sizeof(*hold)));
}

static inline int hold_headers(int fd, int headers, int packets)
{
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = headers, .packets = packets,
	};

	return set_hold(fd, &hold);
}

static inline int set_limits(int fd, int age, int old, int close)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .age = age, .old = old, .close = close,
	};

	return limits_set(fd, &limits);
}

/* Packets that are still kept, say the counters. */
static inline long kept_away(const struct counters *before)
{
	return counted(before, "held") - counted(before, "held_passed") -
	       counted(before, "held_dropped") - counted(before, "held_lost") -
	       counted(before, "held_released");
}

#define KEPT_VARIANTS(fixture)						\
	KEPT_VARIANT(fixture, out4, "output", AF_INET, AF_INET)		\
	KEPT_VARIANT(fixture, out6, "output", AF_INET6, AF_INET6)	\
	KEPT_VARIANT(fixture, out46, "output", AF_INET, AF_INET6)	\
	KEPT_VARIANT(fixture, out64, "output", AF_INET6, AF_INET)	\
	KEPT_VARIANT(fixture, post4, "postrouting", AF_INET, AF_INET)	\
	KEPT_VARIANT(fixture, post6, "postrouting", AF_INET6, AF_INET6)	\
	KEPT_VARIANT(fixture, post46, "postrouting", AF_INET, AF_INET6)	\
	KEPT_VARIANT(fixture, post64, "postrouting", AF_INET6, AF_INET)	\
	KEPT_VARIANT(fixture, in4, "prerouting", AF_INET, AF_INET)	\
	KEPT_VARIANT(fixture, in6, "prerouting", AF_INET6, AF_INET6)	\
	KEPT_VARIANT(fixture, in46, "prerouting", AF_INET, AF_INET6)	\
	KEPT_VARIANT(fixture, in64, "prerouting", AF_INET6, AF_INET)

#define KEPT_VARIANT(fixture, name, hook_, family_, socket_)		\
	FIXTURE_VARIANT_ADD(fixture, name)				\
	{								\
		.hook = (hook_),					\
		.family = (family_),					\
		.socket = (socket_),					\
	};

#endif /* _KEPT_H */
