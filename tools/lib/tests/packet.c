// SPDX-License-Identifier: GPL-2.0
/*
 * Proves that headers are found where they are and nowhere else, and that
 * checksums are right after each kind of change. The packets were made with
 * other tools; their sums are right.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libdivert/packet.h>

#include "test.h"

/* 10.0.1.2:36118 > 10.0.2.2:80, a TCP packet with options and "abc" */
static const unsigned char tcp4[] = {
	0x45, 0x00, 0x00, 0x37, 0x12, 0x34, 0x40, 0x00, 0x40, 0x06, 0x11, 0x8a,
	0x0a, 0x00, 0x01, 0x02, 0x0a, 0x00, 0x02, 0x02,
	0x8d, 0x16, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02,
	0x80, 0x18, 0x02, 0x00, 0x0b, 0xd8, 0x00, 0x00,
	0x01, 0x01, 0x08, 0x0a, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x06,
	0x61, 0x62, 0x63,
};

/* the same in UDP, four bytes */
static const unsigned char udp4[] = {
	0x45, 0x00, 0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x63, 0xc9,
	0x0a, 0x00, 0x01, 0x02, 0x0a, 0x00, 0x02, 0x02,
	0x13, 0x88, 0x00, 0x35, 0x00, 0x0c, 0xed, 0x3b, 0x74, 0x65, 0x73, 0x74,
};

/* an echo request, by an IPv4 header with a router alert option */
static const unsigned char icmp4[] = {
	0x46, 0x00, 0x00, 0x24, 0x00, 0x01, 0x00, 0x00, 0x40, 0x01, 0xce, 0xd0,
	0x0a, 0x00, 0x01, 0x02, 0x0a, 0x00, 0x02, 0x02,
	0x94, 0x04, 0x00, 0x00,
	0x08, 0x00, 0x06, 0xfa, 0x12, 0x34, 0x00, 0x01, 0x70, 0x69, 0x6e, 0x67,
};

/* fd00::1 > fd00::2: hop-by-hop, destination options, UDP "hi" */
static const unsigned char udp6[] = {
	0x60, 0x00, 0x00, 0x00, 0x00, 0x1a, 0x00, 0x40,
	0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x01,
	0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x02,
	0x3c, 0x00, 0x05, 0x02, 0x00, 0x00, 0x01, 0x00,
	0x11, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 0x00,
	0x13, 0x88, 0x00, 0x35, 0x00, 0x0a, 0x00, 0x00, 0x68, 0x69,
};

/* a fragment from the middle */
static const unsigned char fragment6[] = {
	0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x2c, 0x40,
	0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x01,
	0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x02,
	0x11, 0x00, 0x00, 0x41, 0x00, 0x00, 0x00, 0x07, 0x64, 0x61, 0x74, 0x61,
	0x64, 0x61, 0x74, 0x61,
};

static union {
	unsigned int align;
	unsigned char data[65536];
} buffer;

static struct divert_packet packet;

struct bytes {
	const unsigned char *data;
	size_t len;
};

#define BYTES(array)	((struct bytes){ array, sizeof(array) })

/* All that are whole. */
#define PACKETS		4

static struct bytes whole(int i)
{
	const struct bytes all[PACKETS] = {
		BYTES(tcp4), BYTES(udp4), BYTES(icmp4), BYTES(udp6),
	};

	return all[i];
}

static int parse(struct bytes bytes)
{
	memcpy(buffer.data, bytes.data, bytes.len);
	return divert_packet_parse(&packet, buffer.data, bytes.len);
}

/* The sums of some are left to us. */
static void parse_and_sum(struct bytes bytes)
{
	CHECK(!parse(bytes));
	CHECK(!divert_packet_checksum(&packet));
}

static void tcp(void)
{
	CHECK(!parse(BYTES(tcp4)));
	CHECK(packet.len == 55 && packet.ip && !packet.ip6);
	CHECK(packet.protocol == IPPROTO_TCP && !packet.fragment);
	CHECK(packet.tcp && (uint8_t *)packet.tcp == packet.data + 20);
	CHECK(!packet.udp && !packet.icmp && !packet.icmp6);
	CHECK(packet.payload == packet.data + 52 && packet.payload_len == 3);
	CHECK(divert_packet_sport(&packet) == 36118);
	CHECK(divert_packet_dport(&packet) == 80);
	CHECK(!memcmp(divert_packet_saddr(&packet), "\x0a\0\1\2", 4));
	CHECK(!memcmp(divert_packet_daddr(&packet), "\x0a\0\2\2", 4));
}

static void udp(void)
{
	CHECK(!parse(BYTES(udp4)));
	CHECK(packet.udp && packet.payload_len == 4);
	CHECK(divert_packet_dport(&packet) == 53);
}

static void icmp_after_options(void)
{
	CHECK(!parse(BYTES(icmp4)));
	CHECK(packet.icmp && packet.icmp->type == ICMP_ECHO);
	CHECK(packet.transport == packet.data + 24);
	CHECK(packet.payload_len == 4);
	CHECK(divert_packet_sport(&packet) == -1);
	CHECK(divert_packet_set_sport(&packet, 1) && errno == EOPNOTSUPP);
}

static void extension_headers(void)
{
	CHECK(!parse(BYTES(udp6)));
	CHECK(packet.ip6 && !packet.ip && packet.len == 66);
	CHECK(packet.udp && packet.transport == packet.data + 56);
	CHECK(packet.payload_len == 2);
	CHECK(packet.final == (void *)&packet.ip6->ip6_dst);
}

/* Where extension headers end in nonsense, so does what we know. */
static void extension_header_too_long(void)
{
	size_t len = sizeof(udp6);

	memcpy(buffer.data, udp6, len);
	buffer.data[49] = 3;	/* the second one's length */
	CHECK(!divert_packet_parse(&packet, buffer.data, len));
	CHECK(packet.protocol == IPPROTO_DSTOPTS);
	CHECK(packet.transport == packet.data + 48 && !packet.udp);
}

static void fragment(void)
{
	CHECK(!parse(BYTES(fragment6)));
	CHECK(packet.fragment && packet.offset == 64);
	CHECK(packet.protocol == IPPROTO_UDP);
	CHECK(!packet.transport && !packet.udp);
	CHECK(packet.payload == packet.data + 48 && packet.payload_len == 8);
	CHECK(divert_packet_sport(&packet) == -1);
	CHECK(divert_packet_checksum(&packet) && errno == EOPNOTSUPP);
	CHECK(divert_packet_valid(&packet));
	CHECK(divert_packet_edit(&packet, 48, "x", 1) && errno == EOPNOTSUPP);
	CHECK(!divert_packet_set_saddr(&packet, buffer.data + 24));
}

static void first_fragment(void)
{
	size_t len = sizeof(udp4);

	memcpy(buffer.data, udp4, len);
	buffer.data[6] = 0x20;
	buffer.data[24] = 5;	/* UDP's length: more than is here */
	CHECK(!divert_packet_parse(&packet, buffer.data, len));
	CHECK(packet.fragment && !packet.offset);
	CHECK(packet.udp && packet.payload_len == 4);
	CHECK(divert_packet_checksum(&packet) && errno == EOPNOTSUPP);
	CHECK(!divert_csum(buffer.data, 20));
}

/* UDP ends where it says, not with the packet; what comes then counts for
 * nothing. If it says more than there is, it is none.
 */
static void udp_says_its_length(void)
{
	uint16_t sum;

	CHECK(!parse(BYTES(udp4)));
	packet.udp->len = htons(10);
	CHECK(!divert_packet_parse(&packet, packet.data, packet.len));
	CHECK(packet.udp && packet.payload_len == 2);
	CHECK(!divert_packet_checksum(&packet));
	sum = packet.udp->check;
	CHECK(!divert_packet_edit(&packet, 30, "xx", 2));
	CHECK(packet.udp->check == sum && divert_packet_valid(&packet));
	CHECK(!divert_packet_edit(&packet, 28, "xx", 2));
	CHECK(packet.udp->check != sum && divert_packet_valid(&packet));

	packet.udp->len = htons(13);
	CHECK(!divert_packet_parse(&packet, packet.data, packet.len));
	CHECK(!packet.udp && packet.transport);
	CHECK(divert_packet_checksum(&packet) && errno == EOPNOTSUPP);
}

/* Of a packet that is cut, headers that are there whole are found, and edits
 * keep the sums right that the rest is covered by, too.
 */
static void beginning(void)
{
	struct divert_packet head;
	unsigned char bytes[64] __attribute__((__aligned__(8)));

	CHECK(!parse(BYTES(tcp4)));
	memcpy(bytes, tcp4, 52);
	CHECK(!divert_packet_parse_headers(&head, bytes, 52));
	CHECK(head.cut && head.len == 52 && head.tcp && !head.payload_len);
	CHECK(divert_packet_valid(&head));
	CHECK(!divert_packet_set_sport(&head, 1234));
	CHECK(!divert_packet_set_daddr(&head, "\xc6\x33\x64\x01"));
	CHECK(divert_packet_edit(&head, 51, "12", 2) && errno == EINVAL);
	CHECK(divert_packet_checksum(&head) && errno == EOPNOTSUPP);
	memcpy(packet.data, bytes, 52);
	CHECK(divert_packet_valid(&packet));

	CHECK(!divert_packet_parse_headers(&head, bytes, 51) && !head.tcp);
	CHECK(divert_packet_sport(&head) == 1234);
	/* The sum ends at 38. */
	CHECK(!divert_packet_parse_headers(&head, bytes, 38));
	CHECK(!divert_packet_set_sport(&head, 1235));
	CHECK(!divert_packet_parse_headers(&head, bytes, 37));
	CHECK(divert_packet_set_sport(&head, 1236) && errno == EOPNOTSUPP);
	CHECK(divert_packet_set_saddr(&head, "\xc6\x33\x64\x01") &&
	      errno == EOPNOTSUPP);
	CHECK(divert_packet_sport(&head) == 1235);
	CHECK(!divert_packet_set_ttl(&head, 3));
	memcpy(packet.data, bytes, 52);
	CHECK(divert_packet_valid(&packet));
	CHECK(!divert_packet_parse_headers(&head, bytes, 20));
	CHECK(head.ip && divert_packet_sport(&head) == -1);
	CHECK(divert_packet_parse_headers(&head, bytes, 19) && errno == EINVAL);
	CHECK(!divert_packet_parse_headers(&head, packet.data, 55));
	CHECK(!head.cut && head.len == 55);
}

/* Each length but the right one is refused or leaves out what is not there. */
static void cut_anywhere(void)
{
	size_t n;
	int i;

	for (i = 0; i < PACKETS; i++) {
		CHECK(!parse(whole(i)));
		for (n = 0; n < whole(i).len; n++) {
			CHECK(divert_packet_parse(&packet, buffer.data, n));
			CHECK(errno == EINVAL);
		}
		CHECK(!divert_packet_parse(&packet, buffer.data, n + 9));
		CHECK(packet.len == n);
	}
}

static void nonsense(void)
{
	size_t len = sizeof(tcp4);

	memcpy(buffer.data, tcp4, len);
	CHECK(divert_packet_parse(&packet, buffer.data + 1, len - 1));
	buffer.data[0] = 0x44;	/* header of 16 bytes */
	CHECK(divert_packet_parse(&packet, buffer.data, len));
	buffer.data[0] = 0x4f;	/* header longer than the packet */
	CHECK(divert_packet_parse(&packet, buffer.data, 55));
	buffer.data[0] = 0x55;	/* version 5 */
	CHECK(divert_packet_parse(&packet, buffer.data, len));
	buffer.data[0] = 0x45;
	buffer.data[32] = 0xf0;	/* TCP header longer than the packet */
	CHECK(!divert_packet_parse(&packet, buffer.data, len));
	CHECK(!packet.tcp && packet.payload_len == 35);
	CHECK(divert_packet_sport(&packet) == 36118);
}

/* RFC 1071's own example. */
static void csum(void)
{
	static const unsigned char bytes[] = {
		0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7
	};

	CHECK(divert_csum(bytes, sizeof(bytes)) == htons(0x220d));
	CHECK(divert_csum("\xff", 1) == htons(0x00ff));
}

/* RFC 1624's: a word goes from 0x5555 to 0x3285, the sum from 0xdd2f to 0. */
static void csum_update(void)
{
	CHECK(divert_csum_update(htons(0xdd2f), "\x55\x55", "\x32\x85", 2) ==
	      htons(0x0000));
}

static void valid(void)
{
	CHECK(!parse(BYTES(tcp4)) && divert_packet_valid(&packet));
	CHECK(!parse(BYTES(udp4)) && divert_packet_valid(&packet));
	CHECK(!parse(BYTES(icmp4)) && divert_packet_valid(&packet));
	parse_and_sum(BYTES(udp6));
	CHECK(divert_packet_valid(&packet));
	packet.udp->dest ^= 1;
	CHECK(!divert_packet_valid(&packet));
	CHECK(!parse(BYTES(udp4)));
	packet.ip->ttl--;
	CHECK(!divert_packet_valid(&packet));
}

/* What is made anew is what was there: by whoever made these packets. */
static void checksum_anew(void)
{
	unsigned char before[64];
	int i;

	for (i = 0; i < 3; i++) {
		CHECK(!parse(whole(i)));
		memcpy(before, packet.data, packet.len);
		CHECK(!divert_packet_checksum(&packet));
		CHECK(!memcmp(before, packet.data, packet.len));
	}
}

static void edits(void)
{
	CHECK(!parse(BYTES(tcp4)));
	CHECK(!divert_packet_set_saddr(&packet, "\xc0\xa8\x07\x63"));
	CHECK(!divert_packet_set_daddr(&packet, "\xc6\x33\x64\x01"));
	CHECK(!divert_packet_set_sport(&packet, 1));
	CHECK(!divert_packet_set_dport(&packet, 65535));
	CHECK(!divert_packet_set_ttl(&packet, 7));
	CHECK(!divert_packet_edit(&packet, 53, "XY", 2));
	CHECK(divert_packet_valid(&packet));
	CHECK(divert_packet_sport(&packet) == 1 && packet.ip->ttl == 7);
	CHECK(!memcmp(packet.payload, "aXY", 3));

	CHECK(divert_packet_edit(&packet, 54, "XY", 2) && errno == EINVAL);
	CHECK(divert_packet_edit(&packet, 56, "", 0) && errno == EINVAL);
	CHECK(divert_packet_edit(&packet, (size_t)-1, "XY", 2));
	CHECK(!divert_packet_edit(&packet, 55, "", 0));
}

/* A wrong sum stays wrong: a program that sends one on purpose can. */
static void wrong_stays_wrong(void)
{
	CHECK(!parse(BYTES(tcp4)));
	packet.tcp->check ^= 1;
	CHECK(!divert_packet_set_dport(&packet, 443));
	CHECK(!divert_packet_valid(&packet));
	packet.tcp->check ^= 1;
}

static void udp_without_sum(void)
{
	CHECK(!parse(BYTES(udp4)));
	packet.udp->check = 0;
	CHECK(divert_packet_valid(&packet));
	CHECK(!divert_packet_set_dport(&packet, 443));
	CHECK(!packet.udp->check);
	CHECK(!divert_packet_checksum(&packet));
	CHECK(packet.udp->check && divert_packet_valid(&packet));
}

/* Zero means that there is no sum: one that comes out as zero is 0xffff. */
static void udp_sum_of_zero(void)
{
	uint16_t csum, port;

	CHECK(!parse(BYTES(udp4)));
	csum = ntohs(packet.udp->check);
	port = ntohs(packet.udp->dest);
	/* Add to the words what is missing to the sum. */
	port = port + csum > 0xffff ? port + csum - 0xffff : port + csum;
	CHECK(!divert_packet_set_dport(&packet, port));
	CHECK(packet.udp->check == 0xffff && divert_packet_valid(&packet));
	CHECK(!divert_packet_checksum(&packet));
	CHECK(packet.udp->check == 0xffff);
}

/* In the addresses, or behind the IP headers and UDP's length; bytes there. */
static size_t random_place(size_t *at)
{
	size_t end = packet.ip ? 20 : 40;

	*at = packet.ip ? 12 : 8;
	if (test_random(2)) {
		*at = packet.transport - packet.data + (packet.udp ? 6 : 0);
		end = packet.len;
	}
	*at += test_random(end - *at);
	return end - *at;
}

/* Zeros have the sum 0xffff, and so have those that have become zeros. */
static void zeros(void)
{
	CHECK(!parse(BYTES(icmp4)));
	memset(packet.icmp, 0, packet.transport_len);
	CHECK(!divert_packet_checksum(&packet));
	CHECK(packet.icmp->checksum == 0xffff && divert_packet_valid(&packet));
	CHECK(!divert_packet_edit(&packet, 33, "x", 1));
	CHECK(divert_packet_valid(&packet));
	CHECK(!divert_packet_edit(&packet, 33, "", 1));
	CHECK(divert_packet_valid(&packet));
}

/* Any change to any packet leaves its sums right. */
static void random_edits(void)
{
	unsigned char bytes[24];
	size_t at, len, n;
	int i;

	for (i = 0; i < 20000; i++) {
		parse_and_sum(whole(i % PACKETS));
		len = random_place(&at);
		len = 1 + test_random(len < sizeof(bytes) ? len :
							    sizeof(bytes));
		for (n = 0; n < len; n++)
			bytes[n] = test_random(256);
		CHECK(!divert_packet_edit(&packet, at, bytes, len));
		CHECK(divert_packet_valid(&packet));
	}
}

/* Sums over a packet on its way along a routing header are made with the last
 * address, not with the next one.
 */
static void routing_header(void)
{
	static const unsigned char segments[] = {
		0x60, 0x00, 0x00, 0x00, 0x00, 0x22, 0x2b, 0x40,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
		0x11, 0x02, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x09,
		0x13, 0x88, 0x00, 0x35, 0x00, 0x0a, 0x00, 0x00, 0x68, 0x69,
	};
	uint8_t other[16] = { 0xfd, 1 };

	parse_and_sum(BYTES(segments));
	CHECK(packet.final == packet.data + 48 && packet.udp);
	CHECK(!divert_packet_set_daddr(&packet, other));
	CHECK(divert_packet_valid(&packet));
	CHECK(!divert_packet_edit(&packet, 48, other, sizeof(other)));
	CHECK(divert_packet_valid(&packet));

	packet.data[43] = 2;	/* more left than there are */
	CHECK(!divert_packet_parse(&packet, packet.data, packet.len));
	CHECK(!packet.final);
	packet.data[43] = 1;
	packet.data[42] = 9;	/* a routing header that nobody knows */
	CHECK(!divert_packet_parse(&packet, packet.data, packet.len));
	CHECK(!packet.final && packet.udp);
	CHECK(divert_packet_checksum(&packet) && errno == EOPNOTSUPP);
	CHECK(divert_packet_edit(&packet, 48, other, 16) && errno == EOPNOTSUPP);
	CHECK(!divert_packet_edit(&packet, 64, "xx", 2));
}

/* Packet too big, with the first bytes of udp6's like; an echo is no error. */
static void quoted6(void)
{
	static const unsigned char error[] = {
		0x60, 0x00, 0x00, 0x00, 0x00, 0x38, 0x3a, 0x40,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
		0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00,
		0x60, 0x00, 0x00, 0x00, 0x05, 0xdc, 0x11, 0x40,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
		0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
		0x13, 0x88, 0x00, 0x35, 0x05, 0xdc, 0x00, 0x00,
	};
	struct divert_packet inner;

	parse_and_sum(BYTES(error));
	CHECK(packet.icmp6 && divert_packet_valid(&packet));
	CHECK(!divert_packet_parse_quoted(&inner, &packet));
	CHECK(inner.ip6 && inner.len == 48 && inner.transport_len == 8);
	CHECK(divert_packet_dport(&inner) == 53);

	packet.icmp6->icmp6_type = ICMP6_ECHO_REQUEST;
	CHECK(divert_packet_parse_quoted(&inner, &packet) && errno == EINVAL);
}

/* Port unreachable, with the first bytes of tcp4. */
static void quoted(void)
{
	static const unsigned char error[] = {
		0x45, 0x00, 0x00, 0x38, 0x00, 0x01, 0x00, 0x00, 0x40, 0x01,
		0x63, 0xc0, 0x0a, 0x00, 0x02, 0x02, 0x0a, 0x00, 0x01, 0x02,
		0x03, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x45, 0x00, 0x00, 0x37, 0x12, 0x34, 0x40, 0x00, 0x40, 0x06,
		0x11, 0x8a, 0x0a, 0x00, 0x01, 0x02, 0x0a, 0x00, 0x02, 0x02,
		0x8d, 0x16, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01,
	};
	struct divert_packet inner;

	parse_and_sum(BYTES(error));
	CHECK(!divert_packet_parse_quoted(&inner, &packet));
	CHECK(inner.cut && inner.len == 28 && inner.ip);
	CHECK(!inner.tcp && inner.transport_len == 8);
	CHECK(divert_packet_sport(&inner) == 36118);
	CHECK(!divert_packet_set_saddr(&inner, "\xc0\xa8\x07\x63"));
	CHECK(!divert_packet_set_sport(&inner, 40000));
	CHECK(!divert_csum(inner.ip, 20));
	CHECK(!divert_packet_valid(&packet));
	CHECK(!divert_packet_checksum(&packet) && divert_packet_valid(&packet));

	CHECK(!parse(BYTES(icmp4)));
	CHECK(divert_packet_parse_quoted(&inner, &packet) && errno == EINVAL);
	CHECK(!parse(BYTES(tcp4)));
	CHECK(divert_packet_parse_quoted(&inner, &packet) && errno == EINVAL);
}

int main(void)
{
	TEST(tcp);
	TEST(udp);
	TEST(icmp_after_options);
	TEST(extension_headers);
	TEST(extension_header_too_long);
	TEST(fragment);
	TEST(first_fragment);
	TEST(udp_says_its_length);
	TEST(beginning);
	TEST(cut_anywhere);
	TEST(nonsense);
	TEST(csum);
	TEST(csum_update);
	TEST(valid);
	TEST(checksum_anew);
	TEST(edits);
	TEST(wrong_stays_wrong);
	TEST(udp_without_sum);
	TEST(udp_sum_of_zero);
	TEST(zeros);
	TEST(random_edits);
	TEST(routing_header);
	TEST(quoted);
	TEST(quoted6);
	return test_status();
}
