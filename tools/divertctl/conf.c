// SPDX-License-Identifier: GPL-2.0
/* The settings of this network namespace, and the marks they make. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "divertctl.h"

#define SETTINGS	"/proc/sys/net/divert/"

static bool read_line(const char *name, char *line, int size)
{
	char path[64];
	FILE *file;
	bool read;

	snprintf(path, sizeof(path), SETTINGS "%s", name);
	file = fopen(path, "re");
	if (!file)
		return false;
	read = fgets(line, size, file);
	fclose(file);
	return read;
}

static void read_number(const char *name, uint32_t *number)
{
	char line[64];

	/* The setting may be one that the module does not have yet. */
	if (read_line(name, line, sizeof(line)))
		*number = strtoul(line, NULL, 0);
}

void conf_read(struct conf *conf)
{
	char line[64];

	*conf = (struct conf){
		.port_mask	= 0xffff0000,
		.cookie_mask	= 0x0000ffff,
		.port_range	= { 1, 65535 },
		.defrag		= 1,
		.rcvbuf		= 4 << 20,
		.no_listener	= "auto",
	};
	conf->loaded = read_line("port_mask", line, sizeof(line));
	read_number("port_mask", &conf->port_mask);
	read_number("cookie_mask", &conf->cookie_mask);
	read_number("tee_mask", &conf->tee_mask);
	read_number("port_base", &conf->port_base);
	read_number("defrag", &conf->defrag);
	read_number("rcvbuf", &conf->rcvbuf);
	if (read_line("port_range", line, sizeof(line)))
		sscanf(line, "%u %u", &conf->port_range[0],
		       &conf->port_range[1]);
	if (read_line("no_listener", line, sizeof(line)))
		sscanf(line, "%15s", conf->no_listener);
}

int conf_need_module(const struct conf *conf, struct error *err)
{
	if (conf->loaded)
		return 0;
	return fail(err, "the divert module is not loaded: modprobe divert; if that fails, see divertctl doctor");
}

uint32_t conf_ours(const struct conf *conf)
{
	return conf->port_mask | conf->cookie_mask | conf->tee_mask;
}

static int shift(uint32_t mask)
{
	return mask ? __builtin_ctz(mask) : 0;
}

uint32_t field_max(uint32_t mask)
{
	return mask >> shift(mask);
}

uint32_t field_put(uint32_t mask, uint32_t value)
{
	return value << shift(mask);
}

int conf_mark(const struct conf *conf, unsigned int port, unsigned int cookie,
	      bool tee, uint32_t *mark, struct error *err)
{
	unsigned int first = conf->port_base + 1;
	unsigned int last = conf->port_base + field_max(conf->port_mask) - 1;

	if (first < conf->port_range[0])
		first = conf->port_range[0];
	if (last > conf->port_range[1])
		last = conf->port_range[1];
	if (port < first || port > last)
		return fail(err, "port %u: no mark can name it; net.divert.port_mask, port_base and port_range allow %u to %u",
			    port, first, last);
	if (cookie < 1 || cookie > field_max(conf->cookie_mask))
		return fail(err, "cookie %u: does not fit net.divert.cookie_mask (0x%08x), which allows 1 to %u",
			    cookie, conf->cookie_mask,
			    field_max(conf->cookie_mask));
	if (tee && !conf->tee_mask)
		return fail(err, "tee: net.divert.tee_mask is 0, so no mark can ask for a copy; give it a bit, for example sysctl net.divert.cookie_mask=0x00007fff, then net.divert.tee_mask=0x00008000");

	*mark = field_put(conf->port_mask, port - conf->port_base) |
		field_put(conf->cookie_mask, cookie);
	if (tee)
		*mark |= field_put(conf->tee_mask, 1);
	return 0;
}
