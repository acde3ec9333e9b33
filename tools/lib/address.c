// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses. Their forms are those of <linux/divert.h>.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdivert/libdivert.h>

#define NAME_LEN	sizeof(((struct sockaddr_in *)0)->sin_zero)

/* So much name is there, then "/", then the id of a packet that is kept. */
#define KEPT_NAME_LEN	4

/* An interface without an address is given as 0.<ifindex>. */
#define IFINDEX_MAX	0xffffff

/* In sin6_scope_id of packets made on this host; the rest is opaque. */
#define SCOPE_OPAQUE	0x80000000u

socklen_t divert_addr_len(const union divert_addr *addr)
{
	switch (addr->sa.sa_family) {
	case AF_INET:
		return sizeof(addr->in);
	case AF_INET6:
		return sizeof(addr->in6);
	default:
		return 0;
	}
}

/* The address in IPv4's form, in host byte order; what is IPv6 has none: 0. */
static uint32_t mapped(const struct in6_addr *addr)
{
	uint32_t v4;

	if (!IN6_IS_ADDR_V4MAPPED(addr))
		return 0;
	memcpy(&v4, &addr->s6_addr[12], sizeof(v4));
	return ntohl(v4);
}

bool divert_addr_incoming(const union divert_addr *addr)
{
	const struct in6_addr *in6 = &addr->in6.sin6_addr;

	if (addr->sa.sa_family == AF_INET)
		return addr->in.sin_addr.s_addr;
	if (IN6_IS_ADDR_V4MAPPED(in6))
		return mapped(in6);
	return !IN6_IS_ADDR_UNSPECIFIED(in6);
}

uint16_t divert_addr_cookie(const union divert_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? addr->in.sin_port :
					       addr->in6.sin6_port;
}

void divert_addr_set_cookie(union divert_addr *addr, uint16_t cookie)
{
	if (addr->sa.sa_family == AF_INET)
		addr->in.sin_port = cookie;
	else
		addr->in6.sin6_port = cookie;
}

/* 0.<ifindex> */
static unsigned int unnumbered(uint32_t addr)
{
	return addr <= IFINDEX_MAX ? addr : 0;
}

/* "/<ifindex>", or a name */
static unsigned int ifindex_of(const char *name)
{
	unsigned long ifindex;
	char *end;

	if (name[0] != '/')
		return if_nametoindex(name);
	if (name[1] < '0' || name[1] > '9')
		return 0;
	ifindex = strtoul(name + 1, &end, 10);
	return *end ? 0 : ifindex;
}

/* A name ends within the bytes, or where a kept packet's id begins. */
static bool get_name(const struct sockaddr_in *in, char name[NAME_LEN])
{
	memcpy(name, in->sin_zero, NAME_LEN);
	if (name[KEPT_NAME_LEN] == '/')
		name[KEPT_NAME_LEN] = 0;
	return name[0] && memchr(name, 0, NAME_LEN);
}

static unsigned int ifindex4(const struct sockaddr_in *in)
{
	char name[NAME_LEN];

	if (get_name(in, name))
		return ifindex_of(name);
	return unnumbered(ntohl(in->sin_addr.s_addr));
}

static unsigned int ifindex6(const struct sockaddr_in6 *in6)
{
	uint32_t scope = in6->sin6_scope_id;

	if (scope & SCOPE_OPAQUE)
		return 0;
	return scope ?: unnumbered(mapped(&in6->sin6_addr));
}

unsigned int divert_addr_ifindex(const union divert_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? ifindex4(&addr->in) :
					       ifindex6(&addr->in6);
}

char *divert_addr_ifname(const union divert_addr *addr, char name[IF_NAMESIZE])
{
	unsigned int ifindex = divert_addr_ifindex(addr);

	return ifindex ? if_indextoname(ifindex, name) : NULL;
}

void divert_addr_set_out(union divert_addr *addr, int family, uint16_t cookie)
{
	memset(addr, 0, sizeof(*addr));
	addr->sa.sa_family = family;
	divert_addr_set_cookie(addr, cookie);
}

static void set_in4(struct sockaddr_in *in, unsigned int ifindex)
{
	char name[NAME_LEN];

	in->sin_addr.s_addr = htonl(ifindex);
	/* One that does not fit is named by the address alone. */
	if (snprintf(name, sizeof(name), "/%u", ifindex) < (int)sizeof(name))
		memcpy(in->sin_zero, name, sizeof(name));
}

static void set_in6(struct sockaddr_in6 *in6, unsigned int ifindex)
{
	uint32_t v4 = htonl(ifindex);

	in6->sin6_addr.s6_addr[10] = 0xff;
	in6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6->sin6_addr.s6_addr[12], &v4, sizeof(v4));
	in6->sin6_scope_id = ifindex;
}

int divert_addr_set_in(union divert_addr *addr, int family,
		       unsigned int ifindex, uint16_t cookie)
{
	if (!ifindex || ifindex > IFINDEX_MAX) {
		errno = EINVAL;
		return -1;
	}

	divert_addr_set_out(addr, family, cookie);
	if (family == AF_INET)
		set_in4(&addr->in, ifindex);
	else
		set_in6(&addr->in6, ifindex);
	return 0;
}

char *divert_addr_print(const union divert_addr *addr, char *text, size_t size)
{
	unsigned int ifindex = divert_addr_ifindex(addr);
	char name[IF_NAMESIZE] = "-";

	if (ifindex && !if_indextoname(ifindex, name))
		snprintf(name, sizeof(name), "/%u", ifindex);
	snprintf(text, size, "%s %s cookie %u",
		 divert_addr_incoming(addr) ? "in" : "out", name,
		 divert_addr_cookie(addr));
	return text;
}
