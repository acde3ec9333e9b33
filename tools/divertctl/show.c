// SPDX-License-Identifier: GPL-2.0
/* divertctl show: sockets, their owners, what waits and what was lost. */

#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "sockets.h"

/* Text */

static void print_size(char *text, size_t size, uint32_t bytes)
{
	if (bytes < 10240)
		snprintf(text, size, "%u B", bytes);
	else if (bytes < 10240 * 1024)
		snprintf(text, size, "%u KiB", bytes >> 10);
	else
		snprintf(text, size, "%u MiB", bytes >> 20);
}

static void print_queue(const struct socket *socket)
{
	char used[16], max[16], both[36];

	print_size(used, sizeof(used), socket->memory);
	print_size(max, sizeof(max), socket->memory_max);
	if (!socket->has_stats) {
		printf("%8s  %-17s  %10s  %8u", "?", used, "?", socket->drops);
		return;
	}
	snprintf(both, sizeof(both), "%s/%s", used, max);
	printf("%8" PRIu64 "  %-17s  %10" PRIu64 "  %8" PRIu64,
	       socket_waiting(socket), both, (uint64_t)socket->stats.read,
	       (uint64_t)(socket->stats.full + socket->stats.nomem +
			  socket->stats.expired));
}

static void print_owners(const struct socket *socket)
{
	/* Not to be seen without privileges, or passed between processes */
	if (!socket->owners_n)
		printf("(user %s)", user_name(socket->uid));
	for (size_t i = 0; i < socket->owners_n; i++) {
		const struct owner *owner = &socket->owners[i];

		printf("%s%d %s (%s)", i ? ", " : "", owner->pid,
		       owner->command, user_name(owner->uid));
	}
	putchar('\n');
}

/* Losses by their reasons, those there are */
static void print_losses(const struct socket *socket)
{
	bool any = false;

	for (size_t i = 0; i < STAT_FIELDS; i++) {
		const struct stat_field *field = &stat_fields[i];
		uint64_t value = stat_value(&socket->stats, field);

		if (!value || (!field->lost && !field->refused))
			continue;
		printf("%s%s %" PRIu64, any ? ", " : "       lost or refused: ",
		       field->name, value);
		any = true;
	}
	if (any)
		putchar('\n');
}

static void show_text(const struct sockets *sockets)
{
	if (!sockets->n) {
		puts("no divert sockets in this network namespace");
		return;
	}
	printf("%5s  %-6s  %8s  %-17s  %10s  %8s  %s\n", "PORT", "FAMILY",
	       "WAITING", "MEMORY", "READ", "DROPPED", "OWNER");
	for (size_t i = 0; i < sockets->n; i++) {
		const struct socket *socket = &sockets->at[i];

		printf("%5u  %-6s  ", socket->port,
		       family_name(socket->family));
		print_queue(socket);
		fputs("  ", stdout);
		print_owners(socket);
		print_losses(socket);
	}
}

/* JSON */

static void add_number(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, json_object_new_string(text));
}

static struct json_object *owners_json(const struct socket *socket)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < socket->owners_n; i++) {
		const struct owner *owner = &socket->owners[i];
		struct json_object *json = json_object_new_object();

		add_number(json, "pid", owner->pid);
		add_text(json, "command", owner->command);
		add_text(json, "user", user_name(owner->uid));
		json_object_array_add(list, json);
	}
	return list;
}

static struct json_object *stats_json(const struct divert_stats *stats)
{
	struct json_object *json = json_object_new_object();

	for (size_t i = 0; i < STAT_FIELDS; i++)
		add_number(json, stat_fields[i].name,
			   stat_value(stats, &stat_fields[i]));
	return json;
}

static struct json_object *socket_json(const struct socket *socket)
{
	struct json_object *json = json_object_new_object();

	add_number(json, "port", socket->port);
	add_number(json, "inode", socket->inode);
	add_number(json, "uid", socket->uid);
	add_number(json, "memory", socket->memory);
	add_number(json, "drops", socket->drops);
	if (socket->has_stats) {
		add_text(json, "family", family_name(socket->family));
		add_number(json, "cookie", socket->cookie);
		add_number(json, "memory_max", socket->memory_max);
		add_number(json, "waiting", socket_waiting(socket));
		json_object_object_add(json, "stats",
				       stats_json(&socket->stats));
	}
	json_object_object_add(json, "owners", owners_json(socket));
	return json;
}

static void show_json(const struct sockets *sockets)
{
	struct json_object *json = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < sockets->n; i++)
		json_object_array_add(list, socket_json(&sockets->at[i]));
	json_object_object_add(json, "sockets", list);
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY));
	json_object_put(json);
}

int cmd_show(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ }
	};
	struct sockets sockets;
	struct error err;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (c != 'j')
			return STATUS_USAGE;
		json = true;
	}
	if (optind < argc)
		die_usage("%s: show takes no argument but --json",
			  argv[optind]);
	if (sockets_read(&sockets, &err))
		die("%s", err.text);
	if (json)
		show_json(&sockets);
	else
		show_text(&sockets);
	sockets_free(&sockets);
	return 0;
}
