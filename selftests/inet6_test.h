/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of IPv6 share: sockets, packets, and a link to a peer.
 *
 * V6_1 and V6_2 in names stand for statements 6.1 and 6.2 of the contract.
 */
#ifndef _INET6_TEST_H
#define _INET6_TEST_H

#include <netinet/ip6.h>

#include "divert_test.h"

#define HEADER6		((int)sizeof(struct ip6_hdr))
#define SIZE6		(HEADER6 + (int)sizeof(struct udphdr))

/* The packet that is written or was read, one that has arrived. */
extern struct packet packet, got;
/* What read6() has read the packet from. */
extern struct sockaddr_in6 from;

/*	peer v1 ─────── v0 here
 *	10.0.0.2  10.0.0.1
 *	fd00::2   fd00::1
 *
 * Returns the peer's namespace.
 */
int link6_new(void);
/* A socket there that gets what comes to UDP_PORT. */
int peer_receiver(int peer);
/* A divert socket there that reads it instead. */
int peer_divert(int peer);
/* From the peer to an address, of either family, of this host. */
void peer_sends(int peer, const char *to, int payload);

struct sockaddr_in6 address6(const char *address, int port);
int udp6_open(int port);
void udp6_send(int fd, const char *address, int payload);
/* "add" or "del" a rule that leads to table 5. */
void policy6(const char *action, const char *rule);
/* Mark UDP to UDP_PORT, of both families, in a chain. */
void mark_udp(const char *hook);

int divert6_socket(void);
int bind6(int fd, int port);
/* An AF_INET6 divert socket on this port. */
int divert6_open(int port);
/* One packet, within the deadline. */
int read6(int fd, struct packet *packet);
int write6(int fd, const struct packet *packet, const struct sockaddr_in6 *to);
/* Has it been read from this address? */
bool is_address(const char *expected);

struct ip6_hdr *header6(struct packet *packet);
struct udphdr *udp6(struct packet *packet);
/* packet: UDP to UDP_PORT with so many bytes of payload. */
void make6(const char *saddr, const char *daddr, int payload);
/* Length and checksum are right. */
bool valid6(struct packet *packet);

#endif /* _INET6_TEST_H */
