// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-nat: let hosts behind a router share its address (IPv4: TCP, UDP, ICMP).
 *
 * Rules on the router bring it what leaves for the outside, at postrouting, and
 * what comes from there to the router's address, at prerouting. An inside
 * address and port always get the same outside port, whoever they talk to; what
 * comes back to that port is led to them. What nobody inside has asked for is
 * the router's own and goes on as it is. The outside ports must not be used by
 * the router itself (net.ipv4.ip_local_reserved_ports keeps them free).
 *
 * A third rule, at output, brings it the router's ICMP errors: they are about
 * packets that have been led inside, and would give away who is there.
 *
 * Only inside hosts keep a port theirs: nobody outside can use them up.
 */

#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <libdivert/packet.h>

#include "daemon.h"

#define BUCKETS		4096
#define QUOTED		80	/* bytes of a quoted packet that we may change */

static const char usage[] =
	"divert-nat [-m plain|hold] PORT ADDRESS [LOW-HIGH]";

enum { TCP, UDP, ECHO, KINDS };		/* each has ports of its own */

/* Seconds without a packet from inside after which an outside port may be used
 * anew.
 */
static const int idle[KINDS] = { 2 * 3600, 300, 60 };
#define IDLE_NOT_OPEN	240

struct mapping {
	LIST_ENTRY(mapping) chain;	/* in by_inside */
	int kind;
	uint32_t addr;			/* inside, in network byte order */
	uint16_t port;			/* inside; of an echo, the id */
	uint16_t outside;
	time_t used;
	bool open;			/* TCP: answered, and not closed */
};

static LIST_HEAD(bucket, mapping) by_inside[BUCKETS];
static struct mapping *by_outside[KINDS][65536];

static struct in_addr public;
static unsigned int low = 40000, high = 60000;	/* outside ports */

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static bool is_idle(const struct mapping *map, time_t at)
{
	bool open = map->kind != TCP || map->open;

	return at - map->used > (open ? idle[map->kind] : IDLE_NOT_OPEN);
}

static struct bucket *bucket(int kind, uint32_t addr, uint16_t port)
{
	uint32_t hash = (ntohl(addr) * 31 + port) * 31 + kind;

	return &by_inside[hash * 2654435761u >> 20];
}

static struct mapping *find_inside(int kind, uint32_t addr, uint16_t port)
{
	struct mapping *map;

	LIST_FOREACH(map, bucket(kind, addr, port), chain) {
		if (map->kind == kind && map->addr == addr && map->port == port)
			break;
	}
	return map;
}

static struct mapping *find_outside(int kind, uint16_t port)
{
	struct mapping *map = by_outside[kind][port];

	return map && !is_idle(map, now()) ? map : NULL;
}

/* The next port that nobody uses, from where the last search ended; 0 = none,
 * and that is not asked again in the same second.
 */
static uint16_t free_port(int kind)
{
	static unsigned int next[KINDS];
	static time_t none[KINDS];
	unsigned int i, n = high - low + 1;
	time_t at = now();

	for (i = 0; i < n && none[kind] != at; i++) {
		uint16_t port = low + next[kind]++ % n;
		struct mapping *map = by_outside[kind][port];

		if (!map || is_idle(map, at))
			return port;
	}
	none[kind] = at;
	return 0;
}

static void print(const struct mapping *map)
{
	static const char * const names[KINDS] = { "tcp", "udp", "echo" };
	struct in_addr addr = { map->addr };

	/* One by one: inet_ntoa() has room for one. */
	printf("%s %s:%u", names[map->kind], inet_ntoa(addr), map->port);
	printf(" is %s:%u\n", inet_ntoa(public), map->outside);
}

static struct mapping *add_mapping(int kind, uint32_t addr, uint16_t port)
{
	uint16_t outside = free_port(kind);
	struct mapping *map;

	if (!outside)
		return NULL;
	map = by_outside[kind][outside];
	if (map)
		LIST_REMOVE(map, chain);
	else
		map = malloc(sizeof(*map));
	if (!map)
		err(1, "memory");

	*map = (struct mapping){
		.kind = kind,
		.addr = addr,
		.port = port,
		.outside = outside,
	};
	by_outside[kind][outside] = map;
	LIST_INSERT_HEAD(bucket(kind, addr, port), map, chain);
	print(map);
	return map;
}

enum end { SOURCE, DESTINATION };

/* Where in the packet the port of one of its ends is: NULL if it has none. */
static uint8_t *port_of(const struct divert_packet *packet, enum end end,
			int *kind)
{
	if (!packet->transport || packet->transport_len < 8)
		return NULL;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		*kind = TCP;
		return packet->transport + (end == SOURCE ? 0 : 2);
	case IPPROTO_UDP:
		*kind = UDP;
		return packet->transport + (end == SOURCE ? 0 : 2);
	case IPPROTO_ICMP:
		*kind = ECHO;
		if (!packet->icmp || (packet->icmp->type != ICMP_ECHO &&
				      packet->icmp->type != ICMP_ECHOREPLY))
			return NULL;
		return (uint8_t *)&packet->icmp->un.echo.id;
	default:
		return NULL;
	}
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void rewrite(struct divert_packet *packet, enum end end, uint32_t addr,
		    uint16_t port)
{
	uint16_t bytes = htons(port);
	int kind;

	divert_packet_edit(packet, port_of(packet, end, &kind) - packet->data,
			   &bytes, sizeof(bytes));
	if (end == SOURCE)
		divert_packet_set_saddr(packet, &addr);
	else
		divert_packet_set_daddr(packet, &addr);
}

static void look_at_flags(struct mapping *map, const struct tcphdr *tcp,
			  bool answer)
{
	if (tcp->fin || tcp->rst)
		map->open = false;
	else if (tcp->syn && tcp->ack && answer)
		map->open = true;
}

static struct mapping *outside_of(const struct divert_packet *packet,
				  enum end end)
{
	int kind;
	const uint8_t *at = port_of(packet, end, &kind);

	return at ? find_outside(kind, get16(at)) : NULL;
}

/* What changes in the packet that an error quotes counts in its own sum, too. */
static void rewrite_quoted(struct divert_packet *packet,
			   struct divert_packet *about, enum end end,
			   uint32_t addr, uint16_t port)
{
	size_t len = about->len < QUOTED ? about->len : QUOTED;
	uint8_t before[QUOTED];

	memcpy(before, about->data, len);
	rewrite(about, end, addr, port);
	packet->icmp->checksum = divert_csum_update(packet->icmp->checksum,
						    before, about->data, len);
}

/* An error from inside, about a packet that we led there, or the router's. */
static enum verdict send_error(struct divert_packet *packet,
			       struct divert_packet *about)
{
	int kind;
	const uint8_t *at = port_of(about, DESTINATION, &kind);
	struct mapping *map;

	map = at ? find_inside(kind, about->ip->daddr, get16(at)) : NULL;
	if (!map)
		return packet->ip->saddr == public.s_addr ? PASS : DROP;
	rewrite_quoted(packet, about, DESTINATION, public.s_addr, map->outside);
	divert_packet_set_saddr(packet, &public);
	return CHANGED;
}

/* Whatever has no mapping and cannot get one would give away who is inside. */
static enum verdict send_out(struct divert_packet *packet)
{
	struct divert_packet about;
	uint32_t addr = packet->ip->saddr;
	struct mapping *map;
	const uint8_t *at;
	int kind;

	if (!divert_packet_parse_quoted(&about, packet))
		return about.ip ? send_error(packet, &about) : DROP;

	at = port_of(packet, SOURCE, &kind);
	if (!at)
		return DROP;
	map = find_inside(kind, addr, get16(at)) ?:
	      add_mapping(kind, addr, get16(at));
	if (!map)
		return DROP;
	map->used = now();
	if (packet->tcp)
		look_at_flags(map, packet->tcp, false);
	rewrite(packet, SOURCE, public.s_addr, map->outside);
	return CHANGED;
}

/* An error from outside, about a packet that we sent. */
static enum verdict lead_error_in(struct divert_packet *packet,
				  struct divert_packet *about)
{
	struct mapping *map = outside_of(about, SOURCE);

	if (!map)
		return PASS;
	rewrite_quoted(packet, about, SOURCE, map->addr, map->port);
	divert_packet_set_daddr(packet, &map->addr);
	return CHANGED;
}

static enum verdict lead_in(struct divert_packet *packet)
{
	struct divert_packet about;
	struct mapping *map;

	if (!divert_packet_parse_quoted(&about, packet))
		return about.ip ? lead_error_in(packet, &about) : PASS;

	map = outside_of(packet, DESTINATION);
	/* An echo request is for the router. */
	if (!map || (packet->icmp && packet->icmp->type == ICMP_ECHO))
		return PASS;
	if (packet->tcp)
		look_at_flags(map, packet->tcp, true);
	rewrite(packet, DESTINATION, map->addr, map->port);
	return CHANGED;
}

static enum verdict decide(void *data, size_t len,
			   const union divert_addr *addr)
{
	struct divert_packet packet;

	if (divert_packet_parse_headers(&packet, data, len) || !packet.ip)
		return DROP;
	if (divert_addr_incoming(addr))
		return lead_in(&packet);
	return send_out(&packet);
}

int main(int argc, char **argv)
{
	int i = parse_options(argc, argv, usage);

	if (argc - i < 2 || argc - i > 3)
		errx(2, "usage: %s", usage);
	if (!inet_aton(argv[i + 1], &public))
		errx(2, "'%s' is no IPv4 address", argv[i + 1]);
	if (argc - i == 3 && (sscanf(argv[i + 2], "%u-%u", &low, &high) != 2 ||
			      !low || low > high || high > 65535))
		errx(2, "'%s' is no range of ports, as in 40000-60000",
		     argv[i + 2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	run_daemon(argv[i], decide);
}
