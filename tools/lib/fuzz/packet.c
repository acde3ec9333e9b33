// SPDX-License-Identifier: GPL-2.0
/*
 * Any bytes as a packet: nothing outside of them is touched, what is found lies
 * within, and checksums that were made right stay so.
 */

#include <stdlib.h>
#include <string.h>

#include <libdivert/packet.h>

#define MUST(condition)				\
do {						\
	if (!(condition))			\
		abort();			\
} while (0)

static void within(const struct divert_packet *packet, const void *at,
		   size_t len)
{
	const uint8_t *begin = at;

	MUST(!at || (begin >= packet->data &&
		     begin + len <= packet->data + packet->len));
}

static void check_places(const struct divert_packet *packet)
{
	MUST(!packet->ip != !packet->ip6);
	within(packet, packet->ip, sizeof(*packet->ip));
	within(packet, packet->ip6, sizeof(*packet->ip6));
	within(packet, packet->transport, packet->transport_len);
	within(packet, packet->payload, packet->payload_len);
	within(packet, packet->final, packet->ip ? 4 : 16);
	within(packet, packet->tcp, sizeof(*packet->tcp));
	within(packet, packet->udp, sizeof(*packet->udp));
	within(packet, packet->icmp, sizeof(*packet->icmp));
	within(packet, packet->icmp6, sizeof(*packet->icmp6));
	MUST(packet->payload);
}

/* The last byte says which bytes of the payload are changed. */
static void change(struct divert_packet *packet, uint8_t how)
{
	size_t at = packet->payload - packet->data;
	size_t len = how % 16;

	if (packet->payload_len < len)
		len = packet->payload_len;
	at += (packet->payload_len - len) * (how / 16) / 15;
	divert_packet_edit(packet, at, "new bytes, not 0", len);
	divert_packet_set_ttl(packet, how);
	divert_packet_set_sport(packet, how * 257);
	divert_packet_set_dport(packet, how);
	divert_packet_set_saddr(packet, "sixteen bytes..");
	divert_packet_set_daddr(packet, "sixteen others.");
}

static void check_quoted(const struct divert_packet *packet, uint8_t how)
{
	struct divert_packet quoted;

	if (divert_packet_parse_quoted(&quoted, packet))
		return;
	check_places(&quoted);
	within(packet, quoted.data, quoted.len);
	divert_packet_valid(&quoted);
	change(&quoted, how);
	MUST(divert_packet_checksum(&quoted));
}

/* What is known of a packet's beginning does not go beyond it. */
static void check_beginning(const uint8_t *data, size_t size, uint8_t how)
{
	struct divert_packet packet;
	uint8_t *copy = malloc(size);

	memcpy(copy, data, size);
	if (!divert_packet_parse_headers(&packet, copy, size)) {
		MUST(packet.len <= size);
		check_places(&packet);
		divert_packet_valid(&packet);
		change(&packet, how);
		check_quoted(&packet, how);
	}
	free(copy);
}

int fuzz_one(const uint8_t *data, size_t size)
{
	struct divert_packet packet;
	uint8_t *copy;

	if (!size)
		return 0;
	check_beginning(data, (size - 1) * (data[size - 1] % 8 + 1) / 8,
			data[size - 1]);
	/* A place of its own, so that whatever comes behind is noticed. */
	copy = malloc(size - 1);
	memcpy(copy, data, size - 1);
	if (!divert_packet_parse(&packet, copy, size - 1)) {
		check_places(&packet);
		divert_packet_valid(&packet);
		divert_packet_checksum(&packet);
		MUST(divert_packet_valid(&packet));
		change(&packet, data[size - 1]);
		MUST(divert_packet_valid(&packet));
		check_quoted(&packet, data[size - 1]);
	}
	free(copy);
	return 0;
}
