// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-replace: replace a text by another one of the same length in all TCP
 * payload that comes to a divert port.
 *
 * The length stays, so no sequence number changes, and a segment that is sent
 * again is changed in the same way. A text that begins in one segment and ends
 * in the next is not found.
 */

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libdivert/libdivert.h>
#include <libdivert/packet.h>

static const char *old_text, *new_text;

static void replace(struct divert_packet *packet)
{
	size_t len = strlen(old_text);
	uint8_t *at = packet->payload, *end = at + packet->payload_len;

	while ((at = memmem(at, end - at, old_text, len))) {
		/* This keeps the checksum right. */
		divert_packet_edit(packet, at - packet->data, new_text, len);
		at += len;
	}
}

static void pass(struct divert *divert)
{
	static uint32_t data[DIVERT_PACKET_MAX / sizeof(uint32_t) + 1];
	struct divert_packet packet;
	union divert_addr addr;
	ssize_t len;

	len = divert_recv(divert, data, sizeof(data), &addr);
	if (len < 0 && errno == EINTR)
		return;
	if (len < 0)
		err(1, "read");

	if (!divert_packet_parse(&packet, data, len) && packet.tcp)
		replace(&packet);
	/* The address says where the packet was taken. */
	if (divert_send(divert, data, len, &addr) < 0)
		warnx("packet lost: %s", divert_strerror(errno));
}

int main(int argc, char **argv)
{
	int port = argc == 4 ? atoi(argv[1]) : 0;
	struct divert *divert;

	if (port < 1 || port > 65534)
		errx(2, "usage: divert-replace PORT OLD NEW (port: 1-65534)");
	old_text = argv[2];
	new_text = argv[3];
	if (!*old_text || strlen(old_text) != strlen(new_text))
		errx(2, "'%s' and '%s' differ in length, or are empty",
		     old_text, new_text);

	divert = divert_open(AF_INET);
	if (!divert)
		errx(1, "%s", divert_strerror(errno));
	if (divert_bind(divert, port))
		errx(1, "port %d: %s", port, divert_strerror(errno));
	for (;;)
		pass(divert);
}
