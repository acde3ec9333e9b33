/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * Divert sockets: hand live IP packets to a program and take them back.
 *
 * This header is the specification of the interface; divert(7) explains it.
 *
 * Socket
 * ------
 *	fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
 *
 * needs CAP_NET_RAW and CAP_NET_ADMIN in the user namespace that owns the
 * network namespace, else EPERM. Nothing after socket() asks for privileges.
 *
 * Steering
 * --------
 * A packet is diverted when a firewall rule left a divert port and the rule's
 * cookie in its mark (defaults: port in bits 31-16, cookie in bits 15-0; see
 * net.divert.port_mask and net.divert.cookie_mask). A port field of zero is
 * not ours; a port field of all ones is what the kernel shows for a packet
 * that came from a divert socket, and cannot be bound (EADDRNOTAVAIL).
 *
 * bind(2)
 * -------
 * struct sockaddr_in, at least 16 bytes:
 *	sin_family	AF_INET
 *	sin_port	divert port 1-65535, network byte order; 0 picks one
 *	sin_addr	ignored
 *	sin_zero	ignored
 *
 * Reading: one read is one IP packet, from its IP header on, everything in
 * network byte order, all checksums complete. The address is 16 bytes:
 *	sin_family	AF_INET
 *	sin_port	the rule's cookie, 1-65535, in HOST byte order
 *	sin_addr	incoming: the first IPv4 address of the receiving
 *			interface, or 0.<ifindex, 24 bits> if it has none;
 *			outgoing: 0.0.0.0
 *	sin_zero	incoming or forwarded: name of the receiving interface,
 *			NUL-terminated, or "/" and its ifindex in decimal where
 *			the name is longer than 7 bytes;
 *			locally made: a zero byte, then 7 opaque bytes
 *
 * Writing: one write is one whole IP packet. The address that came with a
 * packet, given back as it is, sends the packet on where it was taken, after
 * the rule that took it. Otherwise:
 *	no address, or sin_addr 0.0.0.0: the packet is sent (outgoing);
 *	any other: it is received (incoming) on the interface that sin_zero
 *	names or, if it names none, on the one that has the address sin_addr.
 *	sin_port is the cookie, in host byte order: rules with a cookie up to
 *	this one do not divert the packet again. 0 makes it a fresh packet.
 *
 * Kernel and user space may both be told apart from a plain raw socket, which
 * the same socket() call yields while the module is not loaded, by
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

/* Options at level SOL_DIVERT. An unknown one gives ENOPROTOOPT, a wrong
 * length EINVAL.
 */
enum divert_option {
	/* get: int (4 bytes, host byte order), DIVERT_ABI_VERSION. */
	DIVERT_VERSION = 1,
};

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
