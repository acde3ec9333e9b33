// SPDX-License-Identifier: GPL-2.0
/*
 * Proves what can be proven of addresses, filters and sockets on any machine,
 * with the module or without it. selftests/library.c has the rest.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libdivert/libdivert.h>

#include "test.h"

static union divert_addr addr;
static char text[DIVERT_ADDR_TEXT];

static struct sockaddr_in *in4(const char *name, uint32_t address)
{
	memset(&addr, 0, sizeof(addr));
	addr.in.sin_family = AF_INET;
	addr.in.sin_addr.s_addr = htonl(address);
	addr.in.sin_port = 100;
	memcpy(addr.in.sin_zero, name, strlen(name));
	return &addr.in;
}

static void address4(void)
{
	in4("lo", 0x7f000001);
	CHECK(divert_addr_incoming(&addr));
	CHECK(divert_addr_cookie(&addr) == 100);
	CHECK(divert_addr_len(&addr) == 16);
	CHECK(divert_addr_ifindex(&addr) == if_nametoindex("lo"));
	CHECK(!strcmp(divert_addr_print(&addr, text, sizeof(text)),
		      "in lo cookie 100"));
	in4("lo", 0);
	CHECK(!divert_addr_incoming(&addr));
	CHECK(!strcmp(divert_addr_print(&addr, text, sizeof(text)),
		      "out lo cookie 100"));
}

static void address4_by_number(void)
{
	char name[IF_NAMESIZE];

	in4("/1", 0x01020304);
	CHECK(divert_addr_ifindex(&addr) == 1);
	CHECK(divert_addr_ifname(&addr, name) == name && !strcmp(name, "lo"));
	in4("/999999", 0x01020304);
	CHECK(divert_addr_ifindex(&addr) == 999999);
	CHECK(!divert_addr_ifname(&addr, name));
	divert_addr_print(&addr, text, sizeof(text));
	CHECK(!strcmp(text, "in /999999 cookie 100"));
	in4("", 0x0012d687);	/* 0.18.214.135 */
	CHECK(divert_addr_ifindex(&addr) == 1234567);
}

/* With the id of a kept packet behind the name. */
static void address4_kept(void)
{
	in4("/999/\x80\x01\x02", 0x01020304);
	CHECK(divert_addr_ifindex(&addr) == 999);
	in4("lo", 0x7f000001);
	memcpy(addr.in.sin_zero + 4, "/\xff\xff\xff", 4);
	CHECK(divert_addr_ifindex(&addr) == 1);
	/* A packet made here, or an interface without address and name. */
	in4("", 0);
	memcpy(addr.in.sin_zero + 1, "\x80\x01\x02", 3);
	CHECK(!divert_addr_incoming(&addr) && !divert_addr_ifindex(&addr));
	addr.in.sin_addr.s_addr = htonl(12);
	CHECK(divert_addr_incoming(&addr) && divert_addr_ifindex(&addr) == 12);
}

static void address4_garbage(void)
{
	static const char * const names[] = {
		"/", "/x", "/1x", "/-1", "/ 1", "nosuch", "12345678",
		"/1234567",
	};
	int i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		in4(names[i], 0x0a000001);
		CHECK(!divert_addr_ifindex(&addr));
	}
	/* A packet made here: an empty name, then bytes of the kernel's. */
	in4("", 0)->sin_zero[3] = 5;
	CHECK(!divert_addr_ifindex(&addr));
	divert_addr_print(&addr, text, sizeof(text));
	CHECK(!strcmp(text, "out - cookie 100"));
}

static void address6(void)
{
	struct sockaddr_in6 *in6 = &addr.in6;

	memset(&addr, 0, sizeof(addr));
	in6->sin6_family = AF_INET6;
	in6->sin6_scope_id = 1;
	CHECK(divert_addr_len(&addr) == 28);
	CHECK(!divert_addr_incoming(&addr) && divert_addr_ifindex(&addr) == 1);
	in6->sin6_addr.s6_addr[15] = 1;
	CHECK(divert_addr_incoming(&addr));

	/* ::ffff:0.0.0.0, ::ffff:0.0.0.7 */
	memset(&in6->sin6_addr, 0, sizeof(in6->sin6_addr));
	memset(&in6->sin6_addr.s6_addr[10], 0xff, 2);
	CHECK(!divert_addr_incoming(&addr));
	in6->sin6_addr.s6_addr[15] = 7;
	in6->sin6_scope_id = 0;
	CHECK(divert_addr_incoming(&addr) && divert_addr_ifindex(&addr) == 7);

	in6->sin6_scope_id = 0x80000003;	/* the kernel's own */
	CHECK(!divert_addr_ifindex(&addr));
}

/* What is made reads as what was meant. */
static void make_in(int family, unsigned int ifindex)
{
	CHECK(!divert_addr_set_in(&addr, family, ifindex, 7));
	CHECK(addr.sa.sa_family == family);
	CHECK(divert_addr_incoming(&addr));
	CHECK(divert_addr_ifindex(&addr) == ifindex);
	CHECK(divert_addr_cookie(&addr) == 7);
}

static void make_addresses(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int i;

	for (i = 0; i < 2; i++) {
		make_in(families[i], 1);
		make_in(families[i], 999999);
		make_in(families[i], 1000000);
		make_in(families[i], 0xffffff);
		CHECK(divert_addr_set_in(&addr, families[i], 0, 7));
		CHECK(errno == EINVAL);
		CHECK(divert_addr_set_in(&addr, families[i], 0x1000000, 7));
		divert_addr_set_out(&addr, families[i], 9);
		CHECK(!divert_addr_incoming(&addr));
		CHECK(!divert_addr_ifindex(&addr));
		CHECK(divert_addr_cookie(&addr) == 9);
		divert_addr_set_cookie(&addr, 10);
		CHECK(divert_addr_cookie(&addr) == 10);
	}
	addr.sa.sa_family = AF_UNIX;
	CHECK(!divert_addr_len(&addr));
}

static const unsigned char dns[] = {	/* 10.0.1.2:5000 > 10.0.2.2:53 */
	0x45, 0, 0, 0x20, 0, 1, 0, 0, 0x40, 17, 0, 0, 10, 0, 1, 2, 10, 0, 2, 2,
	0x13, 0x88, 0, 0x35, 0, 12, 0, 0, 't', 'e', 's', 't',
};

static bool matches(const char *expression)
{
	struct sock_fprog filter;
	bool match;

	if (divert_filter_compile(&filter, expression, NULL, 0))
		return false;
	match = divert_filter_match(&filter, dns, sizeof(dns));
	divert_filter_free(&filter);
	return match;
}

static void filters(void)
{
	CHECK(matches("udp port 53"));
	CHECK(matches("ip and dst host 10.0.2.2"));
	CHECK(matches("less 40"));
	CHECK(matches(""));
	CHECK(!matches("tcp"));
	CHECK(!matches("ip6"));
	CHECK(!matches("src port 53"));
}

static void wrong_filters(void)
{
	struct sock_fprog filter;
	char error[256] = "";

	CHECK(divert_filter_compile(&filter, "udp prot 53", error,
				    sizeof(error)));
	CHECK(errno == EINVAL && strstr(error, "syntax error"));
	CHECK(divert_filter_compile(&filter, "ether host 1:2:3:4:5:6", error,
				    sizeof(error)));
	CHECK(errno == EINVAL && error[0]);
	CHECK(divert_filter_compile(&filter, "nonsense", NULL, 0));
	divert_filter_free(&filter);	/* harmless */
}

/* Whatever else is a socket is not taken for ours. */
static void other_sockets(void)
{
	int fds[2], fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(!divert_open_fd(fd) && errno == EPROTONOSUPPORT);
	CHECK(!close(fd));
	CHECK(!divert_open_fd(fd) && errno == EBADF);
	CHECK(!pipe(fds));
	CHECK(!divert_open_fd(fds[0]) && errno == ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
}

/* Without the module, root gets a raw socket from the kernel, none from us. */
static void open_tells_the_module(void)
{
	bool loaded = !access("/proc/net/divert", F_OK);
	struct divert *divert = divert_open(AF_INET);

	if (divert)
		CHECK(loaded);
	else
		CHECK(errno == (geteuid() || loaded ? EPERM :
						      EPROTONOSUPPORT));
	divert_close(divert);
	CHECK(!divert_open(AF_UNIX) && errno == EAFNOSUPPORT);
}

static void batches(void)
{
	struct divert_batch *batch = divert_batch_alloc(3, 100);

	CHECK(batch && divert_batch_msg(batch, 2));
	CHECK(!divert_batch_msg(batch, 3));
	/* All places are apart, aligned, and large enough. */
	memset(divert_batch_msg(batch, 0)->data, 1, 100);
	memset(divert_batch_msg(batch, 2)->data, 3, 100);
	CHECK((char *)divert_batch_msg(batch, 1)->data -
	      (char *)divert_batch_msg(batch, 0)->data == 104);
	divert_batch_free(batch);
	divert_batch_free(NULL);

	batch = divert_batch_alloc(1024, 0);
	CHECK(batch);
	divert_batch_free(batch);
	CHECK(!divert_batch_alloc(0, 0) && errno == EINVAL);
	CHECK(!divert_batch_alloc(1025, 0) && errno == EINVAL);
	CHECK(!divert_batch_alloc(1, 65576) && errno == EINVAL);
}

static void errors(void)
{
	CHECK(strstr(divert_strerror(EPROTONOSUPPORT), "modprobe divert"));
	CHECK(!strcmp(divert_strerror(ENOMEM), strerror(ENOMEM)));
}

int main(void)
{
	TEST(address4);
	TEST(address4_by_number);
	TEST(address4_kept);
	TEST(address4_garbage);
	TEST(address6);
	TEST(make_addresses);
	TEST(filters);
	TEST(wrong_filters);
	TEST(other_sockets);
	TEST(open_tells_the_module);
	TEST(batches);
	TEST(errors);
	return test_status();
}
