// SPDX-License-Identifier: GPL-2.0
/* The counters of this network namespace. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sockets.h"

#define GAUGE	"sockets"
#define BLANKS	"\n "

static void read_names(struct counters *counters, char *line)
{
	char *word, *rest = line;

	counters->n = 0;
	while ((word = strsep(&rest, BLANKS)))
		if (*word && counters->n < COUNTERS_MAX)
			snprintf(counters->name[counters->n++],
				 sizeof(counters->name[0]), "%s", word);
}

/* One line a CPU; the gauge is the same on each. */
static void read_values(struct counters *counters, char *line)
{
	char *word, *rest = line;
	uint64_t value;
	int i = 0;

	while ((word = strsep(&rest, BLANKS)) && i < counters->n) {
		if (sscanf(word, "%" SCNx64, &value) != 1)
			continue;
		if (strcmp(counters->name[i], GAUGE))
			counters->value[i] += value;
		else
			counters->value[i] = value;
		i++;
	}
}

int counters_read(struct counters *counters, struct error *err)
{
	FILE *file = fopen("/proc/net/stat/divert", "re");
	char line[2048];

	*counters = (struct counters){ 0 };
	if (!file)
		return fail(err, "the divert module is not loaded (there is no /proc/net/stat/divert): modprobe divert");
	if (fgets(line, sizeof(line), file))
		read_names(counters, line);
	while (fgets(line, sizeof(line), file))
		read_values(counters, line);
	fclose(file);
	return 0;
}

uint64_t counter_value(const struct counters *counters, const char *name)
{
	for (int i = 0; i < counters->n; i++)
		if (!strcmp(counters->name[i], name))
			return counters->value[i];
	return 0;
}

static const struct {
	const char *name, *help;
} helps[] = {
	{ "sockets", "divert sockets that are open" },
	{ "diverted", "packets queued to sockets, copies included" },
	{ "bytes", "bytes of the packets queued" },
	{ "teed", "copies queued to sockets" },
	{ "read", "packets read" },
	{ "unread", "packets lost as their socket closed" },
	{ "expired", "packets dropped as too old" },
	{ "released", "packets passed as too old or as their socket closed" },
	{ "passed", "packets not taken: no listener, filter, or no room" },
	{ "full", "packets dropped, no room" },
	{ "nomem", "packets dropped, no memory or not to be segmented" },
	{ "inject_in", "packets written and received" },
	{ "inject_out", "packets written and sent" },
	{ "congested", "packets sent but lost to congestion" },
	{ "einval", "writes refused with EINVAL" },
	{ "eafnosupport", "writes refused with EAFNOSUPPORT" },
	{ "eaddrnotavail", "writes refused with EADDRNOTAVAIL" },
	{ "emsgsize", "writes refused with EMSGSIZE" },
	{ "eacces", "writes refused with EACCES" },
	{ "enetdown", "writes refused with ENETDOWN" },
	{ "eunreach", "writes refused with ENETUNREACH or EHOSTUNREACH" },
	{ "enobufs", "writes refused with ENOBUFS" },
	{ "eother", "writes refused with another error" },
	{ "held", "packets read but kept in the kernel" },
	{ "held_passed", "kept packets sent on by a write" },
	{ "held_dropped", "kept packets dropped by a write" },
	{ "held_lost", "kept packets dropped unanswered" },
	{ "held_released", "kept packets passed unanswered" },
	{ "estale", "verdicts refused with ESTALE or ENOENT" },
	{ "noport", "packets dropped, nobody on the port" },
	{ "resumed", "packets not taken, the rule is behind them" },
};

const char *counter_help(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(helps); i++)
		if (!strcmp(helps[i].name, name))
			return helps[i].help;
	return name;
}
