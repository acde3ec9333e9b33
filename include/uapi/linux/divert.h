/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * Divert sockets: hand live IP packets to a program and take them back.
 *
 * This header is the specification of the interface; divert(7) explains it.
 *
 * Socket
 * ------
 *	fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
 *	fd = socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT);
 *
 * Both carry IPv4 and IPv6 packets; they differ in their addresses. Both need
 * CAP_NET_RAW and CAP_NET_ADMIN in the user namespace that owns the network
 * namespace, else EPERM. Nothing after socket() asks for privileges.
 *
 * Steering
 * --------
 * A packet is diverted when a firewall rule left a divert port and the rule's
 * cookie in its mark (defaults: port in bits 31-16, cookie in bits 15-0; see
 * net.divert.port_mask and net.divert.cookie_mask). A port field of zero is
 * not ours; a port field of all ones is what the kernel shows for a packet
 * that came from a divert socket, and cannot be bound (EADDRNOTAVAIL). Where a
 * bit of net.divert.tee_mask is set too, a copy is diverted and the packet goes
 * on.
 *
 * bind(2)
 * -------
 * struct sockaddr_in, at least 16 bytes, or struct sockaddr_in6, at least 24:
 *	sin_family	the socket's
 *	sin_port	divert port 1-65535, network byte order; 0 picks one.
 *			Both families share the ports.
 *	the rest	ignored
 *
 * Reading
 * -------
 * One read is one IP packet, from its IP header on, everything in network byte
 * order, all checksums complete. struct sockaddr_in, 16 bytes:
 *	sin_family	AF_INET, whatever the packet is
 *	sin_port	the rule's cookie, 1-65535, in HOST byte order
 *	sin_addr	incoming: the first IPv4 address of the receiving
 *			interface, or 0.<ifindex, 24 bits> if it has none;
 *			outgoing: 0.0.0.0
 *	sin_zero	incoming or forwarded: name of the receiving interface,
 *			NUL-terminated, or "/" and its ifindex in decimal where
 *			the name is longer than 7 bytes;
 *			locally made: a zero byte, then 7 opaque bytes
 * struct sockaddr_in6, 28 bytes:
 *	sin6_family	AF_INET6, whatever the packet is
 *	sin6_port	the rule's cookie, 1-65535, in HOST byte order
 *	sin6_flowinfo	locally made: opaque; else 0
 *	sin6_addr	incoming: the first IPv6 address of the receiving
 *			interface; for an IPv4 packet, or without one, what
 *			sin_addr would be, as ::ffff:a.b.c.d;
 *			outgoing: ::
 *	sin6_scope_id	incoming or forwarded: ifindex of the receiving
 *			interface; locally made: 0, or opaque with bit 31 set
 *
 * Writing
 * -------
 * One write is one whole IP packet. The address that came with a packet, given
 * back as it is, sends the packet on where it was taken, after the rule that
 * took it. Otherwise:
 *	no address, or 0.0.0.0, ::, ::ffff:0.0.0.0: the packet is sent
 *	(outgoing);
 *	any other: it is received (incoming) on the interface that sin_zero or
 *	sin6_scope_id names or, if there is no such, on the one that has the
 *	address.
 * The port is the cookie, in host byte order: rules with a cookie up to this
 * one do not divert the packet again. 0 makes it a fresh packet.
 *
 * Keeping packets
 * ---------------
 * With DIVERT_HOLD a read gets the first bytes of a packet, and the kernel keeps
 * it as it is: not segmented, with its checksum state, device, route, connection
 * and sender. It has an id, in DIVERT_INFO, in a record, and in the address. A
 * write that names the id is a verdict: the bytes written, if any, replace as
 * many of the packet's first ones, and it goes on behind the hook where it was
 * taken. The length stays, and so must version, header length, protocol, what the
 * header says of lengths and fragments and, on the way out, IPv4 options; of a
 * packet of several segments also where its transport header begins and ends
 * (else EINVAL, and the packet is kept).
 * The kernel makes the IP header checksum right. The transport checksum is up to
 * the writer, unless DIVERT_INFO_CSUM_PARTIAL is set: then it is made when the
 * packet leaves, and what the writer does to it does not matter. What has to be longer or
 * shorter is dropped by its id and written as a packet of its own.
 *
 * The id is named by a DIVERT_INFO control message with DIVERT_INFO_HELD in its
 * flags, by a record, or by the address as it was read. An id that has had its
 * verdict or is too old gives ESTALE, one that was never given out ENOENT. When
 * there is no room for another packet, the oldest one is dropped or, where
 * DIVERT_LIMITS say old = pass, goes on; age and close count for kept packets,
 * too. A control message decides alone: without DIVERT_INFO_HELD, what is
 * written is a packet of its own, whatever the address says; with it, its mark
 * counts outside our bits, the rest does not.
 *
 * What is read without DIVERT_INFO_HELD is not kept: copies, of which there are
 * just the first bytes, and what a VRF receives, which is read whole.
 *
 * With DIVERT_INPLACE, packets are read whole and as ever, but a packet is kept
 * until its copy comes back: if length, version, protocol, addresses and the
 * IPv4 id and options are still the same, its bytes go into the kept one.
 * Everything else is written as ever, and so is all that is written by a socket
 * with options that say how (SO_MARK, SO_PRIORITY; on the way out also
 * SO_BINDTODEVICE, SO_DONTROUTE, IP_OPTIONS, multicast TTL).
 * In this mode, and with DIVERT_HOLD, the address is
 *	struct sockaddr_in: sin_zero holds at most four bytes of name, filled up
 *				with zeros, "/", and the id
 *	struct sockaddr_in6: sin6_flowinfo or sin6_scope_id hold the id
 * and stays opaque; names longer than four bytes are given as "/" and ifindex.
 * A packet whose address has no room for the id is not kept by DIVERT_INPLACE,
 * nor are several segments in one, or more than 32 KiB in pieces.
 *
 * A divert socket can be told from a plain raw socket, which the same socket()
 * call yields while the module is not loaded, by
 *	getsockopt(fd, SOL_DIVERT, DIVERT_VERSION, &version, &len)
 * which then fails.
 *
 * Never define PF_DIVERT or AF_DIVERT: the number that FreeBSD uses, 44, is
 * AF_XDP here.
 */
#ifndef _UAPI_LINUX_DIVERT_H
#define _UAPI_LINUX_DIVERT_H

#include <linux/types.h>

#ifndef IPPROTO_DIVERT
#define IPPROTO_DIVERT	258	/* third argument of socket(2) */
#endif

#ifndef SOL_DIVERT
#define SOL_DIVERT	258	/* level of getsockopt(2) and setsockopt(2) */
#endif

/* What getsockopt(DIVERT_VERSION) returns. */
#define DIVERT_ABI_VERSION	1

/* The port field that a packet from a divert socket shows is all ones; under
 * the default masks that makes this port impossible to bind.
 */
#define DIVERT_PORT_REINJECTED	0xffff

/* A packet whose mark names a port but no cookie is read with this cookie:
 * written back, no rule diverts it again.
 */
#define DIVERT_COOKIE_LAST	0xffff

/* Options at level SOL_DIVERT, of setsockopt(2) and getsockopt(2). All can be
 * set before bind(2), and read back. An unknown one gives ENOPROTOOPT, a wrong
 * length or value EINVAL. Integers are int, in host byte order.
 */
enum divert_option {
	/* get: int, DIVERT_ABI_VERSION */
	DIVERT_VERSION = 1,
	/* int, 0 or 1, default 0: each packet is read with a control message
	 * (SOL_DIVERT, DIVERT_INFO) that holds a struct divert_info. One can
	 * be sent with a packet whether this is set or not.
	 */
	DIVERT_INFO = 2,
	/* int, 0 or 1, default 0: packets are not taken apart and checksums
	 * not completed; each is read with a control message (SOL_DIVERT,
	 * DIVERT_GSO) that holds a struct virtio_net_hdr of <linux/virtio_net.h>
	 * in host byte order, 10 bytes, offsets counted from the IP header. A
	 * packet written with one is segmented and gets its checksum as late
	 * as can be; one that does not fit the packet gives EINVAL.
	 */
	DIVERT_GSO = 3,
	/* int, 0 or 1, default 0: the socket is a watcher. It joins a port
	 * beside its owner and reads copies of what is diverted there; the
	 * packets go on without it. Only before bind(2), else EINVAL.
	 */
	DIVERT_TEE = 4,
	/* struct divert_limits, default all zero: what is kept, and what
	 * becomes of packets that are not
	 */
	DIVERT_LIMITS = 5,
	/* get: struct divert_stats, counters of this socket. A shorter buffer
	 * gets the first members.
	 */
	DIVERT_STATS = 6,
	/* struct divert_hold, default all zero: packets stay in the kernel
	 * while only their headers are read. See "Keeping packets".
	 */
	DIVERT_HOLD = 7,
	/* int, 0 or 1, default 0: reads and writes are of many packets, each
	 * in a struct divert_record
	 */
	DIVERT_RECORDS = 8,
	/* int, enum divert_inplace, default net.divert.in_place as it was at
	 * socket(): packets that come back as they went get their old place
	 */
	DIVERT_INPLACE = 9
};

/* Where a kept packet goes on. */
enum divert_inplace {
	DIVERT_INPLACE_OFF = 0,		/* none is kept */
	DIVERT_INPLACE_RULES = 1,	/* at the rules, which may divert it
					 * again after this one
					 */
	DIVERT_INPLACE_BEHIND = 2	/* behind the hook where it was taken */
};

/* What happens to a packet that a socket does not keep. */
enum divert_policy {
	DIVERT_POLICY_DROP = 0,
	/* It goes on behind our hook: no rule diverts it in this stage any
	 * more, all other rules still see it.
	 */
	DIVERT_POLICY_PASS = 1
};

/**
 * struct divert_limits - what a socket keeps queued
 *
 * SO_RCVBUF holds besides; it counts the memory that packets take, these count
 * packets. Copies are never passed. A packet is passed at @old or @close only
 * if one of the two was DIVERT_POLICY_PASS already when it was queued.
 */
struct divert_limits {
	/** @size: sizeof(struct divert_limits); EINVAL if it is another */
	__u32	size;
	/** @packets: at most so many packets are queued; 0 = no limit */
	__u32	packets;
	/** @bytes: at most so many bytes of packets; 0 = no limit */
	__u64	bytes;
	/** @age: packets queued for so many milliseconds are not kept; at most
	 * INT_MAX; 0 = no limit
	 */
	__u32	age;
	/** @full: enum divert_policy for packets that find no room */
	__u8	full;
	/** @old: enum divert_policy for packets past their age */
	__u8	old;
	/** @close: enum divert_policy for packets unread when the socket is
	 * closed, also by its process being killed
	 */
	__u8	close;
	/** @reserved: 0 */
	__u8	reserved;
};

/**
 * struct divert_hold - how packets are kept
 */
struct divert_hold {
	/** @size: sizeof(struct divert_hold); EINVAL if it is another */
	__u32	size;
	/** @headers: bytes that a read gets of each packet, from the IP header
	 * on; 0 = packets are read whole and not kept; at most 65575
	 */
	__u32	headers;
	/** @packets: at most so many are kept that have been read, 1 to 65536,
	 * rounded up to a power of two; 0 = 4096: counted from the oldest that
	 * is there to the newest. Counts for DIVERT_INPLACE, too. EINVAL if
	 * the socket keeps packets by another number already.
	 */
	__u32	packets;
	/** @flags: DIVERT_HOLD_RULES or 0 */
	__u32	flags;
	/** @bytes: at most so many bytes of memory are kept by packets that have
	 * been read; 0 = as much as SO_RCVBUF. Counts for DIVERT_INPLACE, too.
	 * EPERM if it is more than SO_RCVBUF, and more than before, without
	 * CAP_NET_ADMIN on the host.
	 */
	__u64	bytes;
};

/* All kept packets go on at the rules, as with DIVERT_VERDICT_RULES. */
#define DIVERT_HOLD_RULES	0x01

/**
 * struct divert_stats - counters of a socket, in packets unless said
 */
struct divert_stats {
	/** @size: bytes filled in */
	__u32	size;
	/** @reserved: 0 */
	__u32	reserved;
	/** @diverted: queued, copies included */
	__u64	diverted;
	/** @bytes: bytes of them */
	__u64	bytes;
	/** @teed: of @diverted, copies */
	__u64	teed;
	/** @read: read */
	__u64	read;
	/** @unread: queued, lost as the socket was closed */
	__u64	unread;
	/** @expired: queued, dropped as too old */
	__u64	expired;
	/** @released: queued, passed as too old or as the socket was closed */
	__u64	released;
	/** @passed: left in the stack, by the filter or as there was no room */
	__u64	passed;
	/** @full: dropped, there was no room */
	__u64	full;
	/** @nomem: dropped, no memory or could not be segmented */
	__u64	nomem;
	/** @inject_in: written, received again */
	__u64	inject_in;
	/** @inject_out: written, sent */
	__u64	inject_out;
	/** @congested: written or kept ones that went on and were lost below: a
	 * queue or the table of neighbours was full, or their device down
	 */
	__u64	congested;
	/** @einval: writes refused with this error, and so on */
	__u64	einval;
	__u64	eafnosupport;
	__u64	eaddrnotavail;
	__u64	emsgsize;
	__u64	eacces;
	__u64	enetdown;
	/** @eunreach: ENETUNREACH and EHOSTUNREACH */
	__u64	eunreach;
	__u64	enobufs;
	/** @eother: all other errors */
	__u64	eother;
	/** @held: of @read, kept in the kernel */
	__u64	held;
	/** @held_passed: of @held, sent on by a write */
	__u64	held_passed;
	/** @held_dropped: of @held, dropped by a write */
	__u64	held_dropped;
	/** @held_lost: of @held, dropped unanswered: for room, by age, by
	 * close, or because their device has gone
	 */
	__u64	held_lost;
	/** @held_released: of @held, passed unanswered by the same, but for the
	 * last
	 */
	__u64	held_released;
	/** @estale: verdicts refused with ESTALE or ENOENT */
	__u64	estale;
};

/* struct divert_info.hook: as NF_INET_* in <linux/netfilter.h> */
#define DIVERT_HOOK_PRE_ROUTING		0
#define DIVERT_HOOK_LOCAL_OUT		3
#define DIVERT_HOOK_POST_ROUTING	4

/* struct divert_info.flags; those not marked "write" are ignored there. */
#define DIVERT_INFO_TEE		0x01 /* a copy; the packet went on */
#define DIVERT_INFO_REASSEMBLED	0x02 /* frag_max is valid */
#define DIVERT_INFO_LOOPBACK	0x04 /* received from this host itself */
#define DIVERT_INFO_SENDER	0x08 /* uid, sock_cookie, cgroup are valid */
#define DIVERT_INFO_CONNTRACK	0x10 /* ct_mark, ct_state, ct_id are valid */
#define DIVERT_INFO_VLAN	0x20 /* vlan is valid */
#define DIVERT_INFO_CSUM_VALID	0x40 /* checked by the device or made here */
#define DIVERT_INFO_OIF		0x80 /* its sender is bound to oif; write: leave
				      * by oif and no other
				      */
#define DIVERT_INFO_HELD	0x100 /* kept under id; write: a verdict on it */
#define DIVERT_INFO_GSO		0x200 /* several segments in one */
#define DIVERT_INFO_CSUM_PARTIAL 0x400 /* the transport checksum is completed on
					* its way out, whatever is changed;
					* what is written there does not count
					*/

/* With DIVERT_INFO_HELD, on writing only; none of them: the packet goes on. */
#define DIVERT_VERDICT_DROP	0x10000 /* drop it */
#define DIVERT_VERDICT_UPTO	0x20000 /* it, and all that were read before it
					 * and have no verdict yet
					 */
#define DIVERT_VERDICT_RULES	0x40000 /* let the rules of the hook see it
					 * again; not with UPTO
					 */

/**
 * struct divert_info - what the address cannot say of a packet
 *
 * All in host byte order. On reading, everything is filled in. On writing,
 * hook, iif, cookie and mark count and go before the address; oif counts with
 * DIVERT_INFO_OIF. What was read, written back as it is beside the address,
 * sends the packet on as the address alone would, with its mark. Without the
 * address, a locally made packet loses the interface its sender was bound to.
 */
struct divert_info {
	/** @size: sizeof(struct divert_info); writing a shorter one, down to
	 * DIVERT_INFO_SIZE_1, means zero for the rest, a longer one EINVAL
	 */
	__u32	size;
	/** @flags: DIVERT_INFO_* */
	__u32	flags;
	/** @id: number in the namespace, from 1; each copy has its own, the
	 * segments of one packet share it. With DIVERT_INFO_HELD: number in
	 * the socket, from 1, in the order of reading
	 */
	__u64	id;
	/** @iif: ifindex of the receiving interface; 0 = made here */
	__u32	iif;
	/** @oif: ifindex of the interface it was to leave by, with
	 * DIVERT_INFO_OIF maybe that of its VRF; 0 = incoming
	 */
	__u32	oif;
	/** @ifname: full name of the receiving interface, NUL-terminated */
	char	ifname[16];
	/** @hook: DIVERT_HOOK_*; write: PRE_ROUTING is incoming */
	__u8	hook;
	/** @family: AF_INET or AF_INET6, the packet's; ignored on writing */
	__u8	family;
	/** @port: divert port */
	__u16	port;
	/** @cookie: the rule's; write: resume after this one, 0 = fresh */
	__u16	cookie;
	/** @vlan: VLAN tag (TCI) that it still has */
	__u16	vlan;
	/** @mark: the packet's mark as routing saw it; incoming: without our
	 * bits. Write: outside our bits the packet's mark; outgoing: what
	 * routing sees, all of it
	 */
	__u32	mark;
	/** @hash: flow hash, the same in both directions */
	__u32	hash;
	/** @len: length of the packet as it was taken, before segmentation */
	__u32	len;
	/** @frag_max: size of the largest fragment it came in */
	__u32	frag_max;
	/** @uid: user that owns the sender's socket, in the user namespace that
	 * owns the network namespace
	 */
	__u32	uid;
	/** @ct_mark: mark of the connection (conntrack) */
	__u32	ct_mark;
	/** @sock_cookie: SO_COOKIE of the sender's socket */
	__u64	sock_cookie;
	/** @cgroup: id of the sender's cgroup */
	__u64	cgroup;
	/** @ct_state: enum ip_conntrack_info of the packet */
	__u32	ct_state;
	/** @ct_id: id of the connection, as conntrack(8) and nft(8) show it;
	 * 0 = unknown
	 */
	__u32	ct_id;
};

#define DIVERT_INFO_SIZE_1	96	/* struct divert_info of version 1 */

/**
 * struct divert_record - a packet among many in one read or write
 *
 * In host byte order. The next record begins @len bytes after this one.
 */
struct divert_record {
	/** @size: sizeof(struct divert_record): the packet's bytes come there */
	__u32	size;
	/** @len: from here to the next record: @size, @captured and what fills
	 * it up to a multiple of 8. On writing the last one need not be filled.
	 */
	__u32	len;
	/** @packet: length of the packet; ignored on writing */
	__u32	packet;
	/** @captured: bytes that follow; on writing the whole packet or, with
	 * DIVERT_INFO_HELD, what replaces the kept packet's from @offset on
	 */
	__u32	captured;
	/** @id: with DIVERT_INFO_HELD, of the kept packet */
	__u64	id;
	/** @flags: reading: DIVERT_INFO_HELD, TEE, GSO, CSUM_PARTIAL; writing:
	 * 0, or DIVERT_INFO_HELD and DIVERT_VERDICT_*; other DIVERT_INFO_* are
	 * ignored, all else is EINVAL
	 */
	__u32	flags;
	/** @offset: reading: 0; writing with DIVERT_INFO_HELD: where in the kept
	 * packet the bytes go
	 */
	__u32	offset;
	/** @addr: the address, struct sockaddr_in or sockaddr_in6 as is the
	 * socket's family, the rest 0. Writing: ignored with DIVERT_INFO_HELD;
	 * all 0 = none
	 */
	__u8	addr[32];
};

#define DIVERT_RECORD_ALIGN	8

#ifndef __KERNEL__

#include <netinet/in.h>

/* The rule's cookie in an address read from or written to a divert socket:
 * kept in sin_port in host byte order, as every BSD does.
 */
static __inline__ __u16 divert_cookie(const struct sockaddr_in *sa)
{
	return sa->sin_port;
}

/* Set the cookie after which the packet resumes; 0 makes it a fresh packet. */
static __inline__ void divert_set_cookie(struct sockaddr_in *sa, __u16 cookie)
{
	sa->sin_port = cookie;
}

#endif /* __KERNEL__ */
#endif /* _UAPI_LINUX_DIVERT_H */
