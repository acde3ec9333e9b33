// SPDX-License-Identifier: GPL-2.0
/*
 * divertctl monitor: ports, rates and drops, live. On a terminal one screen
 * that is kept up to date, else lines.
 */

#include <curses.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sockets.h"

/* What was there at one time */
struct sample {
	struct timespec time;
	struct counters counters;
	struct sockets sockets;
};

/* Packets or bytes in a second */
struct rates {
	double diverted, bytes, read, dropped;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void sample_take(struct sample *sample)
{
	struct error err;

	clock_gettime(CLOCK_MONOTONIC, &sample->time);
	if (counters_read(&sample->counters, &err) ||
	    sockets_read(&sample->sockets, &err)) {
		if (!isendwin())
			endwin();
		die("%s", err.text);
	}
}

static double seconds_between(const struct sample *from, const struct sample *to)
{
	return to->time.tv_sec - from->time.tv_sec +
	       (to->time.tv_nsec - from->time.tv_nsec) / 1e9;
}

/* Counters that begin anew (the socket is another one) have no rate yet. */
static double rate(uint64_t from, uint64_t to, double seconds)
{
	return to < from || seconds <= 0 ? 0 : (to - from) / seconds;
}

static const char * const losses[] = {
	"full", "nomem", "expired", "unread", "noport",
};

static uint64_t dropped(const struct counters *counters)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(losses); i++)
		sum += counter_value(counters, losses[i]);
	return sum;
}

static struct rates rates_total(const struct sample *from,
				const struct sample *to)
{
	const struct counters *a = &from->counters, *b = &to->counters;
	double s = seconds_between(from, to);

	return (struct rates){
		.diverted = rate(counter_value(a, "diverted"),
				 counter_value(b, "diverted"), s),
		.bytes	  = rate(counter_value(a, "bytes"),
				 counter_value(b, "bytes"), s),
		.read	  = rate(counter_value(a, "read"),
				 counter_value(b, "read"), s),
		.dropped  = rate(dropped(a), dropped(b), s),
	};
}

static uint64_t socket_dropped(const struct socket *socket)
{
	return socket->stats.full + socket->stats.nomem +
	       socket->stats.expired;
}

static struct rates rates_socket(const struct sample *from,
				 const struct sample *to,
				 const struct socket *socket)
{
	const struct divert_stats *b = &socket->stats, *a = NULL;
	double s = seconds_between(from, to);
	const struct socket *old = NULL;

	for (size_t i = 0; i < from->sockets.n; i++)
		if (from->sockets.at[i].inode == socket->inode)
			old = &from->sockets.at[i];
	if (!old)
		return (struct rates){ 0 };
	a = &old->stats;
	return (struct rates){
		.diverted = rate(a->diverted, b->diverted, s),
		.bytes	  = rate(a->bytes, b->bytes, s),
		.read	  = rate(a->read, b->read, s),
		.dropped  = rate(socket_dropped(old), socket_dropped(socket),
				 s),
	};
}

static const char *owner_name(const struct socket *socket)
{
	return socket->owners_n ? socket->owners[0].command : "-";
}

/* How full the queue is, in percent */
static int fill(const struct socket *socket)
{
	if (!socket->memory_max)
		return 0;
	return (uint64_t)socket->memory * 100 / socket->memory_max;
}

/* Lines */

static void print_rates(const struct rates *rates)
{
	printf(" diverted/s %.1f bytes/s %.0f read/s %.1f dropped/s %.1f",
	       rates->diverted, rates->bytes, rates->read, rates->dropped);
}

static void print_socket(const struct sample *from, const struct sample *to,
			 const struct socket *socket)
{
	struct rates rates = rates_socket(from, to, socket);

	printf("port %u owner %s ", socket->port, owner_name(socket));
	if (!socket->has_stats) {
		printf("waiting ? memory ? diverted/s ? bytes/s ? read/s ? dropped/s ?\n");
		return;
	}
	printf("waiting %" PRIu64 " memory %d%%", socket_waiting(socket),
	       fill(socket));
	print_rates(&rates);
	putchar('\n');
}

static void print_lines(const struct sample *from, const struct sample *to)
{
	struct rates rates = rates_total(from, to);
	char clock[16];
	time_t now = time(NULL);

	strftime(clock, sizeof(clock), "%T", localtime(&now));
	printf("%s total sockets %" PRIu64, clock,
	       counter_value(&to->counters, "sockets"));
	print_rates(&rates);
	putchar('\n');
	for (size_t i = 0; i < to->sockets.n; i++) {
		printf("%s ", clock);
		print_socket(from, to, &to->sockets.at[i]);
	}
	fflush(stdout);
}

/* A screen */

static void draw_total(const struct sample *from, const struct sample *to)
{
	struct rates rates = rates_total(from, to);

	mvprintw(0, 0, "divert sockets: %" PRIu64,
		 counter_value(&to->counters, "sockets"));
	printw("    diverted %.1f/s    %.0f bytes/s", rates.diverted,
	       rates.bytes);
	printw("    read %.1f/s    dropped %.1f/s", rates.read, rates.dropped);
	move(1, 0);
	printw("lost so far:");
	for (size_t i = 0; i < ARRAY_LEN(losses); i++)
		printw(" %s %" PRIu64, losses[i],
		       counter_value(&to->counters, losses[i]));
	printw("    q ends");
}

/* Columns left for the owner: a line that wraps would hide the next one. */
static int owner_room(void)
{
	return COLS > 68 ? COLS - 68 : 0;
}

static void draw_socket(int y, const struct sample *from,
			const struct sample *to, const struct socket *socket)
{
	struct rates rates = rates_socket(from, to, socket);

	if (!socket->has_stats) {
		mvprintw(y, 0, "%5u %7s %6s %11s %11s %9s %9s  %.*s",
			 socket->port, "?", "?", "?", "?", "?", "?",
			 owner_room(), owner_name(socket));
		return;
	}
	if (rates.dropped > 0 || fill(socket) > 75)
		attron(A_BOLD);
	mvprintw(y, 0, "%5u %7" PRIu64 " %5d%% %11.1f %11.0f %9.1f %9.1f  %.*s",
		 socket->port, socket_waiting(socket), fill(socket),
		 rates.diverted, rates.bytes, rates.read, rates.dropped,
		 owner_room(), owner_name(socket));
	attroff(A_BOLD);
}

static void draw(const struct sample *from, const struct sample *to)
{
	erase();
	draw_total(from, to);
	attron(A_REVERSE);
	mvprintw(3, 0, "%5s %7s %6s %11s %11s %9s %9s  %.*s", "PORT",
		 "WAITING", "MEMORY", "DIVERTED/S", "BYTES/S", "READ/S",
		 "DROPPED/S", owner_room(), "OWNER");
	attroff(A_REVERSE);
	for (size_t i = 0; i < to->sockets.n && 4 + (int)i < LINES; i++)
		draw_socket(4 + i, from, to, &to->sockets.at[i]);
	refresh();
}

/* Until the interval is over, a signal or, on the screen, "q" */
static void wait_for(int ms, bool screen)
{
	struct pollfd keys = { .fd = STDIN_FILENO, .events = POLLIN };
	int c;

	if (poll(&keys, screen, ms) <= 0 || !screen)
		return;
	while ((c = getch()) != ERR)
		if (c == 'q' || c == 'Q')
			stopped = 1;
}

static void monitor(int ms, unsigned long count, bool screen)
{
	struct sample samples[2] = { 0 };
	int now = 0;

	sample_take(&samples[0]);
	if (screen)
		draw(&samples[0], &samples[0]);
	for (unsigned long i = 0; !stopped && (!count || i < count); i++) {
		wait_for(ms, screen);
		if (stopped)
			break;
		now ^= 1;
		sockets_free(&samples[now].sockets);
		sample_take(&samples[now]);
		if (screen)
			draw(&samples[now ^ 1], &samples[now]);
		else
			print_lines(&samples[now ^ 1], &samples[now]);
	}
	sockets_free(&samples[0].sockets);
	sockets_free(&samples[1].sockets);
}

static void screen_start(void)
{
	initscr();
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	curs_set(0);
}

static int parse_interval(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	/* So that what is not a number is not one of them. */
	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		die_usage("-i %s: not an interval; it is 0.1 to 3600 seconds",
			  text);
	return seconds * 1000;
}

int cmd_monitor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "interval", required_argument, NULL, 'i' },
		{ }
	};
	bool screen = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	struct sigaction action = { .sa_handler = stop };
	unsigned long count = 0;
	int c, ms = 1000;

	while ((c = getopt_long(argc, argv, "i:n:", options, NULL)) != -1) {
		if (c == 'i')
			ms = parse_interval(optarg);
		else if (c != 'n')
			return STATUS_USAGE;
		else if (!parse_number(optarg, 1, UINT32_MAX, &count))
			die_usage("-n %s: not a number of times; it is 1 or more", optarg);
	}
	if (optind < argc)
		die_usage("%s: monitor takes no argument but -i and -n",
			  argv[optind]);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (screen)
		screen_start();
	monitor(ms, count, screen);
	if (screen)
		endwin();
	return 0;
}
