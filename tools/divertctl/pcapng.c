// SPDX-License-Identifier: GPL-2.0
/*
 * A writer of capture files: pcapng, which unlike pcap keeps interface,
 * direction and a comment with each packet. In host byte order, which the first
 * block tells.
 */

#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "divertctl.h"
#include "pcapng.h"

#define BLOCK_SECTION		0x0a0d0d0a
#define BLOCK_INTERFACE		1
#define BLOCK_PACKET		6
#define BYTE_ORDER_MAGIC	0x1a2b3c4d
#define LINKTYPE_RAW		101
#define NANOSECONDS		9

#define OPT_END			0
#define OPT_COMMENT		1
#define OPT_SECTION_APPLICATION	4
#define OPT_INTERFACE_NAME	2
#define OPT_INTERFACE_TSRESOL	9
#define OPT_PACKET_FLAGS	2

#define FLAG_INBOUND		1
#define FLAG_OUTBOUND		2

struct pcapng {
	FILE *file;
	/* @names: of the interfaces, in the order they were seen */
	char (*names)[IF_NAMESIZE];
	size_t n;
	/* @block: one block while it is made; grows as it must */
	uint8_t *block;
	size_t len, size;
};

static void put(struct pcapng *p, const void *data, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;

	if (p->len + padded > p->size) {
		p->size = 2 * (p->len + padded);
		p->block = must_resize(p->block, p->size);
	}
	/* Nothing may be given as NULL. */
	if (len)
		memcpy(p->block + p->len, data, len);
	memset(p->block + p->len + len, 0, padded - len);
	p->len += padded;
}

static void put_u32(struct pcapng *p, uint32_t value)
{
	put(p, &value, sizeof(value));
}

static void put_option(struct pcapng *p, uint16_t code, const void *data,
		       uint16_t len)
{
	uint16_t header[] = { code, len };

	put(p, header, sizeof(header));
	put(p, data, len);
}

static void block_start(struct pcapng *p, uint32_t type)
{
	p->len = 0;
	put_u32(p, type);
	put_u32(p, 0);
}

/* The length is there twice, so that files can be read from the end. */
static bool block_write(struct pcapng *p)
{
	uint32_t len = p->len + sizeof(len);

	put_u32(p, len);
	memcpy(p->block + sizeof(uint32_t), &len, sizeof(len));
	return fwrite(p->block, p->len, 1, p->file) == 1;
}

struct pcapng *pcapng_start(FILE *file, const char *application)
{
	struct pcapng *p = must_alloc(sizeof(*p));
	static const uint16_t version[] = { 1, 0 };
	static const int64_t unknown = -1;

	p->file = file;
	block_start(p, BLOCK_SECTION);
	put_u32(p, BYTE_ORDER_MAGIC);
	put(p, version, sizeof(version));
	put(p, &unknown, sizeof(unknown));
	put_option(p, OPT_SECTION_APPLICATION, application,
		   strlen(application));
	put_option(p, OPT_END, NULL, 0);
	if (block_write(p))
		return p;
	pcapng_free(p);
	return NULL;
}

static bool write_interface(struct pcapng *p, const char *name)
{
	static const uint16_t link[] = { LINKTYPE_RAW, 0 };
	static const uint8_t resolution = NANOSECONDS;

	p->names = must_resize(p->names, (p->n + 1) * sizeof(*p->names));
	snprintf(p->names[p->n++], sizeof(*p->names), "%s", name);

	block_start(p, BLOCK_INTERFACE);
	put(p, link, sizeof(link));
	put_u32(p, 0);
	put_option(p, OPT_INTERFACE_NAME, name, strlen(name));
	put_option(p, OPT_INTERFACE_TSRESOL, &resolution, 1);
	put_option(p, OPT_END, NULL, 0);
	return block_write(p);
}

/* Its number in the file */
static bool find_interface(struct pcapng *p, const char *name, uint32_t *number)
{
	for (*number = 0; *number < p->n; ++*number)
		if (!strcmp(p->names[*number], name))
			return true;
	return write_interface(p, name);
}

bool pcapng_write(struct pcapng *p, const char *interface, bool inbound,
		  const struct timespec *time, const void *data, size_t len,
		  const char *comment)
{
	uint64_t when = time->tv_sec * 1000000000ULL + time->tv_nsec;
	uint32_t flags = inbound ? FLAG_INBOUND : FLAG_OUTBOUND;
	uint32_t number;

	if (!find_interface(p, interface, &number))
		return false;
	block_start(p, BLOCK_PACKET);
	put_u32(p, number);
	put_u32(p, when >> 32);
	put_u32(p, when);
	put_u32(p, len);
	put_u32(p, len);
	put(p, data, len);
	put_option(p, OPT_COMMENT, comment, strlen(comment));
	put_option(p, OPT_PACKET_FLAGS, &flags, sizeof(flags));
	put_option(p, OPT_END, NULL, 0);
	return block_write(p);
}

void pcapng_free(struct pcapng *p)
{
	free(p->names);
	free(p->block);
	free(p);
}
