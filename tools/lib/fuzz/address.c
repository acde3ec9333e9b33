// SPDX-License-Identifier: GPL-2.0
/*
 * Any bytes as an address: what is read of it is within it, and its text has
 * room.
 */

#include <stdlib.h>
#include <string.h>

#include <libdivert/libdivert.h>

int fuzz_one(const uint8_t *data, size_t size)
{
	union divert_addr addr = { 0 };
	char *text = malloc(DIVERT_ADDR_TEXT);
	char name[IF_NAMESIZE];
	bool incoming;

	memcpy(&addr, data, size < sizeof(addr) ? size : sizeof(addr));
	incoming = divert_addr_incoming(&addr);
	divert_addr_print(&addr, text, DIVERT_ADDR_TEXT);
	if (strncmp(text, incoming ? "in " : "out ", incoming ? 3 : 4) ||
	    !strstr(text, " cookie "))
		abort();
	divert_addr_ifname(&addr, name);
	divert_addr_set_cookie(&addr, 7);
	if (divert_addr_cookie(&addr) != 7 ||
	    divert_addr_incoming(&addr) != incoming)
		abort();
	free(text);
	return 0;
}
