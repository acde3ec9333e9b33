// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hop.h"

void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(errno));
	exit(EXIT_FAILURE);
}

void unavailable(const char *what)
{
	fprintf(stderr, "%s: not available: %s: %s\n",
		program_invocation_short_name, what, strerror(errno));
	exit(HOP_UNAVAILABLE);
}

static void usage(const char *modes)
{
	fprintf(stderr,
		"usage: %s [-r] [-m mode]\n"
		"Says \"ready\" when it is.\n"
		"  -r        rewrite the first byte of each payload\n"
		"  -m mode   %s\n", program_invocation_short_name, modes);
	exit(2);
}

void hop_options(struct hop_options *opt, int argc, char **argv,
		 const char *modes)
{
	int c;

	while ((c = getopt(argc, argv, "rm:")) != -1) {
		switch (c) {
		case 'r': opt->rewrite = true; break;
		case 'm': opt->mode = optarg; break;
		default: usage(modes);
		}
	}
	if (optind != argc)
		usage(modes);
}

bool hop_mode(const struct hop_options *opt, const char *word)
{
	size_t len = strlen(word);
	const char *p = opt->mode;

	while (p) {
		if (!strncmp(p, word, len) && (!p[len] || p[len] == '-'))
			return true;
		p = strchr(p, '-');
		if (p)
			p++;
	}
	return false;
}

void hop_ready(void)
{
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	puts("ready");
	fflush(stdout);
}

void socket_buffers(int fd, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		die("SO_RCVBUFFORCE");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		die("SO_SNDBUFFORCE");
}

/* Ones' complement sum of 8 bytes at a time, in the machine's byte order. */
static uint64_t sum_add(uint64_t sum, const uint8_t *p, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
		sum += sum < word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		sum += word;
		sum += sum < word;
	}
	return sum;
}

static uint16_t sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Where in its transport header the checksum is. */
static uint16_t *checksum_of(struct ip *ip)
{
	uint8_t *l4 = (uint8_t *)ip + ip->ip_hl * 4;

	switch (ip->ip_p) {
	case IPPROTO_UDP: return &((struct udphdr *)l4)->check;
	case IPPROTO_TCP: return &((struct tcphdr *)l4)->check;
	default: return NULL;
	}
}

void packet_checksum(void *packet, size_t len)
{
	struct ip *ip = packet;
	size_t header = ip->ip_hl * 4;
	uint64_t sum = htons(ip->ip_p) + htons(len - header);
	uint16_t *check = checksum_of(ip), result;

	if (!check)
		return;
	*check = 0;
	sum += (uint64_t)ip->ip_src.s_addr + ip->ip_dst.s_addr;
	sum = sum_add(sum, (uint8_t *)packet + header, len - header);
	result = sum_fold(sum);
	*check = result ?: 0xffff;
}

/* Offset of the payload; 0 if there is none. */
static size_t packet_payload(void *packet, size_t len)
{
	struct ip *ip = packet;
	uint8_t *p = packet;
	size_t payload = ip->ip_hl * 4;

	if (ip->ip_p == IPPROTO_UDP)
		payload += sizeof(struct udphdr);
	else if (ip->ip_p == IPPROTO_TCP)
		payload += ((struct tcphdr *)(p + payload))->doff * 4;
	else
		return 0;
	return payload < len ? payload : 0;
}

bool packet_change(void *packet, size_t len)
{
	size_t payload = packet_payload(packet, len);

	if (payload)
		((uint8_t *)packet)[payload] = BENCH_REWRITTEN;
	return payload;
}

/* RFC 1624. The payload begins at an even offset. */
static void checksum_correct(uint16_t *check, uint8_t from, uint8_t to)
{
	uint32_t sum = (uint16_t)~*check + (uint16_t)~htons(from << 8) +
		       htons(to << 8);

	*check = sum_fold(sum);
}

bool packet_patch(void *packet, size_t len, bool partial,
		  struct change *change)
{
	size_t payload = packet_payload(packet, len);
	uint8_t *byte = (uint8_t *)packet + payload;
	uint16_t *check;

	if (!payload)
		return false;
	change->offset = payload;
	if (!partial) {
		check = checksum_of(packet);
		checksum_correct(check, *byte, BENCH_REWRITTEN);
		change->offset = (uint8_t *)check - (uint8_t *)packet;
	}
	*byte = BENCH_REWRITTEN;
	change->len = payload + 1 - change->offset;
	return true;
}
