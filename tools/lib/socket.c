// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets and their options.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static int set_option(const struct divert *divert, int level, int name,
		      int value)
{
	return setsockopt(divert->fd, level, name, &value, sizeof(value));
}

/* A plain raw socket knows no option of this level. */
static bool is_divert(int fd)
{
	socklen_t len = sizeof(int);
	int version;

	return !getsockopt(fd, SOL_DIVERT, DIVERT_VERSION, &version, &len);
}

static int get_family(int fd)
{
	socklen_t len = sizeof(int);
	int family;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) ? -1 :
								      family;
}

struct divert *divert_open_fd(int fd)
{
	int family = get_family(fd);
	struct divert *divert;

	if (family < 0)
		return NULL;
	if (!is_divert(fd)) {
		errno = EPROTONOSUPPORT;
		return NULL;
	}

	divert = malloc(sizeof(*divert));
	if (!divert)
		return NULL;

	divert->fd = fd;
	divert->family = family;
	return divert;
}

static void close_quietly(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
}

struct divert *divert_open(int family)
{
	struct divert *divert;
	int fd;

	if (family != AF_INET && family != AF_INET6) {
		errno = EAFNOSUPPORT;
		return NULL;
	}

	fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);
	if (fd < 0)
		return NULL;

	divert = divert_open_fd(fd);
	if (!divert)
		close_quietly(fd);
	return divert;
}

void divert_close(struct divert *divert)
{
	if (!divert)
		return;
	close(divert->fd);
	free(divert);
}

int divert_get_fd(const struct divert *divert)
{
	return divert->fd;
}

int divert_get_family(const struct divert *divert)
{
	return divert->family;
}

int divert_bind(struct divert *divert, uint16_t port)
{
	union divert_addr addr;

	divert_addr_set_out(&addr, divert->family, 0);
	/* Here, and nowhere else, the port is in network byte order. */
	divert_addr_set_cookie(&addr, htons(port));
	return bind(divert->fd, &addr.sa, divert_addr_len(&addr));
}

int divert_get_port(const struct divert *divert)
{
	union divert_addr addr;
	socklen_t len = sizeof(addr);

	if (getsockname(divert->fd, &addr.sa, &len))
		return -1;
	return ntohs(divert_addr_cookie(&addr));
}

int divert_set_tee(struct divert *divert, bool on)
{
	return set_option(divert, SOL_DIVERT, DIVERT_TEE, on);
}

int divert_set_fanout(struct divert *divert, bool on)
{
	return set_option(divert, SOL_SOCKET, SO_REUSEPORT, on);
}

int divert_set_info(struct divert *divert, bool on)
{
	return set_option(divert, SOL_DIVERT, DIVERT_INFO, on);
}

int divert_set_time(struct divert *divert, bool on)
{
	return set_option(divert, SOL_SOCKET, SO_TIMESTAMPNS, on);
}

int divert_set_limits(struct divert *divert, const struct divert_limits *limits)
{
	struct divert_limits sized = *limits;

	sized.size = sizeof(sized);
	return setsockopt(divert->fd, SOL_DIVERT, DIVERT_LIMITS, &sized,
			  sizeof(sized));
}

int divert_get_limits(const struct divert *divert, struct divert_limits *limits)
{
	socklen_t len = sizeof(*limits);

	return getsockopt(divert->fd, SOL_DIVERT, DIVERT_LIMITS, limits, &len);
}

int divert_get_stats(const struct divert *divert, struct divert_stats *stats)
{
	socklen_t len = sizeof(*stats);

	memset(stats, 0, sizeof(*stats));
	return getsockopt(divert->fd, SOL_DIVERT, DIVERT_STATS, stats, &len);
}

int divert_set_gso(struct divert *divert, bool on)
{
	return set_option(divert, SOL_DIVERT, DIVERT_GSO, on);
}

int divert_set_hold(struct divert *divert, const struct divert_hold *hold)
{
	struct divert_hold sized = *hold;

	sized.size = sizeof(sized);
	return setsockopt(divert->fd, SOL_DIVERT, DIVERT_HOLD, &sized,
			  sizeof(sized));
}

int divert_get_hold(const struct divert *divert, struct divert_hold *hold)
{
	socklen_t len = sizeof(*hold);

	return getsockopt(divert->fd, SOL_DIVERT, DIVERT_HOLD, hold, &len);
}

int divert_set_inplace(struct divert *divert, enum divert_inplace where)
{
	return set_option(divert, SOL_DIVERT, DIVERT_INPLACE, where);
}

int divert_set_records(struct divert *divert, bool on)
{
	return set_option(divert, SOL_DIVERT, DIVERT_RECORDS, on);
}

int divert_set_filter(struct divert *divert, const struct sock_fprog *filter)
{
	if (!filter)
		return set_option(divert, SOL_SOCKET, SO_DETACH_FILTER, 0);
	return setsockopt(divert->fd, SOL_SOCKET, SO_ATTACH_FILTER, filter,
			  sizeof(*filter));
}
