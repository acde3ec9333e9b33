// SPDX-License-Identifier: GPL-2.0
/* divertctl stats: the counters of this network namespace. */

#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "sockets.h"

static void stats_text(const struct counters *counters)
{
	for (int i = 0; i < counters->n; i++)
		printf("%-14s %14" PRIu64 "  %s\n", counters->name[i],
		       counters->value[i], counter_help(counters->name[i]));
}

static void stats_json(const struct counters *counters)
{
	struct json_object *json = json_object_new_object();

	for (int i = 0; i < counters->n; i++)
		json_object_object_add(json, counters->name[i],
				       json_object_new_uint64(counters->value[i]));
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY));
	json_object_put(json);
}

static void prometheus_total(const char *name, uint64_t value)
{
	bool gauge = !strcmp(name, "sockets");
	const char *end = gauge ? "" : "_total";

	printf("# HELP divert_%s%s %s\n", name, end, counter_help(name));
	printf("# TYPE divert_%s%s %s\n", name, end,
	       gauge ? "gauge" : "counter");
	printf("divert_%s%s %" PRIu64 "\n", name, end, value);
}

static void prometheus_sockets(const struct sockets *sockets, const char *name,
			       const char *help,
			       uint64_t (*value)(const struct socket *socket))
{
	printf("# HELP divert_socket_%s %s\n", name, help);
	printf("# TYPE divert_socket_%s gauge\n", name);
	for (size_t i = 0; i < sockets->n; i++)
		printf("divert_socket_%s{port=\"%u\",inode=\"%" PRIu64 "\"} %" PRIu64 "\n",
		       name, sockets->at[i].port, sockets->at[i].inode,
		       value(&sockets->at[i]));
}

static uint64_t memory(const struct socket *socket)
{
	return socket->memory;
}

static uint64_t memory_max(const struct socket *socket)
{
	return socket->memory_max;
}

static void stats_prometheus(const struct counters *counters)
{
	struct sockets sockets;
	struct error err;

	for (int i = 0; i < counters->n; i++)
		prometheus_total(counters->name[i], counters->value[i]);
	if (sockets_read(&sockets, &err))
		die("%s", err.text);
	prometheus_sockets(&sockets, "memory_bytes",
			   "memory of the packets that wait", memory);
	/* Where the kernel tells no more than /proc, these are not known. */
	if (sockets.n && sockets.at[0].has_stats) {
		prometheus_sockets(&sockets, "memory_max_bytes",
				   "memory that packets may wait in",
				   memory_max);
		prometheus_sockets(&sockets, "waiting_packets",
				   "packets that wait", socket_waiting);
	}
	sockets_free(&sockets);
}

int cmd_stats(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "prometheus", no_argument, NULL, 'p' },
		{ }
	};
	struct counters counters;
	struct error err;
	int c, format = 0;

	while ((c = getopt_long(argc, argv, "jp", options, NULL)) != -1) {
		if (c != 'j' && c != 'p')
			return STATUS_USAGE;
		if (format && format != c)
			die_usage("--json and --prometheus: one of them");
		format = c;
	}
	if (optind < argc)
		die_usage("%s: stats takes no argument but --json or --prometheus",
			  argv[optind]);
	if (counters_read(&counters, &err))
		die("%s", err.text);
	if (format == 'j')
		stats_json(&counters);
	else if (format == 'p')
		stats_prometheus(&counters);
	else
		stats_text(&counters);
	return 0;
}
