// SPDX-License-Identifier: GPL-2.0
/*
 * usage: library [TEST]
 * Run one of the tests of libdivert, or list them. They need a network
 * namespace in which UDP to port 5000 that comes from this host is diverted to
 * port 7000 by rule 100. Exits 0 if all was as it should be, 4 if the module does
 * not know the option that is tested.
 */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <libdivert/libdivert.h>
#include <libdivert/packet.h>

#define PORT		7000
#define COOKIE		100
#define UDP_PORT	5000

/* What must be true. */
#define CHECK(condition)						\
do {									\
	if (!(condition))						\
		errx(1, "line %d: not so: %s (%s)", __LINE__,		\
		     #condition, strerror(errno));			\
} while (0)

static struct divert *divert;
static int receiver;		/* has UDP_PORT */
static union divert_addr addr;
static struct divert_packet packet;
static unsigned char data[DIVERT_PACKET_MAX + 1]
	__attribute__((__aligned__(8)));
static char payload[2048];

static void set_deadline(int fd)
{
	struct timeval tv = { .tv_sec = 20 };

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
}

static struct divert *open_socket(int family)
{
	struct divert *opened = divert_open(family);

	if (!opened)
		errx(1, "%s", divert_strerror(errno));
	set_deadline(divert_get_fd(opened));
	return opened;
}

static struct divert *open_bound(int family)
{
	struct divert *opened = open_socket(family);

	if (divert_bind(opened, PORT))
		errx(1, "port %d: %s", PORT, divert_strerror(errno));
	return opened;
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void open_receiver(void)
{
	struct sockaddr_in sin = loopback(UDP_PORT);

	receiver = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(!bind(receiver, (struct sockaddr *)&sin, sizeof(sin)));
	set_deadline(receiver);
}

/* Each packet's payload is its text and a NUL. */
static void send_udp(const char *text)
{
	struct sockaddr_in sin = loopback(UDP_PORT);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	ssize_t len = strlen(text) + 1;

	CHECK(sendto(fd, text, len, 0, (struct sockaddr *)&sin, sizeof(sin)) ==
	      len);
	close(fd);
}

static void send_numbers(int n)
{
	char text[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%d", i);
		send_udp(text);
	}
}

static bool receive(const char *text)
{
	return recv(receiver, payload, sizeof(payload), 0) > 0 &&
	       !strcmp(payload, text);
}

static bool readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0);
}

static bool silent(void)
{
	return !readable(receiver);
}

static void read_packet(struct divert *from)
{
	ssize_t len = divert_recv(from, data, sizeof(data), &addr);

	CHECK(len > 0);
	CHECK(!divert_packet_parse(&packet, data, len));
	CHECK(packet.len == (size_t)len);
	CHECK(divert_packet_valid(&packet));
}

static void write_packet(struct divert *to)
{
	CHECK(divert_send(to, packet.data, packet.len, &addr) ==
	      (ssize_t)packet.len);
}

static void round_trip(void)
{
	char text[DIVERT_ADDR_TEXT];

	send_udp("hello");
	read_packet(divert);
	CHECK(silent());
	CHECK(!divert_addr_incoming(&addr));
	CHECK(divert_addr_cookie(&addr) == COOKIE);
	CHECK(!strcmp(divert_addr_print(&addr, text, sizeof(text)),
		      "out - cookie 100"));
	CHECK(!strcmp((char *)packet.payload, "hello"));
	write_packet(divert);
	CHECK(receive("hello"));
}

static void edited(void)
{
	send_udp("cat and dog");
	read_packet(divert);
	CHECK(!divert_packet_edit(&packet, packet.payload - data + 8, "fox", 3));
	CHECK(!divert_packet_set_sport(&packet, 1234));
	write_packet(divert);
	CHECK(receive("cat and fox"));
}

static void family6(void)
{
	divert_close(divert);
	divert = open_bound(AF_INET6);
	CHECK(divert_get_family(divert) == AF_INET6);
	send_udp("six");
	read_packet(divert);
	CHECK(addr.sa.sa_family == AF_INET6);
	CHECK(divert_addr_len(&addr) == sizeof(struct sockaddr_in6));
	CHECK(!divert_addr_incoming(&addr) && packet.ip);
	CHECK(divert_addr_cookie(&addr) == COOKIE);
	write_packet(divert);
	CHECK(receive("six"));
}

/* A packet read on its way out is written as received on lo. */
static void made_address(int family)
{
	unsigned int ifindex = if_nametoindex("lo");
	struct divert *other = open_socket(family);

	send_udp("in");
	read_packet(divert);
	CHECK(!divert_addr_set_in(&addr, family, ifindex, COOKIE));
	write_packet(other);
	CHECK(receive("in"));

	divert_addr_set_in(&addr, family, 9999, COOKIE);
	CHECK(divert_send(other, packet.data, packet.len, &addr) < 0);
	CHECK(errno == EADDRNOTAVAIL);
	divert_addr_set_out(&addr, family, COOKIE);
	write_packet(other);
	CHECK(receive("in"));
	divert_close(other);
}

static void made_addresses(void)
{
	made_address(AF_INET);
	made_address(AF_INET6);
}

/* An address that nobody filled in is none that could be guessed. */
static void address_of_no_family(void)
{
	send_udp("nowhere");
	read_packet(divert);
	memset(&addr, 0, sizeof(addr));
	CHECK(divert_send(divert, packet.data, packet.len, &addr) < 0);
	CHECK(errno == EAFNOSUPPORT && silent());
}

static void info(void)
{
	struct divert_info info;
	ssize_t len;

	send_udp("without");
	len = divert_recv_info(divert, data, sizeof(data), &addr, &info);
	CHECK(len > 0 && !info.size);

	CHECK(!divert_set_info(divert, true));
	send_udp("with");
	len = divert_recv_info(divert, data, sizeof(data), NULL, &info);
	CHECK(len > 0 && info.size >= DIVERT_INFO_SIZE_1);
	CHECK(info.hook == DIVERT_HOOK_LOCAL_OUT && info.family == AF_INET);
	CHECK(info.port == PORT && info.cookie == COOKIE);
	CHECK(info.flags & DIVERT_INFO_SENDER && info.uid == geteuid());
	CHECK(info.len == len);

	CHECK(divert_send_info(divert, data, len, NULL, &info) == len);
	CHECK(receive("with"));
	info.size = 1;
	CHECK(divert_send_info(divert, data, len, NULL, &info) < 0);
	CHECK(errno == EINVAL && silent());
}

static void cut(void)
{
	send_udp("a text that is too long");
	CHECK(divert_recv(divert, data, 20, &addr) == 20);
	CHECK(divert_send(divert, data, 20, &addr) < 0 && errno == EINVAL);
	CHECK(silent());
}

static void nonblocking(void)
{
	struct divert_batch *batch = divert_batch_alloc(2, 0);
	int fd;

	fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_DIVERT);
	divert_close(divert);
	divert = divert_open_fd(fd);
	CHECK(divert && divert_get_fd(divert) == fd);
	CHECK(!divert_bind(divert, PORT) && divert_get_port(divert) == PORT);

	CHECK(divert_recv(divert, data, sizeof(data), NULL) < 0);
	CHECK(errno == EAGAIN);
	CHECK(divert_batch_recv(divert, batch) < 0 && errno == EAGAIN);
	divert_batch_free(batch);
}

static void ports(void)
{
	struct divert *other = open_socket(AF_INET);

	CHECK(!divert_get_port(other));
	CHECK(divert_bind(other, PORT) && errno == EADDRINUSE);
	CHECK(divert_bind(other, 65535) && errno == EADDRNOTAVAIL);
	CHECK(!divert_bind(other, 0));
	CHECK(divert_get_port(other) > 0 && divert_get_port(other) != PORT);
	CHECK(divert_bind(other, PORT + 1) && errno == EINVAL);
	divert_close(other);
}

static void fanout(void)
{
	struct divert *other = open_socket(AF_INET);
	struct pollfd fds[2];

	divert_close(divert);
	divert = open_socket(AF_INET);
	CHECK(!divert_set_fanout(divert, true));
	CHECK(!divert_set_fanout(other, true));
	CHECK(!divert_bind(divert, PORT) && !divert_bind(other, PORT));

	send_udp("either");
	fds[0] = (struct pollfd){ divert_get_fd(divert), POLLIN, 0 };
	fds[1] = (struct pollfd){ divert_get_fd(other), POLLIN, 0 };
	CHECK(poll(fds, 2, 20000) == 1);
	read_packet(fds[0].revents ? divert : other);
	write_packet(divert);
	CHECK(receive("either"));
	divert_close(other);
}

static void tee(void)
{
	struct divert *watcher = open_socket(AF_INET);

	CHECK(divert_set_tee(divert, true) && errno == EINVAL);
	CHECK(!divert_set_tee(watcher, true) && !divert_bind(watcher, PORT));
	divert_close(divert);
	divert = NULL;
	send_udp("seen");
	CHECK(receive("seen"));
	read_packet(watcher);
	CHECK(!strcmp((char *)packet.payload, "seen"));
	divert_close(watcher);
}

static void limits(void)
{
	struct divert_limits limits;
	struct divert_stats stats;

	CHECK(!divert_get_limits(divert, &limits));
	CHECK(!limits.packets && limits.full == DIVERT_POLICY_DROP);
	limits.packets = 2;
	limits.full = DIVERT_POLICY_PASS;
	limits.size = 0;
	CHECK(!divert_set_limits(divert, &limits));
	memset(&limits, 0, sizeof(limits));
	CHECK(!divert_get_limits(divert, &limits) && limits.packets == 2);
	limits.old = 77;
	CHECK(divert_set_limits(divert, &limits) && errno == EINVAL);

	send_numbers(3);
	CHECK(receive("2") && silent());
	read_packet(divert);
	write_packet(divert);
	CHECK(receive("0"));
	CHECK(!divert_get_stats(divert, &stats));
	CHECK(stats.diverted == 2 && stats.read == 1 && stats.passed == 1);
	CHECK(stats.inject_out == 1 && !stats.full);
}

static void filter(void)
{
	struct sock_fprog filter;

	CHECK(divert_set_filter(divert, NULL) && errno == ENOENT);
	CHECK(!divert_filter_compile(&filter, "greater 40", NULL, 0));
	CHECK(!divert_set_filter(divert, &filter));
	divert_filter_free(&filter);
	send_udp("small");
	CHECK(receive("small"));
	send_udp("large enough to be diverted");
	read_packet(divert);
	CHECK(silent());
	CHECK(!divert_set_filter(divert, NULL));
	send_udp("small");
	read_packet(divert);
	CHECK(silent());
}

/* Read into a batch until it has so many, which may take several calls. */
static struct divert_batch *read_batch(int n)
{
	struct divert_batch *batch = divert_batch_alloc(n, 1500);
	int i;

	send_numbers(n);
	CHECK(divert_batch_recv(divert, batch) == n);
	for (i = 0; i < n; i++)
		CHECK(!divert_batch_msg(batch, i)->flags);
	return batch;
}

/* One is dropped, one is refused, one has no way: the others go on in order. */
static void batch(void)
{
	struct divert_batch *batch = read_batch(50);
	struct divert_stats stats;
	char text[16];
	int i;

	divert_batch_msg(batch, 0)->len = 0;
	divert_batch_msg(batch, 7)->len = 19;
	divert_batch_msg(batch, 8)->addr.sa.sa_family = AF_UNIX;
	CHECK(divert_batch_send(divert, batch, 1000) == 47);

	for (i = 0; i < 50; i++) {
		int error = divert_batch_msg(batch, i)->error;

		CHECK(error == (i == 7 ? EINVAL : i == 8 ? EAFNOSUPPORT : 0));
		if (!i || error)
			continue;
		snprintf(text, sizeof(text), "%d", i);
		CHECK(receive(text));
	}
	CHECK(silent());
	CHECK(!divert_get_stats(divert, &stats));
	CHECK(stats.read == 50 && stats.inject_out == 47);
	divert_batch_free(batch);
}

static void batch_metadata(void)
{
	struct divert_batch *batch = divert_batch_alloc(4, 0);
	struct divert_msg *msg = divert_batch_msg(batch, 0);

	CHECK(!divert_set_info(divert, true) && !divert_set_time(divert, true));
	send_numbers(2);
	CHECK(divert_batch_recv(divert, batch) == 2);
	CHECK(msg->flags == (DIVERT_MSG_INFO | DIVERT_MSG_TIME) && !msg->use);
	CHECK(msg->info->cookie == COOKIE && msg->info->port == PORT);
	CHECK(labs(msg->time.tv_sec - time(NULL)) < 60);

	/* It counts only where that is said: as a fresh one it comes again. */
	msg->info->cookie = 0;
	CHECK(divert_batch_send(divert, batch, 1) == 1 && receive("0"));
	msg->use = DIVERT_MSG_INFO;
	CHECK(divert_batch_send(divert, batch, 1) == 1);
	CHECK(divert_batch_recv(divert, batch) == 1 && silent());
	CHECK(msg->info->cookie == COOKIE && !msg->use);
	msg->info->size = 5;
	msg->use = DIVERT_MSG_INFO;
	CHECK(!divert_batch_send(divert, batch, 1) && msg->error == EINVAL);
	divert_batch_free(batch);
}

static void batch_cut(void)
{
	struct divert_batch *batch = divert_batch_alloc(1, 24);

	send_udp("long");
	CHECK(divert_batch_recv(divert, batch) == 1);
	CHECK(divert_batch_msg(batch, 0)->len == 24);
	CHECK(divert_batch_msg(batch, 0)->flags == DIVERT_MSG_CUT);
	divert_batch_free(batch);
}

/* To set an option that the module may be too old for. */
static void need(int ret)
{
	if (ret && errno == ENOPROTOOPT)
		exit(4);
	CHECK(!ret);
}

static uint64_t read_held(void)
{
	struct divert_info info;

	CHECK(divert_recv_info(divert, data, sizeof(data), NULL, &info) == 28);
	CHECK(info.flags & DIVERT_INFO_HELD && silent());
	return info.id;
}

static void hold(void)
{
	struct divert_hold hold = { .headers = 28, .packets = 64 };
	uint64_t id;

	need(divert_set_hold(divert, &hold));
	memset(&hold, 0, sizeof(hold));
	CHECK(!divert_get_hold(divert, &hold) && hold.packets == 64);
	CHECK(!divert_set_info(divert, true));

	send_udp("kept");
	id = read_held();
	CHECK(!divert_send_verdict(divert, id, 0, NULL, 0) && receive("kept"));
	CHECK(divert_send_verdict(divert, id, 0, NULL, 0) && errno == ESTALE);
	CHECK(divert_send_verdict(divert, 999, 0, NULL, 0) && errno == ENOENT);

	send_udp("dropped");
	id = read_held();
	CHECK(!divert_send_verdict(divert, id, DIVERT_VERDICT_DROP, NULL, 0));
	CHECK(silent());

	send_numbers(3);
	read_held();
	read_held();
	id = read_held();
	CHECK(!divert_send_verdict(divert, id, DIVERT_VERDICT_UPTO, NULL, 0));
	CHECK(receive("0") && receive("1") && receive("2") && silent());
}

/* The address names the kept packet: its headers, given back, send it on. */
static void batch_hold(void)
{
	struct divert_hold hold = { .headers = 28 };
	struct divert_batch *batch;
	struct divert_stats stats;
	char text[16];
	int i;

	need(divert_set_hold(divert, &hold));
	batch = read_batch(10);
	CHECK(divert_batch_msg(batch, 9)->len == 28);
	CHECK(divert_batch_send(divert, batch, 10) == 10);
	for (i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%d", i);
		CHECK(receive(text));
	}
	CHECK(!divert_get_stats(divert, &stats) && stats.held_passed == 10);
	divert_batch_free(batch);
}

/* Read, changed in their place, written back: one of them is left out. */
static void records(void)
{
	static unsigned char out[sizeof(data)] __attribute__((__aligned__(8)));
	struct divert_record *record, *copy;
	size_t at = 0, out_at = 0;
	ssize_t len;
	int n = 0;

	need(divert_set_records(divert, true));
	send_numbers(5);
	len = divert_recv(divert, data, sizeof(data), NULL);
	CHECK(len > 0);
	while ((record = divert_record_next(data, len, &at))) {
		CHECK(record->captured == record->packet);
		if (n++ == 3)
			continue;
		copy = divert_record_put(out, sizeof(out), &out_at,
					 divert_record_data(record),
					 record->captured);
		*divert_record_addr(copy) = *divert_record_addr(record);
	}
	CHECK(!errno && n == 5);
	CHECK(divert_send(divert, out, out_at, NULL) == (ssize_t)out_at);
	CHECK(receive("0") && receive("1") && receive("2") && receive("4"));
	CHECK(silent());
}

/* Headers only: one is changed, one is dropped, one is of no packet. */
static void hold_records(void)
{
	struct divert_hold hold = { .headers = 28 };
	struct divert_record *record;
	struct divert_stats stats;
	size_t at = 0;
	ssize_t len;
	int n = 0;

	need(divert_set_hold(divert, &hold));
	need(divert_set_records(divert, true));
	send_numbers(5);
	len = divert_recv(divert, data, sizeof(data), NULL);
	while ((record = divert_record_next(data, len, &at))) {
		CHECK(record->flags & DIVERT_INFO_HELD);
		CHECK(record->captured == 28 && record->packet == 30);
		CHECK(!divert_packet_parse_headers(&packet,
						   divert_record_data(record),
						   record->captured));
		CHECK(packet.cut && packet.udp);
		if (n == 1)
			divert_record_drop(record);
		else if (n == 2)
			record->id += 1000;
		else
			CHECK(!divert_packet_set_sport(&packet, 1234));
		n++;
	}
	CHECK(n == 5);
	CHECK(divert_record_send(divert, data, len) == 1 && errno == ENOENT);
	CHECK(receive("0") && receive("3") && receive("4") && silent());
	CHECK(!divert_get_stats(divert, &stats));
	CHECK(stats.held == 5 && stats.held_passed == 3);
	/* It was tried twice. */
	CHECK(stats.held_dropped == 1 && stats.estale == 2);
}

static void gso(void)
{
	struct divert_batch *batch = divert_batch_alloc(1, 0);
	struct divert_msg *msg = divert_batch_msg(batch, 0);

	need(divert_set_gso(divert, true));
	send_udp("as it was");
	CHECK(divert_batch_recv(divert, batch) == 1);
	CHECK(msg->flags & DIVERT_MSG_GSO && msg->use & DIVERT_MSG_GSO);
	CHECK(divert_batch_send(divert, batch, 1) == 1);
	CHECK(receive("as it was"));
	divert_batch_free(batch);
}

static void inplace(void)
{
	struct divert_stats stats;

	need(divert_set_inplace(divert, DIVERT_INPLACE_BEHIND));
	send_udp("in place");
	read_packet(divert);
	write_packet(divert);
	CHECK(receive("in place"));
	CHECK(!divert_get_stats(divert, &stats));
	CHECK(stats.held_passed == 1 && !stats.inject_out);
}

static const struct test {
	const char *name;
	void (*function)(void);
} tests[] = {
	{ "round_trip", round_trip },
	{ "edited", edited },
	{ "family6", family6 },
	{ "made_addresses", made_addresses },
	{ "address_of_no_family", address_of_no_family },
	{ "info", info },
	{ "cut", cut },
	{ "nonblocking", nonblocking },
	{ "ports", ports },
	{ "fanout", fanout },
	{ "tee", tee },
	{ "limits", limits },
	{ "filter", filter },
	{ "batch", batch },
	{ "batch_metadata", batch_metadata },
	{ "batch_cut", batch_cut },
	{ "hold", hold },
	{ "batch_hold", batch_hold },
	{ "records", records },
	{ "hold_records", hold_records },
	{ "gso", gso },
	{ "inplace", inplace },
	{ }
};

int main(int argc, char **argv)
{
	const struct test *test;

	if (argc == 1) {
		for (test = tests; test->name; test++)
			puts(test->name);
		return 0;
	}

	for (test = tests; test->name && strcmp(test->name, argv[1]); test++)
		;
	if (!test->name)
		errx(2, "no test named '%s'", argv[1]);
	divert = open_bound(AF_INET);
	open_receiver();
	test->function();
	divert_close(divert);
	return 0;
}
