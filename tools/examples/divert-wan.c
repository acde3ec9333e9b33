// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-wan: make a divert port a bad line. Packets are lost, held back for a
 * while, slowed down to a rate, and overtake each other, as the options say.
 *
 * A packet's place in the queue is known when it comes: when it goes. On SIGTERM
 * and SIGINT, what is still queued is lost, and a line tells what was done.
 */

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <libdivert/libdivert.h>

#define NSEC	1000000000LL
#define AT_ONCE	256	/* packets that are read */

static const char usage[] =
	"usage: divert-wan [OPTION...]\n"
	"  --port N           divert port to bind, 1-65534 (default 8668)\n"
	"  --delay MS         hold each packet back for so long\n"
	"  --jitter MS        and up to so much longer; the order stays\n"
	"  --loss PERCENT     lose so many\n"
	"  --reorder PERCENT  let so many overtake those held back\n"
	"  --rate KBIT        let so many kilobits pass in a second\n"
	"  --limit N          queue at most N packets, lose others (default 1000)\n"
	"  --seed N           make the same choices each time\n";

static double port = 8668, delay, jitter, loss, reorder, rate, limit = 1000,
	      seed;

struct entry {
	TAILQ_ENTRY(entry) entries;
	long long due;			/* by CLOCK_MONOTONIC, in ns */
	union divert_addr addr;
	size_t len;
	unsigned char data[];
};

/* By due. */
static TAILQ_HEAD(queue_head, entry) queue = TAILQ_HEAD_INITIALIZER(queue);

static long long line_free;	/* when the line has sent all it was given */
static long long last_due;	/* of those that keep their order */
static unsigned long queued, seen, lost, full, overtaken, sent, refused;
static volatile sig_atomic_t ended;

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

static bool chance(double percent)
{
	return drand48() * 100 < percent;
}

static long long max(long long a, long long b)
{
	return a > b ? a : b;
}

/* The time that the packet takes on the line, after those before it. */
static long long transmit(size_t len)
{
	if (rate)
		line_free = max(line_free, now()) + len * 8 * 1e6 / rate;
	return rate ? line_free : now();
}

static long long due_time(size_t len)
{
	long long due = transmit(len);

	if (chance(reorder)) {
		overtaken++;
		return due;
	}
	due += (delay + drand48() * jitter) * 1e6;
	last_due = max(last_due, due);
	return last_due;
}

static void enqueue(struct entry *entry)
{
	struct entry *before;

	TAILQ_FOREACH_REVERSE(before, &queue, queue_head, entries) {
		if (before->due <= entry->due)
			break;
	}
	if (before)
		TAILQ_INSERT_AFTER(&queue, before, entry, entries);
	else
		TAILQ_INSERT_HEAD(&queue, entry, entries);
	queued++;
}

static void take(const void *data, size_t len, const union divert_addr *addr)
{
	struct entry *entry;

	seen++;
	if (chance(loss)) {
		lost++;
		return;
	}
	entry = queued < limit ? malloc(sizeof(*entry) + len) : NULL;
	if (!entry) {
		full++;
		return;
	}

	entry->due = due_time(len);
	entry->addr = *addr;
	entry->len = len;
	memcpy(entry->data, data, len);
	enqueue(entry);
}

/* What is there; but what is due, and signals, must not wait for a flood. */
static void read_some(struct divert *divert)
{
	static unsigned char data[DIVERT_PACKET_MAX];
	union divert_addr addr;
	ssize_t len;
	int i;

	for (i = 0; i < AT_ONCE; i++) {
		len = divert_recv(divert, data, sizeof(data), &addr);
		if (len < 0 && errno != EAGAIN && errno != EINTR)
			err(1, "read");
		if (len < 0)
			return;
		take(data, len, &addr);
	}
}

static void send_due(struct divert *divert)
{
	struct entry *entry;

	while ((entry = TAILQ_FIRST(&queue)) && entry->due <= now()) {
		/* The address stays good, however late it is. */
		if (divert_send(divert, entry->data, entry->len,
				&entry->addr) < 0)
			refused++;
		else
			sent++;
		TAILQ_REMOVE(&queue, entry, entries);
		free(entry);
		queued--;
	}
}

/* Until there is something to read or to send, or a signal comes. */
static void wait_for_work(struct divert *divert, const sigset_t *signals)
{
	struct pollfd fd = { divert_get_fd(divert), POLLIN, 0 };
	struct entry *entry = TAILQ_FIRST(&queue);
	long long left = entry ? max(entry->due - now(), 0) : 0;
	struct timespec timeout = { left / NSEC, left % NSEC };

	if (ppoll(&fd, 1, entry ? &timeout : NULL, signals) < 0 &&
	    errno != EINTR)
		err(1, "ppoll");
}

static struct divert *open_port(void)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_DIVERT);
	struct divert *divert;

	if (fd < 0)
		errx(1, "%s", divert_strerror(errno));
	divert = divert_open_fd(fd);
	if (!divert)
		errx(1, "%s", divert_strerror(errno));
	if (divert_bind(divert, port))
		errx(1, "port %g: %s", port, divert_strerror(errno));
	return divert;
}

static void parse_number(const char *option, double *number, const char *text,
			 double min, double max)
{
	char *end;

	*number = strtod(text, &end);
	if (end == text || *end || !(*number >= min && *number <= max))
		errx(2, "--%s takes a number from %.10g to %.10g, not '%s'",
		     option, min, max, text);
}

static void parse_options(int argc, char **argv)
{
	static const struct {
		double *number, min, max;
	} values[] = {
		{ &port, 1, 65534 }, { &delay, 0, 1e6 }, { &jitter, 0, 1e6 },
		{ &loss, 0, 100 }, { &reorder, 0, 100 }, { &rate, 1, 1e9 },
		{ &limit, 1, 1e6 }, { &seed, 0, 1e9 },
	};
	static const struct option names[] = {
		{ "port", required_argument, NULL, 0 },
		{ "delay", required_argument, NULL, 0 },
		{ "jitter", required_argument, NULL, 0 },
		{ "loss", required_argument, NULL, 0 },
		{ "reorder", required_argument, NULL, 0 },
		{ "rate", required_argument, NULL, 0 },
		{ "limit", required_argument, NULL, 0 },
		{ "seed", required_argument, NULL, 0 },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c, i = 0;

	while (!(c = getopt_long(argc, argv, "", names, &i)))
		parse_number(names[i].name, values[i].number, optarg,
			     values[i].min, values[i].max);
	if (c != -1 || optind < argc) {
		fputs(usage, c == 'h' ? stdout : stderr);
		exit(c == 'h' ? 0 : 2);
	}
}

static void end(int signal)
{
	ended = signal;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = end };
	sigset_t blocked, before;
	struct divert *divert;

	parse_options(argc, argv);
	srand48(seed ? seed : time(NULL));
	divert = open_port();

	/* Signals come while we wait, and only then. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	while (!ended) {
		wait_for_work(divert, &before);
		read_some(divert);
		send_due(divert);
	}
	printf("read %lu, lost %lu, full %lu, overtaken %lu, ", seen, lost,
	       full, overtaken);
	printf("written %lu, refused %lu, queued %lu\n", sent, refused, queued);
	return 0;
}
