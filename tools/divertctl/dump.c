// SPDX-License-Identifier: GPL-2.0
/*
 * divertctl dump: watch what is diverted to a port, on the screen or into a
 * file. The packets go on without us.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libdivert/libdivert.h>
#include <libdivert/packet.h>

#include "pcapng.h"
#include "rule.h"
#include "sockets.h"

#define BATCH	64

struct dump {
	struct divert *divert;
	struct divert_batch *batch;
	uint16_t port;
	/* @cookie: of the only rule whose packets are wanted, 0 = all */
	uint16_t cookie;
	/* @left: packets still to come; 0 = no end */
	unsigned long left;
	unsigned long count;
	/* @file: where to write them, NULL = the screen */
	FILE *file;
	struct pcapng *pcapng;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* No SA_RESTART: a read that waits must end. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Packets */

static bool is_incoming(const struct divert_info *info)
{
	return info->hook == DIVERT_HOOK_PRE_ROUTING;
}

static const char *out_name(const struct divert_info *info, char *name)
{
	return if_indextoname(info->oif, name) ?: "?";
}

static void comment_of(const struct divert_info *info, char *comment,
		       size_t size)
{
	char oif[IF_NAMESIZE];
	int len;

	len = snprintf(comment, size, "divert port %u cookie %u %s", info->port,
		       info->cookie, is_incoming(info) ? "in" : "out");
	if (info->iif)
		len += snprintf(comment + len, size - len, " recv %s",
				info->ifname);
	if (!is_incoming(info))
		len += snprintf(comment + len, size - len, " xmit %s",
				out_name(info, oif));
	if (info->flags & DIVERT_INFO_SENDER)
		snprintf(comment + len, size - len, " uid %u", info->uid);
}

static void print_ends(const struct divert_msg *msg)
{
	bool v4 = msg->info->family == AF_INET;
	size_t at = v4 ? 12 : 8, len = v4 ? 4 : 16;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	struct divert_packet packet;

	/* The kernel gives whole packets only: the addresses are there. */
	inet_ntop(msg->info->family, (char *)msg->data + at, from,
		  sizeof(from));
	inet_ntop(msg->info->family, (char *)msg->data + at + len, to,
		  sizeof(to));
	if (divert_packet_parse(&packet, msg->data, msg->len)) {
		printf("%s > %s", from, to);
		return;
	}
	if (divert_packet_sport(&packet) >= 0)
		printf("%s:%d > %s:%d", from, divert_packet_sport(&packet), to,
		       divert_packet_dport(&packet));
	else
		printf("%s > %s", from, to);
	printf(" proto %u", packet.protocol);
}

static void print_packet(const struct divert_msg *msg)
{
	char comment[128], clock[16];
	struct tm tm;

	localtime_r(&msg->time.tv_sec, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	comment_of(msg->info, comment, sizeof(comment));
	printf("%s.%06ld %s  ", clock, msg->time.tv_nsec / 1000,
	       comment + strlen("divert "));
	print_ends(msg);
	printf(" %zu bytes\n", msg->len);
}

static void write_packet(struct dump *dump, const struct divert_msg *msg)
{
	char comment[128], oif[IF_NAMESIZE];
	const struct divert_info *info = msg->info;
	const char *name;

	comment_of(info, comment, sizeof(comment));
	name = is_incoming(info) ? info->ifname : out_name(info, oif);
	if (!pcapng_write(dump->pcapng, name, is_incoming(info), &msg->time,
			  msg->data, msg->len, comment))
		die("writing the file: %s", strerror(errno));
}

static void handle(struct dump *dump, const struct divert_msg *msg)
{
	/* Packets from before the options were set have none of these. */
	if (!(msg->flags & DIVERT_MSG_INFO) || stopped)
		return;
	if (dump->cookie && msg->info->cookie != dump->cookie)
		return;
	if (dump->file)
		write_packet(dump, msg);
	else
		print_packet(msg);
	dump->count++;
	if (dump->left && !--dump->left)
		stopped = 1;
}

static void flush(const struct dump *dump)
{
	if (fflush(dump->file ?: stdout))
		die("writing: %s", strerror(errno));
}

static void run(struct dump *dump)
{
	int n;

	while (!stopped) {
		n = divert_batch_recv(dump->divert, dump->batch);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("reading: %s", strerror(errno));
		for (int i = 0; i < n; i++)
			handle(dump, divert_batch_msg(dump->batch, i));
		/* For those who read the file while it grows */
		flush(dump);
	}
}

/* Beginning and end */

static bool has_owner(uint16_t port)
{
	struct sockets sockets;
	struct error err;
	bool found = false;

	if (sockets_read(&sockets, &err))
		return false;
	for (size_t i = 0; i < sockets.n; i++)
		found |= sockets.at[i].port == port;
	sockets_free(&sockets);
	return found;
}

/* Watching must not be what begins to drop packets. */
static void warn_without_owner(uint16_t port)
{
	struct conf conf;

	conf_read(&conf);
	if (has_owner(port) || !strcmp(conf.no_listener, "accept"))
		return;
	fprintf(stderr, "divertctl: nobody else has port %u: when dump ends, its packets are dropped; sysctl net.divert.no_listener=accept passes them\n",
		port);
}

static void set_filter(struct dump *dump, const char *expression)
{
	struct sock_fprog filter;
	char error[256];

	if (divert_filter_compile(&filter, expression, error, sizeof(error)))
		die_usage("%s: not a filter: %s; pcap-filter(7) has the grammar, without link layers",
			  expression, error);
	if (divert_set_filter(dump->divert, &filter))
		die("setting the filter: %s", strerror(errno));
	divert_filter_free(&filter);
}

static void open_socket(struct dump *dump, const char *expression)
{
	dump->divert = divert_open(AF_INET);
	if (!dump->divert)
		die("%s", divert_strerror(errno));
	if (divert_set_tee(dump->divert, true) ||
	    divert_set_info(dump->divert, true) ||
	    divert_set_time(dump->divert, true))
		die("preparing the socket: %s", strerror(errno));
	if (*expression)
		set_filter(dump, expression);
	warn_without_owner(dump->port);
	if (divert_bind(dump->divert, dump->port))
		die("port %u: %s", dump->port, divert_strerror(errno));
	dump->batch = divert_batch_alloc(BATCH, 0);
	if (!dump->batch)
		die("out of memory");
}

static void open_file(struct dump *dump, const char *name)
{
	dump->file = strcmp(name, "-") ? fopen(name, "we") : stdout;
	if (!dump->file)
		die("%s: %s", name, strerror(errno));
	if (dump->file == stdout && isatty(STDOUT_FILENO))
		die_usage("-w -: a capture file is not for the screen; give a name, or a pipe to wireshark -k -i -");
	dump->pcapng = pcapng_start(dump->file, "divertctl " VERSION);
	if (!dump->pcapng)
		die("%s: %s", name, strerror(errno));
}

static void close_all(struct dump *dump)
{
	struct divert_stats stats = { 0 };

	divert_get_stats(dump->divert, &stats);
	fprintf(stderr, "%lu packets, %" PRIu64 " lost\n", dump->count,
		(uint64_t)(stats.full + stats.nomem));
	divert_batch_free(dump->batch);
	divert_close(dump->divert);
	if (!dump->file)
		return;
	pcapng_free(dump->pcapng);
	if (fclose(dump->file))
		die("writing the file: %s", strerror(errno));
}

/* The port of one of divertctl's rules */
static void find_rule(struct dump *dump, const char *word)
{
	const struct entry *entry;
	unsigned long number;
	struct table table;
	struct error err;

	if (!parse_number(word, 1, RULE_MAX, &number))
		die_usage("%s: not a rule number; it is 1 to %d", word,
			  RULE_MAX);
	if (table_read(&table, &err))
		die("%s", err.text);
	entry = table_find(&table, number);
	if (!entry)
		die("rule %lu: there is none; divertctl list shows what there is",
		    number);
	dump->port = entry->rule.port;
	dump->cookie = number;
	table_free(&table);
}

/* PORT or "rule NUMBER"; the number of words that was */
static int parse_what(struct dump *dump, int n, char **words)
{
	if (!n)
		die_usage("dump: give a port, as in \"dump 8668\", or a rule, as in \"dump rule 100\"");
	if (strcmp(words[0], "rule")) {
		dump->port = parse_port(words[0]);
		return 1;
	}
	if (n < 2)
		die_usage("dump rule: the number of the rule is missing");
	find_rule(dump, words[1]);
	return 2;
}

static char *join(int n, char **words)
{
	char *text = must_print("%s", n ? words[0] : ""), *longer;

	for (int i = 1; i < n; i++) {
		longer = must_print("%s %s", text, words[i]);
		free(text);
		text = longer;
	}
	return text;
}

int cmd_dump(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "write", required_argument, NULL, 'w' },
		{ }
	};
	const char *name = NULL;
	struct dump dump = { 0 };
	char *expression;
	int c;

	/* +: a filter may have words that begin with a dash. */
	while ((c = getopt_long(argc, argv, "+c:w:", options, NULL)) != -1) {
		if (c == 'w')
			name = optarg;
		else if (c != 'c')
			return STATUS_USAGE;
		else if (!parse_number(optarg, 1, UINT32_MAX, &dump.left))
			die_usage("-c %s: not a number of packets; it is 1 or more", optarg);
	}
	optind += parse_what(&dump, argc - optind, argv + optind);
	expression = join(argc - optind, argv + optind);
	catch_signals();
	open_socket(&dump, expression);
	free(expression);
	if (name)
		open_file(&dump, name);
	fprintf(stderr, "watching port %u\n", dump.port);
	run(&dump);
	close_all(&dump);
	return 0;
}
