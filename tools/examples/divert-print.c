// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-print: print each packet that comes to a divert port, send it on.
 *
 * On the way it can change a text of the same length in TCP payload (where it
 * lies within one packet), or the TTL. Packets are IPv4 or IPv6.
 */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/divert.h>

static const char usage[] =
	"usage: divert-print [--port N] [--rewrite OLD=NEW] [--ttl N] [--count N]\n"
	"  --port N           divert port to bind, 1-65534 (default 8668)\n"
	"  --rewrite OLD=NEW  replace OLD by NEW in TCP payload; equal lengths\n"
	"  --ttl N            set the TTL (or hop limit) to N, 1-255\n"
	"  --count N          end after N packets\n";

static unsigned long port = 8668, ttl, count;
static const char *old_text, *new_text;

struct packet {
	union {
		unsigned char data[65575];	/* as IPv6 has them */
		struct iphdr ip;
		struct ip6_hdr ip6;
	};
	size_t len;
	size_t header;		/* length of all IP headers, 0 if there are none */
	uint8_t protocol;	/* what comes then */
	bool fragment;		/* only a part of it */
	struct sockaddr_in address;
};

static int open_socket(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),	/* network order, only here */
	};
	int fd, version;
	socklen_t len = sizeof(version);

	fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
	if (fd < 0 && errno == EPERM)
		errx(1, "no permission: run as root (CAP_NET_RAW, CAP_NET_ADMIN)");
	if (fd < 0)
		err(1, "socket");

	/* Without the module this is a plain raw socket: ask. */
	if (getsockopt(fd, SOL_DIVERT, DIVERT_VERSION, &version, &len))
		errx(1, "the divert module is not loaded: run 'modprobe divert'");

	if (!bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	if (errno == EADDRINUSE)
		errx(1, "port %lu is taken: see /proc/net/divert", port);
	if (errno == EADDRNOTAVAIL)
		errx(1, "no mark can name port %lu: see 'sysctl net.divert'", port);
	err(1, "bind to port %lu", port);
}

static uint16_t get16(const unsigned char *p)
{
	return p[0] << 8 | p[1];
}

/* The kernel gives whole packets only; a daemon checks all the same. */
static void parse4(struct packet *pk)
{
	if (pk->len < sizeof(pk->ip) || pk->ip.ihl < 5 ||
	    pk->ip.ihl * 4u > pk->len)
		return;

	pk->header = pk->ip.ihl * 4;
	pk->protocol = pk->ip.protocol;
	pk->fragment = ntohs(pk->ip.frag_off) & (IP_MF | IP_OFFMASK);
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_AH;
}

static void parse6(struct packet *pk)
{
	size_t at = sizeof(pk->ip6), len;
	const unsigned char *ext;
	uint8_t next;

	if (pk->len < at)
		return;

	next = pk->ip6.ip6_nxt;
	while (!pk->fragment && is_extension(next) && pk->len - at >= 8) {
		ext = pk->data + at;
		len = (ext[1] + 1) * 8;
		if (next == IPPROTO_AH)
			len = (ext[1] + 2) * 4;
		if (next == IPPROTO_FRAGMENT) {
			len = 8;
			pk->fragment = get16(ext + 2) & ~6;
		}
		if (len > pk->len - at)
			break;
		next = ext[0];
		at += len;
	}
	pk->header = at;
	pk->protocol = next;
}

static void receive(int fd, struct packet *pk)
{
	socklen_t len = sizeof(pk->address);
	ssize_t n;

	do {
		n = recvfrom(fd, pk->data, sizeof(pk->data), 0,
			     (struct sockaddr *)&pk->address, &len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err(1, "recvfrom");

	pk->len = n;
	pk->header = 0;
	pk->fragment = false;
	if (n && pk->ip.version == 4)
		parse4(pk);
	else if (n && pk->ip.version == 6)
		parse6(pk);
}

/* The sum of 16-bit words that the Internet checksum is made of. */
static uint32_t sum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t total = 0;

	for (; len > 1; p += 2, len -= 2)
		total += get16(p);
	return len ? total + (p[0] << 8) : total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

/* A packet that goes on as incoming must have the right header checksum. */
static void set_ttl(struct packet *pk)
{
	if (pk->ip.version == 6) {
		pk->ip6.ip6_hlim = ttl;
		return;
	}
	pk->ip.ttl = ttl;
	pk->ip.check = 0;
	pk->ip.check = htons(~fold(sum(pk->data, pk->header)));
}

static bool rewrite(struct packet *pk)
{
	size_t room = pk->len - pk->header, len = strlen(old_text);
	struct tcphdr *tcp = (struct tcphdr *)(pk->data + pk->header);
	unsigned char *p, *end = pk->data + pk->len;
	uint16_t before, after;

	if (pk->protocol != IPPROTO_TCP || pk->fragment ||
	    room < sizeof(*tcp) || tcp->doff < 5 || tcp->doff * 4u > room)
		return false;

	p = memmem((char *)tcp + tcp->doff * 4, room - tcp->doff * 4,
		   old_text, len);
	if (!p)
		return false;

	before = fold(sum(tcp, room));
	for (; p; p = memmem(p + len, end - p - len, old_text, len))
		memcpy(p, new_text, len);
	after = fold(sum(tcp, room));

	/* The sum must be what it was; so this does for IPv4 and IPv6. */
	tcp->check = htons(fold(ntohs(tcp->check) + before + (uint16_t)~after));
	return true;
}

static const char *interface(const struct sockaddr_in *address)
{
	static char name[IF_NAMESIZE], zero[sizeof(address->sin_zero) + 1];

	memcpy(zero, address->sin_zero, sizeof(address->sin_zero));
	/* Of a packet that the kernel keeps: what follows is not the name. */
	if (zero[4] == '/')
		zero[4] = 0;
	if (!zero[0] || strlen(zero) == sizeof(address->sin_zero))
		return "-";
	/* A name that is too long comes as its number. */
	if (zero[0] == '/' && if_indextoname(atoi(zero + 1), name))
		return name;
	return zero;
}

static void print_end(const struct packet *pk, const void *ip, size_t port_at)
{
	bool ports = !pk->fragment && pk->len >= pk->header + 4 &&
		     (pk->protocol == IPPROTO_TCP ||
		      pk->protocol == IPPROTO_UDP);
	bool v6 = pk->ip.version == 6;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(v6 ? AF_INET6 : AF_INET, ip, text, sizeof(text));
	printf(v6 && ports ? "[%s]" : "%s", text);
	if (ports)
		printf(":%u", get16(pk->data + pk->header + port_at));
}

static void print(const struct packet *pk, bool changed)
{
	static const char * const names[256] = {
		[IPPROTO_ICMP] = " icmp", [IPPROTO_TCP] = " tcp",
		[IPPROTO_UDP] = " udp", [IPPROTO_ICMPV6] = " icmpv6",
	};
	const char *name = names[pk->protocol];
	bool v6 = pk->ip.version == 6;

	printf("%-3s %-4s cookie %u  ",
	       pk->address.sin_addr.s_addr ? "in" : "out",
	       interface(&pk->address), divert_cookie(&pk->address));
	if (!pk->header) {
		printf("%zu bytes, not IP\n", pk->len);
		return;
	}
	print_end(pk, pk->data + (v6 ? 8 : 12), 0);
	fputs(" > ", stdout);
	print_end(pk, pk->data + (v6 ? 24 : 16), 2);
	if (name)
		fputs(name, stdout);
	else
		printf(" protocol %u", pk->protocol);
	printf(" %zu bytes%s%s\n", pk->len,
	       pk->fragment ? ", fragment" : "",
	       changed ? ", rewritten" : "");
}

static void run(int fd)
{
	static struct packet pk;
	unsigned long n;
	bool changed;

	for (n = 0; !count || n < count; n++) {
		receive(fd, &pk);
		if (ttl && pk.header)
			set_ttl(&pk);
		changed = old_text && pk.header && rewrite(&pk);
		print(&pk, changed);
		/* The very address it came with says where it goes on. */
		if (sendto(fd, pk.data, pk.len, 0,
			   (struct sockaddr *)&pk.address,
			   sizeof(pk.address)) < 0)
			warn("packet lost");
	}
}

static unsigned long parse_number(const char *option, const char *text,
				  long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || n < 1 || n > max)
		errx(2, "%s takes a number from 1 to %ld, not '%s'", option,
		     max, text);
	return n;
}

static void parse_rewrite(char *text)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		errx(2, "--rewrite takes OLD=NEW, not '%s'", text);
	*equals = 0;
	old_text = text;
	new_text = equals + 1;
	if (strlen(old_text) != strlen(new_text))
		errx(2, "'%s' and '%s' differ in length", old_text, new_text);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "rewrite", required_argument, NULL, 'r' },
		{ "ttl", required_argument, NULL, 't' },
		{ "count", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'p')
			port = parse_number("--port", optarg, 65534);
		else if (c == 'r')
			parse_rewrite(optarg);
		else if (c == 't')
			ttl = parse_number("--ttl", optarg, 255);
		else if (c == 'c')
			count = parse_number("--count", optarg, INT32_MAX);
		else
			break;
	}
	if (c != -1 || optind < argc) {
		fputs(usage, c == 'h' ? stdout : stderr);
		return c == 'h' ? 0 : 2;
	}

	setvbuf(stdout, NULL, _IOLBF, 0);
	run(open_socket());
	return 0;
}
